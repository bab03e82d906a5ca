//! `score`: records, maps and heat maps.

use std::{fs, path::Path};

use sparsight_runtime::dictionary::Dictionary;
use sparsight_schemas::ScoreRecord;

use crate::sandbox::{Sandbox, bundle, names, sparsight, texture};

/// The stdout of a score in the given format, which must succeed.
fn scored(sandbox: &Sandbox, format: &str, images: &Path) -> String {
    let assert = sandbox.score().arg(images).args(["--format", format]).assert().success();
    assert_eq!(assert.get_output().stderr, b"");
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

/// Rows, columns and values of a `.npy` file of float32.
fn read_npy(path: &Path) -> (usize, usize, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..start]).into_owned();
    names(&header, &["'descr': '<f4'", "'fortran_order': False"]);
    let shape = header.split(['(', ')']).nth(1).unwrap();
    let sides: Vec<usize> = shape.split(',').map(|side| side.trim().parse().unwrap()).collect();
    let values: Vec<f32> =
        bytes[start..].chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect();
    assert_eq!(values.len(), sides[0] * sides[1]);
    (sides[0], sides[1], values)
}

/// The dictionary with other calibration scores, so that its threshold is `threshold`.
fn with_threshold(sandbox: &Sandbox, threshold: f32) {
    let path = sandbox.dictionary();
    let mut dictionary = Dictionary::read(&path).unwrap();
    dictionary.calibration.as_mut().unwrap().scores.fill(threshold);
    dictionary.write(&path).unwrap();
}

#[test]
fn every_format_tells_the_same() {
    let sandbox = Sandbox::new();
    sandbox.dictionary();
    let images = sandbox.path("good");
    let json: Vec<ScoreRecord> = serde_json::from_str(&scored(&sandbox, "json", &images)).unwrap();
    assert_eq!(json.len(), 5);
    assert!(json.is_sorted_by_key(|record| &record.image));
    assert!(json.iter().all(|record| record.energy > Some(0.0) && record.anomaly_score >= record.energy));
    assert!(json.iter().all(|record| record.provider.as_deref() == Some("cpu") && record.error.is_none()));

    let lines = scored(&sandbox, "jsonl", &images);
    let jsonl: Vec<ScoreRecord> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(jsonl, json);

    let csv = scored(&sandbox, "csv", &images);
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0][..3], ["image", "anomaly_score", "energy"]);
    for (row, record) in rows[1..].iter().zip(&json) {
        assert_eq!(row[0], record.image);
        assert_eq!(row[1].parse::<f32>().ok(), record.anomaly_score);
    }

    let table = scored(&sandbox, "table", &images);
    assert_eq!(table.lines().count(), 6);
    for (line, record) in table.lines().skip(1).zip(&json) {
        names(line, &[&record.image, if record.anomalous == Some(true) { "anomalous" } else { "good" }]);
    }
    assert!(!table.contains('\x1b'), "colours are for terminals");
}

#[test]
fn an_image_scores_the_same_alone_and_among_others() {
    let sandbox = Sandbox::new();
    sandbox.dictionary();
    let good = sandbox.path("good");
    let together = sandbox.records(&[&good]);
    let alone = sandbox.records(&[&good.join("003.png")]);
    assert_eq!(alone[0].anomaly_score, together[3].anomaly_score);
    assert_eq!(alone[0].energy, together[3].energy);
}

#[test]
fn the_records_of_a_file_are_those_of_stdout() {
    let sandbox = Sandbox::new();
    sandbox.dictionary();
    let (images, output) = (sandbox.path("good"), sandbox.path("scores.json"));
    let expected = scored(&sandbox, "json", &images);
    let assert =
        sandbox.score().arg(&images).args(["--format", "json", "-o"]).arg(&output).assert().success();
    assert_eq!(assert.get_output().stdout, b"");
    assert_eq!(fs::read_to_string(&output).unwrap(), expected);
}

#[test]
fn maps_have_the_size_of_their_image_and_keep_its_folder() {
    let sandbox = Sandbox::new();
    sandbox.image("test/cut/000.png", texture(50, 20, 1));
    sandbox.image("test/good/000.jpg", texture(31, 47, 2));
    let (maps, heatmaps) = (sandbox.path("maps"), sandbox.path("heatmaps"));
    let mut score = sandbox.score();
    score.arg(sandbox.path("test")).args(["--format", "json", "--save-maps"]).arg(&maps);
    let assert = score.arg("--heatmaps").arg(&heatmaps).assert().success();
    let records: Vec<ScoreRecord> = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    for (record, name, (width, height)) in
        [(&records[0], "cut/000", (50, 20)), (&records[1], "good/000", (31, 47))]
    {
        let (map, heatmap) =
            (maps.join(name).with_extension("npy"), heatmaps.join(name).with_extension("png"));
        assert_eq!(record.map.as_deref(), map.to_str());
        assert_eq!(record.heatmap.as_deref(), heatmap.to_str());
        let (rows, columns, values) = read_npy(&map);
        assert_eq!((columns, rows), (width, height));
        // Energies are not smoothed beyond their range, and the mean of all lies below the mean of the highest.
        assert!(values.iter().all(|value| value.is_finite() && *value >= 0.0));
        let highest = values.iter().copied().fold(0.0, f32::max);
        assert!(highest > 0.0);
        // The colour bar is beside the image.
        let drawn = image::open(&heatmap).unwrap().into_rgb8();
        assert!(drawn.width() > width as u32 && drawn.height() == height as u32);
    }
}

#[test]
fn the_map_that_is_chosen_changes_the_pictures_and_not_the_scores() {
    let sandbox = Sandbox::new();
    let image = sandbox.image("new.png", texture(64, 64, 9));
    let scored = |map: &str| {
        let folder = sandbox.path(map);
        let mut score = sandbox.score();
        score.arg(&image).args(["--format", "json", "--map", map, "--save-maps"]).arg(&folder);
        let assert = score.arg("--heatmaps").arg(&folder).assert().success();
        let records: Vec<ScoreRecord> = serde_json::from_slice(&assert.get_output().stdout).unwrap();
        (records[0].anomaly_score, records[0].anomalous, read_npy(&folder.join("new.npy")).2)
    };
    let [energy, gradient, product] = ["energy", "gradient", "product"].map(scored);
    assert_eq!((energy.0, energy.1), (gradient.0, gradient.1));
    assert_eq!((energy.0, energy.1), (product.0, product.1));
    assert_ne!(energy.2, gradient.2);
    assert!(gradient.2.iter().all(|value| value.is_finite() && *value >= 0.0));
    let expected: Vec<f32> =
        energy.2.iter().zip(&gradient.2).map(|(energy, gradient)| energy * gradient).collect();
    assert_eq!(product.2, expected);
}

#[test]
fn a_heat_map_of_an_image_far_below_the_threshold_is_nearly_the_image() {
    let sandbox = Sandbox::new();
    with_threshold(&sandbox, 1e9);
    let image = sandbox.path("good/000.png");
    for map in ["energy", "gradient"] {
        let folder = sandbox.path(map);
        sandbox.score().arg(&image).args(["--map", map, "--heatmaps"]).arg(&folder).assert().success();
        let [drawn, original] =
            [folder.join("000.png"), image.clone()].map(|path| image::open(path).unwrap().into_rgb8());
        let near = |(x, y, pixel): (u32, u32, &image::Rgb<u8>)| {
            pixel.0.iter().zip(drawn[(x, y)].0).all(|(a, b)| a.abs_diff(b) <= 1)
        };
        assert!(original.enumerate_pixels().all(near), "{map}");
    }
}

#[test]
fn an_image_has_boxes_around_what_is_above_its_maps_threshold_exactly_if_it_is_anomalous() {
    let sandbox = Sandbox::new();
    with_threshold(&sandbox, 1e-9);
    let image = sandbox.image("new.png", texture(50, 40, 9));
    let maps = sandbox.path("maps");
    let record = |map: &str| {
        let mut score = sandbox.score();
        score.arg(&image).args(["--format", "jsonl", "--boxes", "--map", map, "--save-maps"]).arg(&maps);
        serde_json::from_slice::<ScoreRecord>(&score.assert().success().get_output().stdout).unwrap()
    };
    let score = sandbox.anomaly_score(&image);
    for map in ["energy", "gradient", "product"] {
        for (threshold, anomalous) in [(score / 2.0, true), (score * 0.9, true), (score, false), (1e9, false)]
        {
            with_threshold(&sandbox, threshold);
            let record = record(map);
            let (_, columns, values) = read_npy(&maps.join("new.npy"));
            let level = record.map_threshold.unwrap();
            let above: Vec<usize> = (0..values.len()).filter(|pixel| values[*pixel] > level).collect();
            let regions = record.regions.unwrap();
            assert_eq!(record.anomalous, Some(anomalous));
            assert_eq!(regions.is_empty(), !anomalous, "{map} {threshold}");
            assert_eq!(regions.iter().map(|region| region.area as usize).sum::<usize>(), above.len());
            for pixel in above {
                let (x, y) = ((pixel % columns) as u32, (pixel / columns) as u32);
                let holds = |region: &sparsight_schemas::Region| {
                    (region.x..region.x + region.width).contains(&x)
                        && (region.y..region.y + region.height).contains(&y)
                        && region.peak >= values[pixel]
                };
                assert!(regions.iter().any(holds), "{x}, {y} is in no box");
            }
        }
    }
    // Who does not ask for boxes has none.
    assert_eq!(sandbox.records(&[&image])[0].regions, None);
}

#[test]
fn anomalies_are_told_by_the_exit_code_only_where_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.dictionary();
    let images = sandbox.path("good");
    with_threshold(&sandbox, 0.0);
    sandbox.score().arg(&images).assert().code(0);
    sandbox.score().arg(&images).arg("--fail-on-anomaly").assert().code(3).stderr("");
    // An image that could not be scored weighs more.
    sandbox.score().arg(&images).arg("missing.png").arg("--fail-on-anomaly").assert().code(1);
    with_threshold(&sandbox, 1e9);
    sandbox.score().arg(&images).arg("--fail-on-anomaly").assert().code(0);
}

#[test]
fn threads_do_not_change_the_verdict() {
    let sandbox = Sandbox::new();
    sandbox.dictionary();
    let image = sandbox.path("good/002.png");
    let score = |threads: &str| {
        let mut score = sandbox.score();
        let assert = score.arg(&image).args(["--threads", threads, "--format", "jsonl"]).assert().success();
        serde_json::from_slice::<ScoreRecord>(&assert.get_output().stdout).unwrap().anomaly_score.unwrap()
    };
    let (one, two) = (score("1"), score("2"));
    assert!((one - two).abs() <= 1e-4 * one, "{one} {two}");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let sandbox = Sandbox::new();
    let dictionary = sandbox.dictionary();
    for seed in 0..200 {
        sandbox.image(&format!("many/{seed}.png"), texture(8, 8, seed));
    }
    let mut score = std::process::Command::new(sparsight("score").get_program());
    score.args(["score", "--provider", "cpu"]).arg(bundle()).arg(dictionary).arg(sandbox.path("many"));
    score.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = score.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn any_number_of_threads_gives_the_same_in_the_same_order() {
    let sandbox = Sandbox::new();
    sandbox.dictionary();
    for seed in 0..23 {
        // Of different sizes, so that they take different times.
        sandbox.image(&format!("new/{seed:02}.png"), texture(20 + 40 * (seed * 7 % 5), 30, seed));
    }
    sandbox.write("new/05.png", b"no image");
    let scored = |threads: &str| {
        let (maps, heatmaps) = (sandbox.path(threads).join("maps"), sandbox.path(threads).join("heatmaps"));
        let mut score = sandbox.score();
        score.arg(sandbox.path("new")).args(["--format", "jsonl", "--threads", threads]);
        score.arg("--save-maps").arg(&maps).arg("--heatmaps").arg(&heatmaps);
        let assert = score.assert().code(1);
        let records = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
        let folder = sandbox.path(threads).display().to_string();
        (records.replace(&folder, "OUT"), fs::read(maps.join("22.npy")).unwrap())
    };
    let one = scored("1");
    let images: Vec<_> = one.0.lines().map(|line| line.split('"').nth(3).unwrap()).collect();
    assert!(images.len() == 23 && images.is_sorted(), "{images:?}");
    for threads in ["2", "4", "64"] {
        assert!(scored(threads) == one, "{threads} threads");
    }
}
