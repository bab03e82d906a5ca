//! Bundles and dictionaries that are missing, altered, truncated or of another kind: each gives one line that names
//! the file and what to do.

#![allow(clippy::unwrap_used)] // a test may

use std::{fs, path::Path};

use ndarray::{Array2, Array3, Array4, Axis, concatenate};
use sparsight_runtime::{
    bundle::Bundle,
    calibration::{Calibration, Method},
    dictionary::{AtomSelection, Dictionary, Shot},
    replace::sha256_hex,
    roi::Roi,
    tensors,
};
use sparsight_schemas::{
    AtomSampling, BUNDLE_FILES, Config, FeatureGeometry, InputConfig, Manifest, Poses, Provenance,
    SparseCodingConfig, Tolerances,
};
use tempfile::TempDir;

/// A bundle whose files are whole, though no graphs.
fn bundle(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::default();
    let manifest = Manifest {
        schema_version: 1,
        name: name.into(),
        input: InputConfig { height: 32, width: 48, ..config.input },
        features: FeatureGeometry { channels: 4, height: 2, width: 3, stride: 16 },
        sparse_coding: config.sparse_coding,
        scoring: config.scoring,
        tolerances: Tolerances::default(),
        files: BUNDLE_FILES.iter().map(|file| (file.to_string(), sha256_hex(file.as_bytes()))).collect(),
        provenance: Provenance {
            version: "0".into(),
            seed: 0,
            steps: 0,
            data_fingerprint: None,
            initial_weights: None,
            training: None,
            config,
        },
    };
    for file in BUNDLE_FILES {
        fs::write(folder.path().join(file), file).unwrap();
    }
    fs::write(folder.path().join("manifest.yaml"), serde_yaml::to_string(&manifest).unwrap()).unwrap();
    folder
}

fn dictionary(bundle: &Bundle) -> Dictionary {
    let shot = |name: &str| Shot { name: name.into(), sha256: sha256_hex(name.as_bytes()) };
    let mut dictionary = Dictionary {
        bundle_sha256: bundle.sha256.clone(),
        shots: vec![shot("a.png"), shot("b.png"), shot("c.png")],
        poses: Poses::AsTaken,
        support_features: Array4::from_shape_fn((3, 4, 2, 3), |(n, c, y, x)| {
            ((n * 24 + c * 6 + y * 3 + x) as f32).sin()
        }),
        roi: None,
        selection: None,
        shot_maps: None,
        false_alarm_rate: 0.1,
        calibration: None,
    };
    dictionary.calibrate(bundle).unwrap();
    dictionary
}

fn error_of<T>(result: Result<T, impl std::error::Error>) -> String {
    let error = result.err().expect("an error").to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    error
}

#[track_caller]
fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn a_whole_bundle_opens() {
    let folder = bundle("whole");
    assert_eq!(Bundle::open(folder.path()).unwrap().manifest.name, "whole");
}

#[test]
fn a_missing_bundle_is_named() {
    assert_says(&error_of(Bundle::open(Path::new("nowhere"))), &["nowhere", "no such folder"]);
}

#[test]
fn a_file_is_not_a_bundle() {
    let folder = bundle("a");
    let manifest = folder.path().join("manifest.yaml");
    assert_says(&error_of(Bundle::open(&manifest)), &["manifest.yaml", "not a folder"]);
}

#[test]
fn every_missing_file_of_a_bundle_is_named() {
    for file in BUNDLE_FILES.into_iter().chain(["manifest.yaml"]) {
        let folder = bundle("a");
        fs::remove_file(folder.path().join(file)).unwrap();
        assert_says(
            &error_of(Bundle::open(folder.path())),
            &[file, "is missing; copy or export the bundle again"],
        );
    }
}

#[test]
fn every_altered_file_of_a_bundle_is_named() {
    for file in BUNDLE_FILES {
        let folder = bundle("a");
        fs::write(folder.path().join(file), "other").unwrap();
        let error = error_of(Bundle::open(folder.path()));
        assert_says(
            &error,
            &[file, "is not the file that the manifest lists", "copy or export the bundle again"],
        );
    }
}

#[test]
fn a_file_altered_after_the_bundle_was_opened_is_not_used() {
    let folder = bundle("a");
    let bundle = Bundle::open(folder.path()).unwrap();
    fs::write(folder.path().join("backbone.onnx"), "other").unwrap();
    assert_says(&error_of(bundle.read("backbone.onnx")), &["backbone.onnx", "is not the file"]);
}

#[test]
fn an_unknown_field_of_a_manifest_is_named_with_its_line() {
    let folder = bundle("a");
    let path = folder.path().join("manifest.yaml");
    let text = fs::read_to_string(&path).unwrap().replace("  tau:", "  tao:");
    fs::write(&path, text).unwrap();
    assert_says(&error_of(Bundle::open(folder.path())), &["manifest.yaml", "tao", "line"]);
}

#[test]
fn a_manifest_that_is_no_text_is_refused() {
    let folder = bundle("a");
    fs::write(folder.path().join("manifest.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    assert_says(&error_of(Bundle::open(folder.path())), &["manifest.yaml", "not UTF-8"]);
}

#[test]
fn a_dictionary_comes_back_as_it_was_written_and_always_as_the_same_bytes() {
    let folder = bundle("a");
    let bundle = Bundle::open(folder.path()).unwrap();
    let roi = Roi::from_inside(ndarray::array![[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]).unwrap();
    let mut written = Dictionary {
        roi: Some(roi),
        selection: Some(AtomSelection { max_atoms: 7, seed: 3, sampling: AtomSampling::InverseDensity }),
        ..dictionary(&bundle)
    };
    written.calibrate(&bundle).unwrap();
    let path = folder.path().join("category.safetensors");
    written.write(&path).unwrap();
    assert_eq!(Dictionary::read_for(&path, &bundle).unwrap(), written);
    assert_eq!(written.atoms(&bundle.manifest.sparse_coding).count(), 7);
    assert_eq!(fs::read(&path).unwrap(), written.to_bytes().unwrap());
}

#[test]
fn a_selection_of_atoms_depends_on_its_seed_and_sampling_alone() {
    let folder = bundle("a");
    let bundle = Bundle::open(folder.path()).unwrap();
    let atoms = |seed, sampling| {
        let selection = Some(AtomSelection { max_atoms: 7, seed, sampling });
        let atoms = Dictionary { selection, ..dictionary(&bundle) }.atoms(&bundle.manifest.sparse_coding);
        atoms.dictionary().to_owned()
    };
    for sampling in [AtomSampling::Uniform, AtomSampling::InverseDensity] {
        assert_eq!(atoms(1, sampling), atoms(1, sampling));
        assert_ne!(atoms(1, sampling), atoms(2, sampling));
    }
}

#[test]
fn rare_directions_become_atoms_first_where_sampling_is_by_inverse_density() {
    let folder = bundle("a");
    let bundle = Bundle::open(folder.path()).unwrap();
    // The first position of each shot has the direction of channel 1, its 5 others that of channel 0.
    let direction = |y: usize, x: usize| usize::from((y, x) == (0, 0));
    let support_features =
        Array4::from_shape_fn((3, 4, 2, 3), |(_, c, y, x)| if c == direction(y, x) { 0.5 } else { 0.0 });
    let rare = |seed, sampling, roi: Option<&Roi>| {
        let selection = Some(AtomSelection { max_atoms: 3, seed, sampling });
        let (roi, support_features) = (roi.cloned(), support_features.clone());
        let whole = Dictionary { selection, roi, support_features, ..dictionary(&bundle) };
        let config = SparseCodingConfig { receptive_field: 1, ..bundle.manifest.sparse_coding };
        whole.unfolded(&config).column(1).iter().filter(|value| **value > 0.0).count()
    };
    let total = |sampling, roi| (0..100).map(|seed| rare(seed, sampling, roi)).sum::<usize>();
    // Uniformly, each of 300 draws has one of 3 in 18: 50, with a standard deviation of 6.
    assert!((25..75).contains(&total(AtomSampling::Uniform, None)));
    // By weights of (6 / 5)^2 and 6^2, one of the rare ones has 108 of 130, of those that are left 72 of 94, then 36 of 58.
    assert!(total(AtomSampling::InverseDensity, None) > 200);
    // Positions that do not count are no crowd: of two that do, each direction is as rare, 3 of 6.
    let two = Roi::from_inside(ndarray::array![[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]).unwrap();
    let found = total(AtomSampling::InverseDensity, Some(&two));
    assert!((110..190).contains(&found), "{found}");
}

#[test]
fn a_dictionary_of_another_bundle_is_refused() {
    let (folder, other) = (bundle("a"), bundle("b"));
    let (bundle, other) = (Bundle::open(folder.path()).unwrap(), Bundle::open(other.path()).unwrap());
    let path = folder.path().join("category.safetensors");
    dictionary(&bundle).write(&path).unwrap();
    let error = error_of(Dictionary::read_for(&path, &other));
    assert_says(&error, &["category.safetensors", "was adapted with another bundle", "adapt again"]);
}

#[test]
fn a_missing_dictionary_is_named() {
    assert_says(
        &error_of(Dictionary::read(Path::new("nowhere.safetensors"))),
        &["nowhere.safetensors", "sparsight adapt"],
    );
}

#[test]
fn a_truncated_dictionary_is_refused_wherever_it_ends() {
    let folder = bundle("a");
    let bytes = dictionary(&Bundle::open(folder.path()).unwrap()).to_bytes().unwrap();
    let path = folder.path().join("category.safetensors");
    for end in [0, 4, 8, 100, bytes.len() - 1] {
        fs::write(&path, &bytes[..end]).unwrap();
        assert_says(&error_of(Dictionary::read(&path)), &["category.safetensors", "adapt again"]);
    }
}

#[test]
fn nan_in_a_dictionary_is_refused() {
    let folder = bundle("a");
    let mut bytes = dictionary(&Bundle::open(folder.path()).unwrap()).to_bytes().unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    let path = folder.path().join("category.safetensors");
    fs::write(&path, &bytes).unwrap();
    assert_says(&error_of(Dictionary::read(&path)), &["category.safetensors", "NaN", "adapt again"]);
}

#[test]
fn a_flipped_bit_of_a_dictionary_is_noticed_wherever_it_is() {
    let folder = bundle("a");
    let bytes = dictionary(&Bundle::open(folder.path()).unwrap()).to_bytes().unwrap();
    Dictionary::from_bytes(&bytes).unwrap();
    for place in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << (place % 8);
        assert!(Dictionary::from_bytes(&flipped).is_err(), "byte {place}");
    }
}

#[test]
fn a_safetensors_file_that_is_no_dictionary_is_refused() {
    let features = Array4::<f32>::zeros((1, 1, 1, 1)).into_dyn();
    let bytes = tensors::to_bytes(&[("support_features", features)], None).unwrap();
    assert_says(&error_of(Dictionary::from_bytes(&bytes)), &["is not a dictionary"]);
}

#[test]
fn a_dictionary_of_another_version_or_with_unknown_fields_is_refused() {
    let features = || Array4::<f32>::zeros((1, 1, 1, 1)).into_dyn();
    let read = |header: &str| {
        let bytes = tensors::to_bytes(&[("support_features", features())], Some(header.into())).unwrap();
        error_of(Dictionary::from_bytes(&bytes))
    };
    assert_says(&read(r#"{"version": 2, "news": true}"#), &["version 2", "reads version 1"]);
    let unknown = r#"{"version": 1, "bundle_sha256": "", "shots": [], "news": true}"#;
    assert_says(&read(unknown), &["unknown field `news`"]);
    for lonely in [r#""seed": 1"#, r#""max_atoms": 1"#, r#""atom_sampling": "inverse_density""#] {
        let shots = r#"[{"name": "a", "sha256": "b"}]"#;
        let header = format!(r#"{{"version": 1, "bundle_sha256": "", "shots": {shots}, {lonely}}}"#);
        assert_says(&read(&header), &["max_atoms and seed must come together"]);
    }
}

#[test]
fn a_dictionary_that_contradicts_itself_is_neither_written_nor_read() {
    let folder = bundle("a");
    let bundle = Bundle::open(folder.path()).unwrap();
    let whole = dictionary(&bundle);
    let fewer = whole.support_features.select(Axis(0), &[0, 1]);
    let calibration =
        Calibration { method: Method::LeaveOneShotOut, scores: vec![0.1, 0.2], false_alarm_rate: 0.1 };
    let roi = Some(Roi::from_inside(Array2::ones((2, 3))).unwrap());
    let posed = concatenate![Axis(0), whole.support_features, whole.support_features, fewer, fewer, fewer];
    let cases: [(Dictionary, &str); 13] = [
        (
            Dictionary { roi: Some(Roi::from_inside(Array2::ones((3, 3))).unwrap()), ..whole.clone() },
            "roi of shape [3, 3]",
        ),
        (Dictionary { poses: Poses::Flips, ..whole.clone() }, "lists 3 shots in 4 poses"),
        (
            Dictionary { poses: Poses::Flips, support_features: posed, roi, ..whole.clone() },
            "--augment-support",
        ),
        (
            Dictionary { support_features: fewer, ..whole.clone() },
            "lists 3 shots in 1 poses but holds the features of 2 images",
        ),
        (
            Dictionary { shots: [&whole.shots[..2], &whole.shots[..1]].concat(), ..whole.clone() },
            "same content",
        ),
        (
            Dictionary {
                selection: Some(AtomSelection { max_atoms: 0, seed: 0, sampling: AtomSampling::Uniform }),
                ..whole.clone()
            },
            "max_atoms",
        ),
        (Dictionary { calibration: Some(calibration), ..whole.clone() }, "2 scores for 3 shots"),
        (Dictionary { false_alarm_rate: 0.0, ..whole.clone() }, "false alarm rate 0"),
        (
            Dictionary { false_alarm_rate: 0.2, ..whole.clone() },
            "calibrated for a false alarm rate of 0.1, but 0.2",
        ),
        (
            Dictionary { shot_maps: Some(Array3::zeros((2, 2, 3))), ..whole.clone() },
            "energy maps of shape [2, 2, 3]",
        ),
        (
            Dictionary { shot_maps: Some(Array3::from_elem((3, 2, 3), f32::NAN)), ..whole.clone() },
            "shot_maps",
        ),
        (
            Dictionary {
                support_features: Array4::zeros((3, 1, 200, 200)),
                shot_maps: None,
                calibration: None,
                ..whole.clone()
            },
            "120000 atoms are too many",
        ),
        (
            Dictionary { shots: vec![], support_features: Array4::zeros((0, 4, 2, 3)), ..whole.clone() },
            "holds no shots",
        ),
    ];
    let path = folder.path().join("category.safetensors");
    fs::write(&path, "old").unwrap();
    for (dictionary, part) in cases {
        assert_says(&error_of(dictionary.write(&path)), &["category.safetensors", part]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}

#[test]
fn features_of_another_shape_are_refused() {
    let folder = bundle("a");
    let bundle = Bundle::open(folder.path()).unwrap();
    let turned =
        dictionary(&bundle).support_features.permuted_axes([0, 1, 3, 2]).as_standard_layout().into_owned();
    let turned = Dictionary { support_features: turned, ..dictionary(&bundle) };
    assert_says(&error_of(turned.check_bundle(&bundle)), &["[4, 3, 2]", "[4, 2, 3]"]);
}
