//! Matrix products, the hot loop of sparse coding. The `gemm` kernels serve every shape well, down to one row;
//! ndarray's own product is ten times slower there. The only unsafe code of the crate is the call to them.

use gemm_common::Parallelism;
use ndarray::{Array2, ArrayView2};

/// `a b` for \[r, k\] and \[k, c\] of any strides.
pub(crate) fn product(a: ArrayView2<f32>, b: ArrayView2<f32>) -> Array2<f32> {
    let mut out = Array2::zeros((a.nrows(), b.ncols()));
    multiply(&mut out, 0.0, 1.0, a, b);
    out
}

/// `out <- out - a b`.
pub(crate) fn subtract_product(out: &mut Array2<f32>, a: ArrayView2<f32>, b: ArrayView2<f32>) {
    multiply(out, 1.0, -1.0, a, b);
}

/// `out <- keep * out + scale * a b`.
fn multiply(out: &mut Array2<f32>, keep: f32, scale: f32, a: ArrayView2<f32>, b: ArrayView2<f32>) {
    assert_eq!(a.ncols(), b.nrows(), "inner sides of a matrix product");
    assert_eq!(out.dim(), (a.nrows(), b.ncols()), "outer sides of a matrix product");
    let (rows, columns) = out.dim();
    let ([out_row, out_column], [a_row, a_column], [b_row, b_column]) = (
        [out.strides()[0], out.strides()[1]],
        [a.strides()[0], a.strides()[1]],
        [b.strides()[0], b.strides()[1]],
    );
    // The kernels want the first operand's columns or the second one's rows contiguous. Where b lies by rows, the
    // transpose does that, out' = b' a'; it halves the time of products with a b that lies by columns not to.
    let first = Operand { pointer: a.as_ptr(), row: a_row, column: a_column };
    let second = Operand { pointer: b.as_ptr(), row: b_row, column: b_column };
    let (rows, columns, out_row, out_column, first, second) = match b_column {
        1 => (columns, rows, out_column, out_row, second.transposed(), first.transposed()),
        _ => (rows, columns, out_row, out_column, first, second),
    };
    // SAFETY: the sides agree (asserted), every pointer and its strides come from the array or view that holds the
    // elements, and `out` is borrowed mutably, so that it overlaps neither operand.
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            rows,
            columns,
            a.ncols(),
            out.as_mut_ptr(),
            out_column,
            out_row,
            keep != 0.0,
            first.pointer,
            first.column,
            first.row,
            second.pointer,
            second.column,
            second.row,
            keep,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// A matrix as the kernels take it.
struct Operand {
    pointer: *const f32,
    /// Elements from a row to the next.
    row: isize,
    /// Elements from a column to the next.
    column: isize,
}

impl Operand {
    fn transposed(self) -> Self {
        Self { pointer: self.pointer, row: self.column, column: self.row }
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
        fn products_equal_those_in_float64(r in 0usize..40, k in 0usize..300, c in 0usize..40, seed in 0usize..9) {
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
    }
}
