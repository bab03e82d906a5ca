//! `calibrate`, and what changes of a dictionary make of it.

use std::{fs, path::Path};

use serde_json::Value;
use sparsight_runtime::{
    calibration::{Calibration, Method},
    dictionary::Dictionary,
};

use crate::sandbox::{Sandbox, bundle, failure, names, sparsight, texture};

fn calibrate(dictionary: &Path) -> assert_cmd::Command {
    let mut calibrate = sparsight("calibrate");
    calibrate.arg(bundle()).arg(dictionary);
    calibrate
}

fn calibration(dictionary: &Path) -> Calibration {
    Dictionary::read(dictionary).unwrap().calibration.unwrap()
}

/// Twelve good images that are no shots.
fn more(sandbox: &Sandbox) -> std::path::PathBuf {
    for seed in 0..12 {
        sandbox.image(&format!("more/{seed:03}.png"), texture(40, 30, 100 + seed));
    }
    sandbox.path("more")
}

#[test]
fn held_out_images_set_the_threshold_by_their_scores() {
    let sandbox = Sandbox::new();
    let (dictionary, more) = (sandbox.dictionary(), more(&sandbox));
    let mut expected: Vec<f32> =
        sandbox.records(&[&more]).iter().map(|record| record.anomaly_score.unwrap()).collect();
    let before = fs::read(&dictionary).unwrap();

    let output = sandbox.path("other.dictionary");
    let mut command = calibrate(&dictionary);
    command.arg(&more).args(["--false-alarm-rate", "0.3", "-o"]).arg(&output);
    let assert = command.assert().success().stdout("");
    names(
        &String::from_utf8_lossy(&assert.get_output().stderr),
        &["12 held-out images", "23.1 % of good images", "1/13 (7.7 %)"],
    );
    assert_eq!(fs::read(&dictionary).unwrap(), before);
    let calibrated = calibration(&output);
    assert_eq!(calibrated.method, Method::HeldOut);
    assert_eq!(calibrated.scores, expected);
    expected.sort_by(f32::total_cmp);
    assert_eq!(calibrated.threshold(), expected[9]); // ceil(13 * 0.7) = 10th of twelve

    // All else stays.
    let [first, second] = [&dictionary, &output].map(|path| Dictionary::read(path).unwrap());
    let kept = |dictionary| Dictionary { calibration: None, false_alarm_rate: 0.3, ..dictionary };
    assert_eq!(kept(first), kept(second));
}

#[test]
fn every_record_says_what_its_threshold_is_for() {
    let sandbox = Sandbox::new();
    let (dictionary, more) = (sandbox.dictionary(), more(&sandbox));
    let rates = |sandbox: &Sandbox| {
        let records = sandbox.records(&[&sandbox.path("good")]);
        (records[0].false_alarm_rate.unwrap(), records[0].guaranteed_rate.unwrap())
    };
    let (target, guaranteed) = rates(&sandbox);
    assert_eq!(target, 0.1);
    assert!((guaranteed - 1.0 / 6.0).abs() < 1e-12); // five shots
    calibrate(&dictionary).arg(&more).args(["--false-alarm-rate", "0.2"]).assert().success();
    let (target, guaranteed) = rates(&sandbox);
    assert_eq!(target, 0.2);
    assert!((guaranteed - 2.0 / 13.0).abs() < 1e-12);
    let assert = sparsight("info").arg(&dictionary).arg("--json").assert().success();
    let info: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(info["calibration"]["method"], "held_out");
    assert_eq!(info["calibration"]["scores"].as_array().unwrap().len(), 12);
    assert_eq!(info["shots"][0]["score"], Value::Null);
    let assert = sparsight("dictionary").arg("list").arg(&dictionary).assert().success();
    names(&String::from_utf8_lossy(&assert.get_output().stdout), &["000.png", "  -  "]);
}

#[test]
fn without_images_the_shots_calibrate_as_adapt_does() {
    let sandbox = Sandbox::new();
    let (dictionary, more) = (sandbox.dictionary(), more(&sandbox));
    let before = fs::read(&dictionary).unwrap();
    calibrate(&dictionary).arg(&more).assert().success();
    assert_ne!(fs::read(&dictionary).unwrap(), before);
    calibrate(&dictionary).assert().success();
    assert_eq!(fs::read(&dictionary).unwrap(), before);
    calibrate(&dictionary).args(["--false-alarm-rate", "0.5"]).assert().success();
    assert_eq!(calibration(&dictionary).false_alarm_rate, 0.5);
}

#[test]
fn a_single_shot_gets_a_threshold_from_other_images() {
    let sandbox = Sandbox::new();
    sandbox.image("good/000.png", texture(40, 30, 0));
    let (dictionary, more) = (sandbox.path("good.dictionary"), more(&sandbox));
    let mut adapt = sparsight("adapt");
    adapt.arg(bundle()).arg(sandbox.path("good")).arg("-o").arg(&dictionary).assert().success();
    calibrate(&dictionary).arg(&more).assert().success();
    assert!(sandbox.records(&[&sandbox.path("good")])[0].threshold.is_some());
}

#[test]
fn images_that_are_shots_do_not_calibrate() {
    let sandbox = Sandbox::new();
    let (dictionary, more) = (sandbox.dictionary(), more(&sandbox));
    let good = sandbox.path("good");
    let before = fs::read(&dictionary).unwrap();
    let assert = calibrate(&dictionary).arg(&good).assert().code(1);
    names(
        &String::from_utf8_lossy(&assert.get_output().stderr),
        &["are its shots", "give other good images"],
    );
    sandbox.write("more/broken.png", b"no image");
    names(&failure(calibrate(&dictionary).arg(&more), 1), &["broken.png", "nothing was written"]);
    assert_eq!(fs::read(&dictionary).unwrap(), before);
    fs::remove_file(sandbox.path("more/broken.png")).unwrap();
    calibrate(&dictionary).arg(&more).arg(&good).assert().success();
    assert_eq!(calibration(&dictionary).scores.len(), 12);
}

#[test]
fn a_change_of_the_shots_calibrates_by_them_and_says_so() {
    let sandbox = Sandbox::new();
    let (dictionary, more) = (sandbox.dictionary(), more(&sandbox));
    calibrate(&dictionary).arg(&more).args(["--false-alarm-rate", "0.2"]).assert().success();
    let mut remove = sparsight("dictionary");
    let assert = remove.arg("remove").arg(bundle()).arg(&dictionary).arg("002.png").assert().success();
    names(
        &String::from_utf8_lossy(&assert.get_output().stderr),
        &["12 held-out images", "sparsight calibrate again", "4 shots"],
    );
    let calibrated = calibration(&dictionary);
    assert_eq!((calibrated.method, calibrated.scores.len()), (Method::LeaveOneShotOut, 4));
    assert_eq!(calibrated.false_alarm_rate, 0.2);
}
