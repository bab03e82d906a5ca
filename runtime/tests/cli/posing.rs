//! `adapt --augment-support`: shots in every pose, and what can't be turned.

use std::path::Path;

use serde_json::Value;

use crate::sandbox::{Sandbox, bundle, failure, names, sparsight, texture};

fn adapt(good: &Path, output: &Path, flags: &[&str]) -> assert_cmd::Command {
    let mut adapt = sparsight("adapt");
    adapt.arg(bundle()).arg(good).arg("-o").arg(output).args(flags);
    adapt
}

/// A sandbox with four square textures in `good`.
fn square() -> Sandbox {
    let sandbox = Sandbox::new();
    for i in 0..4 {
        sandbox.image(&format!("good/{i:03}.png"), texture(32, 32, i));
    }
    sandbox
}

#[test]
fn a_turned_shot_is_known_in_all_poses_and_strange_in_one() {
    let sandbox = square();
    let (good, plain, posed) = (sandbox.path("good"), sandbox.path("plain"), sandbox.path("posed"));
    adapt(&good, &plain, &["--max-atoms", "10000"]).assert().success();
    let assert = adapt(&good, &posed, &["--augment-support", "--max-atoms", "10000"]).assert().success();
    names(&String::from_utf8_lossy(&assert.get_output().stderr), &["4 shots in 8 poses", "threshold", "1/5"]);
    sandbox.image("turned/000.png", image::imageops::rotate90(&texture(32, 32, 0)));
    let energy = |dictionary: &Path| {
        let mut score = sparsight("score");
        score.arg(bundle()).arg(dictionary).arg(sandbox.path("turned")).args(["--format", "jsonl"]);
        let assert = score.assert().success();
        let record: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
        record["energy"].as_f64().unwrap()
    };
    assert!(energy(&posed) < energy(&plain), "{} {}", energy(&posed), energy(&plain));
}

#[test]
fn info_and_later_shots_know_of_the_poses() {
    let sandbox = square();
    let posed = sandbox.path("posed");
    adapt(&sandbox.path("good"), &posed, &["--augment-support=rotations"]).assert().success();
    sandbox.image("more/004.png", texture(32, 32, 4));
    let mut add = sparsight("dictionary");
    add.arg("add").arg(bundle()).arg(&posed).arg(sandbox.path("more"));
    let assert = add.assert().success();
    names(&String::from_utf8_lossy(&assert.get_output().stderr), &["5 shots in 4 poses"]);
    let assert = sparsight("info").arg(&posed).arg("--json").assert().success();
    let info: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(info["poses"], "rotations");
}

#[test]
fn a_later_shot_that_can_t_be_turned_is_refused() {
    let sandbox = square();
    let posed = sandbox.path("posed");
    adapt(&sandbox.path("good"), &posed, &["--augment-support=rotations"]).assert().success();
    let before = std::fs::read(&posed).unwrap();
    let wide = sandbox.image("wide/000.png", texture(40, 30, 0));
    let mut add = sparsight("dictionary");
    add.arg("add").arg(bundle()).arg(&posed).arg(wide);
    names(&failure(&mut add, 1), &["000.png", "not square"]);
    assert_eq!(std::fs::read(&posed).unwrap(), before);
}

#[test]
fn what_can_t_be_turned_is_refused_and_nothing_is_written() {
    let sandbox = square();
    let (good, output) = (sandbox.path("good"), sandbox.path("out"));
    sandbox.image("wide/000.png", texture(40, 30, 0));
    for flags in [["--augment-support=rotations"], ["--augment-support"]] {
        let refused = failure(&mut adapt(&sandbox.path("wide"), &output, &flags), 1);
        names(&refused, &["000.png", "not square", "--augment-support=flips"]);
    }
    let mask = sandbox.image("mask.png", texture(32, 32, 1));
    for (flags, part) in [
        (vec!["--augment-support=sideways"], "flips, rotations or all"),
        (vec!["--augment-support", "--roi", mask.to_str().unwrap()], "--roi"),
    ] {
        let assert = adapt(&good, &output, &flags).assert().code(2);
        names(&String::from_utf8_lossy(&assert.get_output().stderr), &[part]);
    }
    assert!(!output.exists());
    adapt(&sandbox.path("wide"), &output, &["--augment-support=flips"]).assert().success();
}
