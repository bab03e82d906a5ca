//! The sparse coding layer on Burn tensors: the twin of the runtime's, with the same names and argument order.
//!
//! Architecture invariant: everything here can be differentiated, the gradient in the features too, so that automatic
//! differentiation of it gives second-order gradients: it is made of functions of `operations` and of tensor expressions.

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
use ndarray::Array2;
use sparsight_runtime::sparse_coding::largest_eigenvalue;
use sparsight_schemas::{EnergyKind, SMALLEST_CODE, Shrinkage, SparseCodingConfig, lambda_schedule};

use crate::operations::{
    expressions,
    kernels::{self, Kernel},
};

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
    kernels::apply(Kernel::Unfold(features.dims(), receptive_field), [&features])
        .unwrap_or_else(|| expressions::unfold(features, receptive_field))
}

/// The transpose of [`unfold`] as a linear map: sums rows \[n*h*w, d*l*l\] into features of the shape \[n,d,h,w\].
pub fn fold<B: Backend>(rows: Tensor<B, 2>, shape: [usize; 4], receptive_field: usize) -> Tensor<B, 4> {
    kernels::apply(Kernel::Fold(shape, receptive_field), [&rows])
        .unwrap_or_else(|| expressions::fold(rows, shape, receptive_field))
}

/// The dictionary of support features \[k,d,h,w\]: unfolded, each column divided by its l2 norm (at least 1e-8),
/// then all by the spectral norm, through which no gradient flows.
pub fn dictionary<B: Backend>(support_features: Tensor<B, 4>, receptive_field: usize) -> Atoms<B> {
    Atoms::from_unfolded(unfold(support_features, receptive_field))
}

impl<B: Backend> Atoms<B> {
    /// As [`dictionary`], from some rows of the unfolded support features, \[A,m\].
    pub fn from_unfolded(rows: Tensor<B, 2>) -> Self {
        let [atoms, m] = rows.dims();
        let squares = rows.clone().powi_scalar(2).reshape([atoms, 1, 1, m]);
        // Clamped before the root, whose slope at zero is infinite: an atom of zeros would make every gradient NaN.
        let norms = expressions::sum(squares).reshape([atoms, 1]).clamp_min(1e-16).sqrt();
        let rows = rows / norms;
        let gram = product(&rows, &rows, [false, true]);
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
    let (atoms, precise) = (gram.dims()[0], gram.dtype() == DType::F64);
    // Read once: each of the products would be a journey to the GPU and back.
    let values: Vec<f64> = gram.into_data().iter().collect();
    let Ok(gram) = Array2::from_shape_vec([atoms, atoms], values) else {
        unreachable!("a Gram matrix is square")
    };
    let precision = if precise { 1e-12 } else { 1e-6 }; // of the matrix itself
    largest_eigenvalue(atoms, precision, |vector| gram.dot(vector)).max(1e-16)
}

/// The product of matrices, each of which may be stored transposed.
fn product<B: Backend>(a: &Tensor<B, 2>, b: &Tensor<B, 2>, stored: [bool; 2]) -> Tensor<B, 2> {
    kernels::apply(Kernel::Product(stored), [a, b])
        .unwrap_or_else(|| expressions::product(a.clone(), b.clone(), stored))
}

/// Shrinkage of u: Eq. (9), Eq. (7), or none.
pub fn shrink<B: Backend>(u: Tensor<B, 2>, lambda: f64, config: &SparseCodingConfig) -> Tensor<B, 2> {
    match config.shrinkage {
        Shrinkage::Sigmoid => kernels::apply(Kernel::Shrink([lambda, config.tau].map(|x| x as f32)), [&u])
            .unwrap_or_else(|| expressions::shrink(u, lambda, config.tau)),
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
            kernels::apply(kernel, [&u, &in_a])
                .unwrap_or_else(|| expressions::shrink_vjp(u, in_a, lambda, config.tau))
        }
        Shrinkage::Soft => in_a * u.abs().greater_elem(lambda).float(),
        Shrinkage::None => in_a,
    }
}

/// Codes \[P,A\] of unfolded features \[P,m\], Eq. (6): a <- shrink(a + D'(z - D a), lambda_n) from zero.
pub fn codes<B: Backend>(
    unfolded: Tensor<B, 2>,
    atoms: &Atoms<B>,
    config: &SparseCodingConfig,
) -> Tensor<B, 2> {
    let (codes, _) = iterate(product(&unfolded, &atoms.dictionary, [false, false]), atoms, config);
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
            Some(a) => Tensor::clone(&a) + b.clone() - product(&a, &atoms.gram, [false, false]),
        };
        a = Some(shrink(u.clone(), lambda, config));
        shrunk.push((u, lambda));
    }
    (a.unwrap_or(b), shrunk)
}

/// Energy map of the shape \[n,h,w\]: per position, the mean over the m values of (z - D a)^2; and of the lasso's other term,
/// 2 lambda_star |a|_1 / m, where `config.energy` asks for it.
pub fn energy_map<B: Backend>(
    unfolded: Tensor<B, 2>,
    atoms: &Atoms<B>,
    codes: Tensor<B, 2>,
    shape: [usize; 3],
    config: &SparseCodingConfig,
) -> Tensor<B, 3> {
    let residual = unfolded - product(&codes, &atoms.dictionary, [false, true]);
    let [positions, m] = residual.dims();
    let energies = expressions::mean(residual.powi_scalar(2).reshape([positions, 1, 1, m])).reshape(shape);
    match config.energy {
        EnergyKind::Reconstruction => energies,
        EnergyKind::Lasso => {
            let [_, atoms] = codes.dims();
            let sizes = expressions::sum(codes.abs().reshape([positions, 1, 1, atoms])).reshape(shape);
            energies + sizes.mul_scalar(2.0 * config.lambda_star / m as f64)
        }
    }
}

/// Energies \[n\] of images: the means of their energy maps.
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
    let (a, shrunk) = iterate(product(&unfolded, &atoms.dictionary, [false, false]), atoms, config);

    // The energy is sum (|z - D a|^2 + 2 p |a|_1) / (m h w), with p = lambda_star or nothing: its gradient in the residual, then back through the iterations.
    let slope = 2.0 / (m * h * w) as f64;
    let residual = (unfolded - product(&a, &atoms.dictionary, [false, true])).mul_scalar(slope);
    let mut in_a = product(&residual, &atoms.dictionary, [false, false]).neg();
    if config.energy == EnergyKind::Lasso {
        // The derivative of |a|, without its jump.
        let sign = a.mul_scalar(1.0 / SMALLEST_CODE).clamp(-1.0, 1.0);
        in_a = in_a + sign.mul_scalar(slope * config.lambda_star);
    }
    let mut in_b = in_a.zeros_like();
    for (n, (u, lambda)) in shrunk.into_iter().enumerate().rev() {
        let in_u = shrink_vjp(u, in_a, lambda, config);
        in_b = in_b + in_u.clone();
        in_a = if n == 0 { in_u } else { in_u.clone() - product(&in_u, &atoms.gram, [false, false]) };
    }
    fold(residual + product(&in_b, &atoms.dictionary, [false, true]), shape, config.receptive_field)
}
