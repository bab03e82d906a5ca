//! What a bundle computes: its probe, scores, dictionaries, gradients.

use ndarray::{Array4, Axis, s};
use sparsight_runtime::{
    detector::Adaptation,
    dictionary::{AtomSelection, Dictionary},
    verify::verify,
};
use sparsight_schemas::AtomSampling;

use crate::tiny::{changed, noise_like, open, overwrite_weights, probe, support, tiny};

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
    for sampling in [AtomSampling::Uniform, AtomSampling::InverseDensity] {
        let selection = Some(AtomSelection { max_atoms: 20, seed: 3, sampling });
        let adaptation = Adaptation { selection, ..Adaptation::default() };
        let dictionary = detector.dictionary(&support(&images), &adaptation).unwrap();
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
}

#[test]
fn adapting_twice_gives_the_same_bytes() {
    let images = support(&probe().support);
    let selection = Some(AtomSelection { max_atoms: 5, seed: 9, sampling: AtomSampling::InverseDensity });
    let adaptation = Adaptation { selection, ..Adaptation::default() };
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
fn scores_relative_to_the_support_are_energies_divided_by_what_the_shots_have_there() {
    let plain = open(&tiny()).dictionary(&support(&shots()), &Adaptation::default()).unwrap();
    let maps = plain.shot_maps.clone().unwrap();
    let query = noise_like(&shots().index_axis(Axis(0), 0).to_owned());
    let (count, mean) = (maps.dim().0 as f32, maps.mean().unwrap());
    for floor in [0.0, 1.0] {
        let folder = changed(|_, manifest| {
            (manifest.scoring.reference, manifest.scoring.reference_floor) = (true, floor);
        });
        let mut detector = open(folder.path());
        let dictionary = detector.dictionary(&support(&shots()), &Adaptation::default()).unwrap();
        assert_eq!(dictionary.shot_maps.as_ref(), Some(&maps), "the scoring changes no energy");

        let score = detector.with_dictionary(&dictionary).unwrap().score_input(query.view()).unwrap();
        let mut below = 0;
        for ((place, energy), scored) in score.energy_map.indexed_iter().zip(&score.scored_map) {
            let own: f32 = (0..maps.dim().0).map(|shot| maps[[shot, place.0, place.1]]).sum::<f32>() / count;
            below += usize::from(own < floor * mean);
            let expected = energy / (own.max(floor * mean) + 0.3 * mean);
            assert!((scored - expected).abs() <= 1e-5 * expected, "{place:?}: {scored} {expected}");
        }
        assert_eq!(below > 0, floor > 0.0);
        let again = Dictionary::from_bytes(&dictionary.to_bytes().unwrap()).unwrap();
        assert_eq!(again, dictionary);
    }
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
