//! Figures that say how well scores tell anomalies from good: over images, or over all pixels of all maps. Pure
//! functions in f64; scores must be finite, and nothing here picks a threshold for use.

use ndarray::Array2;

/// Labelled scores in order, from which every figure follows: of images, or of the pixels of maps.
///
/// They are sorted once, score and label as one integer, which is several times faster than sorting pairs and takes
/// 8 bytes a score.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// The score's integer form in the high half, its region in the low one; lowest first.
    keys: Vec<u64>,
    /// How many scores each region has. Region 0 is good; the others are anomalies.
    areas: Vec<u32>,
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

impl Ranking {
    /// Ranks the scores of images.
    ///
    /// # Panics
    /// If there are not as many labels as scores.
    pub fn of_images(scores: &[f32], anomalous: &[bool]) -> Self {
        assert_eq!(scores.len(), anomalous.len(), "one label a score");
        let mut areas = vec![0, 0];
        for label in anomalous {
            areas[usize::from(*label)] += 1;
        }
        let keys = scores.iter().zip(anomalous).map(|(score, label)| key(*score, u32::from(*label)));
        Self::sorted(keys.collect(), areas)
    }

    /// Ranks the pixels of maps, each with the mask of its anomalous pixels; none for the map of a good image. The
    /// 8-connected parts of the masks are the regions of [`Ranking::aupro`].
    ///
    /// # Panics
    /// If a map and its mask differ in shape.
    pub fn of_pixels<'a>(maps: impl IntoIterator<Item = (Array2<f32>, Option<&'a Array2<bool>>)>) -> Self {
        let (mut keys, mut areas) = (Vec::new(), vec![0]);
        for (map, mask) in maps {
            match mask {
                Some(mask) => {
                    assert_eq!(map.dim(), mask.dim(), "one mask value a pixel");
                    let regions = label_regions(mask, &mut areas);
                    keys.extend(map.iter().zip(&regions).map(|(score, region)| key(*score, *region)));
                }
                None => {
                    areas[0] += map.len() as u32;
                    keys.extend(map.iter().map(|score| key(*score, 0)));
                }
            }
        }
        Self::sorted(keys, areas)
    }

    fn sorted(mut keys: Vec<u64>, areas: Vec<u32>) -> Self {
        keys.sort_unstable();
        Self { keys, areas }
    }

    /// Area under the receiver operating characteristic: the chance that a random anomaly scores above a random good
    /// one, ties counting half. None unless both labels occur.
    pub fn auroc(&self) -> Option<f64> {
        let (mut goods_below, mut twice_wins) = (0u64, 0u128);
        for group in self.groups() {
            twice_wins += u128::from(group.anomalies) * u128::from(2 * goods_below + group.goods);
            goods_below += group.goods;
        }
        let pairs = u128::from(self.anomalies()) * u128::from(goods_below);
        (pairs > 0).then(|| twice_wins as f64 / (2 * pairs) as f64)
    }

    /// Average precision: the precision at each distinct score, weighted by the recall it adds; no interpolation.
    /// None without an anomaly.
    pub fn average_precision(&self) -> Option<f64> {
        let anomalies = self.anomalies();
        let (mut hits, mut alarms, mut sum) = (0, 0, 0.0);
        for group in self.groups().rev() {
            hits += group.anomalies;
            alarms += group.anomalies + group.goods;
            sum += group.anomalies as f64 * (hits as f64 / alarms as f64);
        }
        (anomalies > 0).then(|| sum / anomalies as f64)
    }

    /// The largest F1 over all distinct scores as thresholds. None without an anomaly.
    pub fn f1_max(&self) -> Option<F1Max> {
        let anomalies = self.anomalies();
        let (mut hits, mut alarms) = (0, 0);
        let mut best: Option<F1Max> = None;
        for group in self.groups().rev().filter(|_| anomalies > 0) {
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

    /// Intersection over union of the anomalies and the scores above `threshold`, TP / (TP + FP + FN). None without
    /// an anomaly.
    pub fn iou_above(&self, threshold: f32) -> Option<f64> {
        let anomalies = self.anomalies();
        let below = self.keys.partition_point(|key| key >> 32 <= u64::from(ordered(threshold)));
        let above = &self.keys[below..];
        let hits = above.iter().filter(|key| **key as u32 != 0).count() as u64;
        let union = above.len() as u64 + anomalies - hits;
        (anomalies > 0).then(|| hits as f64 / union as f64)
    }

    /// Area under the per-region overlap curve (AUPRO), MVTec-AD's: over every threshold, the share of each region
    /// that lies at or above it, averaged over regions, against the false positive rate of all good pixels;
    /// integrated from 0 to `limit` by trapezoids, the last one interpolated, and divided by `limit`. None unless both
    /// labels occur.
    ///
    /// # Panics
    /// If `limit` is not in (0, 1].
    pub fn aupro(&self, limit: f64) -> Option<f64> {
        assert!(limit > 0.0 && limit <= 1.0, "the limit is a false positive rate");
        let goods = f64::from(self.areas[0]);
        if self.anomalies() == 0 || goods == 0.0 {
            return None;
        }
        let regions = self.areas[1..].iter().filter(|area| **area > 0).count() as f64;
        let shares: Vec<f64> = self.areas.iter().map(|area| 1.0 / (f64::from(*area) * regions)).collect();
        let (mut area, mut alarms, mut rate, mut overlap) = (0.0, 0u64, 0.0, 0.0);
        for run in self.runs().rev() {
            let (before, overlap_before) = (rate, overlap);
            for region in run.iter().map(|key| *key as u32 as usize) {
                match region {
                    0 => alarms += 1,
                    region => overlap += shares[region],
                }
            }
            rate = alarms as f64 / goods;
            if rate >= limit {
                let at_limit =
                    overlap_before + (overlap - overlap_before) * (limit - before) / (rate - before);
                area += (limit - before) * (overlap_before + at_limit) / 2.0;
                break;
            }
            area += (rate - before) * (overlap_before + overlap) / 2.0;
        }
        Some(area / limit)
    }

    fn anomalies(&self) -> u64 {
        self.areas[1..].iter().map(|area| u64::from(*area)).sum()
    }

    /// The scores from lowest to highest, equal ones together.
    fn runs(&self) -> impl DoubleEndedIterator<Item = &[u64]> {
        self.keys.chunk_by(|a, b| a >> 32 == b >> 32)
    }

    /// The distinct scores from lowest to highest.
    fn groups(&self) -> impl DoubleEndedIterator<Item = Group> {
        self.runs().map(|run| {
            let goods = run.iter().filter(|key| **key as u32 == 0).count() as u64;
            Group { score: unordered((run[0] >> 32) as u32), goods, anomalies: run.len() as u64 - goods }
        })
    }
}

/// How many of each label have one score.
#[derive(Clone, Copy, Debug)]
struct Group {
    score: f32,
    goods: u64,
    anomalies: u64,
}

fn key(score: f32, region: u32) -> u64 {
    u64::from(ordered(score)) << 32 | u64::from(region)
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

/// Maps floats to integers of the same order (-0 becomes 0).
fn ordered(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

fn unordered(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

#[cfg(test)]
mod tests;
