//! The kernels of `kernels` for NVIDIA GPUs: tensor expressions, each one node of the graph with gradients of its own.
//! Automatic differentiation of the same expressions takes several times as many operations, and on a GPU it is their number
//! that takes time. Nothing here is hand-written for a device, and nothing decides when it is used.
//!
//! Architecture invariant: a node computes what its function of `expressions` computes.

use burn::{
    backend::autodiff::{
        checkpoint::base::Checkpointer,
        grads::Gradients,
        ops::{Backward, Ops},
    },
    tensor::{
        Tensor, TensorPrimitive,
        backend::Backend,
        module::conv2d,
        ops::{ConvOptions, FloatTensor},
    },
};

use super::{
    Window,
    expressions::{
        average_pool, convolution, elu, elu_vjp, fold, mean, shrink, shrink_gate, shrink_vjp,
        standardize_vjp, standardized, sum, transposed_average_pool, transposed_convolution, unfold,
    },
    kernels::Kernel,
    operands::Operands,
};

/// Most positions of a stripe of a large image, for the gradient in a weight.
const STRIPE: usize = 512;

/// A kernel as a node of the graph.
#[derive(Clone, Copy, Debug)]
struct Node(Kernel);

/// The result of a kernel where the tensors are of backend `C`, differentiated or not; elsewhere none.
pub fn apply<C: Backend, B: Backend, const N: usize, const D: usize, const E: usize>(
    kernel: Kernel,
    inputs: [&Tensor<B, D>; N],
) -> Option<Tensor<B, E>> {
    let operands = Operands::<C, N>::of(inputs)?;
    let output = compute::<C>(kernel, &operands.values);
    let mut kept = operands.values.to_vec();
    if let Kernel::StandardizeVjp = kernel {
        kept.push(output.clone());
    }
    operands.record(Node(kernel), kept, output)
}

/// (x - mean) / sqrt(variance + epsilon) over the last two axes, and 1 / sqrt(variance + epsilon), as [`apply`].
pub fn standardize<C: Backend, B: Backend>(
    x: &Tensor<B, 4>,
    epsilon: f64,
) -> Option<(Tensor<B, 4>, Tensor<B, 4>)> {
    let operands = Operands::<C, 1>::of([x])?;
    let (s, r) = standardized(tensor_of::<C, 4>(&operands.values[0]), epsilon);
    let (s, r) = (primitive_of(s), primitive_of(r));
    let kept = vec![s.clone(), r.clone()];
    Some((
        operands.record(Node(Kernel::Standardized), kept.clone(), s)?,
        operands.record(Node(Kernel::InverseDeviation), kept, r)?,
    ))
}

impl<C: Backend, const N: usize> Backward<C, N> for Node {
    /// What the gradients need.
    type State = Vec<FloatTensor<C>>;

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let g = gradients.consume::<C>(&ops.node);
        for (input, parent) in ops.parents.into_iter().enumerate() {
            if let Some(parent) = parent {
                gradients.register::<C>(parent.id, gradient::<C>(self.0, input, &ops.state, &g));
            }
        }
    }
}

fn tensor_of<C: Backend, const D: usize>(primitive: &FloatTensor<C>) -> Tensor<C, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive.clone()))
}

fn primitive_of<C: Backend, const D: usize>(tensor: Tensor<C, D>) -> FloatTensor<C> {
    tensor.into_primitive().tensor()
}

fn compute<C: Backend>(kernel: Kernel, inputs: &[FloatTensor<C>]) -> FloatTensor<C> {
    let image = |i: usize| tensor_of::<C, 4>(&inputs[i]);
    let matrix = |i: usize| tensor_of::<C, 2>(&inputs[i]);
    match kernel {
        Kernel::Convolution(window) => primitive_of(convolution(image(0), image(1), window)),
        Kernel::TransposedConvolution(window, onto) => {
            primitive_of(transposed(image(0), image(1), window, onto))
        }
        Kernel::AveragePool(window, _) => primitive_of(average_pool(image(0), window)),
        Kernel::TransposedAveragePool(window, onto) => {
            primitive_of(transposed_average_pool(image(0), window, onto))
        }
        Kernel::StandardizeVjp => primitive_of(standardize_vjp(image(0), image(1), image(2))),
        Kernel::Scale => primitive_of(image(0) * image(1)),
        Kernel::ScaleShift => primitive_of(image(0) * image(1) + image(2)),
        Kernel::Elu => primitive_of(elu(image(0))),
        Kernel::EluVjp => primitive_of(elu_vjp(image(0), image(1))),
        Kernel::Unfold(_, l) => primitive_of(unfold(image(0), l)),
        Kernel::Fold(shape, l) => primitive_of(fold(matrix(0), shape, l)),
        Kernel::Product(stored) => primitive_of(product(matrix(0), matrix(1), stored)),
        Kernel::Shrink([lambda, tau]) => primitive_of(shrink(matrix(0), lambda.into(), tau.into())),
        Kernel::ShrinkVjp([lambda, tau]) => {
            primitive_of(shrink_vjp(matrix(0), matrix(1), lambda.into(), tau.into()))
        }
        Kernel::Standardized | Kernel::InverseDeviation => unreachable!("`standardize` computes them"),
    }
}

/// The gradient in an input of the output's product with `g`. Kept are the inputs; of norms s, r and, of their VJP, v
/// and the output.
fn gradient<C: Backend>(
    kernel: Kernel,
    input: usize,
    kept: &[FloatTensor<C>],
    g: &FloatTensor<C>,
) -> FloatTensor<C> {
    let image = |i: usize| tensor_of::<C, 4>(&kept[i]);
    let matrix = |i: usize| tensor_of::<C, 2>(&kept[i]);
    let (g4, g2) = (|| tensor_of::<C, 4>(g), || tensor_of::<C, 2>(g));
    match (kernel, input) {
        (Kernel::Convolution(window), 0) => {
            let [_, _, height, width] = image(0).dims();
            primitive_of(transposed(g4(), image(1), window, [height, width]))
        }
        (Kernel::Convolution(window), _) => primitive_of(weight_gradient(image(0), g4(), window)),
        (Kernel::TransposedConvolution(window, _), 0) => primitive_of(convolution(g4(), image(1), window)),
        (Kernel::TransposedConvolution(window, _), _) => {
            primitive_of(weight_gradient(g4(), image(0), window))
        }
        (Kernel::AveragePool(window, onto), _) => primitive_of(transposed_average_pool(g4(), window, onto)),
        (Kernel::TransposedAveragePool(window, _), _) => primitive_of(average_pool(g4(), window)),
        (Kernel::Standardized, _) => primitive_of(standardize_vjp(image(0), image(1), g4())),
        (Kernel::InverseDeviation, _) => {
            let [_, _, height, width] = image(0).dims();
            let factors = (g4() * image(1) * image(1)).mul_scalar(-1.0 / (height * width) as f64);
            primitive_of(image(0) * factors)
        }
        (Kernel::StandardizeVjp, 0) => {
            let [s, v, c] = [image(0), image(2), g4()];
            let sum = c.clone() * mean(v.clone() * s.clone()) + v * mean(c * s);
            primitive_of((sum * image(1)).neg())
        }
        (Kernel::StandardizeVjp, 1) => primitive_of(sum(g4() * image(3)) / image(1)),
        (Kernel::StandardizeVjp, _) => primitive_of(standardize_vjp(image(0), image(1), g4())),
        (Kernel::Scale | Kernel::ScaleShift, 0) => primitive_of(g4() * image(1)),
        (Kernel::Scale | Kernel::ScaleShift, 1) => primitive_of(sum(g4() * image(0)).sum_dim(0)),
        (Kernel::Scale | Kernel::ScaleShift, _) => primitive_of(sum(g4()).sum_dim(0)),
        (Kernel::Elu, _) | (Kernel::EluVjp, 1) => primitive_of(elu_vjp(image(0), g4())),
        (Kernel::EluVjp, _) => {
            let below = image(0).lower_elem(0.0).float();
            primitive_of(elu_vjp(image(0), g4() * image(1)) * below)
        }
        (Kernel::Unfold(onto, l), _) => primitive_of(fold(g2(), onto, l)),
        (Kernel::Fold(_, l), _) => primitive_of(unfold(g4(), l)),
        (Kernel::Product([of_a, of_b]), 0) => primitive_of(match of_a {
            false => product(g2(), matrix(1), [false, !of_b]),
            true => product(matrix(1), g2(), [of_b, true]),
        }),
        (Kernel::Product([of_a, of_b]), _) => primitive_of(match of_b {
            false => product(matrix(0), g2(), [!of_a, false]),
            true => product(g2(), matrix(0), [true, of_a]),
        }),
        (Kernel::Shrink([lambda, tau]), _) | (Kernel::ShrinkVjp([lambda, tau]), 1) => {
            primitive_of(shrink_vjp(matrix(0), g2(), lambda.into(), tau.into()))
        }
        (Kernel::ShrinkVjp([lambda, tau]), _) => {
            let (u, gate) = (matrix(0), shrink_gate(matrix(0), lambda.into(), tau.into()));
            let bend = gate.clone().mul_scalar(-2.0).add_scalar(1.0) * u.clone().abs().mul_scalar(tau);
            let second = (gate.clone() - gate.clone() * gate) * bend.add_scalar(2.0) * u.sign();
            primitive_of(g2() * matrix(1) * second.mul_scalar(tau))
        }
    }
}

/// The transpose of a convolution: where the stride is 1 a convolution too, by the reversed weight, which Burn's GPU backends
/// (0.21.0) compute faster.
fn transposed<C: Backend>(
    y: Tensor<C, 4>,
    weight: Tensor<C, 4>,
    window: Window,
    onto: [usize; 2],
) -> Tensor<C, 4> {
    let Window { side, stride, padding } = window;
    if stride != 1 || padding >= side {
        return transposed_convolution(y, weight, window, onto);
    }
    let reversed = if side == 1 { weight } else { weight.flip([2, 3]) };
    convolution(y, reversed.swap_dims(0, 1), Window { padding: side - 1 - padding, ..window })
}

/// The gradient \[O,I,k,k\] in the weight of a convolution of x \[N,I,H,W\], of its product with g \[N,O,h,w\]: itself a
/// convolution, of each image's channels by the image's gradients. One group for each image, so that a GPU has enough to do
/// at once.
fn weight_gradient<C: Backend>(x: Tensor<C, 4>, g: Tensor<C, 4>, window: Window) -> Tensor<C, 4> {
    let Window { side, stride, padding } = window;
    let ([n, i, _, _], [_, o, height, width]) = (x.dims(), g.dims());
    let stripes = stripes([height, width]);
    if stripes > 1 {
        // Stripes of a large image count as images.
        let x = x.pad((padding, padding, padding, padding), 0.0);
        let (rows, [_, _, _, padded_width]) = (height / stripes, x.dims());
        let read = (rows - 1) * stride + side;
        let stripe = |k: usize| {
            x.clone().slice([0..n, 0..i, k * rows * stride..k * rows * stride + read, 0..padded_width])
        };
        let x = Tensor::cat((0..stripes).map(stripe).collect(), 0); // [stripes*n,i,read,padded_width]
        let g = g.reshape([n * o, stripes, rows * width]).swap_dims(0, 1);
        let g = g.reshape([stripes * n, o, rows, width]);
        return weight_gradient_of_each(x, g, Window { side, stride, padding: 0 });
    }
    weight_gradient_of_each(x, g, window)
}

/// How many stripes of equal height a large image is cut into, so that each has at most [`STRIPE`] positions.
fn stripes([height, width]: [usize; 2]) -> usize {
    let fits = |stripes: &usize| height.is_multiple_of(*stripes) && height / stripes * width <= STRIPE;
    let is_large = height * width > 4 * STRIPE;
    (2..=64).find(fits).filter(|_| is_large).unwrap_or(1)
}

fn weight_gradient_of_each<C: Backend>(x: Tensor<C, 4>, g: Tensor<C, 4>, window: Window) -> Tensor<C, 4> {
    let Window { side, stride, padding } = window;
    let ([n, i, _, _], [_, o, height, width]) = (x.dims(), g.dims());
    let options = ConvOptions::new([1, 1], [padding, padding], [stride, stride], n);
    let of_images = conv2d(x.swap_dims(0, 1), g.reshape([n * o, 1, height, width]), None, options);
    // Where the windows leave a margin of x, there are a few gradients too many.
    let of_images = of_images.slice([0..i, 0..n * o, 0..side, 0..side]);
    let summed = of_images.reshape([i, n, o * side * side]).sum_dim(1);
    summed.reshape([i, o, side, side]).swap_dims(0, 1)
}

/// The product of matrices, each of which may be stored transposed: as a convolution of 1x1 pixels, because the products of
/// Burn's GPU backends (0.21.0) keep eleven bits of each f32 (TF32), and nothing chooses otherwise.
fn product<C: Backend>(a: Tensor<C, 2>, b: Tensor<C, 2>, stored: [bool; 2]) -> Tensor<C, 2> {
    let rows = if stored[0] { a.transpose() } else { a }; // [p,m]
    let columns = if stored[1] { b } else { b.transpose() }; // [n,m]
    let ([p, m], [n, _]) = (rows.dims(), columns.dims());
    // Long sums in parts, a group each, so that a GPU has enough to do at once.
    let parts = (1..=16).rev().find(|parts| m.is_multiple_of(4 * parts) && m / parts >= 64).unwrap_or(1);
    let pixels = rows.reshape([1, 1, p, m]).permute([0, 3, 1, 2]); // [1,m,1,p]
    let columns = columns.reshape([n, parts, m / parts]).swap_dims(0, 1); // [parts,n,m/parts]
    let weight = columns.reshape([parts * n, 1, 1, m / parts]).permute([0, 3, 1, 2]); // [parts*n,m/parts,1,1]
    let y = conv2d(pixels, weight, None, ConvOptions::new([1, 1], [0, 0], [1, 1], parts)); // [1,parts*n,1,p]
    y.permute([0, 2, 3, 1]).reshape([p, parts, n]).sum_dim(1).reshape([p, n])
}

#[cfg(test)]
mod tests;
