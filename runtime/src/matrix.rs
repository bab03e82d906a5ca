//! Matrix products on arrays. A product packs both sides; who multiplies with the same matrix again and again keeps it
//! [`packed`].

pub(crate) mod packed;

use ndarray::{Array2, ArrayView2, Axis};

use self::packed::{BLOCK, LANES, Packed};

/// `a b` for \[r, k\] and \[k, c\] of any strides.
pub(crate) fn product(a: ArrayView2<f32>, b: ArrayView2<f32>) -> Array2<f32> {
    let mut out = Array2::zeros((a.nrows(), b.ncols()));
    products(a, b, |_| a.nrows(), |row, column, value| out[(row, column)] = value);
    out
}

/// `out <- out - a b`.
pub(crate) fn subtract_product(out: &mut Array2<f32>, a: ArrayView2<f32>, b: ArrayView2<f32>) {
    assert_eq!(out.dim(), (a.nrows(), b.ncols()), "outer sides of a matrix product");
    products(a, b, |_| a.nrows(), |row, column, value| out[(row, column)] -= value);
}

/// `a a'`, \[r, r\], at half the cost of a product.
pub(crate) fn gram(a: ArrayView2<f32>) -> Array2<f32> {
    let mut out = Array2::zeros((a.nrows(), a.nrows()));
    let above_diagonal = |columns: usize| columns.min(a.nrows());
    products(a, a.t(), above_diagonal, |row, column, value| {
        if row <= column {
            out[(row, column)] = value;
            out[(column, row)] = value;
        }
    });
    out
}

/// Gives every value of `a b` to `take(row, column, value)`, of the columns up to c only the first `rows(c)` rows.
fn products(
    a: ArrayView2<f32>,
    b: ArrayView2<f32>,
    rows: impl Fn(usize) -> usize,
    mut take: impl FnMut(usize, usize, f32),
) {
    assert_eq!(a.ncols(), b.nrows(), "inner sides of a matrix product");
    if a.is_empty() {
        return; // no rows, or sums of nothing
    }
    let left = Packed::new(a.nrows(), a.ncols(), |row, column| a[(row, column)]);
    let block = BLOCK * LANES;
    let panels = BLOCK.min(b.ncols().div_ceil(LANES));
    let mut right = vec![[0.0; LANES]; panels * b.nrows()];
    let mut out = vec![[0.0; LANES]; panels * a.nrows()];
    for (first, columns) in (0..).step_by(block).zip(b.axis_chunks_iter(Axis(1), block)) {
        right.fill([0.0; LANES]);
        for (lane, column) in columns.columns().into_iter().enumerate() {
            let panel = &mut right[lane / LANES * b.nrows()..][..b.nrows()];
            panel.iter_mut().zip(column).for_each(|(lanes, &value)| lanes[lane % LANES] = value);
        }
        let rows = rows(first + columns.ncols());
        left.multiply(&right, None, &mut out, rows);
        for row in 0..rows {
            for lane in 0..columns.ncols() {
                take(row, first + lane, out[lane / LANES * a.nrows() + row][lane % LANES]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    fn matrix(rows: usize, columns: usize, seed: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(r, c)| ((seed + r * 31 + c * 17) % 23) as f32 / 23.0 - 0.5)
    }

    fn expected(a: &Array2<f32>, b: &Array2<f32>) -> Array2<f32> {
        a.mapv(f64::from).dot(&b.mapv(f64::from)).mapv(|value| value as f32)
    }

    proptest! {
        #[test]
        fn products_equal_those_in_float64(r in 0usize..40, k in 0usize..300, c in 0usize..200, seed in 0usize..9) {
            let (a, b) = (matrix(r, k, seed), matrix(k, c, seed + 5));
            let expected = expected(&a, &b);
            let transposed = b.t().as_standard_layout().into_owned();
            for product in [product(a.view(), b.view()), product(a.view(), transposed.t())] {
                prop_assert!((&product - &expected).iter().all(|d| d.abs() <= 1e-4));
            }
            let mut out = matrix(r, c, seed + 9);
            let difference = &out - &expected;
            subtract_product(&mut out, a.view(), b.view());
            prop_assert!((&out - &difference).iter().all(|d| d.abs() <= 1e-4));
        }

        #[test]
        fn a_gram_matrix_is_the_product_with_the_transpose(r in 0usize..300, k in 0usize..40, seed in 0usize..9) {
            let a = matrix(r, k, seed);
            prop_assert_eq!(gram(a.view()), product(a.view(), a.t()));
        }
    }
}
