//! How crowded the directions of an image's features are: what a selection of atoms needs to know of them. Which become atoms
//! is `selection`'s.

use ndarray::{Array2, ArrayView1, s};

use crate::matrix::product;

/// About as many positions is each compared with: they are spread evenly, and tell a density well enough.
const COMPARED: usize = 64;

/// Directions whose variance is below this are alike but for rounding.
const ALIKE: f64 = 1e-6;

/// The density of each of the features z, rows of \[n, m\], among all their directions: mean_j exp(-|u_i - u_j|^2 / V), where
/// u = z / |z| and V is the directions' variance, mean_i |u_i|^2 - |mean(u)|^2. In (0, 1]; 1 where all directions are alike.
///
/// Of many features every few are compared with. The step has no divisor in common with the `width` of a row of positions: the same
/// columns in each would be no fair sample.
pub(super) fn densities(mut features: Array2<f32>, width: usize) -> Vec<f64> {
    for mut row in features.outer_iter_mut() {
        let norm = square(row.view()).sqrt();
        row.mapv_inplace(|z| if norm > 0.0 { (f64::from(z) / norm) as f32 } else { 0.0 });
    }
    let (count, channels) = features.dim();
    let directions = features;
    let mut mean = vec![0.0; channels];
    for row in directions.outer_iter() {
        mean.iter_mut().zip(row).for_each(|(sum, u)| *sum += f64::from(*u) / count as f64);
    }
    let squares: Vec<f64> = directions.outer_iter().map(square).collect();
    let variance = squares.iter().sum::<f64>() / count as f64 - mean.iter().map(|u| u * u).sum::<f64>();
    if variance < ALIKE {
        return vec![1.0; count];
    }
    let every = step(count, width);
    let products = product(directions.view(), directions.slice(s![..;every, ..]).t());
    let (per_variance, itself) = (1.0 / variance as f32, 1.0 / count as f64);
    let crowd = products.outer_iter().zip(&squares).map(|(products, &square)| {
        let near = products.iter().zip(squares.iter().step_by(every)).map(|(along, &other)| {
            let distance = ((square + other) as f32 - 2.0 * along).max(0.0);
            (-distance * per_variance).exp()
        });
        // It may not be among those compared with.
        (f64::from(near.sum::<f32>()) / products.len() as f64).max(itself)
    });
    crowd.collect()
}

/// How many positions lie from one that is compared with to the next.
fn step(count: usize, width: usize) -> usize {
    let fair = |step: &usize| !(2..=*step).any(|n| step.is_multiple_of(n) && width.is_multiple_of(n));
    ((count / COMPARED).max(1)..).find(fair).unwrap_or(1) // a prime above the width is fair
}

/// |z|^2.
fn square(z: ArrayView1<f32>) -> f64 {
    z.iter().map(|z| f64::from(*z).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ndarray::array;

    use super::*;

    /// Three features of one direction and one of another: mean(u) is (3/4, 1/4), so V is 1 - 10/16.
    const VARIANCE: f64 = 0.375;

    fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance;
        assert!(found.iter().zip(expected).all(near), "{found:?}, not {expected:?}");
    }

    #[test]
    fn the_density_of_directions_is_found_by_hand() {
        let apart = (-2.0 / VARIANCE).exp();
        let (crowded, lone) = ((3.0 + apart) / 4.0, (1.0 + 3.0 * apart) / 4.0);
        let features = array![[2.0, 0.0], [0.0, 0.5], [1.0, 0.0], [1e-3, 0.0]];
        assert_near(&densities(features, 64), &[crowded, lone, crowded, crowded], 1e-6);
    }

    #[test]
    fn where_all_directions_are_alike_no_position_is_rarer() {
        assert_eq!(densities(array![[1.0, 2.0], [0.1, 0.2], [3.0, 6.0]], 3), [1.0; 3]);
        assert_eq!(densities(array![[0.0, 0.0], [0.0, 0.0]], 2), [1.0; 2]);
    }

    #[test]
    fn lengths_beyond_the_range_of_their_squares_have_a_direction_too() {
        let moderate = array![[1.0f32, 2.0], [3.0, -1.0], [1.0, 1.0]];
        let expected = densities(moderate.clone(), 3);
        assert_near(&densities(moderate.mapv(|z| z * 1e30), 3), &expected, 1e-6);
        assert_near(&densities(moderate.mapv(|z| z * 1e-30), 3), &expected, 1e-6);
    }

    #[test]
    fn of_many_positions_a_sample_tells_the_density() {
        // On a map of 64 x 64, a column of another direction every 16: a sixteenth of all.
        let column = |position: usize| position % 64 % 16;
        let features = Array2::from_shape_fn((64 * 64, 2), |(position, c)| {
            f32::from(u8::from((column(position) == 0) == (c == 1)))
        });
        let variance: f64 = 1.0 - (15.0f64.powi(2) + 1.0) / 256.0;
        let apart = (-2.0 / variance).exp();
        let (crowded, lone) = ((15.0 + apart) / 16.0, (1.0 + 15.0 * apart) / 16.0);
        let expected: Vec<f64> =
            (0..64 * 64).map(|position| if column(position) == 0 { lone } else { crowded }).collect();
        assert_near(&densities(features, 64), &expected, 0.01);
    }

    #[test]
    fn every_column_of_a_map_is_compared_with() {
        for width in [4, 12, 15, 16, 20, 24, 30, 40, 63, 64] {
            let step = step(width * width, width);
            let columns: BTreeSet<usize> = (0..width * width).step_by(step).map(|at| at % width).collect();
            assert_eq!(columns.len(), width, "width {width}, step {step}");
        }
        assert_eq!(step(256, 16), 5);
    }

    #[test]
    fn a_position_that_is_like_no_other_has_at_least_its_own_density() {
        let features = Array2::from_shape_fn((1024, 2), |(position, c)| match (position == 1, c) {
            (true, c) => [0.0, 1.0][c],
            (false, c) => [1.0, 0.0][c],
        });
        assert_eq!(densities(features, 32)[1], 1.0 / 1024.0);
    }
}
