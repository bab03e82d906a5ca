//! Baselines that need no trained energy: the nearest of the features that the atoms are made of, and the nearest support pixel. Like the energy
//! map they are maps of mean squares, and are scored, drawn and smoothed as it is.

use ndarray::{Array1, Array2, ArrayView3, Axis};
use sparsight_runtime::{dictionary::Dictionary, sparse_coding::unfold};
use sparsight_schemas::SparseCodingConfig;

/// The features that the atoms are made of, to look for the nearest of them.
///
/// Neither they nor the query's are scaled to unit length: the energy, too, measures the query's feature as it is.
pub struct NearestFeature {
    /// \[A, m\].
    unfolded: Array2<f32>,
    /// The squared length of each.
    squares: Array1<f32>,
    receptive_field: usize,
}

impl NearestFeature {
    /// Of the same positions, unfolded with the same receptive field, as the dictionary's atoms.
    pub fn new(dictionary: &Dictionary, config: &SparseCodingConfig) -> Self {
        let unfolded = dictionary.unfolded(config);
        let squares = unfolded.map_axis(Axis(1), |row| row.dot(&row));
        Self { unfolded, squares, receptive_field: config.receptive_field }
    }

    /// For every position of `features` \[d, h, w\], the mean over the m values of (z - s)^2 for the nearest s, \[h, w\].
    pub fn map(&self, features: ArrayView3<f32>) -> Array2<f32> {
        let (_, h, w) = features.dim();
        let queries = unfold(features.insert_axis(Axis(0)), self.receptive_field);
        let products = queries.dot(&self.unfolded.t());
        let distances = queries.rows().into_iter().zip(products.rows()).map(|(query, products)| {
            // |z - s|^2 less |z|^2 finds the nearest; the distance itself is summed anew, because |z|^2 would
            // swallow its digits.
            let nearest = products
                .iter()
                .zip(&self.squares)
                .map(|(product, square)| square - 2.0 * product)
                .enumerate()
                .min_by(|(_, a), (_, b)| a.total_cmp(b))
                .map_or(0, |(atom, _)| atom);
            let nearest = self.unfolded.row(nearest);
            let squares = query.iter().zip(nearest).map(|(z, s)| (f64::from(*z) - f64::from(*s)).powi(2));
            (squares.sum::<f64>() / query.len() as f64) as f32
        });
        let distances: Vec<f32> = distances.collect();
        Array2::from_shape_fn((h, w), |(y, x)| distances[y * w + x])
    }
}

/// For every pixel of `image` \[3, H, W\], the smallest over the support images of the mean over the channels of the
/// squared difference at the same place, \[H, W\]. It takes the images to be aligned.
pub fn difference_map(image: ArrayView3<f32>, support: &[ArrayView3<f32>]) -> Array2<f32> {
    let (channels, height, width) = image.dim();
    let mut map = Array2::from_elem((height, width), f32::INFINITY);
    for good in support {
        let mut squares = Array2::<f32>::zeros((height, width));
        for (image, good) in image.outer_iter().zip(good.outer_iter()) {
            ndarray::Zip::from(&mut squares)
                .and(image)
                .and(good)
                .for_each(|sum, a, b| *sum += (a - b) * (a - b));
        }
        map.zip_mut_with(&squares, |least, sum| *least = least.min(sum / channels as f32));
    }
    map
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, Array3, Array4, array};
    use proptest::prelude::*;
    use sparsight_runtime::dictionary::{AtomSelection, Shot};
    use sparsight_schemas::{AtomSampling, Poses};

    use super::*;

    fn dictionary(support_features: Array4<f32>, selection: Option<AtomSelection>) -> Dictionary {
        let shot = |i: usize| Shot { name: i.to_string(), sha256: i.to_string() };
        let shots = (0..support_features.dim().0).map(shot).collect();
        Dictionary {
            bundle_sha256: String::new(),
            shots,
            poses: Poses::AsTaken,
            support_features,
            selection,
            shot_maps: None,
            roi: None,
            false_alarm_rate: 0.1,
            calibration: None,
        }
    }

    fn config(receptive_field: usize) -> SparseCodingConfig {
        SparseCodingConfig { receptive_field, ..SparseCodingConfig::default() }
    }

    #[test]
    fn the_nearest_support_feature_is_found_by_hand() {
        // Two shots of two channels at two positions: (1, 0), (0, 1) and (2, 2), (0, 0).
        let support = Array::from_shape_vec((2, 2, 1, 2), vec![1., 0., 0., 1., 2., 0., 2., 0.]).unwrap();
        let nearest = NearestFeature::new(&dictionary(support, None), &config(1));
        // (3, 2) is nearest to (2, 2), at (1 + 0) / 2; (0, 0.75) to (0, 1), at (0 + 1/16) / 2.
        let query = array![[[3.0, 0.0]], [[2.0, 0.75]]];
        assert_eq!(nearest.map(query.view()), array![[0.5, 0.03125]]);
    }

    #[test]
    fn the_smallest_difference_of_a_pixel_is_found_by_hand() {
        let flat = |values: [f32; 2]| Array3::from_shape_fn((3, 1, 2), |(_, _, x)| values[x]);
        let (first, second) = (flat([0.0, 1.0]), flat([0.5, 0.0]));
        let mut image = flat([0.25, 0.5]);
        image[[0, 0, 0]] = 0.5; // red fits the second, green and blue are between
        let map = difference_map(image.view(), &[first.view(), second.view()]);
        assert_eq!(map, array![[(2.0 * 0.0625) / 3.0, 0.25]]);
    }

    proptest! {
        #[test]
        fn a_support_image_has_no_distance_and_more_shots_never_add_any(
            values in prop::collection::vec(-1.0f32..1.0, 2 * 3 * 16),
            shots in 1usize..4,
            l in prop::sample::select(vec![1usize, 3]),
        ) {
            let value = |i: usize| ((i * 7919) % 101) as f32 / 101.0 - 0.5;
            let support = Array4::from_shape_fn((shots, 3, 4, 4), |(k, c, y, x)| value(((k * 3 + c) * 4 + y) * 4 + x));
            let query = Array3::from_shape_fn((3, 4, 4), |(c, y, x)| values[(c * 4 + y) * 4 + x]);
            let map = |support: &Array4<f32>, query| NearestFeature::new(&dictionary(support.clone(), None), &config(l)).map(query);
            let inputs: Vec<_> = support.outer_iter().collect();
            prop_assert!(map(&support, support.index_axis(Axis(0), 0)).iter().all(|d| *d == 0.0));
            prop_assert!(difference_map(inputs[shots - 1], &inputs).iter().all(|d| *d == 0.0));
            let fewer = support.slice(ndarray::s![..1, .., .., ..]).to_owned();
            let (all, one) = (map(&support, query.view()), map(&fewer, query.view()));
            prop_assert!(all.iter().zip(&one).all(|(all, one)| *all <= one + 1e-5));
            let (all, one) = (difference_map(query.view(), &inputs), difference_map(query.view(), &inputs[..1]));
            prop_assert!(all.iter().zip(&one).all(|(all, one)| all <= one));
        }
    }

    #[test]
    fn positions_that_are_no_atoms_are_no_neighbours() {
        let support = Array4::from_shape_fn((1, 1, 4, 4), |(_, _, y, x)| (4 * y + x) as f32);
        let selection = Some(AtomSelection { max_atoms: 3, seed: 1, sampling: AtomSampling::Uniform });
        let nearest = NearestFeature::new(&dictionary(support.clone(), selection), &config(1));
        let found = nearest.map(support.index_axis(Axis(0), 0)).iter().filter(|d| **d == 0.0).count();
        assert_eq!(found, 3);
    }
}
