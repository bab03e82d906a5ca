//! Neighbourhoods of feature positions as rows of a matrix, and the transpose of that map.

use ndarray::{Array2, Array4, ArrayView2, ArrayView4, Axis};

/// Larger magnitudes are taken as this one: squares of sums of them must stay finite. The backbone's features lie in
/// \[-1, 1\].
pub(super) const LARGEST: f32 = 1e18;

/// Every l x l neighbourhood (stride 1, zero padded) of `features` \[n, d, h, w\] as a row: \[n h w, d l l\]. Rows are
/// in the order (image, y, x), values in a row in the order (c, ky, kx). `receptive_field` l is odd.
pub fn unfold(features: ArrayView4<f32>, receptive_field: usize) -> Array2<f32> {
    let (n, d, h, w) = features.dim();
    let area = receptive_field * receptive_field;
    let neighbours = neighbours(h, w, receptive_field);
    let mut unfolded = Array2::zeros((n * h * w, d * area));
    for (row, mut values) in unfolded.rows_mut().into_iter().enumerate() {
        let (image, position) = (features.index_axis(Axis(0), row / (h * w)), row % (h * w));
        for (mut neighbourhood, channel) in values.exact_chunks_mut(area).into_iter().zip(image.outer_iter())
        {
            for &Neighbour { k, y, x } in &neighbours[position] {
                neighbourhood[k] = channel[[y, x]].clamp(-LARGEST, LARGEST);
            }
        }
    }
    unfolded
}

/// The transpose of [`unfold`]: adds every value of `unfolded` \[n h w, d l l\] to the feature that it came from, in
/// an array of `shape` \[n, d, h, w\].
pub fn fold(unfolded: ArrayView2<f32>, shape: [usize; 4], receptive_field: usize) -> Array4<f32> {
    let [_, _, h, w] = shape;
    let area = receptive_field * receptive_field;
    let neighbours = neighbours(h, w, receptive_field);
    let mut features = Array4::zeros(shape);
    for (row, values) in unfolded.rows().into_iter().enumerate() {
        let (mut image, position) = (features.index_axis_mut(Axis(0), row / (h * w)), row % (h * w));
        for (neighbourhood, mut channel) in values.exact_chunks(area).into_iter().zip(image.outer_iter_mut())
        {
            for &Neighbour { k, y, x } in &neighbours[position] {
                channel[[y, x]] += neighbourhood[k];
            }
        }
    }
    features
}

/// A place of a neighbourhood that lies inside the features.
struct Neighbour {
    /// Its place in the neighbourhood, ky l + kx.
    k: usize,
    /// Its row in the features.
    y: usize,
    /// Its column in the features.
    x: usize,
}

/// The neighbours of every position, in the order (y, x).
fn neighbours(h: usize, w: usize, l: usize) -> Vec<Vec<Neighbour>> {
    let inside = |at: usize, k: usize, side: usize| (at + k).checked_sub(l / 2).filter(|at| *at < side);
    let of = |position: usize| {
        (0..l * l).filter_map(move |k| {
            Some(Neighbour { k, y: inside(position / w, k / l, h)?, x: inside(position % w, k % l, w)? })
        })
    };
    (0..h * w).map(|position| of(position).collect()).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Array;

    use super::*;

    #[test]
    fn the_middle_row_holds_all_and_a_corner_is_padded_with_zeros() {
        let features =
            Array::from_iter(1..=18).mapv(|v| v as f32).into_shape_with_order((1, 2, 3, 3)).unwrap();
        let unfolded = unfold(features.view(), 3);
        assert_eq!(unfolded.dim(), (9, 18));
        assert_eq!(unfolded.row(4).to_vec(), (1..=18).map(|v| v as f32).collect::<Vec<_>>());
        assert_eq!(unfolded.row(0).to_vec()[..9], [0., 0., 0., 0., 1., 2., 0., 4., 5.]);
    }

    #[test]
    fn fold_is_the_transpose_of_unfold() {
        let value = |i: usize| ((i * 7919) % 101) as f32 / 101.0 - 0.5;
        let x = Array::from_shape_fn((2, 3, 4, 5), |(a, b, c, d)| value(((a * 3 + b) * 4 + c) * 5 + d));
        let y = Array::from_shape_fn((2 * 4 * 5, 3 * 9), |(a, b)| value(a * 31 + b));
        let left: f32 = (&unfold(x.view(), 3) * &y).sum();
        let right: f32 = (&fold(y.view(), [2, 3, 4, 5], 3) * &x).sum();
        assert!((left - right).abs() < 1e-4 * left.abs(), "{left} {right}");
    }
}
