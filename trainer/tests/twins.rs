//! The two sparse coding layers, Burn's and the runtime's, on the same random inputs.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use burn_flex::Flex;
use ndarray::{Array1, Array2, Array3, Array4, Dimension};
use proptest::prelude::*;
use sparsight_runtime::sparse_coding as shipped;
use sparsight_schemas::{EnergyKind, Shrinkage, SparseCodingConfig};
use sparsight_trainer::{
    arrays::{to_array, to_tensor},
    sparse_coding as trained,
};

#[derive(Clone, Debug)]
struct Case {
    support: Array4<f32>,
    query: Array4<f32>,
    config: SparseCodingConfig,
}

fn features(n: usize, d: usize, h: usize, w: usize) -> impl Strategy<Value = Array4<f32>> {
    prop::collection::vec(-1.0f32..1.0, n * d * h * w)
        .prop_map(move |values| Array4::from_shape_vec((n, d, h, w), values).unwrap())
}

fn cases() -> impl Strategy<Value = Case> {
    let shrinkage = prop_oneof![Just(Shrinkage::Sigmoid), Just(Shrinkage::Soft), Just(Shrinkage::None)];
    let energy = prop_oneof![Just(EnergyKind::Reconstruction), Just(EnergyKind::Lasso)];
    let sizes = (1usize..=3, 1usize..=3, 1usize..=12, 1usize..=4, 1usize..=4);
    let settings = (1usize..=10, shrinkage, energy);
    (sizes, 0usize..=2, settings).prop_flat_map(|((k, n, d, h, w), r, (steps, shrinkage, energy))| {
        let config = SparseCodingConfig {
            receptive_field: 2 * r + 1,
            steps,
            shrinkage,
            energy,
            ..SparseCodingConfig::default()
        };
        (features(k, d, h, w), features(n, d, h, w)).prop_map(move |(support, query)| Case {
            support,
            query,
            config,
        })
    })
}

/// Largest difference, relative to the largest magnitude of what is expected.
fn difference<D: Dimension>(actual: &ndarray::Array<f32, D>, expected: &ndarray::Array<f32, D>) -> f32 {
    difference_above(1e-6, actual, expected)
}

/// As [`difference`], where magnitudes below `floor` are rounding.
fn difference_above<D: Dimension>(
    floor: f32,
    actual: &ndarray::Array<f32, D>,
    expected: &ndarray::Array<f32, D>,
) -> f32 {
    assert_eq!(actual.shape(), expected.shape());
    let scale = expected.iter().fold(floor, |max, v| max.max(v.abs()));
    // f32::max would lose a NaN.
    let farther = |most: f32, d: f32| if d > most || d.is_nan() { d } else { most };
    actual.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, farther) / scale
}

proptest! {
    #[test]
    fn both_halves_compute_the_same_dictionary_codes_energies_and_gradients(case in cases()) {
        let Case { support, query, config } = case;
        let (device, l) = (Default::default(), config.receptive_field);
        let (n, _, h, w) = query.dim();
        let tensor = |array: &Array4<f32>| to_tensor::<Flex, _, _, 4>(array, &device);

        let ours = trained::dictionary(tensor(&support), l);
        let theirs = shipped::dictionary(support.view(), l);
        let dictionary: Array2<f32> = to_array(ours.dictionary.clone()).unwrap();
        prop_assert!(difference(&theirs.dictionary().to_owned(), &dictionary) < 1e-4);

        let unfolded = trained::unfold(tensor(&query), l);
        let their_unfolded = shipped::unfold(query.view(), l);
        prop_assert_eq!(&their_unfolded, &to_array::<_, ndarray::Ix2, 2>(unfolded.clone()).unwrap());

        let codes = trained::codes(unfolded.clone(), &ours, &config);
        let their_codes = shipped::codes(their_unfolded.view(), &theirs, &config);
        let our_codes: Array2<f32> = to_array(codes.clone()).unwrap();
        prop_assert!(difference(&their_codes, &our_codes) < 1e-4);

        // A residual r is a difference of values of the size of z, so it is off by about 5e-7 z, and its square, relative
        // to itself, by 1e-6 z / r: below r = z / 100 that exceeds 1e-4.
        let z = query.iter().fold(1e-6f32, |max, v| max.max(v.abs()));
        let map = trained::energy_map(unfolded, &ours, codes, [n, h, w], &config);
        let their_map = shipped::energy_map(their_unfolded.view(), &theirs, their_codes.view(), [n, h, w], &config);
        let our_map: Array3<f32> = to_array(map.clone()).unwrap();
        prop_assert!(difference_above(1e-4 * z * z, &their_map, &our_map) < 1e-4);
        let our_energy: Array1<f32> = to_array(trained::energy(map)).unwrap();
        prop_assert!(difference_above(1e-4 * z * z, &shipped::energy(their_map.view()), &our_energy) < 1e-4);

        // Soft shrinkage's derivative jumps where a code meets its threshold, so rounding may decide it.
        if config.shrinkage != Shrinkage::Soft {
            let gradient: Array4<f32> = to_array(trained::features_gradient(tensor(&query), &ours, &config)).unwrap();
            let theirs = shipped::features_gradient(query.view(), &theirs, &config);
            // The gradient of a residual of z / 100, in each of the values that the energy is a mean of.
            let floor = 0.01 * z * 2.0 / (query.dim().1 * l * l * h * w) as f32;
            prop_assert!(difference_above(floor, &theirs, &gradient) < 1e-3);
        }
    }
}
