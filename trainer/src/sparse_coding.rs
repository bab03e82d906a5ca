//! The sparse coding layer on Burn tensors: the twin of the runtime's, with the same names and argument order.
//!
//! Architecture invariant: everything here is a plain tensor expression, the gradient in the features too, so that
//! automatic differentiation of it gives second-order gradients.

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
use ndarray::Array1;
use sparsight_runtime::sparse_coding::largest_eigenvalue;
use sparsight_schemas::{Shrinkage, SparseCodingConfig, lambda_schedule};

use crate::operations::kernels::{self, Kernel};

/// A dictionary and its Gram matrix.
#[derive(Clone, Debug)]
pub struct Atoms<B: Backend> {
    /// D \[m,A\]: an atom a column.
    pub dictionary: Tensor<B, 2>,
    /// D'D \[A,A\].
    pub gram: Tensor<B, 2>,
}

/// Every l x l neighbourhood of the features \[n,d,h,w\], zero padded and flattened channel-major (c, ky, kx):
/// \[n*h*w, d*l*l\], rows in (image, y, x) order.
pub fn unfold<B: Backend>(features: Tensor<B, 4>, receptive_field: usize) -> Tensor<B, 2> {
    let [n, d, h, w] = features.dims();
    let l = receptive_field;
    if let Some(rows) = kernels::apply(Kernel::Unfold([n, d, h, w], l), [&features]) {
        return rows;
    }
    let r = l / 2;
    let padded = features.pad((r, r, r, r), 0.0); // [n,d,h+2r,w+2r]
    let shifts = (0..l * l).map(|k| {
        let (ky, kx) = (k / l, k % l);
        padded.clone().slice([0..n, 0..d, ky..ky + h, kx..kx + w])
    });
    let windows: Tensor<B, 5> = Tensor::stack(shifts.collect(), 2); // [n,d,l*l,h,w]
    windows.reshape([n, d * l * l, h * w]).swap_dims(1, 2).reshape([n * h * w, d * l * l])
}

/// The transpose of [`unfold`] as a linear map: sums rows \[n*h*w, d*l*l\] into features of the shape \[n,d,h,w\].
pub fn fold<B: Backend>(rows: Tensor<B, 2>, shape: [usize; 4], receptive_field: usize) -> Tensor<B, 4> {
    let [n, d, h, w] = shape;
    let l = receptive_field;
    if let Some(features) = kernels::apply(Kernel::Fold(shape, l), [&rows]) {
        return features;
    }
    let r = l / 2;
    let windows = rows.reshape([n, h * w, d * l * l]).swap_dims(1, 2).reshape([n, d, l * l, h, w]);
    let shifts = (0..l * l).map(|k| {
        let (ky, kx) = (k / l, k % l);
        let window = windows.clone().slice([0..n, 0..d, k..k + 1, 0..h, 0..w]).reshape([n, d, h, w]);
        window.pad((kx, l - 1 - kx, ky, l - 1 - ky), 0.0) // [n,d,h+2r,w+2r]
    });
    let sum = shifts.reduce(|sum, window| sum + window);
    match sum {
        Some(sum) => sum.slice([0..n, 0..d, r..r + h, r..r + w]),
        None => unreachable!("a receptive field is at least 1"),
    }
}

/// The dictionary of support features \[k,d,h,w\]: unfolded, each column divided by its l2 norm (at least 1e-8),
/// then all by the spectral norm, through which no gradient flows.
pub fn dictionary<B: Backend>(support_features: Tensor<B, 4>, receptive_field: usize) -> Atoms<B> {
    Atoms::from_unfolded(unfold(support_features, receptive_field))
}

impl<B: Backend> Atoms<B> {
    /// As [`dictionary`], from some rows of the unfolded support features, \[A,m\].
    pub fn from_unfolded(rows: Tensor<B, 2>) -> Self {
        let norms = rows.clone().powi_scalar(2).sum_dim(1).sqrt().clamp_min(1e-8);
        let rows = rows / norms;
        let gram = product_with_transpose(&rows, &rows);
        let square = squared_spectral_norm(gram.clone().detach());
        let device = gram.device();
        // As a tensor, because division by a scalar rounds it to f32 on some backends.
        let scalar =
            |value: f64| Tensor::from_data(TensorData::from([[value]]).convert::<B::FloatElem>(), &device);
        Atoms { dictionary: rows.transpose() / scalar(square.sqrt()), gram: gram / scalar(square) }
    }
}

/// The spectral norm of the matrix with this Gram matrix \[A,A\], squared; at least 1e-16.
fn squared_spectral_norm<B: Backend>(gram: Tensor<B, 2>) -> f64 {
    let (atoms, device) = (gram.dims()[0], gram.device());
    let product = |vector: &Array1<f64>| {
        let data = TensorData::new(vector.to_vec(), [atoms, 1]).convert::<B::FloatElem>();
        let image: Tensor<B, 2> = gram.clone().matmul(Tensor::from_data(data, &device));
        image.into_data().iter::<f64>().collect()
    };
    let precision = if gram.dtype() == DType::F64 { 1e-12 } else { 1e-6 };
    largest_eigenvalue(atoms, precision, product).max(1e-16)
}

/// The product of matrices.
fn product<B: Backend>(a: &Tensor<B, 2>, b: &Tensor<B, 2>) -> Tensor<B, 2> {
    kernels::apply(Kernel::Product([false, false]), [a, b]).unwrap_or_else(|| a.clone().matmul(b.clone()))
}

/// The product a b' of matrices.
fn product_with_transpose<B: Backend>(a: &Tensor<B, 2>, b: &Tensor<B, 2>) -> Tensor<B, 2> {
    kernels::apply(Kernel::Product([false, true]), [a, b])
        .unwrap_or_else(|| a.clone().matmul(b.clone().transpose()))
}

/// Shrinkage of u: Eq. (9), Eq. (7), or none.
pub fn shrink<B: Backend>(u: Tensor<B, 2>, lambda: f64, config: &SparseCodingConfig) -> Tensor<B, 2> {
    match config.shrinkage {
        Shrinkage::Sigmoid => kernels::apply(Kernel::Shrink([lambda, config.tau].map(|x| x as f32)), [&u])
            .unwrap_or_else(|| u.clone() * gate(u, lambda, config.tau)),
        Shrinkage::Soft => {
            u.clone().sub_scalar(lambda).clamp_min(0.0) - u.neg().sub_scalar(lambda).clamp_min(0.0)
        }
        Shrinkage::None => u,
    }
}

/// With `in_a` a gradient in the result of [`shrink`], the gradient in u.
fn shrink_vjp<B: Backend>(
    u: Tensor<B, 2>,
    in_a: Tensor<B, 2>,
    lambda: f64,
    config: &SparseCodingConfig,
) -> Tensor<B, 2> {
    match config.shrinkage {
        Shrinkage::Sigmoid => {
            let kernel = Kernel::ShrinkVjp([lambda, config.tau].map(|x| x as f32));
            kernels::apply(kernel, [&u, &in_a]).unwrap_or_else(|| {
                let gate = gate(u.clone(), lambda, config.tau);
                let rise = u.abs().mul_scalar(config.tau) * (gate.clone() - gate.clone().powi_scalar(2));
                in_a * (gate + rise)
            })
        }
        Shrinkage::Soft => in_a * u.abs().greater_elem(lambda).float(),
        Shrinkage::None => in_a,
    }
}

/// sigmoid(tau (|u| - lambda)). Burn's own sigmoid rounds to f32 on every backend, which would spoil f64 oracles; the
/// clamp keeps exp finite, and so its gradient.
fn gate<B: Backend>(u: Tensor<B, 2>, lambda: f64, tau: f64) -> Tensor<B, 2> {
    let exponent = u.abs().sub_scalar(lambda).mul_scalar(-tau);
    exponent.clamp_max(80.0).exp().add_scalar(1.0).recip()
}

/// Codes \[P,A\] of unfolded features \[P,m\], Eq. (6): a <- shrink(a + D'(z - D a), lambda_n) from zero.
pub fn codes<B: Backend>(
    unfolded: Tensor<B, 2>,
    atoms: &Atoms<B>,
    config: &SparseCodingConfig,
) -> Tensor<B, 2> {
    let (codes, _) = iterate(product(&unfolded, &atoms.dictionary), atoms, config);
    codes
}

/// The last codes, and what each iteration shrank. Codes are rows, and the Gram matrix is symmetric.
fn iterate<B: Backend>(
    b: Tensor<B, 2>,
    atoms: &Atoms<B>,
    config: &SparseCodingConfig,
) -> (Tensor<B, 2>, Vec<(Tensor<B, 2>, f64)>) {
    let lambdas = lambda_schedule(config.steps, config.lambda_max, config.lambda_star);
    let mut shrunk = Vec::with_capacity(lambdas.len());
    let mut a = None;
    for lambda in lambdas {
        let u = match a {
            None => b.clone(), // from zero codes
            Some(a) => Tensor::clone(&a) + b.clone() - product(&a, &atoms.gram),
        };
        a = Some(shrink(u.clone(), lambda, config));
        shrunk.push((u, lambda));
    }
    (a.unwrap_or(b), shrunk)
}

/// Energy map of the shape \[n,h,w\]: per position, the mean over the m values of (z - D a)^2.
pub fn energy_map<B: Backend>(
    unfolded: Tensor<B, 2>,
    atoms: &Atoms<B>,
    codes: Tensor<B, 2>,
    shape: [usize; 3],
) -> Tensor<B, 3> {
    let residual = unfolded - product_with_transpose(&codes, &atoms.dictionary);
    residual.powi_scalar(2).mean_dim(1).reshape(shape)
}

/// Energies \[n\] of images, Eq. (8): the means of their energy maps.
pub fn energy<B: Backend>(energy_map: Tensor<B, 3>) -> Tensor<B, 1> {
    let [n, h, w] = energy_map.dims();
    energy_map.reshape([n, h * w]).mean_dim(1).reshape([n])
}

/// Gradient \[n,d,h,w\] in the features of the sum over images of the energy, exact through all iterations, with the
/// dictionary held fixed.
pub fn features_gradient<B: Backend>(
    features: Tensor<B, 4>,
    atoms: &Atoms<B>,
    config: &SparseCodingConfig,
) -> Tensor<B, 4> {
    let shape = features.dims();
    let [_, _, h, w] = shape;
    let unfolded = unfold(features, config.receptive_field);
    let m = unfolded.dims()[1];
    let (a, shrunk) = iterate(product(&unfolded, &atoms.dictionary), atoms, config);

    // The energy is sum |z - D a|^2 / (m h w): its gradient in the residual, then back through the iterations.
    let residual =
        (unfolded - product_with_transpose(&a, &atoms.dictionary)).mul_scalar(2.0 / (m * h * w) as f64);
    let mut in_a = product(&residual, &atoms.dictionary).neg();
    let mut in_b = in_a.zeros_like();
    for (n, (u, lambda)) in shrunk.into_iter().enumerate().rev() {
        let in_u = shrink_vjp(u, in_a, lambda, config);
        in_b = in_b + in_u.clone();
        in_a = if n == 0 { in_u } else { in_u.clone() - product(&in_u, &atoms.gram) };
    }
    fold(residual + product_with_transpose(&in_b, &atoms.dictionary), shape, config.receptive_field)
}
