//! The small set of tensor operations that the backbone is written over, and its two interpreters: [`burn`] computes,
//! [`onnx`] writes graph nodes. What is computed, for the backbone and for sparse coding, is [`expressions`]'; how on the CPU
//! [`kernels`]', how on a GPU `nodes`'. What the backbone is lives in `backbone`, never here.

pub mod burn;
pub mod expressions;
pub mod kernels;
#[cfg(any(test, feature = "cuda"))]
mod nodes;
pub mod onnx;
mod operands;

pub use sparsight_kernels::Window;

/// Operations on tensors of four axes. Element-wise operations broadcast axes of length one, as NumPy does.
///
/// Architecture invariant: an interpreter knows no layer of the backbone, and the backbone knows no interpreter.
pub trait Operations {
    /// A tensor of four axes, or the name of one.
    type Tensor: Clone;

    /// The parameter of that name: convolutions \[O,I,k,k\], norms \[1,C,1,1\].
    fn parameter(&self, name: &str) -> Self::Tensor;

    /// The constant \[1,1,H,W\], given row by row.
    fn plane(&self, values: &[f64], size: [usize; 2]) -> Self::Tensor;

    /// scale * x + shift.
    fn affine(&self, x: &Self::Tensor, scale: f64, shift: f64) -> Self::Tensor;

    /// x + y.
    fn add(&self, x: &Self::Tensor, y: &Self::Tensor) -> Self::Tensor;

    /// x - y.
    fn sub(&self, x: &Self::Tensor, y: &Self::Tensor) -> Self::Tensor;

    /// x * y.
    fn mul(&self, x: &Self::Tensor, y: &Self::Tensor) -> Self::Tensor;

    /// x \[N,C,H,W\] times a scale \[1,C,1,1\].
    fn scale(&self, x: &Self::Tensor, scale: &Self::Tensor) -> Self::Tensor;

    /// x \[N,C,H,W\] times a scale, plus a shift, both \[1,C,1,1\].
    fn scale_shift(&self, x: &Self::Tensor, scale: &Self::Tensor, shift: &Self::Tensor) -> Self::Tensor;

    /// Convolution of \[N,I,H,W\] by \[O,I,k,k\], without bias.
    fn convolution(&self, x: &Self::Tensor, weight: &Self::Tensor, window: Window) -> Self::Tensor;

    /// The transpose of [`Operations::convolution`] as a linear map, onto height and width `onto`.
    fn transposed_convolution(
        &self,
        y: &Self::Tensor,
        weight: &Self::Tensor,
        window: Window,
        onto: [usize; 2],
    ) -> Self::Tensor;

    /// Mean of each window, the padding counted.
    fn average_pool(&self, x: &Self::Tensor, window: Window) -> Self::Tensor;

    /// The transpose of [`Operations::average_pool`] as a linear map, onto height and width `onto`.
    fn transposed_average_pool(&self, y: &Self::Tensor, window: Window, onto: [usize; 2]) -> Self::Tensor;

    /// The same elements, in the same order, as \[N, shape...\].
    fn reshape(&self, x: &Self::Tensor, shape: [usize; 3]) -> Self::Tensor;

    /// (x - mean) / sqrt(variance + epsilon) over the last two axes, and 1 / sqrt(variance + epsilon); the variance
    /// is the biased one.
    fn standardize(&self, x: &Self::Tensor, epsilon: f64) -> (Self::Tensor, Self::Tensor);

    /// With s the standardised x, r the inverse deviation and v a gradient in s, the gradient in x:
    /// r (v - mean(v) - s mean(v s)).
    fn standardize_vjp(&self, s: &Self::Tensor, r: &Self::Tensor, v: &Self::Tensor) -> Self::Tensor;

    /// Mean over the last two axes, which stay with length one.
    fn mean(&self, x: &Self::Tensor) -> Self::Tensor;

    /// x above zero, exp(x) - 1 elsewhere.
    fn elu(&self, x: &Self::Tensor) -> Self::Tensor;

    /// With g a gradient in elu(x), the gradient in x: g exp(min(x, 0)).
    fn elu_vjp(&self, x: &Self::Tensor, g: &Self::Tensor) -> Self::Tensor;

    /// tanh(x).
    fn tanh(&self, x: &Self::Tensor) -> Self::Tensor;

    /// ln(x).
    fn log(&self, x: &Self::Tensor) -> Self::Tensor;

    /// 1 / x.
    fn reciprocal(&self, x: &Self::Tensor) -> Self::Tensor;
}
