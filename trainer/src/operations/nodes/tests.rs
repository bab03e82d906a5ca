//! Each node beside the expression that automatic differentiation sees through: value and gradients, in f64.

use burn::{backend::Autodiff, tensor::TensorData};
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
        (1, 3, [9, 10]),
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
    check(Kernel::Unfold(features, 1), [features], |[x]| unfold(x, 1));
    check(Kernel::Fold(features, 1), [[40, 3]], |[rows]| fold(rows, features, 1));
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
