//! The largest eigenvalue of a Gram matrix, by the Lanczos method: tens of products with a vector where power
//! iteration takes hundreds. It is all that the dictionary needs of linear algebra beyond products.

use ndarray::Array1;

/// The steps end when this many more change the eigenvalue by less than the share `CONVERGED`.
const STEPS_BETWEEN_CHECKS: usize = 4;
const CONVERGED: f64 = 1e-12;
const MOST_STEPS: usize = 400;

/// The largest eigenvalue of a positive semidefinite matrix G \[A, A\] of `size` A, which is known by what it makes of a
/// vector: `product` gives G v, \[A\], rounded to the relative `precision`. So it need not lie in memory as it is.
///
/// In the space of v, G v, G G v, .. the matrix is tridiagonal; its largest eigenvalue there is soon that of the whole.
pub fn largest_eigenvalue(
    size: usize,
    precision: f64,
    mut product: impl FnMut(&Array1<f64>) -> Array1<f64>,
) -> f64 {
    // Regular entries can be orthogonal to the top eigenvector of a symmetric support: equal ones are for a feature and
    // its negative, multiples of the golden ratio for two such pairs. Random ones have no such pattern.
    let mut state = 1u64;
    let mut vector = Array1::from_shape_simple_fn(size, || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        0.5 + (state >> 40) as f64 / (1u64 << 24) as f64
    });
    vector /= norm(&vector);
    let mut previous = Array1::zeros(size);
    let (mut diagonal, mut beside): (Vec<f64>, Vec<f64>) = (vec![], vec![]);
    let mut eigenvalue = 0.0;
    for step in 1..=MOST_STEPS {
        let mut image = product(&vector);
        let along = image.dot(&vector);
        image.scaled_add(-along, &vector);
        image.scaled_add(-beside.last().copied().unwrap_or(0.0), &previous);
        let rest = norm(&image);
        diagonal.push(along);
        // Nothing new: the space is closed, or all of it is rounding.
        let exhausted = rest <= precision * along.abs() || step == MOST_STEPS;
        if exhausted || step % STEPS_BETWEEN_CHECKS == 0 {
            let before = std::mem::replace(&mut eigenvalue, largest_of_tridiagonal(&diagonal, &beside));
            if exhausted || eigenvalue - before <= CONVERGED * eigenvalue {
                break;
            }
        }
        beside.push(rest);
        previous = std::mem::replace(&mut vector, image / rest);
    }
    eigenvalue
}

/// The largest eigenvalue of the symmetric matrix with this diagonal and, beside it, these entries; by bisection.
fn largest_of_tridiagonal(diagonal: &[f64], beside: &[f64]) -> f64 {
    // x exceeds all eigenvalues exactly if all pivots of the matrix less x are negative.
    let exceeds_all = |x: f64| {
        let mut pivot = f64::INFINITY;
        diagonal.iter().zip([0.0].iter().chain(beside)).all(|(along, beside)| {
            pivot = along - x - beside * beside / pivot;
            pivot < 0.0
        })
    };
    let largest = |entries: &[f64]| entries.iter().fold(0.0, |largest: f64, entry| largest.max(*entry));
    let (mut low, mut high) = (0.0, largest(diagonal) + 2.0 * largest(beside));
    while high - low > 1e-14 * high {
        let middle = 0.5 * (low + high);
        if exceeds_all(middle) { high = middle } else { low = middle }
    }
    high
}

fn norm(vector: &Array1<f64>) -> f64 {
    vector.dot(vector).sqrt()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, array};

    use super::*;

    #[track_caller]
    fn assert_eigenvalue(matrix: Array2<f32>, expected: f64) {
        let exact = matrix.mapv(f64::from);
        let computed = largest_eigenvalue(matrix.nrows(), 1e-12, |vector| exact.dot(vector));
        assert!((computed - expected).abs() <= 1e-6 * expected, "{computed} {expected}");
    }

    #[test]
    fn small_matrices_have_the_eigenvalue_of_the_textbook() {
        assert_eigenvalue(array![[3.0]], 3.0);
        assert_eigenvalue(array![[2.0, 1.0], [1.0, 2.0]], 3.0);
        assert_eigenvalue(array![[2.0, -1.0], [-1.0, 2.0]], 3.0);
        assert_eigenvalue(array![[1.0, -1.0], [-1.0, 1.0]], 2.0);
        assert_eigenvalue(Array2::eye(5), 1.0);
        assert_eigenvalue(Array2::zeros((4, 4)), 0.0);
    }

    #[test]
    fn close_eigenvalues_are_told_apart() {
        assert_eigenvalue(Array2::from_diag(&array![0.998, 1.0, 0.999]), 1.0);
        let many = Array1::from_shape_fn(500, |i| 1.0 - ((i * 7 + 123) % 500) as f32 * 1e-5);
        assert_eigenvalue(Array2::from_diag(&many), 1.0);
    }

    #[test]
    fn rounding_does_not_pass_for_another_direction() {
        // Rank one: after the first step all that is left is the rounding of the product.
        let atom = Array1::from_shape_fn(5, |i| if i % 2 == 0 { 0.6f32 } else { -0.6 });
        let rounded = |vector: &Array1<f64>| {
            let vector = vector.mapv(|value| value as f32);
            let gram = Array2::from_shape_fn((5, 5), |(i, j)| atom[i] * atom[j]);
            gram.dot(&vector).mapv(f64::from)
        };
        let computed = largest_eigenvalue(5, 1e-6, rounded);
        assert!((computed / 1.8 - 1.0).abs() < 3e-7, "{computed}");
    }

    #[test]
    fn it_is_the_limit_of_power_iteration() {
        let factor = Array2::from_shape_fn((30, 80), |(r, c)| ((r * 83 + c * 37) as f32 * 0.7).sin());
        let gram = factor.t().dot(&factor);
        let mut vector = Array1::from_shape_fn(80, |i| 1.0 + (i as f64).sin());
        let mut expected = 0.0;
        for _ in 0..20_000 {
            vector /= norm(&vector);
            vector = gram.mapv(f64::from).dot(&vector);
            expected = norm(&vector);
        }
        assert_eigenvalue(gram, expected);
    }
}
