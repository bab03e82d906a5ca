//! Eq. (6): codes of a query by iterated shrinkage.

use ndarray::{Array2, ArrayView2};
use sparsight_schemas::{Shrinkage, SparseCodingConfig, lambda_schedule};

use super::Atoms;
use crate::matrix::{product, subtract_product};

/// One value pulled towards zero: `sigmoid` u sigmoid(tau (|u| - lambda)), Eq. (9); `soft` sign(u) max(|u| - lambda,
/// 0), Eq. (7); `none` u.
pub fn shrink(u: f32, lambda: f32, shrinkage: Shrinkage, tau: f32) -> f32 {
    match shrinkage {
        Shrinkage::Sigmoid => u * sigmoid(tau * (u.abs() - lambda)),
        Shrinkage::Soft => u.signum() * (u.abs() - lambda).max(0.0),
        Shrinkage::None => u,
    }
}

/// The derivative of [`shrink`] in u.
pub(super) fn shrink_derivative(u: f32, lambda: f32, shrinkage: Shrinkage, tau: f32) -> f32 {
    match shrinkage {
        Shrinkage::Sigmoid => {
            let s = sigmoid(tau * (u.abs() - lambda));
            s + tau * u.abs() * s * (1.0 - s)
        }
        Shrinkage::Soft => f32::from(u.abs() > lambda),
        Shrinkage::None => 1.0,
    }
}

/// The lambda of each of the N iterations.
pub fn lambdas(config: &SparseCodingConfig) -> Vec<f32> {
    let lambdas = lambda_schedule(config.steps, config.lambda_max, config.lambda_star);
    lambdas.into_iter().map(|lambda| lambda as f32).collect()
}

/// Codes \[n h w, A\] of `unfolded` \[n h w, m\], Eq. (6): a_0 = 0; a_{n+1} = shrink(a_n + D'(z - D a_n), lambda_n).
pub fn codes(unfolded: ArrayView2<f32>, atoms: &Atoms, config: &SparseCodingConfig) -> Array2<f32> {
    let correlations = correlations(unfolded, atoms);
    let mut codes = None;
    for lambda in lambdas(config) {
        let mut u = before_shrinkage(codes.as_ref(), &correlations, atoms);
        u.mapv_inplace(|u| shrink(u, lambda, config.shrinkage, config.tau as f32));
        codes = Some(u);
    }
    codes.unwrap_or_else(|| Array2::zeros(correlations.dim()))
}

/// D'z for every row z of `unfolded`, \[n h w, A\].
pub(super) fn correlations(unfolded: ArrayView2<f32>, atoms: &Atoms) -> Array2<f32> {
    product(unfolded, atoms.atoms.t())
}

/// a + D'(z - D a), with the Gram matrix in place of D'D; codes that are still zero need no product.
pub(super) fn before_shrinkage(
    codes: Option<&Array2<f32>>,
    correlations: &Array2<f32>,
    atoms: &Atoms,
) -> Array2<f32> {
    let mut u = correlations.clone();
    if let Some(codes) = codes {
        u += codes;
        subtract_product(&mut u, codes.view(), atoms.gram.view());
    }
    u
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_the_slopes() {
        for shrinkage in [Shrinkage::Sigmoid, Shrinkage::Soft, Shrinkage::None] {
            for u in [-0.9, -0.31, -0.1, 0.0, 0.2, 0.29, 0.35, 2.0] {
                let slope =
                    (shrink(u + 1e-3, 0.3, shrinkage, 20.0) - shrink(u - 1e-3, 0.3, shrinkage, 20.0)) / 2e-3;
                let derivative = shrink_derivative(u, 0.3, shrinkage, 20.0);
                assert!((slope - derivative).abs() < 1e-2, "{shrinkage:?} {u}: {slope} {derivative}");
            }
        }
    }

    #[test]
    fn extreme_values_stay_finite() {
        for u in [f32::MAX, f32::MIN, f32::MIN_POSITIVE, 0.0] {
            assert!(shrink(u, 0.3, Shrinkage::Sigmoid, 1e6).abs() <= u.abs());
        }
    }
}
