//! The kernels of `kernels` as tensor expressions of any backend, each one node of the graph with gradients of its own:
//! automatic differentiation of the same expressions takes several times as many operations, and on a GPU it is their
//! number that takes time.
//!
//! Architecture invariant: a node computes what the plain expression beside its use computes.

use std::any::Any;

use burn::{
    backend::{
        Autodiff,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
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
};

/// Stripes that a large image is cut into for the gradient in a weight.
const STRIPES: usize = 8;

/// A kernel as a node of the graph over backend `C`.
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
    operands.record(kernel, kept, output)
}

/// (x - mean) / sqrt(variance + epsilon) over the last two axes, and 1 / sqrt(variance + epsilon), as [`apply`].
pub fn standardize<C: Backend, B: Backend>(
    x: &Tensor<B, 4>,
    epsilon: f64,
) -> Option<(Tensor<B, 4>, Tensor<B, 4>)> {
    let operands = Operands::<C, 1>::of([x])?;
    let (s, r) = standardized(of::<C, 4>(&operands.values[0]), epsilon);
    let (s, r) = (into(s), into(r));
    let kept = vec![s.clone(), r.clone()];
    Some((
        operands.record(Kernel::Standardized, kept.clone(), s)?,
        operands.record(Kernel::InverseDeviation, kept, r)?,
    ))
}

/// What a node takes, and where differentiated the tensors of the graph.
struct Operands<C: Backend, const N: usize> {
    values: [FloatTensor<C>; N],
    differentiated: Option<[FloatTensor<Autodiff<C>>; N]>,
}

impl<C: Backend, const N: usize> Operands<C, N> {
    fn of<B: Backend, const D: usize>(inputs: [&Tensor<B, D>; N]) -> Option<Self> {
        let plain = |x: &dyn Any| Some(x.downcast_ref::<Tensor<C, D>>()?.clone().into_primitive().tensor());
        let differentiated =
            |x: &dyn Any| Some(x.downcast_ref::<Tensor<Autodiff<C>, D>>()?.clone().into_primitive().tensor());
        let all = inputs.map(|x| x as &dyn Any);
        if let Some(values) = every(all.map(plain)) {
            return Some(Self { values, differentiated: None });
        }
        let differentiated = every(all.map(differentiated))?;
        let values = differentiated.clone().map(|x| x.primitive);
        Some(Self { values, differentiated: Some(differentiated) })
    }

    /// The output as a tensor, as a node of the graph where the inputs are in one.
    fn record<B: Backend, const E: usize>(
        &self,
        kernel: Kernel,
        kept: Vec<FloatTensor<C>>,
        output: FloatTensor<C>,
    ) -> Option<Tensor<B, E>> {
        let output: Box<dyn Any> = match &self.differentiated {
            None => Box::new(of::<C, E>(&output)),
            Some(inputs) => {
                let nodes = inputs.clone().map(|input| input.node);
                let output = match Node(kernel).prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
                    OpsKind::Tracked(step) => step.finish(kept, output),
                    OpsKind::UnTracked(step) => step.finish(output),
                };
                Box::new(Tensor::<Autodiff<C>, E>::from_primitive(TensorPrimitive::Float(output)))
            }
        };
        output.downcast().ok().map(|output| *output)
    }
}

fn every<T, const N: usize>(found: [Option<T>; N]) -> Option<[T; N]> {
    found.iter().all(Option::is_some).then(|| found.map(|x| x.unwrap_or_else(|| unreachable!())))
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

fn of<C: Backend, const D: usize>(primitive: &FloatTensor<C>) -> Tensor<C, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive.clone()))
}

fn into<C: Backend, const D: usize>(tensor: Tensor<C, D>) -> FloatTensor<C> {
    tensor.into_primitive().tensor()
}

fn compute<C: Backend>(kernel: Kernel, inputs: &[FloatTensor<C>]) -> FloatTensor<C> {
    let image = |i: usize| of::<C, 4>(&inputs[i]);
    let matrix = |i: usize| of::<C, 2>(&inputs[i]);
    match kernel {
        Kernel::Convolution(window) => into(convolution(image(0), image(1), window)),
        Kernel::TransposedConvolution(window, onto) => into(transposed(image(0), image(1), window, onto)),
        Kernel::AveragePool(window, _) => into(average_pool(image(0), window)),
        Kernel::TransposedAveragePool(window, onto) => into(transposed_average_pool(image(0), window, onto)),
        Kernel::StandardizeVjp => into(standardize_vjp(image(0), image(1), image(2))),
        Kernel::Scale => into(image(0) * image(1)),
        Kernel::ScaleShift => into(image(0) * image(1) + image(2)),
        Kernel::Elu => into(elu(image(0))),
        Kernel::EluVjp => into(elu_vjp(image(0), image(1))),
        Kernel::Unfold(_, l) => into(unfold(image(0), l)),
        Kernel::Fold(shape, l) => into(fold(matrix(0), shape, l)),
        Kernel::Product(stored) => into(product(matrix(0), matrix(1), stored)),
        Kernel::Shrink([lambda, tau]) => into(shrink(matrix(0), lambda.into(), tau.into())),
        Kernel::ShrinkVjp([lambda, tau]) => into(shrink_vjp(matrix(0), matrix(1), lambda.into(), tau.into())),
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
    let image = |i: usize| of::<C, 4>(&kept[i]);
    let matrix = |i: usize| of::<C, 2>(&kept[i]);
    let (g4, g2) = (|| of::<C, 4>(g), || of::<C, 2>(g));
    match (kernel, input) {
        (Kernel::Convolution(window), 0) => {
            let [_, _, height, width] = image(0).dims();
            into(transposed(g4(), image(1), window, [height, width]))
        }
        (Kernel::Convolution(window), _) => into(weight_gradient(image(0), g4(), window)),
        (Kernel::TransposedConvolution(window, _), 0) => into(convolution(g4(), image(1), window)),
        (Kernel::TransposedConvolution(window, _), _) => into(weight_gradient(g4(), image(0), window)),
        (Kernel::AveragePool(window, onto), _) => into(transposed_average_pool(g4(), window, onto)),
        (Kernel::TransposedAveragePool(window, _), _) => into(average_pool(g4(), window)),
        (Kernel::Standardized, _) => into(standardize_vjp(image(0), image(1), g4())),
        (Kernel::InverseDeviation, _) => {
            let [_, _, height, width] = image(0).dims();
            let factors = (g4() * image(1) * image(1)).mul_scalar(-1.0 / (height * width) as f64);
            into(image(0) * factors)
        }
        (Kernel::StandardizeVjp, 0) => {
            let [s, v, c] = [image(0), image(2), g4()];
            let sum = c.clone() * mean(v.clone() * s.clone()) + v * mean(c * s);
            into((sum * image(1)).neg())
        }
        (Kernel::StandardizeVjp, 1) => into(sum(g4() * image(3)) / image(1)),
        (Kernel::StandardizeVjp, _) => into(standardize_vjp(image(0), image(1), g4())),
        (Kernel::Scale | Kernel::ScaleShift, 0) => into(g4() * image(1)),
        (Kernel::Scale | Kernel::ScaleShift, 1) => into(sum(g4() * image(0)).sum_dim(0)),
        (Kernel::Scale | Kernel::ScaleShift, _) => into(sum(g4()).sum_dim(0)),
        (Kernel::Elu, _) | (Kernel::EluVjp, 1) => into(elu_vjp(image(0), g4())),
        (Kernel::EluVjp, _) => {
            let below = image(0).lower_elem(0.0).float();
            into(elu_vjp(image(0), g4() * image(1)) * below)
        }
        (Kernel::Unfold(onto, l), _) => into(fold(g2(), onto, l)),
        (Kernel::Fold(_, l), _) => into(unfold(g4(), l)),
        (Kernel::Product([of_a, of_b]), 0) => into(match of_a {
            false => product(g2(), matrix(1), [false, !of_b]),
            true => product(matrix(1), g2(), [of_b, true]),
        }),
        (Kernel::Product([of_a, of_b]), _) => into(match of_b {
            false => product(matrix(0), g2(), [!of_a, false]),
            true => product(g2(), matrix(0), [true, of_a]),
        }),
        (Kernel::Shrink([lambda, tau]), _) | (Kernel::ShrinkVjp([lambda, tau]), 1) => {
            into(shrink_vjp(matrix(0), g2(), lambda.into(), tau.into()))
        }
        (Kernel::ShrinkVjp([lambda, tau]), _) => {
            let (u, gate) = (matrix(0), shrink_gate(matrix(0), lambda.into(), tau.into()));
            let bend = gate.clone().mul_scalar(-2.0).add_scalar(1.0) * u.clone().abs().mul_scalar(tau);
            let second = (gate.clone() - gate.clone() * gate) * bend.add_scalar(2.0) * u.sign();
            into(g2() * matrix(1) * second.mul_scalar(tau))
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
    if height.is_multiple_of(STRIPES) && height * width > STRIPES * 256 {
        // Stripes of a large image count as images.
        let x = x.pad((padding, padding, padding, padding), 0.0);
        let (rows, [_, _, _, padded_width]) = (height / STRIPES, x.dims());
        let read = (rows - 1) * stride + side;
        let stripe = |k: usize| {
            x.clone().slice([0..n, 0..i, k * rows * stride..k * rows * stride + read, 0..padded_width])
        };
        let x = Tensor::cat((0..STRIPES).map(stripe).collect(), 0); // [STRIPES*n,i,read,padded_width]
        let g = g.reshape([n * o, STRIPES, rows * width]).swap_dims(0, 1);
        let g = g.reshape([STRIPES * n, o, rows, width]);
        return weight_gradient(x, g, Window { side, stride, padding: 0 });
    }
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
mod tests {
    use burn::tensor::TensorData;
    use burn_ndarray::NdArray;

    use super::*;

    type Plain = NdArray<f64>;
    type Traced = Autodiff<Plain>;

    /// Values that no two inputs share, some of them negative.
    fn waves<const D: usize>(seed: usize, shape: [usize; D]) -> Tensor<Traced, D> {
        let values: Vec<f64> =
            (0..shape.iter().product()).map(|i| (1.7 * i as f64 + 0.9 * seed as f64).sin()).collect();
        Tensor::from_data(TensorData::new(values, shape), &Default::default())
    }

    fn close<const D: usize>(what: &str, a: Tensor<Plain, D>, b: Tensor<Plain, D>) {
        assert_eq!(a.dims(), b.dims(), "{what}");
        let (largest, apart): (f64, f64) =
            (b.clone().abs().max().into_scalar(), (a - b).abs().max().into_scalar());
        assert!(largest > 0.0 && apart < 1e-12 * largest.max(1.0), "{what}: {apart:e} of {largest:e}");
    }

    /// Value and gradients of a node beside those of the expression that automatic differentiation sees through.
    fn check<const N: usize, const D: usize, const E: usize>(
        kernel: Kernel,
        shapes: [[usize; D]; N],
        expression: impl Fn([Tensor<Traced, D>; N]) -> Tensor<Traced, E>,
    ) {
        let mut seed = 0;
        let inputs = shapes.map(|shape| {
            seed += 1;
            waves(seed, shape).require_grad()
        });
        let borrowed: [&Tensor<Traced, D>; N] = std::array::from_fn(|i| &inputs[i]);
        let node: Tensor<Traced, E> = apply::<Plain, Traced, N, D, E>(kernel, borrowed).unwrap();
        let plain = expression(inputs.clone());
        close(&format!("{kernel:?}"), node.clone().inner(), plain.clone().inner());
        let weights = waves(9, node.dims());
        let by_node = (node * weights.clone()).sum().backward();
        let by_graph = (plain * weights).sum().backward();
        for (i, input) in inputs.iter().enumerate() {
            let [a, b] = [&by_node, &by_graph].map(|gradients| input.grad(gradients).unwrap());
            close(&format!("{kernel:?}, input {i}"), a, b);
        }
    }

    #[test]
    fn convolutions_have_the_gradients_of_their_expressions() {
        for (side, stride, size) in [
            (3, 1, [9, 7]),
            (3, 2, [9, 7]),
            (7, 2, [9, 7]),
            (1, 1, [9, 7]),
            (1, 2, [8, 7]),
            (3, 1, [64, 33]), // cut into stripes
            (7, 2, [128, 70]),
        ] {
            let window = Window::centred(side, stride);
            let [height, width] = window.apply(size);
            let (x, y, weight) = ([3, 2, size[0], size[1]], [3, 4, height, width], [4, 2, side, side]);
            check(Kernel::Convolution(window), [x, weight], |[x, weight]| convolution(x, weight, window));
            check(Kernel::TransposedConvolution(window, size), [y, weight], |[y, weight]| {
                transposed_convolution(y, weight, window, size)
            });
        }
        let (window, size) = (Window::centred(3, 2), [9, 7]);
        let [height, width] = window.apply(size);
        check(Kernel::AveragePool(window, size), [[3, 2, size[0], size[1]]], |[x]| average_pool(x, window));
        check(Kernel::TransposedAveragePool(window, size), [[3, 2, height, width]], |[y]| {
            transposed_average_pool(y, window, size)
        });
    }

    #[test]
    fn norms_and_activations_have_the_gradients_of_their_expressions() {
        let (groups, one) = ([2, 3, 4, 5], [2, 3, 1, 1]);
        check(Kernel::StandardizeVjp, [groups, one, groups], |[s, r, v]| standardize_vjp(s, r, v));
        let (images, channels) = ([2, 3, 4, 5], [1, 3, 1, 1]);
        check(Kernel::Scale, [images, channels], |[x, scale]| x * scale);
        check(Kernel::ScaleShift, [images, channels, channels], |[x, scale, shift]| x * scale + shift);
        check(Kernel::Elu, [images], |[x]| elu(x));
        check(Kernel::EluVjp, [images, images], |[x, g]| elu_vjp(x, g));

        let x = waves(1, groups).require_grad();
        let (s, r) = standardize::<Plain, Traced>(&x, 1e-5).unwrap();
        let (plain_s, plain_r) = standardized(x.clone(), 1e-5);
        close("s", s.clone().inner(), plain_s.clone().inner());
        close("r", r.clone().inner(), plain_r.clone().inner());
        let (c, d) = (waves(2, groups), waves(3, one));
        let by_node = ((s * c.clone()).sum() + (r * d.clone()).sum()).backward();
        let by_graph = ((plain_s * c).sum() + (plain_r * d).sum()).backward();
        close("x of a norm", x.grad(&by_node).unwrap(), x.grad(&by_graph).unwrap());
    }

    #[test]
    fn sparse_coding_has_the_gradients_of_its_expressions() {
        let features = [2, 3, 4, 5];
        check(Kernel::Unfold(features, 3), [features], |[x]| unfold(x, 3));
        check(Kernel::Fold(features, 3), [[40, 27]], |[rows]| fold(rows, features, 3));
        for (stored, a, b) in [
            ([false, false], [6, 4], [4, 5]),
            ([true, false], [4, 6], [4, 5]),
            ([false, true], [6, 4], [5, 4]),
            ([true, true], [4, 6], [5, 4]),
            ([false, false], [3, 256], [256, 5]), // in parts
        ] {
            check(Kernel::Product(stored), [a, b], |[a, b]| super::super::expressions::product(a, b, stored));
        }
        let (lambda, tau) = (0.25, 16.0); // as exact in f32 as in f64
        check(Kernel::Shrink([0.25, 16.0]), [[6, 4]], |[u]| shrink(u, lambda, tau));
        check(Kernel::ShrinkVjp([0.25, 16.0]), [[6, 4], [6, 4]], |[u, a]| shrink_vjp(u, a, lambda, tau));
    }
}
