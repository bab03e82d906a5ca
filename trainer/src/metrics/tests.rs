//! What holds of every ranking, and the golden figures.

use super::*;
use proptest::prelude::*;

#[derive(serde::Deserialize)]
struct Case {
    maps: Vec<Vec<Vec<f32>>>,
    masks: Vec<Vec<Vec<u8>>>,
    image_scores: Vec<f32>,
    image_labels: Vec<u8>,
    expected: std::collections::BTreeMap<String, f64>,
}

fn grid<T: Copy, U>(rows: &[Vec<T>], value: impl Fn(T) -> U) -> Array2<U> {
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(y, x)| value(rows[y][x]))
}

#[test]
fn every_golden_figure_is_met() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/golden/metrics.json");
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for case in &cases {
        let maps: Vec<_> = case.maps.iter().map(|map| grid(map, |score| score)).collect();
        let masks: Vec<_> = case.masks.iter().map(|mask| grid(mask, |label| label != 0)).collect();
        let labels: Vec<bool> = case.image_labels.iter().map(|label| *label != 0).collect();
        let images = Ranking::of_images(&case.image_scores, &labels);
        let pixels = Ranking::of_pixels(maps.into_iter().zip(masks.iter().map(Some)));
        let best = pixels.f1_max().unwrap();
        let computed = [
            ("image_auroc", images.auroc()),
            ("image_ap", images.average_precision()),
            ("pixel_auroc", pixels.auroc()),
            ("pixel_ap", pixels.average_precision()),
            ("aupro_30", pixels.aupro(0.3)),
            ("aupro_05", pixels.aupro(0.05)),
            ("pixel_f1_max", Some(best.f1)),
            ("pixel_f1_threshold", Some(f64::from(best.threshold))),
            ("pixel_iou_at_f1_max", Some(best.iou)),
        ];
        assert_eq!(computed.len(), case.expected.len());
        for (name, value) in computed {
            let difference = (value.unwrap() - case.expected[name]).abs();
            assert!(difference <= 1e-9, "{name}: {value:?}, expected {}", case.expected[name]);
        }
    }
    assert_eq!(cases.len(), 3);
}

proptest! {
    #[test]
    fn auroc_is_the_share_of_pairs_won(scores in prop::collection::vec(-4i8..4, 2..40), seed: u64) {
        let labels: Vec<bool> = (0..scores.len()).map(|i| seed >> i & 1 == 1).collect();
        let scores: Vec<f32> = scores.into_iter().map(|score| f32::from(score) / 2.0).collect();
        let of = |label| scores.iter().zip(&labels).filter(move |(_, l)| **l == label).map(|(score, _)| *score);
        let won = |a: f32, g: f32| if a > g { 1.0 } else if a == g { 0.5 } else { 0.0 };
        let pairs: Vec<f64> = of(true).flat_map(|a| of(false).map(move |g| won(a, g))).collect();
        let expected = (!pairs.is_empty()).then(|| pairs.iter().sum::<f64>() / pairs.len() as f64);
        match (Ranking::of_images(&scores, &labels).auroc(), expected) {
            (Some(computed), Some(expected)) => prop_assert!((computed - expected).abs() < 1e-12),
            (computed, expected) => prop_assert_eq!(computed, expected),
        }
    }

    #[test]
    fn order_survives_the_integer_form(a: f32, b: f32) {
        prop_assume!(!a.is_nan() && !b.is_nan());
        prop_assert_eq!(ordered(a).cmp(&ordered(b)), a.partial_cmp(&b).unwrap());
        prop_assert_eq!(unordered(ordered(a)), a);
    }
}

#[test]
fn one_label_alone_has_no_figures() {
    assert_eq!(Ranking::of_images(&[1.0, 2.0], &[true, true]).auroc(), None);
    let goods = Ranking::of_images(&[1.0, 2.0], &[false, false]);
    assert_eq!((goods.auroc(), goods.average_precision()), (None, None));
    assert_eq!((goods.f1_max(), goods.iou_above(1.5)), (None, None));
    assert_eq!(Ranking::of_pixels([(Array2::zeros((2, 2)), None)]).aupro(0.3), None);
    let (map, all) = (Array2::zeros((2, 2)), Array2::from_elem((2, 2), true));
    assert_eq!(Ranking::of_pixels([(map, Some(&all))]).aupro(0.3), None);
}

#[test]
fn a_map_that_is_its_mask_has_every_figure_one() {
    let mask = Array2::from_shape_fn((9, 12), |(y, x)| (2..5).contains(&y) && !(3..10).contains(&x));
    let map = mask.mapv(|label| if label { 2.5 } else { -1.0 });
    let pixels = Ranking::of_pixels([(map, Some(&mask)), (Array2::from_elem((4, 4), -1.0), None)]);
    let best = pixels.f1_max().unwrap();
    assert_eq!(best, F1Max { f1: 1.0, iou: 1.0, threshold: 2.5 });
    for figure in [pixels.auroc(), pixels.average_precision(), pixels.iou_above(0.0)] {
        assert_eq!(figure, Some(1.0));
    }
    for limit in [0.05, 0.3, 1.0] {
        assert!((pixels.aupro(limit).unwrap() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn what_lies_above_a_threshold_is_compared_with_the_anomalies() {
    let ranking = Ranking::of_images(&[0.1, 0.5, 0.5, 0.7, 0.9], &[false, true, false, false, true]);
    // Above 0.4: both anomalies and two goods. Above 0.5, which is not above itself: one of each.
    for (threshold, expected) in [(0.4, 2.0 / 4.0), (0.5, 1.0 / 3.0), (0.9, 0.0), (f32::INFINITY, 0.0)] {
        assert_eq!(ranking.iou_above(threshold), Some(expected), "{threshold}");
    }
}

proptest! {
    #[test]
    fn the_best_f1_has_the_iou_of_its_threshold(scores in prop::collection::vec(-4i8..4, 1..40), seed: u64) {
        let labels: Vec<bool> = (0..scores.len()).map(|i| i == 0 || seed >> i & 1 == 1).collect();
        let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
        let ranking = Ranking::of_images(&scores, &labels);
        let best = ranking.f1_max().unwrap();
        // Scores are whole numbers: at or above one is above half below it.
        prop_assert_eq!(ranking.iou_above(best.threshold - 0.5), Some(best.iou));
        prop_assert!((best.f1 - 2.0 * best.iou / (1.0 + best.iou)).abs() < 1e-12);
    }
}
