//! `adapt` and `dictionary`.

use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, bundle, failure, names, sparsight, texture};

/// What `info --json` says of a file.
fn info(path: &std::path::Path) -> Value {
    let assert = sparsight("info").arg(path).arg("--json").assert().success();
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

#[test]
fn adapting_writes_one_file_and_says_what_its_threshold_promises() {
    let sandbox = Sandbox::new();
    let good = sandbox.good_images();
    let output = sandbox.path("new.dictionary");
    let assert = sparsight("adapt").arg(bundle()).arg(good).arg("-o").arg(&output).assert().success();
    assert_eq!(assert.get_output().stdout, b"");
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    // Of six good images, one in six is the highest; a tenth takes nine shots.
    names(
        &stderr,
        &["5 shots", "threshold", "16.7 % of good images", "1/6 (16.7 %)", "10 % asked for take 9:"],
    );
    assert_eq!(sandbox.entries().len(), 6);
}

#[test]
fn the_same_images_make_the_same_dictionary() {
    let sandbox = Sandbox::new();
    let first = fs::read(sandbox.dictionary()).unwrap();
    let again = sandbox.path("again.dictionary");
    let good = sandbox.path("good");
    sparsight("adapt").arg(bundle()).arg(&good).arg("-o").arg(&again).assert().success();
    assert_eq!(fs::read(&again).unwrap(), first);
}

#[test]
fn the_same_image_twice_counts_once_and_is_noted() {
    let sandbox = Sandbox::new();
    let good = sandbox.good_images();
    sandbox.write("good/copy.png", &fs::read(good.join("001.png")).unwrap());
    let output = sandbox.path("new.dictionary");
    let assert = sparsight("adapt").arg(bundle()).arg(good).arg("-o").arg(&output).assert().success();
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    names(&stderr, &["copy.png: is the same image as 001.png", "5 shots"]);
}

#[test]
fn a_single_shot_has_no_threshold_and_says_so() {
    let sandbox = Sandbox::new();
    sandbox.image("good/000.png", texture(40, 30, 0));
    let output = sandbox.path("good.dictionary");
    let mut adapt = sparsight("adapt");
    let assert = adapt.arg(bundle()).arg(sandbox.path("good")).arg("-o").arg(&output).assert().success();
    names(&String::from_utf8_lossy(&assert.get_output().stderr), &["1 shot,", "no threshold"]);
    let records = sandbox.records(&[&sandbox.path("good")]);
    assert!(records[0].anomaly_score.is_some());
    assert_eq!((records[0].threshold, records[0].anomalous), (None, None));
    let line = failure(sandbox.score().arg(sandbox.path("good")).arg("--fail-on-anomaly"), 1);
    names(&line, &["good.dictionary", "no threshold", "at least two images"]);
}

#[test]
fn fewer_atoms_are_kept_where_asked_for_and_the_seed_decides_which() {
    let sandbox = Sandbox::new();
    let good = sandbox.good_images();
    let adapt = |seed: &str| {
        let output = sandbox.path(seed);
        let mut adapt = sparsight("adapt");
        adapt.arg(bundle()).arg(&good).args(["--max-atoms", "7", "--seed", seed]);
        adapt.arg("-o").arg(&output).assert().success();
        assert_eq!(info(&output)["atoms"], 7);
        info(&output)["threshold"].clone()
    };
    assert_ne!(adapt("1"), adapt("2"));
}

#[test]
fn the_false_alarm_rate_moves_the_threshold() {
    let sandbox = Sandbox::new();
    let good = sandbox.good_images();
    let threshold = |rate: &str| {
        let output = sandbox.path(rate);
        let mut adapt = sparsight("adapt");
        adapt
            .arg(bundle())
            .arg(&good)
            .args(["--false-alarm-rate", rate, "-o"])
            .arg(&output)
            .assert()
            .success();
        info(&output)["threshold"].as_f64().unwrap()
    };
    assert!(threshold("0.8") < threshold("0.1"));
}
