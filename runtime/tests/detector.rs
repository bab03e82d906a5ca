//! A bundle at work on ONNX Runtime: adapting, scoring, verifying, and every way in which that must fail instead of
//! giving a number. Needs the library: `cargo xtask setup`, or ORT_DYLIB_PATH.

#![allow(clippy::unwrap_used)] // a test may

use std::{
    fs,
    path::{Path, PathBuf},
};

use ndarray::{Array3, Array4, Axis, s};
use sparsight_runtime::{
    backbone::{Options, Provider},
    bundle::Bundle,
    detector::{Adaptation, Detector, SupportImage},
    dictionary::{AtomSelection, Dictionary, Shot},
    onnxruntime::OnnxRuntimeError,
    replace::{sha256_hex, sha256_of_file},
    verify::{Probe, verify},
};
use sparsight_schemas::{FeatureGeometry, Manifest};
use tempfile::TempDir;

fn tiny() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/bundles/tiny")
}

fn options() -> Options {
    Options { provider: Provider::Cpu, threads: 1, ..Options::default() }
}

fn open(path: &Path) -> Detector {
    Detector::open_with(path, &options()).unwrap()
}

/// A copy of the tiny bundle whose manifest lists whatever `change` made of its files.
fn changed(change: impl FnOnce(&Path, &mut Manifest)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in tiny().read_dir().unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let path = folder.path().join("manifest.yaml");
    let mut manifest: Manifest = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(folder.path(), &mut manifest);
    for (file, sha256) in &mut manifest.files {
        *sha256 = sha256_of_file(&folder.path().join(file)).unwrap();
    }
    fs::write(&path, serde_yaml::to_string(&manifest).unwrap()).unwrap();
    folder
}

/// Overwrites bytes in the middle of a file, which is weights.
fn overwrite_weights(file: &Path, bytes: &[u8]) {
    let mut content = fs::read(file).unwrap();
    let middle = content.len() / 2;
    content[middle..middle + bytes.len()].copy_from_slice(bytes);
    fs::write(file, content).unwrap();
}

fn probe() -> Probe {
    Probe::from_bytes(&Bundle::open(&tiny()).unwrap().read("probe.safetensors").unwrap()).unwrap()
}

fn support(images: &Array4<f32>) -> Vec<SupportImage> {
    let image = |(i, input): (usize, ndarray::ArrayView3<f32>)| {
        let name = format!("{i}.png");
        SupportImage { shot: Shot { sha256: sha256_hex(name.as_bytes()), name }, input: input.to_owned() }
    };
    images.outer_iter().enumerate().map(image).collect()
}

fn noise_like(image: &Array3<f32>) -> Array3<f32> {
    let mut state = 1u32;
    image.mapv(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    })
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
fn the_probe_holds() {
    let stages = verify(&mut open(&tiny())).unwrap();
    assert_eq!(stages.len(), 8);
    for stage in stages {
        assert!(stage.holds(), "{stage:?}");
    }
}

#[test]
fn the_probe_does_not_hold_for_other_weights() {
    let folder =
        changed(|path, _| overwrite_weights(&path.join("backbone.onnx"), &0.5f32.to_le_bytes().repeat(16)));
    let stages = verify(&mut open(folder.path())).unwrap();
    assert!(stages.iter().any(|stage| !stage.holds()), "{stages:?}");
}

#[test]
fn the_probe_does_not_hold_for_another_lambda() {
    let folder = changed(|_, manifest| manifest.sparse_coding.lambda_max *= 1.01);
    let stages = verify(&mut open(folder.path())).unwrap();
    let failed: Vec<_> = stages.iter().filter(|stage| !stage.holds()).map(|stage| stage.name).collect();
    assert!(failed.contains(&"lambdas") && failed.contains(&"codes"), "{failed:?}");
    assert!(!failed.contains(&"query_features"), "{failed:?}");
}

#[test]
fn a_shot_has_less_energy_than_noise() {
    let probe = probe();
    let shot = probe.support.index_axis(Axis(0), 0).to_owned();
    let mut detector = open(&tiny());
    let dictionary = detector.dictionary(&support(&probe.support), &Adaptation::default()).unwrap();
    let mut scorer = detector.with_dictionary(&dictionary).unwrap();
    let (known, noise) =
        (scorer.score_input(shot.view()).unwrap(), scorer.score_input(noise_like(&shot).view()).unwrap());
    assert!(known.energy < noise.energy && known.anomaly_score < noise.anomaly_score);
    assert!(known.anomaly_score >= known.energy);
    assert_eq!(known.threshold, dictionary.threshold());
    assert_eq!(known.anomalous, known.threshold.map(|threshold| known.anomaly_score > threshold));
    let mean = known.energy_map.mean().unwrap();
    assert!((known.energy - mean).abs() <= 1e-5 * mean);
}

#[test]
fn a_dictionary_without_a_shot_gives_the_score_that_calibration_has() {
    let probe = probe();
    let noise = noise_like(&probe.support.index_axis(Axis(0), 1).to_owned());
    let mut images = probe.support.clone();
    images.append(Axis(0), noise.view().insert_axis(Axis(0))).unwrap();
    let mut detector = open(&tiny());
    let selection = Some(AtomSelection { max_atoms: 20, seed: 3 });
    let dictionary =
        detector.dictionary(&support(&images), &Adaptation { selection, ..Adaptation::default() }).unwrap();
    let expected = dictionary.calibration.clone().unwrap().scores;
    for (shot, expected) in expected.iter().enumerate() {
        let others = dictionary.without(shot);
        assert_eq!((others.shots.len(), others.threshold()), (2, None));
        let mut scorer = detector.with_dictionary(&others).unwrap();
        let score = scorer.score_input(images.index_axis(Axis(0), shot)).unwrap().anomaly_score;
        assert!((score - expected).abs() <= 1e-5 * expected, "{score}, not {expected}");
        let features = scorer.features(images.index_axis(Axis(0), shot)).unwrap();
        let stored = dictionary.support_features.index_axis(Axis(0), shot);
        assert!((&features - &stored).iter().all(|difference| difference.abs() < 1e-5));
    }
    let config = &detector.bundle().manifest.sparse_coding;
    assert_eq!(dictionary.unfolded(config).nrows(), dictionary.atom_count());
}

#[test]
fn adapting_twice_gives_the_same_bytes() {
    let images = support(&probe().support);
    let adaptation =
        Adaptation { selection: Some(AtomSelection { max_atoms: 5, seed: 9 }), ..Adaptation::default() };
    let bytes = || open(&tiny()).dictionary(&images, &adaptation).unwrap().to_bytes().unwrap();
    assert_eq!(bytes(), bytes());
}

#[test]
fn one_shot_makes_a_dictionary_without_a_threshold() {
    let images = support(&probe().support.slice_move(s![..1, .., .., ..]));
    let mut detector = open(&tiny());
    let dictionary = detector.dictionary(&images, &Adaptation::default()).unwrap();
    assert_eq!(dictionary.threshold(), None);
    let score = detector.with_dictionary(&dictionary).unwrap().score_input(images[0].input.view()).unwrap();
    assert_eq!((score.threshold, score.anomalous), (None, None));
}

#[test]
fn more_images_than_fit_a_batch_have_the_features_of_single_ones() {
    let query = probe().query;
    let mut detector = open(&tiny());
    let alone = detector.backbone_mut().features(query.slice(s![..1, .., .., ..])).unwrap();
    let many = query
        .slice(s![..1, .., .., ..])
        .broadcast((37, query.dim().1, query.dim().2, query.dim().3))
        .unwrap()
        .to_owned();
    let many = detector.backbone_mut().features(many.view()).unwrap();
    assert_eq!(many.dim().0, 37);
    for features in many.outer_iter() {
        assert!((&features - &alone.index_axis(Axis(0), 0)).iter().all(|difference| difference.abs() < 1e-5));
    }
}

#[test]
fn a_step_against_the_gradient_lowers_the_energy_as_it_says() {
    let probe = probe();
    let image = probe.query.index_axis(Axis(0), 0).to_owned();
    let mut detector = open(&tiny());
    let dictionary = detector.dictionary(&support(&probe.support), &Adaptation::default()).unwrap();
    let map = detector.with_dictionary(&dictionary).unwrap().gradient_map(image.view()).unwrap();
    assert_eq!([map.dim().0, map.dim().1], image.shape()[1..]);
    let one = image.view().insert_axis(Axis(0));
    let gradient = probe.image_gradient.slice(s![..1, .., .., ..]);
    // The map is the sum over channels of the gradient's magnitudes, and the probe's dictionary is the same.
    let expected = gradient.index_axis(Axis(0), 0).mapv(f32::abs).sum_axis(Axis(0));
    let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(*value));
    assert!((&map - &expected).iter().all(|difference| difference.abs() <= 1e-3 * largest));

    let length = gradient.mapv(|g| g * g).sum().sqrt();
    let step = 0.002 * one.mapv(|v| v * v).sum().sqrt() / length;
    let mut scorer = detector.with_dictionary(&dictionary).unwrap();
    let mut energy = |by: f32| {
        scorer.score_input((&image + &(&gradient.index_axis(Axis(0), 0) * by)).view()).unwrap().energy
    };
    let slope = (energy(step) - energy(-step)) / (2.0 * step);
    assert!((slope / (length * length) - 1.0).abs() < 0.05, "{slope} {}", length * length);
}

#[test]
fn an_image_with_nan_has_no_score() {
    let probe = probe();
    let mut detector = open(&tiny());
    let dictionary = detector.dictionary(&support(&probe.support), &Adaptation::default()).unwrap();
    let mut image = probe.query.index_axis(Axis(0), 0).to_owned();
    image[[0, 0, 0]] = f32::NAN;
    let mut scorer = detector.with_dictionary(&dictionary).unwrap();
    assert_says(&error_of(scorer.score_input(image.view())), &["NaN"]);
    assert_says(&error_of(scorer.gradient_map(image.view())), &["NaN"]);
}

/// The tiny bundle with features of any size: the last normalisation multiplies by `scale`, and nothing bounds it.
fn unbounded(scale: f32) -> TempDir {
    changed(|path, manifest| {
        manifest.scoring.reference = true;
        let file = path.join("backbone.onnx");
        let mut bytes = fs::read(&file).unwrap();
        let place = |bytes: &[u8], text: &[u8]| {
            let places: Vec<_> = bytes.windows(text.len()).enumerate().filter(|(_, w)| *w == text).collect();
            places.iter().map(|(place, _)| *place).collect::<Vec<_>>()
        };
        // The only one among the names and types of the graph's nodes.
        let tanh = place(&bytes, b"\x22\x04Tanh");
        assert_eq!(tanh.len(), 1);
        bytes[tanh[0] + 2..tanh[0] + 6].copy_from_slice(b"Relu");
        // An initializer's data follows its name: a tag, a length of 64 bytes, 16 floats.
        let weight = place(&bytes, b"head.norm.weight\x4a\x40");
        assert_eq!(weight.len(), 1);
        bytes[weight[0] + 18..weight[0] + 18 + 64].copy_from_slice(&scale.to_le_bytes().repeat(16));
        fs::write(&file, bytes).unwrap();
    })
}

#[test]
fn a_score_that_f32_cant_hold_is_an_error_and_not_infinite() {
    let probe = probe();
    let query = probe.query.index_axis(Axis(0), 0);
    for (scale, holds) in [(1e30, false), (1.0, true)] {
        let folder = unbounded(scale);
        let mut detector = open(folder.path());
        let features = detector.backbone_mut().features(probe.query.view()).unwrap();
        assert_eq!(features.iter().any(|value| *value > 1e25), !holds);
        let mut dictionary = detector.dictionary(&support(&probe.support), &Adaptation::default()).unwrap();
        // Shots that are explained to the last bit: energies are compared with next to nothing.
        dictionary.shot_maps.as_mut().unwrap().fill(0.0);
        let mut scorer = detector.with_dictionary(&dictionary).unwrap();
        let score = scorer.score_input(query);
        assert_eq!(score.as_ref().is_ok_and(|score| score.anomaly_score.is_finite()), holds);
        if !holds {
            assert_says(
                &error_of(score),
                &["relative to the shots is not finite", "export a healthy checkpoint"],
            );
        }
    }
}

#[test]
fn images_of_another_size_and_empty_batches_are_refused() {
    let mut detector = open(&tiny());
    let wide = Array4::zeros((1, 3, 8, 8));
    assert_says(&error_of(detector.backbone_mut().features(wide.view())), &["[1, 3, 8, 8]"]);
    assert_says(
        &error_of(detector.dictionary(&support(&wide), &Adaptation::default())),
        &["0.png", "[3, 8, 8]"],
    );
    let none = probe().query.slice_move(s![..0, .., .., ..]);
    assert_says(&error_of(detector.backbone_mut().features(none.view())), &["at least one image"]);
    assert_says(&error_of(detector.dictionary(&[], &Adaptation::default())), &["no shots"]);
}

#[test]
fn the_same_image_twice_is_refused() {
    let images = support(&probe().support);
    let twice = [images[0].clone(), images[0].clone()];
    assert_says(
        &error_of(open(&tiny()).dictionary(&twice, &Adaptation::default())),
        &["0.png", "give each image once"],
    );
}

#[test]
fn weights_with_nan_give_an_error_and_no_score() {
    let folder = changed(|path, _| overwrite_weights(&path.join("backbone.onnx"), &[0xff; 64]));
    let mut detector = open(folder.path());
    let error = error_of(detector.backbone_mut().features(probe().query.view()));
    assert_says(&error, &["backbone.onnx", "NaN", "export a healthy checkpoint"]);
}

#[test]
fn weights_with_nan_on_the_way_back_give_an_error_and_no_gradient_map() {
    let folder = changed(|path, _| overwrite_weights(&path.join("backbone_vjp.onnx"), &[0xff; 64]));
    let probe = probe();
    let mut detector = open(folder.path());
    let dictionary = detector.dictionary(&support(&probe.support), &Adaptation::default()).unwrap();
    let mut scorer = detector.with_dictionary(&dictionary).unwrap();
    let error = error_of(scorer.gradient_map(probe.query.index_axis(Axis(0), 0)));
    assert_says(&error, &["backbone_vjp.onnx", "NaN", "export a healthy checkpoint"]);
}

#[test]
fn features_of_another_shape_than_the_manifest_says_are_refused() {
    let folder = changed(|_, manifest| {
        manifest.features = FeatureGeometry { height: manifest.features.height + 1, ..manifest.features };
    });
    let error = error_of(Detector::open_with(folder.path(), &options()));
    assert_says(&error, &["backbone.onnx", "features of shape", "the manifest says [16, 5, 4]"]);
}

#[test]
fn a_graph_with_other_inputs_is_refused() {
    let folder = changed(|path, _| {
        fs::copy(path.join("backbone_vjp.onnx"), path.join("backbone.onnx")).unwrap();
    });
    let error = error_of(Detector::open_with(folder.path(), &options()));
    assert_says(&error, &["backbone.onnx", "features_gradient", "export the bundle again"]);
}

#[test]
fn a_file_that_is_no_graph_is_refused() {
    let folder = changed(|path, _| fs::write(path.join("backbone.onnx"), "no graph").unwrap());
    let error = error_of(Detector::open_with(folder.path(), &options()));
    assert_says(&error, &["backbone.onnx", "ONNX Runtime can't load it", "export the bundle again"]);
}

#[test]
fn a_dictionary_of_another_bundle_is_refused() {
    let folder = changed(|_, manifest| manifest.name = "other".into());
    let dictionary = open(&tiny()).dictionary(&support(&probe().support), &Adaptation::default()).unwrap();
    assert_says(
        &error_of(open(folder.path()).with_dictionary(&dictionary)),
        &["adapted with another bundle"],
    );
}

#[test]
fn cuda_starts_or_says_why_not_and_auto_falls_back() {
    let with = |provider| Detector::open_with(tiny(), &Options { provider, ..options() });
    let auto = with(Provider::Auto).unwrap();
    match with(Provider::Cuda) {
        Ok(detector) => {
            assert_eq!(detector.backbone().provider(), Provider::Cuda);
            assert_eq!((auto.backbone().provider(), auto.backbone().provider_note()), (Provider::Cuda, None));
        }
        Err(error) => {
            assert_says(&error.to_string(), &["CUDA can't be used (", "--provider cpu"]);
            assert_eq!(auto.backbone().provider(), Provider::Cpu);
            assert!(auto.backbone().provider_note().is_some_and(|note| !note.to_string().is_empty()));
        }
    }
}

#[test]
fn a_second_library_in_one_process_is_refused() {
    let loaded = open(&tiny()).backbone().library().path.clone();
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join(loaded.file_name().unwrap());
    fs::write(&other, "").unwrap();
    let error = sparsight_runtime::onnxruntime::load(Some(&other)).unwrap_err();
    assert!(matches!(&error, OnnxRuntimeError::AnotherLoaded { .. }), "{error}");
    assert_eq!(sparsight_runtime::onnxruntime::load(Some(&loaded)).unwrap().path, loaded);
}

#[test]
fn scores_relative_to_the_support_are_energies_divided_by_what_the_shots_have_there() {
    let plain = open(&tiny()).dictionary(&support(&shots()), &Adaptation::default()).unwrap();
    let maps = plain.shot_maps.clone().unwrap();
    let folder = changed(|_, manifest| manifest.scoring.reference = true);
    let mut detector = open(folder.path());
    let dictionary = detector.dictionary(&support(&shots()), &Adaptation::default()).unwrap();
    assert_eq!(dictionary.shot_maps.as_ref(), Some(&maps), "the scoring changes no energy");

    let query = noise_like(&shots().index_axis(Axis(0), 0).to_owned());
    let score = detector.with_dictionary(&dictionary).unwrap().score_input(query.view()).unwrap();
    let (count, mean) = (maps.dim().0 as f32, maps.mean().unwrap());
    for ((place, energy), scored) in score.energy_map.indexed_iter().zip(&score.scored_map) {
        let own: f32 = (0..maps.dim().0).map(|shot| maps[[shot, place.0, place.1]]).sum::<f32>() / count;
        let expected = energy / (own + 0.3 * mean);
        assert!((scored - expected).abs() <= 1e-5 * expected, "{place:?}: {scored} {expected}");
    }
    let again = Dictionary::from_bytes(&dictionary.to_bytes().unwrap()).unwrap();
    assert_eq!(again, dictionary);
}

/// Three images that differ a little.
fn shots() -> Array4<f32> {
    let image = noise_like(&probe().query.index_axis(Axis(0), 0).to_owned());
    let mut shots = Array4::zeros((3, image.dim().0, image.dim().1, image.dim().2));
    for (i, mut shot) in shots.outer_iter_mut().enumerate() {
        shot.assign(&image.mapv(|value| value * (0.8 + 0.1 * i as f32)));
        shot.slice_mut(s![.., 4 * i..4 * i + 4, ..]).fill(0.5);
    }
    shots
}
