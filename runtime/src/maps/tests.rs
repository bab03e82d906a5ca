//! Where values of a map land on its image, and how high they are there: by hand-computed values and laws.

use proptest::prelude::*;
use sparsight_schemas::{InputConfig, Manifest, Provenance, ScoringConfig};

use super::*;

/// 64 x 48 pixels of input, a position every 8.
fn manifest(smoothing: f32) -> Manifest {
    Manifest {
        schema_version: 1,
        name: String::new(),
        input: InputConfig { height: 64, width: 48, ..InputConfig::default() },
        features: FeatureGeometry { channels: 8, height: 8, width: 6, stride: 8 },
        sparse_coding: Default::default(),
        scoring: ScoringConfig { smoothing, ..ScoringConfig::default() },
        tolerances: Default::default(),
        files: Default::default(),
        provenance: Provenance {
            version: String::new(),
            seed: 0,
            steps: 0,
            data_fingerprint: None,
            initial_weights: None,
            training: None,
            config: Default::default(),
        },
    }
}

fn peak_of(map: &Array2<f32>) -> (usize, usize) {
    let highest = map.indexed_iter().reduce(|best, next| if next.1 > best.1 { next } else { best });
    highest.unwrap().0
}

#[test]
fn a_peak_lands_on_the_pixel_that_its_position_is_centred_on() {
    for smoothing in [0.0, 2.0, 5.0] {
        for (y, x) in [(0, 0), (1, 1), (3, 2), (6, 4)] {
            let mut map = Array2::zeros((8, 6));
            map[(y, x)] = 1.0;
            let same_size = energy_map_on_image(map.view(), &manifest(smoothing), 64, 48);
            assert_eq!(peak_of(&same_size), (8 * y, 8 * x), "smoothing {smoothing}");
            // On an image of three times the size, input pixel p covers 3 p to 3 p + 2.
            let larger = energy_map_on_image(map.view(), &manifest(smoothing), 192, 144);
            if y > 0 {
                assert_eq!(peak_of(&larger), (24 * y + 1, 24 * x + 1), "smoothing {smoothing}");
            }
        }
    }
}

#[test]
fn a_peak_of_a_gradient_map_stays_on_its_pixel() {
    for smoothing in [0.0, 3.0] {
        let mut map = Array2::zeros((64, 48));
        map[(20, 31)] = 1.0;
        let drawn = gradient_map_on_image(map.view(), &manifest(smoothing), 64, 48);
        assert_eq!(peak_of(&drawn), (20, 31));
    }
}

#[test]
fn without_smoothing_a_gradient_map_of_the_same_size_is_unchanged() {
    let map = Array2::from_shape_fn((64, 48), |(y, x)| (y * 31 + x * 17) as f32 % 7.0);
    assert_eq!(gradient_map_on_image(map.view(), &manifest(0.0), 64, 48), map);
}

#[test]
fn the_product_of_two_peaks_is_where_they_meet() {
    let mut energy = Array2::zeros((8, 6));
    energy[(3, 2)] = 2.0;
    let mut gradient = Array2::zeros((64, 48));
    gradient[(24, 16)] = 5.0;
    gradient[(60, 40)] = 50.0;
    let product = product_map_on_image(energy.view(), gradient.view(), &manifest(0.0), 64, 48);
    assert_eq!(peak_of(&product), (24, 16));
    assert_eq!((product[(24, 16)], product[(60, 40)], product.sum()), (10.0, 0.0, 10.0));
}

#[test]
fn the_threshold_of_a_map_is_the_share_of_its_highest_value_that_the_score_has() {
    let map = ndarray::arr2(&[[0.0, 40.0, 10.0]]);
    assert_eq!(map_threshold(map.view(), 0.4, Some(0.1)), Some(10.0));
    assert_eq!(map_threshold(map.view(), 0.1, Some(0.2)), Some(80.0));
    assert_eq!(map_threshold(map.view(), 0.1, None), None);
    assert_eq!(map_threshold(Array2::zeros((2, 2)).view(), 0.0, Some(0.2)), Some(0.0));
}

#[test]
fn the_bands_equal_interpolation_followed_by_a_gaussian() {
    let (height, width, deviation) = (96, 72, 1.5 * 2.0_f32);
    let map = Array2::from_shape_fn((8, 6), |(y, x)| ((y * 6 + x) * 37 % 11) as f32);
    let at = |place: f32, count: usize| {
        let place = place.clamp(0.0, (count - 1) as f32);
        let below = place.floor() as usize;
        (below, (below + 1).min(count - 1), place - place.floor())
    };
    let geometry = manifest(0.0).features;
    let interpolated = Array2::from_shape_fn((height, width), |(y, x)| {
        let (top, bottom, v) = at(geometry.position_of(y, height, 64), 8);
        let (left, right, u) = at(geometry.position_of(x, width, 48), 6);
        let row = |y| map[(y, left)] * (1.0 - u) + map[(y, right)] * u;
        row(top) * (1.0 - v) + row(bottom) * v
    });
    let reach = (REACH * deviation).ceil() as i64;
    let weight = |x: i64| (-0.5 * (x * x) as f32 / (deviation * deviation)).exp();
    let total: f32 = (-reach..=reach).map(weight).sum();
    let smoothed = Array2::from_shape_fn((height, width), |(y, x)| {
        let clamp = |i: i64, count: usize| i.clamp(0, count as i64 - 1) as usize;
        let mut sum = 0.0;
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                let neighbour = (clamp(y as i64 + dy, height), clamp(x as i64 + dx, width));
                sum += weight(dy) * weight(dx) * interpolated[neighbour];
            }
        }
        sum / (total * total)
    });
    // An image 1.5 times the input's size has 1.5 times its deviation.
    let drawn = energy_map_on_image(map.view(), &manifest(deviation / 1.5), height, width);
    let difference = (&drawn - &smoothed).mapv(f32::abs).fold(0.0_f32, |a, &b| a.max(b));
    assert!(difference < 1e-4, "{difference}");
}

#[test]
fn a_wide_gaussian_takes_few_values_and_smooths_as_all_of_them_would() {
    let (pixels, deviation) = (20_000_usize, 700.0_f32);
    let places: Vec<f32> = (0..pixels).map(|pixel| 31.0 * pixel as f32 / (pixels - 1) as f32).collect();
    assert!(gaussian(deviation).1.len() <= 2 * MOST_VALUES + 1);
    let axis = Axis::new(32, places.clone(), deviation);
    let map: Vec<f32> = (0..32).map(|i| (i * 37 % 11) as f32).collect();
    let reach = 4 * 700_i64;
    let weight = |x: i64| (-0.5 * (x * x) as f64 / 700.0_f64.powi(2)).exp();
    let total: f64 = (-reach..=reach).map(weight).sum();
    for pixel in [0, 1, 37, 5_000, 9_999, 17_321, 19_999] {
        let (first, weights) = &axis.bands[pixel];
        let banded: f32 = weights.iter().zip(&map[*first..]).map(|(weight, value)| weight * value).sum();
        let dense: f64 = (-reach..=reach)
            .map(|x| {
                let place = places[(pixel as i64 + x).clamp(0, pixels as i64 - 1) as usize];
                let (below, fraction) = (place as usize, place.fract());
                let value = map[below] * (1.0 - fraction) + map[(below + 1).min(31)] * fraction;
                weight(x) * f64::from(value) / total
            })
            .sum();
        assert!((f64::from(banded) - dense).abs() < 1e-3, "pixel {pixel}: {banded}, not {dense}");
    }
}

#[test]
fn a_map_is_0_outside_of_a_region_and_inside_as_if_there_was_nothing_else() {
    // The left half counts: its energies are 3, whatever lies on the right.
    let roi = Roi::from_inside(Array2::from_shape_fn((8, 6), |(_, x)| f32::from(x < 3))).unwrap();
    let mut map = Array2::from_shape_fn((8, 6), |(_, x)| if x < 3 { 3.0 } else { 100.0 });
    roi.limit(map.view_mut());
    for smoothing in [0.0, 2.0, 6.0] {
        let manifest = manifest(smoothing);
        let drawn = energy_map_on_image(map.view(), &manifest, 128, 96);
        let drawn = limit_to_roi(drawn, &roi, &manifest, true);
        for (&value, x) in drawn.iter().zip((0..96).cycle()) {
            // Position 2 is on pixel 16 of the input, 3 on 24: the cell ends at 20, and pixel 40 lies at 19.75.
            let expected = if x <= 40 { 3.0 } else { 0.0 };
            assert!((value - expected).abs() < 1e-4, "smoothing {smoothing}, column {x}: {value}");
        }
        let gradient = limit_to_roi(Array2::from_elem((128, 96), 2.0), &roi, &manifest, false);
        assert_eq!((gradient[(5, 40)], gradient[(5, 41)]), (2.0, 0.0));
    }
}

proptest! {
    #[test]
    fn pixels_are_above_the_threshold_exactly_if_the_image_is(
        values in proptest::collection::vec(0.0_f32..1e3, 1..9),
        score in 1e-6_f32..1e3,
        nearly in -3_i32..=3,
        threshold in 0.0_f32..1e3,
    ) {
        let map = Array2::from_shape_vec((1, values.len()), values).unwrap();
        prop_assume!(highest(map.view()) > 0.0);
        // Any threshold, and those that rounding could take for the score.
        for threshold in [threshold, f32::from_bits(score.to_bits().wrapping_add_signed(nearly))] {
            let level = map_threshold(map.view(), score, Some(threshold)).unwrap();
            prop_assert_eq!(map.iter().any(|value| *value > level), score > threshold);
        }
    }

    #[test]
    fn constants_stay_and_no_value_leaves_the_range(
        values in proptest::collection::vec(0.0_f32..1e3, 48),
        smoothing in 0.0_f32..20.0,
        height in 1_usize..150,
        width in 1_usize..150,
    ) {
        let manifest = manifest(smoothing);
        let constant = Array2::from_elem((8, 6), values[0]);
        let drawn = energy_map_on_image(constant.view(), &manifest, height, width);
        prop_assert!(drawn.iter().all(|value| *value == values[0]));

        let map = Array2::from_shape_vec((8, 6), values).unwrap();
        let (low, high) = map.iter().fold((f32::MAX, 0.0_f32), |(l, h), &v| (l.min(v), h.max(v)));
        let drawn = energy_map_on_image(map.view(), &manifest, height, width);
        prop_assert_eq!(drawn.dim(), (height, width));
        prop_assert!(drawn.iter().all(|value| (low..=high).contains(value)));
    }
}
