//! `evaluate`: figures, reports and refusals.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use assert_cmd::assert::Assert;
use sparsight_runtime::{
    backbone::{Options, Provider},
    detector::Detector,
};
use sparsight_schemas::{DataConfig, EvaluationReport, MapFigures, Poses, Protocol, Spread};
use sparsight_trainer::{
    categories::read_categories,
    evaluation::{self, Map, Plan},
};

use crate::sandbox::{call, error_of, program, text, with_data};

const BUNDLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/bundles/tiny");

fn evaluate(more: &[&str], folder: &Path) -> Assert {
    call(&[&["evaluate", BUNDLE, "--data", "data", "--provider", "cpu"], more].concat(), folder)
}

fn all_figures(figures: &MapFigures) -> [Option<Spread>; 10] {
    let MapFigures { image_auroc, image_ap, image_f1_max, pixel_auroc, pixel_ap, .. } = *figures;
    let MapFigures { aupro_30, aupro_05, pixel_f1_max, miou_calibrated, miou_f1_max, .. } = *figures;
    let images = [image_auroc, image_ap, image_f1_max];
    let [pixels, thresholds] =
        [[pixel_auroc, pixel_ap, aupro_30], [pixel_f1_max, miou_calibrated, miou_f1_max]];
    let mut all = [aupro_05; 10];
    for (figure, value) in all.iter_mut().zip(images.into_iter().chain(pixels).chain(thresholds)) {
        *figure = value;
    }
    all
}

fn read(path: &Path) -> EvaluationReport {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
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
    let one = ["one.json", "--categories", "weave_000", "--maps", "energy", "--no-baselines"];
    evaluate(&[&protocol[..], &one].concat(), folder.path()).success();
    let (all, one) = (read(&folder.path().join("all.json")), read(&folder.path().join("one.json")));

    let names: Vec<&str> = all.categories.iter().map(|category| category.category.as_str()).collect();
    assert_eq!((names, all.bundle.as_str()), (vec!["gear_000", "weave_000"], "tiny"));
    let energy = |report: &EvaluationReport, i: usize| {
        BTreeMap::from_iter([("energy", report.categories[i].maps["energy"])])
    };
    assert_eq!(energy(&all, 1), energy(&one, 0));
    assert_eq!((one.categories[0].maps.len(), one.categories[0].baselines.len()), (1, 0));
    for category in &all.categories {
        assert_eq!((category.images, category.maps.len(), category.baselines.len()), (16, 3, 3));
        for figures in category.maps.values().chain(category.baselines.values()) {
            for Spread { mean, std } in all_figures(figures).map(Option::unwrap) {
                assert!((0.0..=1.0).contains(&mean) && (0.0..=0.5).contains(&std));
            }
        }
        // The tiny bundle is not trained: its weights are those that a training begins with.
        assert_eq!(category.baselines["random"], category.maps["energy"]);
    }
    let row = text(&table);
    let cell = all.categories[0].maps["gradient"].pixel_auroc.unwrap();
    assert!(row.contains(&format!("{:.4} ±{:.4}", cell.mean, cell.std)), "{row}");
}

#[test]
fn every_run_draws_its_atoms_anew() {
    let folder = with_data();
    let few = folder.path().join("few");
    fs::create_dir(&few).unwrap();
    for file in fs::read_dir(BUNDLE).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), few.join(file.file_name())).unwrap();
    }
    let manifest = fs::read_to_string(few.join("manifest.yaml")).unwrap();
    let (settings, provenance) = manifest.split_once("provenance:").unwrap();
    let settings = settings.replace("max_atoms: 0", "max_atoms: 3");
    fs::write(few.join("manifest.yaml"), format!("{settings}provenance:{provenance}")).unwrap();

    // As many shots as there are good images, so that all supports are alike.
    let good = fs::read_dir(folder.path().join("data/weave_000/train/good")).unwrap().count().to_string();
    let figures = |bundle: &str, seed: &str| {
        let protocol = ["--shots", &good, "--runs", "2", "--seed", seed, "-o", "report.json"];
        let what = ["evaluate", bundle, "--data", "data", "--provider", "cpu", "--categories", "weave_000"];
        call(&[&what[..], &protocol, &["--maps", "energy"]].concat(), folder.path()).success();
        let category = &read(&folder.path().join("report.json")).categories[0];
        ["energy", "knn", "difference"].map(|name| {
            category.maps.get(name).unwrap_or_else(|| &category.baselines[name]).pixel_auroc.unwrap()
        })
    };
    let [energy, knn, difference] = figures("few", "0");
    assert!(
        energy.std > 1e-4 && knn.std > 1e-4 && difference.std < 1e-6,
        "{energy:?} {knn:?} {difference:?}"
    );
    assert_eq!(figures("few", "0"), [energy, knn, difference]);
    assert!((figures("few", "7")[0].mean - energy.mean).abs() > 1e-3, "another seed draws others");
    assert!(figures(BUNDLE, "0").iter().all(|all| all.std < 1e-6), "every position is an atom");
}

/// A category of grey images, `data/NAME`; a patch of noise spoils the defective ones.
fn flat_category(folder: &Path, name: &str) {
    let data = folder.join("data").join(name);
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
}

#[test]
fn an_anomaly_that_is_plain_to_see_is_found() {
    let folder = tempfile::tempdir().unwrap();
    flat_category(folder.path(), "flat");
    let few = ["--shots", "4", "--runs", "1", "-o", "report.json"];
    evaluate(&few, folder.path()).success().stderr("");
    let category = &read(&folder.path().join("report.json")).categories[0];
    let one = Some(Spread { mean: 1.0, std: 0.0 });
    for figures in [category.maps["energy"], category.baselines["difference"], category.baselines["knn"]] {
        assert_eq!((figures.image_auroc, figures.image_ap, figures.image_f1_max), (one, one, one));
        assert!(figures.pixel_auroc.unwrap().mean > 0.8, "{figures:?}");
        let [f1, iou] = [figures.pixel_f1_max.unwrap().mean, figures.miou_f1_max.unwrap().mean];
        assert!((f1 - 2.0 * iou / (1.0 + iou)).abs() < 1e-12);
        assert!(figures.miou_calibrated.unwrap().mean <= iou);
    }
    // Every pixel of the patch differs from the shots, and no other one but for the smoothing.
    let difference = category.baselines["difference"];
    assert!(difference.pixel_auroc.unwrap().mean > 0.99, "{difference:?}");

    let data = folder.path().join("data/flat");
    // The number of a defect in 16 bits marks as white does.
    for i in 0..4 {
        let path = data.join(format!("ground_truth/patch/{i}_mask.png"));
        let numbered = |pixel: &image::Luma<u8>| image::Luma([u16::from(pixel[0] / 255) * (i + 1)]);
        let white = image::open(&path).unwrap().into_luma8();
        let numbers = image::ImageBuffer::from_fn(32, 32, |x, y| numbered(white.get_pixel(x, y)));
        image::DynamicImage::from(numbers).save(&path).unwrap();
    }
    evaluate(&few, folder.path()).success().stderr("");
    assert_eq!(&read(&folder.path().join("report.json")).categories[0], category);
    image::GrayImage::new(32, 32).save(data.join("ground_truth/patch/2_mask.png")).unwrap();
    let told = text(&evaluate(&few, folder.path()).success().get_output().stderr);
    assert!(told.starts_with("flat: the masks of 1 defective images mark no pixel"), "{told}");

    fs::copy(data.join("train/good/2.png"), data.join("test/good/0.png")).unwrap();
    let told = text(&evaluate(&few, folder.path()).success().get_output().stderr);
    assert!(told.contains("flat: of its test images 1 are good training images too"), "{told}");
}

#[test]
fn the_paper_stands_beside_the_categories_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    flat_category(folder.path(), "leather");
    flat_category(folder.path(), "flat");
    let quick = ["--shots", "2", "--runs", "1", "--maps", "energy", "--no-baselines", "-o", "report.json"];
    let assert = evaluate(&quick, folder.path()).success();
    let table = text(&assert.get_output().stdout);
    let rows: Vec<&str> = table.lines().filter(|line| line.trim_start().starts_with("paper")).collect();
    assert_eq!(rows[0].split_whitespace().collect::<Vec<_>>(), ["paper", "0.9800", "-", "-", "-"]);
    assert_eq!(rows[1..], ["paper: Fast Adaptive Anomaly Detection, Table 1, 10 shots"]);
    let report = read(&folder.path().join("report.json"));
    let paper = |i: usize| report.categories[i].paper.as_ref().map(|paper| paper.pixel_auroc);
    assert_eq!((paper(0), paper(1)), (None, Some(0.98)));
}

#[test]
fn the_page_holds_the_worst_and_the_best_cases_and_asks_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    flat_category(folder.path(), "flat");
    let files = ["--csv", "figures.csv", "--html", "page.html", "-o", "report.json"];
    evaluate(&[&["--shots", "3", "--runs", "2"][..], &files].concat(), folder.path()).success();
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert_eq!(page.matches("<img ").count(), 2 * 6);
    assert_eq!(page.matches("src=\"data:image/jpeg;base64,").count(), 2 * 6);
    for outside in ["http:", "https:", "<script", "<link", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    // The defects score highest, so the best cases are the highest of them and the lowest good ones.
    let (worst, best) = page.split_once("<h3>Best</h3>").unwrap();
    assert!(best.contains("1 of 8 from the highest") && best.contains("8 of 8 from the highest"));
    assert!(worst.contains("5 of 8 from the highest") && worst.contains("4 of 8 from the highest"));

    let report = read(&folder.path().join("report.json"));
    let csv = fs::read_to_string(folder.path().join("figures.csv")).unwrap();
    let rows: Vec<&str> = csv.lines().skip(1).collect();
    assert_eq!(rows.len(), 6);
    let energy: Vec<&str> = rows[0].split(',').collect();
    let Spread { mean, std } = report.categories[0].maps["energy"].pixel_auroc.unwrap();
    assert_eq!(energy[..4], ["flat", "8", "map", "energy"]);
    for (cell, expected) in [(energy[10], mean), (energy[11], std)] {
        assert!((cell.parse::<f64>().unwrap() - expected).abs() < 1e-12, "{cell}, not {expected}");
    }
}

#[test]
fn a_single_shot_calibrates_no_threshold_and_the_table_says_so() {
    let folder = tempfile::tempdir().unwrap();
    flat_category(folder.path(), "flat");
    let one = ["--shots", "1", "--runs", "1", "--no-baselines", "-o", "report.json", "--html", "page.html"];
    let assert = evaluate(&one, folder.path()).success();
    let table = text(&assert.get_output().stdout);
    assert!(table.contains("- flat: no calibrated mIoU, because a single shot can't be left out"), "{table}");
    let energy = read(&folder.path().join("report.json")).categories[0].maps["energy"];
    assert!(energy.miou_calibrated.is_none() && energy.miou_f1_max.is_some());
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
    assert!(
        table.contains("- gear_000: no pixel figures, because not every defective image has a mask"),
        "{table}"
    );
    let report = read(&folder.path().join("report.json"));
    let energy = |i: usize| report.categories[i].maps["energy"];
    assert!(energy(0).image_auroc.is_some() && energy(0).pixel_auroc.is_none());
    assert!(energy(1).image_auroc.is_none() && energy(1).pixel_auroc.is_none());

    let alone = ["--shots", "2", "--categories", "weave_000", "-o", "alone.json"];
    let message = error_of(evaluate(&alone, folder.path()));
    assert!(message.contains("weave_000: test needs good and defective images"), "{message}");
    assert!(!folder.path().join("alone.json").exists());
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
    assert!(error(&["-o", "report.json", "--csv", "./report.json"]).contains("is given twice"));
    fs::create_dir(folder.path().join("other")).unwrap();
    let same = ["-o", "report.json", "--csv", "other/../report.json"];
    assert!(error(&same).contains("other/../report.json: is given twice"));
    let within = format!("{BUNDLE}/report.json");
    assert!(error(&["-o", &within]).contains("report.json: is within the bundle"));
    for output in ["-o", "--csv", "--html"] {
        assert!(error(&[output, "missing/report"]).contains("missing"));
    }
    for wrong in [["--false-alarm-rate", "1"], ["--maps", "heat"], ["--baselines", "none"]] {
        evaluate(&wrong, folder.path()).code(2);
    }
    let missing = error_of(call(&["evaluate", "no-bundle", "--data", "data"], folder.path()));
    assert!(missing.contains("no-bundle"), "{missing}");

    fs::write(folder.path().join("data/gear_000/test/good/000.png"), "not an image").unwrap();
    assert!(error(&few).contains("test/good/000.png"));
    // Before anything is scored.
    let masks = folder.path().join("data/gear_000/ground_truth");
    let defect = fs::read_dir(&masks).unwrap().next().unwrap().unwrap();
    fs::remove_file(defect.path().join("000_mask.png")).unwrap();
    let message = error(&few);
    let defect = defect.file_name().into_string().unwrap();
    assert!(message.contains(&format!("ground_truth/{defect}/000_mask.png: no mask")), "{message}");
    assert!(!folder.path().join("report.json").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_can_not_be_written_takes_no_other_with_it() {
    let folder = with_data();
    let more = ["--shots", "2", "--runs", "1", "--no-baselines", "-o", "/dev/full", "--csv", "all.csv"];
    let output = evaluate(&more, folder.path()).code(1).get_output().clone();
    assert!(text(&output.stdout).contains("weave_000") && text(&output.stderr).contains("/dev/full"));
    assert!(fs::read_to_string(folder.path().join("all.csv")).unwrap().contains("weave_000"));
}

#[test]
fn a_bundle_that_the_pinned_key_did_not_sign_is_not_evaluated() {
    let folder = with_data();
    let signer = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/signatures/signer.pub");
    let mut program = program();
    program.args(["evaluate", BUNDLE, "--data", "data"]).env("SPARSIGHT_PUBLIC_KEY", signer);
    let error = error_of(program.current_dir(folder.path()).assert());
    assert!(error.contains("only bundles signed with the pinned public key are taken"), "{error}");
}

#[test]
fn nothing_is_scored_before_every_image_of_every_category_was_read() {
    let folder = with_data();
    let data = folder.path().join("data");
    let roots = vec![data.display().to_string()];
    let categories = read_categories(&DataConfig { roots, ..DataConfig::default() }).unwrap();
    let options = Options { provider: Provider::Cpu, ..Options::default() };
    let mut detector = Detector::open_with(BUNDLE, &options).unwrap();
    let plan = Plan {
        protocol: Protocol { shots: 4, runs: 1, seed: 0, false_alarm_rate: 0.1, poses: Poses::AsTaken },
        maps: vec![Map::Energy],
        baselines: vec![],
        pictures: false,
        options,
    };
    let mut scored_until = |message: &str| {
        let scored = AtomicUsize::new(0);
        let count = || {
            scored.fetch_add(1, Ordering::Relaxed);
        };
        let error = evaluation::evaluate(&mut detector, &categories, &plan, count).map(drop).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        scored.into_inner()
    };
    let good = |i: usize| data.join(format!("weave_000/train/good/{i:03}.png"));
    let image = data.join("weave_000/test/good/007.png");
    let whole = fs::read(&image).unwrap();
    fs::write(&image, "").unwrap();
    assert_eq!(scored_until("weave_000/test/good/007.png"), 0);
    fs::write(&image, whole).unwrap();
    for i in 1..4 {
        fs::copy(good(0), good(i)).unwrap();
    }
    assert_eq!(scored_until("weave_000: 3 different good training images, too few for 4 shots"), 0);
}
