//! What holds for any features: laws of shrinkage, dictionary, energy and gradient, on random inputs.

#![allow(clippy::unwrap_used)] // a test may

use ndarray::{Array1, Array2, Array4, Axis};
use proptest::{collection::vec, prelude::*, sample::select};
use sparsight_runtime::sparse_coding::{
    Atoms, Coder, codes, dictionary, energy, energy_map, features_gradient, lambdas, shrink, unfold,
};
use sparsight_schemas::{EnergyKind, SMALLEST_CODE, Shrinkage, SparseCodingConfig};

const KINDS: [Shrinkage; 3] = [Shrinkage::Sigmoid, Shrinkage::Soft, Shrinkage::None];
const ENERGIES: [EnergyKind; 2] = [EnergyKind::Reconstruction, EnergyKind::Lasso];

fn any_config() -> impl Strategy<Value = SparseCodingConfig> {
    (select(&[1, 3][..]), select(&[1, 2, 8][..]), select(&KINDS[..]), select(&ENERGIES[..])).prop_map(
        |(receptive_field, steps, shrinkage, energy)| SparseCodingConfig {
            receptive_field,
            steps,
            shrinkage,
            energy,
            ..SparseCodingConfig::default()
        },
    )
}

fn features(shape: [usize; 4], values: impl Strategy<Value = f32>) -> impl Strategy<Value = Array4<f32>> {
    vec(values, shape.iter().product::<usize>())
        .prop_map(move |values| Array4::from_shape_vec(shape, values).unwrap())
}

fn energies(query: &Array4<f32>, atoms: &Atoms, config: &SparseCodingConfig) -> Array1<f32> {
    let (n, _, h, w) = query.dim();
    let unfolded = unfold(query.view(), config.receptive_field);
    let codes = codes(unfolded.view(), atoms, config);
    energy(energy_map(unfolded.view(), atoms, codes.view(), [n, h, w], config).view())
}

/// As [`energies`], by the coder.
fn coded_energies(query: &Array4<f32>, atoms: &Atoms, config: &SparseCodingConfig) -> Array1<f32> {
    let mut coder = Coder::new(atoms, config);
    query.outer_iter().map(|image| energy(coder.energy_map(image).insert_axis(Axis(0)))[0]).collect()
}

/// The sum of the energies as the equations say it, in f64, given the atoms; and how far it stays from a kink: what is shrunk
/// softly from lambda, and a code whose size counts from where its gradient gives way, unless it is zero all around.
fn energy_in_f64(query: &Array4<f64>, atoms: &Atoms, config: &SparseCodingConfig) -> (f64, f64) {
    let (_, d, h, w) = query.dim();
    let d_matrix = atoms.dictionary().mapv(f64::from);
    let l = config.receptive_field;
    let (mut total, mut from_kink) = (0.0, f64::INFINITY);
    for image in query.outer_iter() {
        for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
            let z = Array1::from_shape_fn(d * l * l, |i| {
                let (c, ky, kx) = (i / (l * l), i / l % l, i % l);
                match ((y + ky).checked_sub(l / 2), (x + kx).checked_sub(l / 2)) {
                    (Some(y), Some(x)) if y < h && x < w => image[[c, y, x]],
                    _ => 0.0,
                }
            });
            let mut a = Array1::<f64>::zeros(atoms.count());
            for lambda in lambdas(config).into_iter().map(f64::from) {
                let u = &a + &d_matrix.t().dot(&(&z - &d_matrix.dot(&a)));
                if config.shrinkage == Shrinkage::Soft {
                    from_kink = u.iter().fold(from_kink, |nearest, u| nearest.min((u.abs() - lambda).abs()));
                }
                a = u.mapv(|u| match config.shrinkage {
                    Shrinkage::Sigmoid => u / (1.0 + (-config.tau * (u.abs() - lambda)).exp()),
                    Shrinkage::Soft => u.signum() * (u.abs() - lambda).max(0.0),
                    Shrinkage::None => u,
                });
            }
            let mut energy = (&z - &d_matrix.dot(&a)).mapv(|r| r * r).sum();
            if config.energy == EnergyKind::Lasso {
                energy += 2.0 * config.lambda_star * a.mapv(f64::abs).sum();
                let from_zero = |a: &f64| a.abs() - SMALLEST_CODE;
                from_kink =
                    a.iter().filter(|a| **a != 0.0).fold(from_kink, |nearest, a| nearest.min(from_zero(a)));
            }
            total += energy / (z.len() * h * w) as f64;
        }
    }
    (total, from_kink)
}

proptest! {
    #[test]
    fn soft_shrinkage_brings_no_two_values_further_apart(u in -9f32..9.0, v in -9f32..9.0, lambda in 1e-3f32..2.0) {
        let (shrunk_u, shrunk_v) = (shrink(u, lambda, Shrinkage::Soft, 1.0), shrink(v, lambda, Shrinkage::Soft, 1.0));
        prop_assert!((shrunk_u - shrunk_v).abs() <= (u - v).abs() + 1e-6);
    }

    #[test]
    fn no_shrinkage_makes_a_value_larger(u: f32, lambda in 1e-3f32..2.0, tau in 1e-3f32..1e3) {
        prop_assume!(u.is_finite());
        for kind in KINDS {
            prop_assert!(shrink(u, lambda, kind, tau).abs() <= u.abs());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_query_equal_to_a_shot_has_less_energy_than_a_random_one(
        support in features([3, 32, 2, 2], -1f32..1.0),
        random in features([1, 32, 2, 2], -1f32..1.0),
        shot in 0usize..3,
        config in any_config(),
    ) {
        let atoms = dictionary(support.view(), config.receptive_field);
        let known = support.select(Axis(0), &[shot]);
        // A fair comparison: the same length.
        let norm = |x: &Array4<f32>| x.mapv(|v| v * v).sum().sqrt();
        let random = &random * (norm(&known) / norm(&random));
        let (known, random) = (energies(&known, &atoms, &config)[0], energies(&random, &atoms, &config)[0]);
        prop_assert!(known < random, "{} {}", known, random);
    }

    #[test]
    fn the_order_of_shots_does_not_change_the_energy(
        support in features([4, 5, 2, 3], -1f32..1.0),
        query in features([2, 5, 2, 3], -1f32..1.0),
        turn in 1usize..4,
        config in any_config(),
    ) {
        let order: Vec<usize> = (0..4).map(|i| (i + turn) % 4).rev().collect();
        let turned = support.select(Axis(0), &order);
        let first = energies(&query, &dictionary(support.view(), config.receptive_field), &config);
        let second = energies(&query, &dictionary(turned.view(), config.receptive_field), &config);
        for (first, second) in first.iter().zip(&second) {
            prop_assert!(same_energy((*first).into(), (*second).into(), &query), "{} {}", first, second);
        }
    }

    #[test]
    fn energy_is_finite_and_not_negative_for_any_finite_features(
        support in features([2, 4, 2, 2], prop_oneof![any_finite(), -1f32..1.0, Just(0.0)]),
        query in features([2, 4, 2, 2], prop_oneof![any_finite(), -1f32..1.0, Just(0.0)]),
        config in any_config(),
    ) {
        let atoms = dictionary(support.view(), config.receptive_field);
        for energy in energies(&query, &atoms, &config).into_iter().chain(coded_energies(&query, &atoms, &config)) {
            prop_assert!(energy.is_finite() && energy >= 0.0, "{}", energy);
        }
    }

    #[test]
    fn energies_of_a_batch_are_those_of_its_images(
        support in features([2, 4, 3, 2], -1f32..1.0),
        query in features([3, 4, 3, 2], -1f32..1.0),
        config in any_config(),
    ) {
        let atoms = dictionary(support.view(), config.receptive_field);
        let together = energies(&query, &atoms, &config);
        for (image, together) in together.iter().enumerate() {
            let alone = energies(&query.select(Axis(0), &[image]), &atoms, &config)[0];
            prop_assert!(same_energy((*together).into(), alone.into(), &query), "{} {}", together, alone);
        }
    }

    #[test]
    fn energies_and_gradients_are_those_of_the_equations_in_float64(
        support in features([2, 3, 2, 3], -1f32..1.0),
        query in features([2, 3, 2, 3], -1f32..1.0),
        config in any_config(),
    ) {
        let atoms = dictionary(support.view(), config.receptive_field);
        let exact = query.mapv(f64::from);
        let energy = energies(&query, &atoms, &config).sum();
        let (expected, from_kink) = energy_in_f64(&exact, &atoms, &config);
        let coded = coded_energies(&query, &atoms, &config).sum();
        for energy in [energy, coded] {
            prop_assert!(same_energy(energy.into(), expected, &query), "{} {}", energy, expected);
        }

        // At the kink there is no gradient to compare with.
        prop_assume!(from_kink > 1e-5);
        let gradient = features_gradient(query.view(), &atoms, &config);
        let step = 1e-6;
        let difference = Array4::from_shape_fn(query.dim(), |at| {
            let moved = |by: f64| {
                let mut moved = exact.clone();
                moved[at] += by;
                energy_in_f64(&moved, &atoms, &config).0
            };
            (moved(step) - moved(-step)) / (2.0 * step)
        });
        // The gradient is a small rest of z where a query is explained well: f32 keeps its digits relative to z.
        let scale = 2.0 / unfold(query.view(), config.receptive_field).len() as f64 * 2.0;
        let bound = 1e-4 * largest(&difference) + 1e-6 * scale * largest(&exact);
        for (computed, expected) in gradient.iter().zip(&difference) {
            prop_assert!((f64::from(*computed) - expected).abs() <= bound, "{} {}", computed, expected);
        }
        let mut coder = Coder::new(&atoms, &config);
        for (image, expected) in query.outer_iter().zip(difference.outer_iter()) {
            let (_, gradient) = coder.energy_map_and_gradient(image, None);
            for (computed, expected) in gradient.iter().zip(&expected) {
                prop_assert!((f64::from(*computed) - expected).abs() <= bound, "{} {}", computed, expected);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// More atoms than values and fewer, and every number of positions that does not fill its panels and blocks.
    #[test]
    fn a_coder_gives_what_the_equations_give_position_by_position(
        h in 1usize..20,
        w in 1usize..20,
        d in 1usize..5,
        shots in 1usize..3,
        seed in 0usize..1000,
        config in any_config(),
    ) {
        let value = |i: usize| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0;
        let features = |n: usize, offset: usize| {
            let mut next = offset;
            Array4::from_shape_simple_fn((n, d, h, w), || {
                next += 1;
                value(next)
            })
        };
        let (support, query) = (features(shots, 0), features(1, 5003));
        let atoms = dictionary(support.view(), config.receptive_field);
        let unfolded = unfold(query.view(), config.receptive_field);
        let codes = codes(unfolded.view(), &atoms, &config);
        let expected = energy_map(unfolded.view(), &atoms, codes.view(), [1, h, w], &config);
        let gradient = features_gradient(query.view(), &atoms, &config);

        let mut coder = Coder::new(&atoms, &config);
        // What an image of another size leaves behind is in no one's way.
        coder.energy_map(Array4::ones((1, d, h + 2, w + 1)).index_axis(Axis(0), 0));
        let image = query.index_axis(Axis(0), 0);
        let mut maps = vec![coder.energy_map(image).to_owned()];
        let (map, coded_gradient) = coder.energy_map_and_gradient(image, None);
        maps.push(map.to_owned());
        // What f32 may round in z - D a, whose terms are z and D a: six deviations of a sum of A roundings of half an
        // epsilon, and that once an iteration.
        let deviation = f64::from(f32::EPSILON) / 2.0 * (atoms.count() as f64).sqrt();
        let rounding = 6.0 * deviation * (config.steps + 1) as f64;
        let terms = unfolded.mapv(f32::abs) + codes.mapv(f32::abs).dot(&atoms.dictionary().mapv(f32::abs).t());
        let rounding: Vec<f64> = terms
            .outer_iter()
            .map(|terms| rounding * terms.iter().map(|&term| f64::from(term).powi(2)).sum::<f64>().sqrt())
            .collect();
        for map in maps {
            for ((computed, expected), rounding) in map.iter().zip(&expected).zip(&rounding) {
                let rounding = rounding / (unfolded.ncols() as f64).sqrt(); // the energy is a mean
                let (computed, expected) = (f64::from(*computed).sqrt(), f64::from(*expected).sqrt());
                prop_assert!((computed - expected).abs() <= 2e-5 * expected + rounding, "{} {}", computed, expected);
            }
        }
        let largest = gradient.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        // Twice the residual over the values of an image, from up to l l positions each.
        let slope = 2.0 * (config.receptive_field as f64).powi(2) / unfolded.len() as f64;
        let rounding = slope * rounding.iter().fold(0.0, |largest: f64, value| largest.max(*value));
        // Of so many values some lie at the kink of soft shrinkage: there rounding decides between two slopes.
        let smooth = config.shrinkage != Shrinkage::Soft;
        for (computed, expected) in coded_gradient.iter().zip(&gradient).filter(|_| smooth) {
            let bound = 1e-4 * f64::from(largest) + rounding;
            prop_assert!(f64::from((computed - expected).abs()) <= bound, "{} {}", computed, expected);
        }
    }
}

/// Whether two energies differ by no more than f32 allows: the residual z - D a keeps its digits relative to z, not to
/// itself, and the energy is its square.
fn same_energy(computed: f64, expected: f64, query: &Array4<f32>) -> bool {
    let z = query.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    (computed.sqrt() - expected.sqrt()).abs() <= 1e-5 * expected.sqrt() + 1e-6 * z
}

fn largest(array: &Array4<f64>) -> f64 {
    array.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

fn any_finite() -> impl Strategy<Value = f32> {
    any::<f32>().prop_filter("finite", |value| value.is_finite())
}

#[test]
fn the_largest_floats_saturate_instead_of_overflowing() {
    let config = SparseCodingConfig { receptive_field: 1, ..SparseCodingConfig::default() };
    let largest = Array4::from_elem((1, 8, 1, 1), f32::MAX);
    let other =
        Array4::from_shape_fn((1, 8, 1, 1), |(_, c, _, _)| if c % 2 == 0 { f32::MAX } else { f32::MIN });
    let atoms = dictionary(other.view(), 1);
    for energies in [energies(&largest, &atoms, &config), coded_energies(&largest, &atoms, &config)] {
        assert!(energies[0] > 1e35 && energies[0].is_finite());
    }
}

#[test]
fn a_dictionary_of_zeros_explains_nothing() {
    let config = SparseCodingConfig::default();
    let query = Array4::from_elem((1, 2, 1, 1), 0.5);
    let atoms = dictionary(Array4::zeros((1, 2, 1, 1)).view(), config.receptive_field);
    let unfolded: Array2<f32> = unfold(query.view(), config.receptive_field);
    assert!(codes(unfolded.view(), &atoms, &config).iter().all(|code| *code == 0.0));
    assert_eq!(energies(&query, &atoms, &config)[0], 0.25 * 2.0 / 18.0);
    assert_eq!(coded_energies(&query, &atoms, &config)[0], 0.25 * 2.0 / 18.0);
}
