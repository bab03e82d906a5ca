//! Eq. (8): energy is what the codes leave unexplained, and with the lasso their size; and its gradient in the features.

use ndarray::{Array1, Array2, Array3, Array4, ArrayView2, ArrayView3, ArrayView4};
use sparsight_schemas::{EnergyKind, SMALLEST_CODE, SparseCodingConfig};

use super::{
    Atoms,
    codes::{before_shrinkage, correlations, lambdas, shrink, shrink_derivative},
    fold, unfold,
};
use crate::matrix::{product, subtract_product};

/// The energy of every position: the mean over the m values of (z - D a)^2, as \[n, h, w\], from `unfolded`
/// \[n h w, m\] and `codes` \[n h w, A\]; and 2 lambda_star |a|_1 / m with it where `config.energy` is the lasso's.
///
/// The residual is computed as it stands. Its squared norm without it, |z|^2 - 2 a'D'z + a'D'D a, would save a third
/// of the time from features to energy, but loses all digits where a query is explained well.
///
/// # Panics
/// If `unfolded` or `codes` has not n h w rows.
pub fn energy_map(
    unfolded: ArrayView2<f32>,
    atoms: &Atoms,
    codes: ArrayView2<f32>,
    shape: [usize; 3],
    config: &SparseCodingConfig,
) -> Array3<f32> {
    assert_eq!(unfolded.nrows(), shape.iter().product::<usize>(), "rows of an energy map");
    let residual = residual(unfolded, atoms, codes);
    let penalty = 2.0 * price(config);
    let energies = Array1::from_shape_fn(residual.nrows(), |position| {
        let (row, codes) = (residual.row(position), codes.row(position));
        let squares: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
        let size = || codes.iter().map(|&code| f64::from(code.abs())).sum::<f64>();
        let paid = if penalty == 0.0 { 0.0 } else { penalty * size() };
        saturated((squares + paid) / row.len() as f64)
    });
    let [n, h, w] = shape;
    Array3::from_shape_fn((n, h, w), |(image, y, x)| energies[(image * h + y) * w + x])
}

/// The energy of every image, \[n\]: the mean of its map.
pub fn energy(energy_map: ArrayView3<f32>) -> Array1<f32> {
    energy_map
        .outer_iter()
        .map(|map| saturated(map.iter().map(|&value| f64::from(value)).sum::<f64>() / map.len() as f64))
        .collect()
}

/// The gradient \[n, d, h, w\] of the sum over images of the energy in `features` \[n, d, h, w\], exact through all
/// iterations of Eq. (6), with the dictionary held fixed.
pub fn features_gradient(
    features: ArrayView4<f32>,
    atoms: &Atoms,
    config: &SparseCodingConfig,
) -> Array4<f32> {
    let (n, d, h, w) = features.dim();
    let unfolded = unfold(features, config.receptive_field);
    let lambdas = lambdas(config);
    let unfolded_correlations = correlations(unfolded.view(), atoms);

    let mut codes: Option<Array2<f32>> = None;
    let mut inputs = Vec::with_capacity(lambdas.len()); // of every shrinkage
    for &lambda in &lambdas {
        let u = before_shrinkage(codes.as_ref(), &unfolded_correlations, atoms);
        codes = Some(u.mapv(|u| shrink(u, lambda, config.shrinkage, config.tau as f32)));
        inputs.push(u);
    }
    let codes = codes.unwrap_or_else(|| Array2::zeros(unfolded_correlations.dim()));

    // E = c |z - D a|^2 + 2 c p |a|_1 summed over positions, so dE/da = -2c (D'(z - D a) - p sign(a)).
    let slope = 2.0 / (h * w * unfolded.ncols()) as f32;
    let mut direct = residual(unfolded.view(), atoms, codes.view());
    direct *= slope;
    let mut codes_gradient = correlations(direct.view(), atoms);
    let price = slope * price(config) as f32;
    codes_gradient
        .iter_mut()
        .zip(&codes)
        .for_each(|(gradient, &code)| *gradient = price * sign(code) - *gradient);

    // Backwards through a_{n+1} = shrink(u_n), u_n = a_n + D'z - D'D a_n.
    let mut correlations_gradient = Array2::zeros(codes.dim());
    for (n, (u, &lambda)) in inputs.iter().zip(&lambdas).enumerate().rev() {
        codes_gradient.zip_mut_with(u, |gradient, &u| {
            *gradient *= shrink_derivative(u, lambda, config.shrinkage, config.tau as f32);
        });
        correlations_gradient += &codes_gradient;
        if n > 0 {
            let u_gradient = codes_gradient.clone();
            subtract_product(&mut codes_gradient, u_gradient.view(), atoms.gram.view());
        }
    }

    // dE/dz = 2c (z - D a) + D (gradient of D'z).
    let gradient = direct + product(correlations_gradient.view(), atoms.atoms.view());
    fold(gradient.view(), [n, d, h, w], config.receptive_field)
}

/// What a code's size counts for in half the energy: lambda_star where it is the lasso's, else nothing.
pub(super) fn price(config: &SparseCodingConfig) -> f64 {
    match config.energy {
        EnergyKind::Reconstruction => 0.0,
        EnergyKind::Lasso => config.lambda_star,
    }
}

/// The derivative of |a|, without its jump: sign(a), and a / [`SMALLEST_CODE`] where |a| is smaller than that.
pub(super) fn sign(a: f32) -> f32 {
    const STEEPNESS: f32 = (1.0 / SMALLEST_CODE) as f32;
    (STEEPNESS * a).clamp(-1.0, 1.0)
}

/// z - D a for every row, \[n h w, m\].
fn residual(unfolded: ArrayView2<f32>, atoms: &Atoms, codes: ArrayView2<f32>) -> Array2<f32> {
    let mut residual = unfolded.to_owned();
    subtract_product(&mut residual, codes, atoms.atoms.view());
    residual
}

/// Whether a value can be an energy: NaN can't, nor what stands for energies beyond f32.
pub fn is_energy(value: f32) -> bool {
    (0.0..f32::MAX).contains(&value)
}

/// Beyond f32 the largest value; NaN stays NaN, so that whoever reads it can tell.
fn saturated(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

#[cfg(test)]
mod tests {
    use super::sign;

    #[test]
    fn the_sign_of_a_code_does_not_hang_on_rounding() {
        assert_eq!([sign(1e-4), sign(2.0), sign(-1e-4), sign(-2.0), sign(0.0)], [1.0, 1.0, -1.0, -1.0, 0.0]);
        assert!((sign(1e-7) - sign(-1e-7)).abs() < 0.01);
        assert!((sign(5e-5) - 0.5).abs() < 1e-6);
    }
}
