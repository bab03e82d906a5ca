//! A command that is killed in the middle of its work leaves the old dictionary or the new one, and nothing stops the
//! next. Every second one dies when its temporary file appears: so some die while they write, others before and after.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::sandbox::{Sandbox, bundle, sparsight, texture};

const KILLS: u32 = 20;

/// Kills `command` over and over, each time at another moment: `path` must hold `old` or `new` and nothing else, which
/// `old` is put back for. Afterwards it runs to its end. Says how often it met which.
fn kill_often(mut command: impl FnMut() -> Command, path: &Path, old: Option<&[u8]>, new: &[u8]) {
    let reset = || match old {
        Some(old) => fs::write(path, old).unwrap(),
        None => drop(fs::remove_file(path)),
    };
    let mut start = || command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let finished = |start: &mut dyn FnMut() -> std::process::Child| {
        reset();
        let started = Instant::now();
        assert!(start().wait().unwrap().success());
        assert_eq!(fs::read(path).unwrap(), new, "what an undisturbed run leaves");
        started.elapsed()
    };
    let whole = finished(&mut start);
    let folder = path.parent().unwrap();
    let (mut met_old, mut met_new) = (0, 0);
    for kill in 0..KILLS {
        reset();
        remove_temporaries(folder);
        let (mut child, started) = (start(), Instant::now());
        if kill % 2 == 0 {
            thread::sleep(whole * kill / KILLS);
        } else {
            while !has_temporary(folder) && started.elapsed() < 2 * whole + Duration::from_secs(1) {
                std::hint::spin_loop();
            }
            thread::sleep(Duration::from_micros(u64::from(kill) * 40));
        }
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        match fs::read(path).ok() {
            Some(bytes) if bytes == new => met_new += 1,
            bytes if bytes.as_deref() == old => met_old += 1,
            bytes => {
                panic!("kill {kill}: neither the old nor the new file, {:?} bytes", bytes.map(|b| b.len()))
            }
        }
    }
    println!("{} kills: {met_old} times the old file, {met_new} times the new one", KILLS);
    assert!(met_old > 0);
    finished(&mut start);
    remove_temporaries(folder);
}

fn is_temporary(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with(".sparsight-")
}

fn has_temporary(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| is_temporary(&entry.unwrap().file_name()))
}

fn remove_temporaries(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if is_temporary(&entry.file_name()) {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

fn command(arguments: &[&str], paths: &[&Path]) -> Command {
    let mut command = Command::new(sparsight("info").get_program());
    command.args(arguments).args(["--provider", "cpu", "--threads", "1"]).args(paths);
    command
}

#[test]
fn adapt_killed_at_any_moment_leaves_the_old_file_or_the_new_one() {
    let sandbox = Sandbox::new();
    let good = sandbox.good_images();
    let output = sandbox.path("adapted/good.dictionary");
    sandbox.write("adapted/good.dictionary", b"old");
    let (bundle, out) = (bundle(), Path::new("-o"));
    let adapt = || command(&["adapt"], &[&bundle, &good, out, &output]);
    assert!(adapt().output().unwrap().status.success());
    let new = fs::read(&output).unwrap();
    kill_often(adapt, &output, Some(b"old"), &new);
    kill_often(adapt, &output, None, &new);
}

#[test]
fn dictionary_add_killed_at_any_moment_leaves_the_old_file_or_the_new_one() {
    let sandbox = Sandbox::new();
    let old = fs::read(sandbox.dictionary()).unwrap();
    let dictionary = sandbox.write("changed/good.dictionary", &old);
    let image = sandbox.image("more.png", texture(40, 30, 77));
    let bundle = bundle();
    let add = || command(&["dictionary", "add"], &[&bundle, &dictionary, &image]);
    assert!(add().output().unwrap().status.success());
    let new = fs::read(&dictionary).unwrap();
    assert_ne!(new, old);
    kill_often(add, &dictionary, Some(&old), &new);
}
