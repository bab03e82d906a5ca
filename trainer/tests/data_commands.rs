//! `synth` and `evaluate` from outside: what they print, write and refuse. The tests that score need ONNX Runtime:
//! `cargo xtask setup`, or ORT_DYLIB_PATH.

#![allow(clippy::unwrap_used)] // a test may

use std::{collections::BTreeMap, fs, path::Path};

use assert_cmd::{Command, assert::Assert};
use sparsight_schemas::{EvaluationReport, Spread};
use tempfile::TempDir;

const BUNDLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/bundles/tiny");

fn train(arguments: &[&str], folder: &Path) -> Assert {
    Command::cargo_bin("sparsight-train").unwrap().args(arguments).current_dir(folder).assert()
}

/// Two categories in `data`: weave_000 and gear_000, 6 good images each for training, 16 for testing.
fn with_data() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let sizes = ["--size", "64", "--train", "6", "--test", "16"];
    train(&[&["synth", "data", "--categories", "2", "--seed", "1"][..], &sizes].concat(), folder.path())
        .success()
        .stdout("data\n");
    folder
}

fn evaluate(more: &[&str], folder: &Path) -> Assert {
    train(&[&["evaluate", BUNDLE, "--data", "data", "--provider", "cpu"], more].concat(), folder)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The only line on stderr of a command that failed with exit code 1.
fn error_of(assert: Assert) -> String {
    let output = assert.code(1).get_output().clone();
    let message = text(&output.stderr);
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    assert!(message.starts_with("error: ") && message.lines().count() == 1, "{message}");
    message
}

fn read(path: &Path) -> EvaluationReport {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn synth_writes_a_new_folder_or_nothing() {
    let folder = with_data();
    let masks = fs::read_dir(folder.path().join("data/gear_000/ground_truth")).unwrap().count();
    assert_eq!(masks, 8);
    assert!(error_of(train(&["synth", "data"], folder.path())).contains("data: not empty"));
    assert!(error_of(train(&["synth", "no/such"], folder.path())).contains("no/such"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    train(&["synth", "other", "--size", "7"], folder.path()).code(2);
}

#[test]
fn a_report_is_the_same_each_time_and_for_each_choice_of_categories() {
    let folder = with_data();
    let protocol = ["--shots", "3", "--runs", "2", "--seed", "4", "-o"];
    let table = evaluate(&[&protocol[..], &["all.json"]].concat(), folder.path())
        .success()
        .get_output()
        .stdout
        .clone();
    evaluate(
        &[&protocol[..], &["one.json", "--categories", "weave_000", "--maps", "energy"]].concat(),
        folder.path(),
    )
    .success();
    let (all, one) = (read(&folder.path().join("all.json")), read(&folder.path().join("one.json")));

    let names: Vec<&str> = all.categories.iter().map(|category| category.category.as_str()).collect();
    assert_eq!((names, all.bundle.as_str()), (vec!["gear_000", "weave_000"], "tiny"));
    let energy = |report: &EvaluationReport, i: usize| {
        BTreeMap::from_iter([("energy", report.categories[i].maps["energy"])])
    };
    assert_eq!(energy(&all, 1), energy(&one, 0));
    assert_eq!(one.categories[0].maps.len(), 1);
    for category in &all.categories {
        assert_eq!((category.images, category.maps.len()), (16, 2));
        for figures in category.maps.values() {
            for Spread { mean, std } in [figures.image_auroc.unwrap(), figures.pixel_auroc.unwrap()] {
                assert!((0.0..=1.0).contains(&mean) && (0.0..=0.5).contains(&std));
            }
        }
    }
    let row = text(&table);
    let cell = all.categories[0].maps["gradient"].pixel_auroc.unwrap();
    assert!(row.contains(&format!("{:.4} ±{:.4}", cell.mean, cell.std)), "{row}");
}

#[test]
fn an_anomaly_that_is_plain_to_see_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data/flat");
    let save = |path: &str, grey: u8, spoilt: bool| {
        let path = data.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let colour = |x: u32, y: u32| match spoilt && (20..44).contains(&x) && (8..32).contains(&y) {
            true => image::Rgb([255 - grey, (37 * x * y % 256) as u8, 0]),
            false => image::Rgb([grey; 3]),
        };
        image::RgbImage::from_fn(64, 64, colour).save(path).unwrap();
    };
    for i in 0..4 {
        save(&format!("train/good/{i}.png"), 100 + i, false);
        save(&format!("test/good/{i}.png"), 104 + i, false);
        save(&format!("test/patch/{i}.png"), 104 + i, true);
    }
    fs::create_dir_all(data.join("ground_truth/patch")).unwrap();
    for i in 0..4 {
        // Half the size of the image.
        let inside = |x, y| (10..22).contains(&x) && (4..16).contains(&y);
        let mask =
            image::GrayImage::from_fn(32, 32, |x, y| image::Luma([if inside(x, y) { 255 } else { 0 }]));
        mask.save(data.join(format!("ground_truth/patch/{i}_mask.png"))).unwrap();
    }
    evaluate(&["--shots", "4", "--runs", "1", "-o", "report.json"], folder.path()).success();
    let figures = read(&folder.path().join("report.json")).categories[0].maps["energy"];
    assert_eq!(figures.image_auroc, Some(Spread { mean: 1.0, std: 0.0 }));
    assert!(figures.pixel_auroc.unwrap().mean > 0.8, "{figures:?}");
}

#[test]
fn figures_that_a_category_can_not_have_are_missing_and_explained() {
    let folder = with_data();
    fs::remove_dir_all(folder.path().join("data/gear_000/ground_truth")).unwrap();
    for defect in fs::read_dir(folder.path().join("data/weave_000/test")).unwrap() {
        let defect = defect.unwrap();
        if defect.file_name() != "good" {
            fs::remove_dir_all(defect.path()).unwrap();
        }
    }
    let assert = evaluate(&["--shots", "2", "--runs", "1", "-o", "report.json"], folder.path()).success();
    let table = text(&assert.get_output().stdout);
    assert!(
        table.contains("- weave_000: no figures, because test needs good and defective images"),
        "{table}"
    );
    assert!(table.contains("- gear_000: no pixel figures, because there is no ground_truth"), "{table}");
    let report = read(&folder.path().join("report.json"));
    let energy = |i: usize| report.categories[i].maps["energy"];
    assert!(energy(0).image_auroc.is_some() && energy(0).pixel_auroc.is_none());
    assert!(energy(1).image_auroc.is_none() && energy(1).pixel_auroc.is_none());
}

#[test]
fn what_can_not_be_evaluated_is_one_line_and_leaves_no_report() {
    let folder = with_data();
    let few = ["--shots", "2", "--runs", "1", "-o", "report.json"];
    let error = |more: &[&str]| error_of(evaluate(more, folder.path()));
    assert!(
        error(&["--shots", "7"]).contains("gear_000: 6 different good training images, too few for 7 shots")
    );
    assert!(error(&["--categories", "nut"]).contains("no category is named \"nut\""));
    assert!(error(&["-o", "missing/report.json"]).contains("missing"));
    let missing = error_of(train(&["evaluate", "no-bundle", "--data", "data"], folder.path()));
    assert!(missing.contains("no-bundle"), "{missing}");

    let mask = folder.path().join("data/gear_000/ground_truth/hole/000_mask.png");
    fs::remove_file(&mask).unwrap();
    let message = error(&few);
    assert!(message.contains("ground_truth/hole/000_mask.png: no mask"), "{message}");
    fs::write(folder.path().join("data/gear_000/test/good/000.png"), "not an image").unwrap();
    assert!(error(&few).contains("test/good/000.png"));
    assert!(!folder.path().join("report.json").exists());
}
