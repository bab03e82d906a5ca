//! A region of interest: what lies outside has no say, beyond what a receptive field sees of it. Scores need ONNX Runtime:
//! `cargo xtask setup`, or `ORT_DYLIB_PATH`.

#![allow(clippy::unwrap_used)] // a test may

use std::path::Path;

use ndarray::{Array2, Array3, Array4, ArrayView2, Axis};
use proptest::{collection::vec, prelude::*, sample::select};
use sparsight_runtime::{
    backbone::{Options, Provider},
    detector::{Adaptation, Detector, SupportImage, anomaly_score},
    dictionary::{Dictionary, Shot},
    replace::sha256_hex,
    roi::Roi,
    sparse_coding::{Coder, codes, dictionary, energy_map, unfold},
};
use sparsight_schemas::{Poses, SparseCodingConfig};

const SIDE: usize = 5;

fn features(images: usize) -> impl Strategy<Value = Array4<f32>> {
    vec(-1f32..1.0, images * 3 * SIDE * SIDE)
        .prop_map(move |values| Array4::from_shape_vec((images, 3, SIDE, SIDE), values).unwrap())
}

fn regions() -> impl Strategy<Value = Roi> {
    vec(any::<bool>(), SIDE * SIDE).prop_filter_map("empty", |inside| {
        let inside = inside.into_iter().map(f32::from).collect();
        Roi::from_inside(Array2::from_shape_vec((SIDE, SIDE), inside).unwrap()).ok()
    })
}

fn shot(i: usize) -> Shot {
    Shot { name: i.to_string(), sha256: sha256_hex(i.to_string().as_bytes()) }
}

/// The energies of the positions that count, of the first image of `query`.
fn energies(
    support: &Array4<f32>,
    query: &Array4<f32>,
    roi: &Roi,
    config: &SparseCodingConfig,
) -> Array2<f32> {
    let dictionary = Dictionary {
        bundle_sha256: String::new(),
        shots: (0..support.dim().0).map(shot).collect(),
        poses: Poses::AsTaken,
        support_features: support.clone(),
        roi: Some(roi.clone()),
        selection: None,
        shot_maps: None,
        false_alarm_rate: 0.1,
        calibration: None,
    };
    let atoms = dictionary.atoms(config);
    assert_eq!(atoms.count(), dictionary.atom_count());
    let unfolded = unfold(query.view(), config.receptive_field);
    let codes = codes(unfolded.view(), &atoms, config);
    let maps = energy_map(unfolded.view(), &atoms, codes.view(), [1, SIDE, SIDE], config);
    roi.values(maps.index_axis(Axis(0), 0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn features_beyond_the_receptive_field_of_the_region_change_no_energy_in_it(
        support in features(2),
        query in features(1),
        defect in features(3),
        roi in regions(),
        receptive_field in select(&[1usize, 3][..]),
    ) {
        let config = SparseCodingConfig { receptive_field, ..SparseCodingConfig::default() };
        let seen = |y: usize, x: usize| {
            let reach = receptive_field / 2;
            roi.inside().indexed_iter().any(|((ry, rx), inside)| {
                *inside == 1.0 && ry.abs_diff(y) <= reach && rx.abs_diff(x) <= reach
            })
        };
        let spoil = |images: &Array4<f32>, first: usize| {
            Array4::from_shape_fn(images.dim(), |(i, c, y, x)| {
                if seen(y, x) { images[(i, c, y, x)] } else { defect[(first + i, c, y, x)] }
            })
        };
        let before = energies(&support, &query, &roi, &config);
        let after = energies(&spoil(&support, 0), &spoil(&query, 2), &roi, &config);
        prop_assert_eq!(before, after);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// So with any region and the rest: the mean energy of all is theirs, weighted by how many positions they have.
    #[test]
    fn the_gradients_of_two_regions_add_up_to_that_of_both(
        support in features(2),
        query in features(1),
        roi in regions(),
        receptive_field in select(&[1usize, 3][..]),
    ) {
        let config = SparseCodingConfig { receptive_field, ..SparseCodingConfig::default() };
        let rest = roi.inside().mapv(|inside| 1.0 - inside);
        prop_assume!(rest.sum() > 0.0);
        let mut coder = Coder::new(&dictionary(support.view(), receptive_field), &config);
        let image = query.index_axis(Axis(0), 0);
        let mut weighted = |inside: Option<ArrayView2<f32>>| {
            let positions = inside.map_or((SIDE * SIDE) as f32, |inside| inside.sum());
            coder.energy_map_and_gradient(image, inside).1 * positions
        };
        let (within, beyond, all) = (weighted(Some(roi.inside())), weighted(Some(rest.view())), weighted(None));
        let largest = all.iter().chain(&within).fold(0f32, |largest, value| largest.max(value.abs()));
        prop_assert!((&within + &beyond - &all).iter().all(|rest| rest.abs() <= 1e-5 * largest + 1e-7));

        // And nothing comes back to features that no position of the region sees.
        let reach = receptive_field / 2;
        for ((_, y, x), gradient) in within.indexed_iter() {
            let seen = roi.inside().indexed_iter().any(|((ry, rx), inside)| {
                *inside == 1.0 && ry.abs_diff(y) <= reach && rx.abs_diff(x) <= reach
            });
            prop_assert!(seen || *gradient == 0.0);
        }
    }
}

/// Five images of 3 x 32 x 32 that differ in noise.
fn images() -> Vec<Array3<f32>> {
    let mut state = 1u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    let image = |_| {
        Array3::from_shape_fn((3, 32, 32), |(_, y, x)| 0.3 + 0.02 * ((x + y) % 16) as f32 + 0.2 * noise())
    };
    (0..5).map(image).collect()
}

#[test]
fn energy_score_and_threshold_are_those_of_the_positions_that_count() {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/bundles/tiny");
    let options = Options { provider: Provider::Cpu, threads: 1, ..Options::default() };
    let mut detector = Detector::open_with(&tiny, &options).unwrap();
    let (geometry, images) = (detector.bundle().manifest.features, images());
    let top_fraction = detector.bundle().manifest.scoring.top_fraction;
    let inside = Array2::from_shape_fn((geometry.height, geometry.width), |(y, x)| f32::from(x + y < 4));
    let roi = Roi::from_inside(inside).unwrap();
    let support: Vec<SupportImage> = images[..4]
        .iter()
        .enumerate()
        .map(|(i, input)| SupportImage { shot: shot(i), input: input.clone() })
        .collect();
    let adaptation = Adaptation { roi: Some(roi.clone()), ..Adaptation::default() };
    let dictionary = detector.dictionary(&support, &adaptation).unwrap();
    let score = detector.with_dictionary(&dictionary).unwrap().score_input(images[4].view()).unwrap();
    let values = roi.values(score.energy_map.view());
    for (energy, inside) in score.energy_map.iter().zip(roi.inside()) {
        assert_eq!(*energy > 0.0, *inside == 1.0);
    }
    let mean = values.mean().unwrap();
    assert!((score.energy - mean).abs() <= 1e-6 * mean);
    // The image's own gradient: a step down it lowers that mean.
    let mut scorer = detector.with_dictionary(&dictionary).unwrap();
    let (same, gradient) = scorer.score_and_gradient_map(images[4].view()).unwrap();
    assert_eq!((same.energy, gradient.dim()), (score.energy, (32, 32)));
    assert_eq!(score.anomaly_score, anomaly_score(roi.values(score.scored_map.view()).view(), top_fraction));

    // The scores of the shots are those that the dictionary of the others gives.
    let expected = dictionary.calibration.clone().unwrap().scores;
    for (i, expected) in expected.iter().enumerate() {
        let others = dictionary.without(i);
        let mut scorer = detector.with_dictionary(&others).unwrap();
        let score = scorer.score_input(images[i].view()).unwrap().anomaly_score;
        assert!((score - expected).abs() <= 1e-5 * expected, "{score}, not {expected}");
    }
}
