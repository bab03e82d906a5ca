//! Operations that the CPU backend computes by `sparsight-kernels`, and how they are differentiated: each is one node of
//! the graph, where a plain expression is a dozen that each pass over memory. On CUDA the same ones are `nodes`'.
//!
//! Architecture invariant: a kernel computes what its function of `expressions` computes. Other backends, and f64, take that
//! function.

use burn::{
    backend::autodiff::{
        checkpoint::base::Checkpointer,
        grads::Gradients,
        ops::{Backward, Ops},
    },
    tensor::{DType, Tensor, TensorData, TensorMetadata, backend::Backend},
};
use burn_flex::{Flex, FlexTensor};
use sparsight_kernels::{convolution::Convolution, elementwise, norm, product::product, windows};

use super::{Window, operands::Operands};

/// An operation; in brackets what it takes. Groups of the norms lie as \[N,G,C/G,H*W\].
#[derive(Clone, Copy, Debug)]
pub enum Kernel {
    /// The convolution of images (x, weight).
    Convolution(Window),
    /// Its transpose onto height and width (y, weight).
    TransposedConvolution(Window, [usize; 2]),
    /// Mean of each window of height and width (x).
    AveragePool(Window, [usize; 2]),
    /// Its transpose onto height and width (y).
    TransposedAveragePool(Window, [usize; 2]),
    /// The VJP of a standardised group (s, r, v).
    StandardizeVjp,
    /// Each channel times its scale (x, scale).
    Scale,
    /// Each channel times its scale, plus its shift (x, scale, shift).
    ScaleShift,
    /// The ELU (x).
    Elu,
    /// g times the ELU's slope (x, g).
    EluVjp,
    /// The neighbourhoods of features of this shape as rows (x).
    Unfold([usize; 4], usize),
    /// The transpose (rows).
    Fold([usize; 4], usize),
    /// The product of matrices, each of which may be stored transposed (a, b).
    Product([bool; 2]),
    /// Sigmoid shrinkage by lambda and tau (u).
    Shrink([f32; 2]),
    /// a times the derivative of shrinkage (u, a).
    ShrinkVjp([f32; 2]),
    /// A result that `standardize` computed: the standardised groups.
    Standardized,
    /// A result that `standardize` computed: one inverse deviation for each group.
    InverseDeviation,
}

/// The result of a kernel where the tensors are f32 of the CPU or the CUDA backend, differentiated or not; elsewhere none.
pub fn apply<B: Backend, const N: usize, const D: usize, const E: usize>(
    kernel: Kernel,
    inputs: [&Tensor<B, D>; N],
) -> Option<Tensor<B, E>> {
    let Some(operands) = operands(inputs) else {
        #[cfg(feature = "cuda")]
        return super::nodes::apply::<burn::backend::Cuda, B, N, D, E>(kernel, inputs);
        #[cfg(not(feature = "cuda"))]
        return None;
    };
    let output = kernel.compute(&operands.values);
    let mut kept = operands.values.to_vec();
    if let Kernel::StandardizeVjp = kernel {
        kept.push(output.clone());
    }
    operands.record(kernel, kept, output)
}

/// (x - mean) / sqrt(variance + epsilon) over the last two axes, and 1 / sqrt(variance + epsilon), as [`apply`].
pub fn standardize<B: Backend>(x: &Tensor<B, 4>, epsilon: f64) -> Option<(Tensor<B, 4>, Tensor<B, 4>)> {
    let Some(operands) = operands([x]) else {
        #[cfg(feature = "cuda")]
        return super::nodes::standardize::<burn::backend::Cuda, B>(x, epsilon);
        #[cfg(not(feature = "cuda"))]
        return None;
    };
    let [n, groups, c, positions] = x.dims();
    let (s, r) = norm::standardize(slice(&operands.values[0]), c * positions, epsilon as f32);
    let (s, r) = (tensor(s, [n, groups, c, positions]), tensor(r, [n, groups, 1, 1]));
    let kept = vec![s.clone(), r.clone()];
    Some((
        operands.record(Kernel::Standardized, kept.clone(), s)?,
        operands.record(Kernel::InverseDeviation, kept, r)?,
    ))
}

/// Contiguous operands where all inputs are f32 of the CPU backend; elsewhere none.
fn operands<B: Backend, const N: usize, const D: usize>(
    inputs: [&Tensor<B, D>; N],
) -> Option<Operands<Flex, N>> {
    let mut operands: Operands<Flex, N> = Operands::of(inputs)?;
    if !operands.values.iter().all(|x| x.dtype() == DType::F32) {
        return None;
    }
    operands.values = operands.values.map(|x| x.to_contiguous());
    Some(operands)
}

impl<const N: usize> Backward<Flex, N> for Kernel {
    /// What the gradients need.
    type State = Vec<FlexTensor>;

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let g = gradients.consume::<Flex>(&ops.node).to_contiguous();
        for (input, parent) in ops.parents.into_iter().enumerate() {
            if let Some(parent) = parent {
                gradients.register::<Flex>(parent.id, self.gradient(input, &ops.state, &g));
            }
        }
    }
}

impl Kernel {
    fn compute(self, inputs: &[FlexTensor]) -> FlexTensor {
        let x = slice(&inputs[0]);
        let [n, c, height, width] = shape(&inputs[0]);
        let same = [n, c, height, width];
        match self {
            Self::Convolution(window) => {
                let convolution = convolution([n, height, width], &inputs[1], window);
                let [height, width] = convolution.result_size();
                tensor(convolution.forward(x, slice(&inputs[1])), [n, convolution.outputs, height, width])
            }
            Self::TransposedConvolution(window, [height, width]) => {
                let convolution = convolution([n, height, width], &inputs[1], window);
                tensor(convolution.transposed(x, slice(&inputs[1])), [n, convolution.inputs, height, width])
            }
            Self::AveragePool(window, size) => {
                let [height, width] = window.apply(size);
                tensor(windows::average_pool(x, size, window), [n, c, height, width])
            }
            Self::TransposedAveragePool(window, size) => {
                let pixels = windows::transposed_average_pool(x, size, window);
                tensor(pixels, [n, c, size[0], size[1]])
            }
            Self::StandardizeVjp => {
                let [r, v] = [slice(&inputs[1]), slice(&inputs[2])];
                tensor(norm::standardize_vjp(x, r, v, height * width), same)
            }
            Self::Scale => tensor(elementwise::scale(x, slice(&inputs[1]), None, height * width), same),
            Self::ScaleShift => {
                let [scale, shift] = [slice(&inputs[1]), slice(&inputs[2])];
                tensor(elementwise::scale(x, scale, Some(shift), height * width), same)
            }
            Self::Elu => tensor(elementwise::elu(x), same),
            Self::EluVjp => tensor(elementwise::elu_vjp(x, slice(&inputs[1])), same),
            Self::Unfold([n, d, h, w], l) => {
                tensor(windows::unfold(x, [n, d, h, w], l), [n * h * w, d * l * l])
            }
            Self::Fold(onto, l) => tensor(windows::fold(x, onto, l), onto),
            Self::Product(transposed) => multiply(&inputs[0], &inputs[1], transposed),
            Self::Shrink([lambda, tau]) => tensor(elementwise::shrink(x, lambda, tau), [n, c]),
            Self::ShrinkVjp([lambda, tau]) => {
                tensor(elementwise::shrink_vjp(x, slice(&inputs[1]), lambda, tau), [n, c])
            }
            Self::Standardized | Self::InverseDeviation => unreachable!("`standardize` computes them"),
        }
    }

    /// The gradient in an input of the output's product with `g`. Kept are the inputs; of norms s, r and, of their VJP, v
    /// and the output.
    fn gradient(self, input: usize, kept: &[FlexTensor], g_tensor: &FlexTensor) -> FlexTensor {
        let (values, g_shape) = (|i: usize| slice(&kept[i]), shape(g_tensor));
        let [n, c, height, width] = g_shape;
        let (length, g) = (height * width, slice(g_tensor));
        match (self, input) {
            (Self::Convolution(window), input) => {
                let [n, channels, height, width] = shape(&kept[0]);
                let convolution = convolution([n, height, width], &kept[1], window);
                match input {
                    0 => tensor(convolution.transposed(g, values(1)), [n, channels, height, width]),
                    _ => tensor(convolution.weight_gradient(values(0), g), shape(&kept[1])),
                }
            }
            (Self::TransposedConvolution(window, [height, width]), input) => {
                let convolution = convolution([n, height, width], &kept[1], window);
                match input {
                    0 => tensor(convolution.forward(g, values(1)), shape(&kept[0])),
                    _ => tensor(convolution.weight_gradient(g, values(0)), shape(&kept[1])),
                }
            }
            (Self::AveragePool(window, size), _) => {
                let pixels = windows::transposed_average_pool(g, size, window);
                tensor(pixels, [n, c, size[0], size[1]])
            }
            (Self::TransposedAveragePool(window, size), _) => {
                tensor(windows::average_pool(g, size, window), shape(&kept[0]))
            }
            (Self::Standardized, _) => {
                tensor(norm::standardize_vjp(values(0), values(1), g, length), g_shape)
            }
            (Self::InverseDeviation, _) => {
                let s_shape = shape(&kept[0]);
                let length = s_shape[2] * s_shape[3];
                let factors: Vec<f32> =
                    g.iter().zip(values(1)).map(|(g, r)| -g * r * r / length as f32).collect();
                tensor(norm::scale_groups(values(0), &factors, length), s_shape)
            }
            (Self::StandardizeVjp, 0) => {
                tensor(norm::standardize_vjp_gradient(values(0), values(1), values(2), g, length), g_shape)
            }
            (Self::StandardizeVjp, 1) => {
                let sums = norm::group_sums(g, values(3), length);
                let sums = sums.into_iter().zip(values(1)).map(|(sum, r)| sum / r).collect();
                tensor(sums, shape(&kept[1]))
            }
            (Self::StandardizeVjp, _) => {
                tensor(norm::standardize_vjp(values(0), values(1), g, length), g_shape)
            }
            (Self::Scale | Self::ScaleShift, 0) => {
                tensor(elementwise::scale(g, values(1), None, length), g_shape)
            }
            (Self::Scale | Self::ScaleShift, input) => {
                let x = (input == 1).then(|| values(0));
                tensor(elementwise::channel_sums(g, x, c, length), [1, c, 1, 1])
            }
            (Self::Elu, _) | (Self::EluVjp, 1) => tensor(elementwise::elu_vjp(values(0), g), g_shape),
            (Self::Unfold(onto, l), _) => tensor(windows::fold(g, onto, l), onto),
            (Self::Fold([n, d, h, w], l), _) => {
                tensor(windows::unfold(g, [n, d, h, w], l), [n * h * w, d * l * l])
            }
            (Self::Product([of_a, of_b]), 0) => match of_a {
                false => multiply(g_tensor, &kept[1], [false, !of_b]),
                true => multiply(&kept[1], g_tensor, [of_b, true]),
            },
            (Self::Product([of_a, of_b]), _) => match of_b {
                false => multiply(&kept[0], g_tensor, [!of_a, false]),
                true => multiply(g_tensor, &kept[0], [true, of_a]),
            },
            (Self::Shrink([lambda, tau]), _) | (Self::ShrinkVjp([lambda, tau]), 1) => {
                tensor(elementwise::shrink_vjp(values(0), g, lambda, tau), [n, c])
            }
            (Self::ShrinkVjp([lambda, tau]), _) => {
                tensor(elementwise::shrink_vjp_gradient(values(0), values(1), g, lambda, tau), [n, c])
            }
            (Self::EluVjp, _) => tensor(elementwise::elu_vjp_gradient(values(0), values(1), g), g_shape),
        }
    }
}

/// Of images of that number, height and width, with a weight \[O,I,k,k\].
fn convolution([images, height, width]: [usize; 3], weight: &FlexTensor, window: Window) -> Convolution {
    let [outputs, inputs, ..] = shape(weight);
    Convolution { images, inputs, outputs, size: [height, width], window }
}

/// The product of matrices, each of which may be stored transposed.
fn multiply(a: &FlexTensor, b: &FlexTensor, [of_a, of_b]: [bool; 2]) -> FlexTensor {
    let ([a0, a1, ..], [b0, b1, ..]) = (shape(a), shape(b));
    let (m, k) = if of_a { (a1, a0) } else { (a0, a1) };
    let n = if of_b { b0 } else { b1 };
    tensor(product(slice(a), slice(b), [m, k, n], [of_a, of_b]), [m, n])
}

fn slice(tensor: &FlexTensor) -> &[f32] {
    match tensor.as_slice() {
        Some(values) => values,
        None => unreachable!("operands are contiguous and f32"),
    }
}

/// Lengths of four axes; an axis that is missing has length one.
fn shape(tensor: &FlexTensor) -> [usize; 4] {
    let lengths = tensor.shape();
    std::array::from_fn(|axis| if axis < lengths.num_dims() { lengths[axis] } else { 1 })
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}
