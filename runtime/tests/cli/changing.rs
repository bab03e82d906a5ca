//! `dictionary`: what changes of it keep, and that they neither get lost nor show a reader half a file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use image::{Rgb, RgbImage};
use sparsight_runtime::dictionary::Dictionary;

use crate::sandbox::{Sandbox, bundle, failure, names, sparsight, texture};

/// `dictionary add` of one image.
fn add(dictionary: &Path, image: &Path) -> assert_cmd::Command {
    let mut add = sparsight("dictionary");
    add.args(["add", "--provider", "cpu"]).arg(bundle()).arg(dictionary).arg(image);
    add
}

fn remove(dictionary: &Path, shot: &str) -> assert_cmd::Command {
    let mut remove = sparsight("dictionary");
    remove.arg("remove").arg(bundle()).arg(dictionary).arg(shot);
    remove
}

fn merge(dictionaries: &[&Path], output: &Path) -> assert_cmd::Command {
    let mut merge = sparsight("dictionary");
    merge.arg("merge").arg(bundle()).args(dictionaries).arg("-o").arg(output);
    merge
}

fn shot_names(dictionary: &Path) -> Vec<String> {
    Dictionary::read(dictionary).unwrap().shots.into_iter().map(|shot| shot.name).collect()
}

/// A dictionary of textures with these seeds, from a folder of the same name.
fn adapted(sandbox: &Sandbox, name: &str, seeds: std::ops::Range<u32>) -> PathBuf {
    for (i, seed) in seeds.enumerate() {
        sandbox.image(&format!("{name}/{i:03}.png"), texture(40, 30, seed));
    }
    let output = sandbox.path(&format!("{name}.dictionary"));
    let mut adapt = sparsight("adapt");
    adapt.arg(bundle()).arg(sandbox.path(name)).arg("-o").arg(&output).assert().success();
    output
}

#[test]
fn merging_keeps_every_shot_once_and_names_them_apart() {
    let sandbox = Sandbox::new();
    let monday = adapted(&sandbox, "monday", 0..3);
    let tuesday = adapted(&sandbox, "tuesday", 2..5); // its first is the last of monday
    let output = sandbox.path("merged.dictionary");
    let assert = merge(&[&monday, &tuesday], &output).assert().success().stdout("");
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    names(&stderr, &["tuesday.dictionary: 1 of 3 shots are there already", "5 shots", "threshold"]);
    assert_eq!(shot_names(&output), ["000.png", "001.png", "002.png", "tuesday/001.png", "tuesday/002.png"]);
    // Features and threshold are those of adapting to all five images at once.
    for (i, shot) in ["003", "004"].iter().enumerate() {
        let image = fs::read(sandbox.path(&format!("tuesday/{:03}.png", i + 1))).unwrap();
        sandbox.write(&format!("monday/{shot}.png"), &image);
    }
    let together = sandbox.path("together.dictionary");
    let mut adapt = sparsight("adapt");
    adapt.arg(bundle()).arg(sandbox.path("monday")).arg("-o").arg(&together).assert().success();
    let [merged, together] = [&output, &together].map(|path| Dictionary::read(path).unwrap());
    let difference = (&merged.support_features - &together.support_features).mapv(f32::abs);
    assert!(difference.iter().all(|difference| *difference < 1e-5));
    let (merged, together) = (merged.threshold().unwrap(), together.threshold().unwrap());
    assert!((merged - together).abs() <= 1e-4 * together, "{merged} {together}");

    // Taking the added ones away again leaves the first dictionary.
    remove(&output, "tuesday/001.png").arg("tuesday/002.png").assert().success();
    assert_eq!(fs::read(&output).unwrap(), fs::read(&monday).unwrap());
}

#[test]
fn a_file_that_is_another_image_now_is_another_shot() {
    let sandbox = Sandbox::new();
    let dictionary = adapted(&sandbox, "monday", 0..2);
    let latest = sandbox.path("camera/latest.png");
    for seed in [10, 11, 12] {
        sandbox.image("camera/latest.png", texture(40, 30, seed));
        add(&dictionary, &latest).assert().success();
    }
    let path = latest.display();
    let expected =
        ["000.png", "001.png", "latest.png", &path.to_string(), &format!("{path} (2)")].map(String::from);
    assert_eq!(shot_names(&dictionary), expected);
    let again = add(&dictionary, &latest).assert().code(1);
    names(&String::from_utf8_lossy(&again.get_output().stderr), &["holds all of these images already"]);
}

#[test]
fn dictionaries_of_other_bundles_or_other_selections_are_not_mixed() {
    let sandbox = Sandbox::new();
    let dictionary = sandbox.dictionary();
    let before = fs::read(&dictionary).unwrap();
    let other = sandbox.path("other.dictionary");
    let stranger = Dictionary { bundle_sha256: "0".repeat(64), ..Dictionary::read(&dictionary).unwrap() };
    stranger.write(&other).unwrap();
    let image = sandbox.image("more.png", texture(40, 30, 77));
    let lines = [
        failure(&mut merge(&[&dictionary, &other], &dictionary), 1),
        failure(&mut add(&other, &image), 1),
        failure(&mut remove(&other, "000.png"), 1),
        failure(sparsight("calibrate").arg(bundle()).arg(&other), 1),
    ];
    for line in lines {
        names(&line, &["other.dictionary", "was adapted with another bundle"]);
    }
    let mut adapt = sparsight("adapt");
    adapt.arg(bundle()).arg(sandbox.path("good")).args(["--max-atoms", "7", "-o"]).arg(&other);
    adapt.assert().success();
    let line = failure(&mut merge(&[&dictionary, &other], &dictionary), 1);
    names(&line, &["other.dictionary", "--max-atoms"]);
    let mask =
        sandbox.image("mask.png", RgbImage::from_fn(40, 30, |x, _| Rgb([if x < 20 { 255 } else { 0 }; 3])));
    let mut adapt = sparsight("adapt");
    adapt
        .arg(bundle())
        .arg(sandbox.path("good"))
        .arg("--roi")
        .arg(mask)
        .arg("-o")
        .arg(&other)
        .assert()
        .success();
    let line = failure(&mut merge(&[&dictionary, &other], &dictionary), 1);
    names(&line, &["other.dictionary", "another --roi"]);
    assert_eq!(fs::read(&dictionary).unwrap(), before);
}

#[test]
fn no_change_of_two_writers_is_lost_and_readers_always_meet_a_whole_file() {
    let sandbox = Sandbox::new();
    let dictionary = sandbox.dictionary();
    let images: Vec<PathBuf> =
        (0..6).map(|i| sandbox.image(&format!("more/more{i}.png"), texture(40, 30, 200 + i))).collect();
    let start = |image: &PathBuf| -> Child {
        let mut command = std::process::Command::new(sparsight("dictionary").get_program());
        command.args(["dictionary", "add", "--provider", "cpu"]).arg(bundle()).arg(&dictionary).arg(image);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let done = AtomicBool::new(false);
    let read = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut read = 0;
            while !done.load(Ordering::SeqCst) {
                // Half a file, an empty one or none would fail.
                assert!(Dictionary::read(&dictionary).unwrap().shots.len() >= 5);
                read += 1;
            }
            read
        });
        for pair in images.chunks(2) {
            for child in pair.iter().map(start).collect::<Vec<_>>() {
                let output = child.wait_with_output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
        }
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap()
    });
    assert!(read > 0);
    let mut shots = shot_names(&dictionary);
    shots.sort();
    assert_eq!(shots.len(), 11);
    assert_eq!(shots[5..], ["more0.png", "more1.png", "more2.png", "more3.png", "more4.png", "more5.png"]);
    #[cfg(unix)]
    assert!(sandbox.entries().iter().all(|name| !name.contains(".lock")), "{:?}", sandbox.entries());
}

#[test]
fn shots_are_listed_with_their_scores() {
    let sandbox = Sandbox::new();
    let assert = sparsight("dictionary").arg("list").arg(sandbox.dictionary()).assert().success();
    let text = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    let names: Vec<&str> = text.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(names, ["000.png", "001.png", "002.png", "003.png", "004.png"]);
}

#[test]
fn a_list_says_that_shots_are_in_poses_and_keeps_their_names_on_one_line() {
    let sandbox = Sandbox::new();
    let dictionary = sandbox.path("posed.dictionary");
    let mut adapt = sparsight("adapt");
    adapt.arg(bundle()).arg(sandbox.good_images()).arg("-o").arg(&dictionary).arg("--augment-support=flips");
    adapt.assert().success();
    let mut whole = Dictionary::read(&dictionary).unwrap();
    whole.shots[0].name = "a\nb\x1b[2J.png".into();
    whole.write(&dictionary).unwrap();
    let assert = sparsight("dictionary").arg("list").arg(&dictionary).assert().success();
    let output = assert.get_output();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.lines().count() == 5 && text.starts_with("a\u{fffd}b\u{fffd}[2J.png "), "{text}");
    names(&String::from_utf8_lossy(&output.stderr), &["5 shots in 4 poses"]);
    assert!(failure(&mut remove(&dictionary, "c\x1b.png"), 1).contains("c\u{fffd}.png"));
}

#[test]
fn a_shot_that_is_added_and_removed_leaves_the_dictionary_as_it_was() {
    let sandbox = Sandbox::new();
    let dictionary = sandbox.dictionary();
    let before = fs::read(&dictionary).unwrap();
    let image = sandbox.image("more.png", texture(40, 30, 77));
    add(&dictionary, &image).assert().success();
    assert_eq!(shot_names(&dictionary).len(), 6);
    let with_six = fs::read(&dictionary).unwrap();
    let assert = add(&dictionary, &image).assert().code(1);
    names(&String::from_utf8_lossy(&assert.get_output().stderr), &["holds all of these images already"]);
    assert_eq!(fs::read(&dictionary).unwrap(), with_six);

    let line = failure(&mut remove(&dictionary, "unknown.png"), 1);
    names(&line, &["good.dictionary", "no shot named unknown.png"]);
    remove(&dictionary, "more.png").assert().success();
    assert_eq!(fs::read(&dictionary).unwrap(), before);

    let line = failure(remove(&dictionary, "000.png").args(&shot_names(&dictionary)[1..]), 1);
    names(&line, &["good.dictionary", "these are all of its shots", "nothing was written"]);
    assert_eq!(fs::read(&dictionary).unwrap(), before);
}

#[test]
fn who_adds_a_shot_under_another_name_than_its_files_is_told_which() {
    let sandbox = Sandbox::new();
    let dictionary = sandbox.dictionary();
    let before = fs::read(&dictionary).unwrap();
    let image = sandbox.image("more/000.png", texture(40, 30, 77));
    let said = add(&dictionary, &image).assert().success();
    let name = image.display().to_string();
    names(
        &String::from_utf8_lossy(&said.get_output().stderr),
        &[&format!("{name}: is what the new shot is called")],
    );
    remove(&dictionary, &name).assert().success();
    assert_eq!(fs::read(&dictionary).unwrap(), before);
}

#[test]
fn the_rate_that_was_asked_for_survives_having_a_single_shot() {
    let sandbox = Sandbox::new();
    let image = sandbox.image("good/000.png", texture(40, 30, 0));
    let dictionary = sandbox.path("one.dictionary");
    let mut adapt = sparsight("adapt");
    adapt.arg(bundle()).arg(&image).arg("-o").arg(&dictionary).args(["--false-alarm-rate", "0.4"]);
    let said = adapt.assert().success();
    let said = String::from_utf8_lossy(&said.get_output().stderr).into_owned();
    names(&said, &["no threshold for the 40 % asked for", "add shots", "sparsight calibrate"]);
    let one = fs::read(&dictionary).unwrap();
    assert_eq!(Dictionary::read(&dictionary).unwrap().calibration, None);

    add(&dictionary, &sandbox.image("001.png", texture(40, 30, 1))).assert().success();
    let calibration = Dictionary::read(&dictionary).unwrap().calibration.unwrap();
    assert_eq!(calibration.false_alarm_rate, 0.4);
    remove(&dictionary, "001.png").assert().success();
    assert_eq!(fs::read(&dictionary).unwrap(), one);
}
