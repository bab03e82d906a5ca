//! `cargo xtask setup` where it can't work: each failure is one line that names the way around, and leaves nothing.
//! Nothing here needs a network.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use tempfile::TempDir;

const WHEEL: &str = "onnxruntime-1.28.0-cp312-cp312";

struct Setup {
    target: TempDir,
    command: Command,
}

/// A set-up into an empty target directory, with a pip that asks no index unless the test says so.
fn setup() -> Setup {
    let target = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("setup").env("CARGO_TARGET_DIR", target.path()).env_remove("ORT_DYLIB_PATH");
    command.env("PIP_NO_INDEX", "1").env_remove("PIP_FIND_LINKS").env_remove("PIP_INDEX_URL");
    command.env("PIP_CONFIG_FILE", target.path().join("no-pip.conf"));
    Setup { target, command }
}

impl Setup {
    /// Runs it, and checks what every failure must keep: one line, the way around, no files left.
    fn fails_saying(mut self, reason: &str) {
        let said = stderr(self.command.assert().code(1));
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        let [error] = errors[..] else { panic!("not one error line: {said}") };
        assert!(said.ends_with(&format!("{error}\n")), "the error is not the last line: {said}");
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
        assert!(error.contains("ORT_DYLIB_PATH"), "{error:?} names no way around");
        let left: Vec<PathBuf> =
            fs::read_dir(self.target.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(
            left.iter().all(|path| path.ends_with("pip") || path.ends_with("python3")),
            "left behind: {left:?}"
        );
    }
}

fn stderr(assert: Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// Where a stand-in for Python may lie, as the only program on the path.
#[cfg(unix)]
fn only_program(folder: &Path, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let program = folder.join("python3");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    folder.to_owned()
}

#[test]
fn no_python_on_the_path_is_an_error() {
    let mut setup = setup();
    let nowhere = setup.target.path().join("nowhere");
    setup.command.env("PATH", nowhere);
    setup.fails_saying("no Python 3 on the PATH");
}

#[cfg(unix)]
#[test]
fn a_python_without_pip_is_an_error() {
    let mut setup = setup();
    let path = only_program(setup.target.path(), r#"[ "$1" = -c ] && echo 3 12 || exit 1"#);
    setup.command.env("PATH", path);
    setup.fails_saying("python3 has no pip");
}

#[cfg(unix)]
#[test]
fn a_python_2_does_not_count() {
    let mut setup = setup();
    let path = only_program(setup.target.path(), "echo 2 7");
    setup.command.env("PATH", path);
    setup.fails_saying("no Python 3 on the PATH");
}

#[test]
fn a_wheel_with_another_hash_is_an_error() {
    let wheels = tempfile::tempdir().unwrap();
    for platform in ["manylinux_2_28_x86_64", "manylinux_2_28_aarch64", "macosx_14_0_arm64", "win_amd64"] {
        fs::write(wheels.path().join(format!("{WHEEL}-{platform}.whl")), "not the wheel that was pinned")
            .unwrap();
    }
    let mut setup = setup();
    setup.command.env("PIP_FIND_LINKS", wheels.path());
    setup.fails_saying("is not what its pinned sha256 says");
}

#[test]
fn an_index_without_the_wheel_is_an_error() {
    setup().fails_saying("No matching distribution found for onnxruntime==1.28.0");
}

#[test]
fn an_unreachable_index_is_an_error() {
    // Nothing listens on a port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut setup = setup();
    setup.command.env_remove("PIP_NO_INDEX").env("PIP_INDEX_URL", format!("http://127.0.0.1:{port}/simple"));
    setup.command.env("NO_PROXY", "127.0.0.1");
    setup.fails_saying("pip can't reach the package index");
}

#[test]
fn a_library_that_the_user_names_is_taken_as_it_is() {
    let mut setup = setup();
    let library = setup.target.path().join("mine.so");
    fs::write(&library, "").unwrap();
    let assert = setup.command.env("ORT_DYLIB_PATH", &library).env("PATH", "").assert().success();
    assert!(stderr(assert).contains("mine.so"));
    assert!(!setup.target.path().join("onnxruntime").exists());
}

#[test]
fn a_library_that_the_user_names_must_be_there() {
    let mut setup = setup();
    setup.command.env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so");
    setup.fails_saying("/nowhere/libonnxruntime.so");
}
