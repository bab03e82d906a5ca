//! Where a map is anomalous: the connected regions of its pixels above a threshold. What the threshold is, `maps` says.

use ndarray::{Array2, ArrayView2};
use sparsight_schemas::Region;

/// The 8-connected regions of the pixels above `threshold`, by their highest values, the highest first.
pub fn regions_above(map: ArrayView2<f32>, threshold: f32) -> Vec<Region> {
    let mut waiting = map.mapv(|value| value > threshold);
    let mut regions = Vec::new();
    for start in ndarray::indices(map.dim()) {
        if waiting[start] {
            regions.push(take_region(map, &mut waiting, start));
        }
    }
    regions.sort_by(|a, b| b.peak.total_cmp(&a.peak));
    regions
}

/// The region around `start`, whose pixels wait no longer.
fn take_region(map: ArrayView2<f32>, waiting: &mut Array2<bool>, start: (usize, usize)) -> Region {
    let (rows, columns) = map.dim();
    let ([mut top, mut left], [mut bottom, mut right]) = ([start.0, start.1], [start.0, start.1]);
    let (mut area, mut peak) = (0, f32::NEG_INFINITY);
    waiting[start] = false;
    let mut border = vec![start];
    while let Some((y, x)) = border.pop() {
        area += 1;
        peak = peak.max(map[(y, x)]);
        (top, bottom) = (top.min(y), bottom.max(y));
        (left, right) = (left.min(x), right.max(x));
        for y in y.saturating_sub(1)..(y + 2).min(rows) {
            for x in x.saturating_sub(1)..(x + 2).min(columns) {
                if std::mem::take(&mut waiting[(y, x)]) {
                    border.push((y, x));
                }
            }
        }
    }
    Region {
        x: left as u32,
        y: top as u32,
        width: (right - left + 1) as u32,
        height: (bottom - top + 1) as u32,
        area,
        peak,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The region of each pixel, by its first pixel in reading order: everyone asks their neighbours until nobody
    /// learns of an earlier one.
    fn labels(map: &Array2<f32>, threshold: f32) -> Array2<Option<usize>> {
        let columns = map.ncols();
        let above = |((y, x), value): ((usize, usize), &f32)| (*value > threshold).then_some(y * columns + x);
        let mut labels = Array2::from_shape_vec(map.dim(), map.indexed_iter().map(above).collect()).unwrap();
        loop {
            let before = labels.clone();
            for ((y, x), label) in labels.indexed_iter_mut() {
                let near = |&((v, u), _): &((usize, usize), &Option<usize>)| {
                    y.abs_diff(v) <= 1 && x.abs_diff(u) <= 1
                };
                if label.is_some() {
                    *label = before.indexed_iter().filter(near).filter_map(|(_, label)| *label).min();
                }
            }
            if labels == before {
                return labels;
            }
        }
    }

    fn expected(map: &Array2<f32>, threshold: f32) -> Vec<Region> {
        let labels = labels(map, threshold);
        let mut names: Vec<usize> = labels.iter().flatten().copied().collect();
        names.sort_unstable();
        names.dedup();
        let region = |name: &usize| {
            let pixels: Vec<(usize, usize)> =
                labels.indexed_iter().filter(|(_, label)| **label == Some(*name)).map(|(at, _)| at).collect();
            let (rows, columns): (Vec<usize>, Vec<usize>) = pixels.iter().copied().unzip();
            let span = |places: &[usize]| {
                let (first, last) = (places.iter().min().unwrap(), places.iter().max().unwrap());
                (*first as u32, (last - first + 1) as u32)
            };
            let ((y, height), (x, width)) = (span(&rows), span(&columns));
            let peak = pixels.iter().map(|at| map[*at]).fold(f32::MIN, f32::max);
            Region { x, y, width, height, area: pixels.len() as u32, peak }
        };
        names.iter().map(region).collect()
    }

    fn sorted(mut regions: Vec<Region>) -> Vec<Region> {
        regions.sort_by_key(|region| (region.y, region.x, region.width, region.height, region.area));
        regions
    }

    proptest! {
        #[test]
        fn the_regions_are_those_that_neighbours_agree_on(
            values in proptest::collection::vec(0_u8..4, 63),
            columns in proptest::sample::select(&[1_usize, 3, 7, 9, 21, 63][..]),
            threshold in 0_u8..4,
        ) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let map = Array2::from_shape_vec((63 / columns, columns), values).unwrap();
            let threshold = f32::from(threshold);
            let found = regions_above(map.view(), threshold);
            prop_assert!(found.is_sorted_by(|a, b| a.peak >= b.peak));
            prop_assert_eq!(sorted(found), sorted(expected(&map, threshold)));
        }

        #[test]
        fn every_pixel_above_is_in_a_region_and_no_other(values in proptest::collection::vec(0.0_f32..1.0, 80)) {
            let map = Array2::from_shape_vec((8, 10), values).unwrap();
            let above = map.iter().filter(|value| **value > 0.6).count();
            let areas: u32 = regions_above(map.view(), 0.6).iter().map(|region| region.area).sum();
            prop_assert_eq!(areas as usize, above);
        }
    }

    #[test]
    fn corners_touch_and_what_is_no_number_is_in_no_region() {
        let map = ndarray::arr2(&[[2.0, 0.0, f32::NAN], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0], [5.0, 1.0, 1.0]]);
        let found = regions_above(map.view(), 1.0);
        let region = |x, y, width, height, area, peak| Region { x, y, width, height, area, peak };
        assert_eq!(found, [region(0, 3, 1, 1, 1, 5.0), region(0, 0, 2, 2, 2, 3.0)]);
        assert_eq!(regions_above(map.view(), 5.0), []);
    }
}
