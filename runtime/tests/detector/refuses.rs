//! What gives an error that says what to do, and never a number.

use std::fs;

use ndarray::{Array4, Axis, s};
use sparsight_runtime::{
    backbone::{Options, Provider},
    detector::{Adaptation, Detector},
    dictionary::Dictionary,
    onnxruntime::OnnxRuntimeError,
};
use sparsight_schemas::FeatureGeometry;
use tempfile::TempDir;

use crate::tiny::{assert_says, changed, error_of, open, options, overwrite_weights, probe, support, tiny};

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

#[test]
fn a_dictionary_without_what_scores_are_relative_to_gives_none() {
    for reference in [false, true] {
        let folder = changed(|_, manifest| manifest.scoring.reference = reference);
        let mut detector = open(folder.path());
        let support = support(&probe().support);
        let mut dictionary = detector.dictionary(&support, &Adaptation::default()).unwrap();
        let alone = detector.dictionary(&support[..1], &Adaptation::default()).unwrap();
        assert!(alone.shot_maps.is_none() && detector.with_dictionary(&alone).is_ok());
        dictionary.shot_maps = None;
        let path = folder.path().join("stripped");
        dictionary.write(&path).unwrap();
        let bundle = detector.bundle().clone();
        let (read, scorer) =
            (Dictionary::read_to_score(&path, &bundle), detector.with_dictionary(&dictionary));
        assert_eq!((read.is_err(), scorer.is_err()), (reference, reference));
        if let Err(error) = read {
            assert_says(&error.to_string(), &["stripped: holds no energy maps of its shots", "adapt again"]);
            let mut mended = Dictionary::read_for(&path, &bundle).unwrap();
            mended.calibrate(&bundle).unwrap();
            assert!(detector.with_dictionary(&mended).is_ok());
        }
    }
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
        manifest.features = FeatureGeometry { channels: manifest.features.channels + 1, ..manifest.features };
    });
    let error = error_of(Detector::open_with(folder.path(), &options()));
    assert_says(&error, &["backbone.onnx", "features of shape", "the manifest says [17, 4, 4]"]);
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
