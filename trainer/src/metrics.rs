//! Figures that say how well scores tell anomalies from good: over images, or over all pixels of all maps. Pure
//! functions in f64; scores must be finite, and nothing here picks a threshold for use.

use ndarray::Array2;

/// Area under the receiver operating characteristic: the chance that a random anomaly scores above a random good one,
/// ties counting half. None unless both labels occur.
///
/// # Panics
/// If there are not as many labels as scores.
pub fn auroc(scores: &[f32], anomalous: &[bool]) -> Option<f64> {
    let (mut goods_below, mut twice_wins) = (0u64, 0u128);
    let groups = ascending_groups(scores, anomalous);
    for group in &groups {
        twice_wins += u128::from(group.anomalies) * u128::from(2 * goods_below + group.goods);
        goods_below += group.goods;
    }
    let anomalies: u64 = groups.iter().map(|group| group.anomalies).sum();
    let pairs = u128::from(anomalies) * u128::from(goods_below);
    (pairs > 0).then(|| twice_wins as f64 / (2 * pairs) as f64)
}

/// Average precision: the precision at each distinct score, weighted by the recall it adds; no interpolation. None
/// without an anomaly.
///
/// # Panics
/// If there are not as many labels as scores.
pub fn average_precision(scores: &[f32], anomalous: &[bool]) -> Option<f64> {
    let groups = ascending_groups(scores, anomalous);
    let anomalies: u64 = groups.iter().map(|group| group.anomalies).sum();
    let (mut hits, mut alarms, mut sum) = (0, 0, 0.0);
    for group in groups.iter().rev() {
        hits += group.anomalies;
        alarms += group.anomalies + group.goods;
        sum += group.anomalies as f64 * (hits as f64 / alarms as f64);
    }
    (anomalies > 0).then(|| sum / anomalies as f64)
}

/// The best F1 that any threshold reaches, an upper bound: the threshold is chosen on the labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct F1Max {
    /// 2 TP / (2 TP + FP + FN).
    pub f1: f64,
    /// Intersection over union there, TP / (TP + FP + FN).
    pub iou: f64,
    /// Scores at or above it count as anomalies; the highest of equally good ones.
    pub threshold: f32,
}

/// The largest F1 over all distinct scores as thresholds. None without an anomaly.
///
/// # Panics
/// If there are not as many labels as scores.
pub fn f1_max(scores: &[f32], anomalous: &[bool]) -> Option<F1Max> {
    let groups = ascending_groups(scores, anomalous);
    let anomalies: u64 = groups.iter().map(|group| group.anomalies).sum();
    let (mut hits, mut alarms) = (0, 0);
    let mut best: Option<F1Max> = None;
    for group in groups.iter().rev().filter(|_| anomalies > 0) {
        hits += group.anomalies;
        alarms += group.anomalies + group.goods;
        let f1 = 2.0 * hits as f64 / (alarms + anomalies) as f64;
        if best.is_none_or(|best| f1 > best.f1) {
            let iou = hits as f64 / (alarms + anomalies - hits) as f64;
            best = Some(F1Max { f1, iou, threshold: group.score });
        }
    }
    best
}

/// Area under the per-region overlap curve (AUPRO), MVTec-AD's: over every threshold, the share of each 8-connected
/// region of the masks that lies at or above it, averaged over regions, against the false positive rate of all good
/// pixels; integrated from 0 to `limit` by trapezoids, the last one interpolated, and divided by `limit`. None unless
/// both labels occur.
///
/// # Panics
/// If a map and its mask differ in shape, or `limit` is not in (0, 1].
pub fn aupro(maps: &[Array2<f32>], masks: &[Array2<bool>], limit: f64) -> Option<f64> {
    assert!(limit > 0.0 && limit <= 1.0, "the limit is a false positive rate");
    // Region 0 is good; the others have these shares of the mean overlap per pixel.
    let mut areas = vec![0u32];
    let mut keys = Vec::new();
    for (map, mask) in maps.iter().zip(masks) {
        assert_eq!(map.dim(), mask.dim(), "one mask value a pixel");
        let regions = label_regions(mask, &mut areas);
        keys.extend(
            map.iter()
                .zip(&regions)
                .map(|(score, region)| u64::from(ordered(*score)) << 32 | u64::from(*region)),
        );
    }
    if areas.len() == 1 || areas[0] == 0 {
        return None;
    }
    keys.sort_unstable();
    let (mut area, mut rate, mut overlap) = (0.0, 0.0, 0.0);
    for run in keys.chunk_by(|a, b| a >> 32 == b >> 32).rev() {
        let (before, overlap_before) = (rate, overlap);
        for region in run.iter().map(|key| *key as u32 as usize) {
            match region {
                0 => rate += 1.0 / f64::from(areas[0]),
                region => overlap += 1.0 / (f64::from(areas[region]) * (areas.len() - 1) as f64),
            }
        }
        if rate >= limit {
            let at_limit = overlap_before + (overlap - overlap_before) * (limit - before) / (rate - before);
            area += (limit - before) * (overlap_before + at_limit) / 2.0;
            break;
        }
        area += (rate - before) * (overlap_before + overlap) / 2.0;
    }
    Some(area / limit)
}

/// The region of each pixel, row by row: 0 outside the mask, else an index into `areas`, which counts pixels and grows
/// by the regions found.
fn label_regions(mask: &Array2<bool>, areas: &mut Vec<u32>) -> Vec<u32> {
    let (height, width) = mask.dim();
    let mut regions = vec![0; height * width];
    let mut waiting = Vec::new();
    for (y, x) in ndarray::indices((height, width)) {
        if !mask[[y, x]] {
            areas[0] += 1;
        }
        if !mask[[y, x]] || regions[y * width + x] != 0 {
            continue;
        }
        let region = areas.len() as u32;
        areas.push(1);
        regions[y * width + x] = region;
        waiting.push((y, x));
        while let Some((y, x)) = waiting.pop() {
            for ny in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                for nx in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                    let neighbour = &mut regions[ny * width + nx];
                    if mask[[ny, nx]] && *neighbour == 0 {
                        *neighbour = region;
                        areas[region as usize] += 1;
                        waiting.push((ny, nx));
                    }
                }
            }
        }
    }
    regions
}

/// How many of each label have one score.
#[derive(Clone, Copy, Debug)]
struct Group {
    score: f32,
    goods: u64,
    anomalies: u64,
}

/// The distinct scores from lowest to highest. Score and label are sorted as one integer, which is several times
/// faster than sorting pairs.
fn ascending_groups(scores: &[f32], anomalous: &[bool]) -> Vec<Group> {
    assert_eq!(scores.len(), anomalous.len(), "one label a score");
    let mut keys: Vec<u64> = scores
        .iter()
        .zip(anomalous)
        .map(|(score, label)| u64::from(ordered(*score)) << 1 | u64::from(*label))
        .collect();
    keys.sort_unstable();
    let mut groups: Vec<Group> = Vec::new();
    for run in keys.chunk_by(|a, b| a >> 1 == b >> 1) {
        let anomalies: u64 = run.iter().map(|key| key & 1).sum();
        let score = unordered((run[0] >> 1) as u32);
        groups.push(Group { score, goods: run.len() as u64 - anomalies, anomalies });
    }
    groups
}

/// Maps floats to integers of the same order (-0 becomes 0).
fn ordered(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

fn unordered(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

#[cfg(test)]
mod tests {
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
            let pixels: Vec<f32> = maps.iter().flatten().copied().collect();
            let pixel_labels: Vec<bool> = masks.iter().flatten().copied().collect();
            let best = f1_max(&pixels, &pixel_labels).unwrap();
            let computed = [
                ("image_auroc", auroc(&case.image_scores, &labels)),
                ("image_ap", average_precision(&case.image_scores, &labels)),
                ("pixel_auroc", auroc(&pixels, &pixel_labels)),
                ("pixel_ap", average_precision(&pixels, &pixel_labels)),
                ("aupro_30", aupro(&maps, &masks, 0.3)),
                ("aupro_05", aupro(&maps, &masks, 0.05)),
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
            match (auroc(&scores, &labels), expected) {
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
        assert_eq!(auroc(&[1.0, 2.0], &[false, false]), None);
        assert_eq!(auroc(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(average_precision(&[1.0], &[false]), None);
        assert_eq!(f1_max(&[1.0], &[false]), None);
        assert_eq!(aupro(&[Array2::zeros((2, 2))], &[Array2::from_elem((2, 2), false)], 0.3), None);
    }
}
