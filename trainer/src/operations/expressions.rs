//! What the operations compute, as plain tensor expressions of any backend: those that a backend has no kernel for, and
//! oracles for those that it has. Nothing here knows of kernels or graphs.

use burn::tensor::{
    Tensor,
    backend::Backend,
    module,
    ops::{ConvOptions, ConvTransposeOptions},
};

use super::Window;

/// Axes up to this length are reduced at once.
const SHORT: usize = 128;
/// Least f32: clamping between it and a bound is one operation, clamping by the bound alone two. On GPUs NaN does not survive
/// it, so what is clamped here also counts as it was.
const LEAST: f64 = f32::MIN as f64;

/// Convolution of \[N,I,H,W\] by \[O,I,k,k\].
pub fn convolution<B: Backend>(x: Tensor<B, 4>, weight: Tensor<B, 4>, window: Window) -> Tensor<B, 4> {
    let (weight, Window { stride, padding, .. }) = no_smaller_than_its_stride(weight, window);
    module::conv2d(x, weight, None, ConvOptions::new([stride, stride], [padding, padding], [1, 1], 1))
}

/// The transpose of [`convolution`] as a linear map, onto height and width `onto`.
pub fn transposed_convolution<B: Backend>(
    y: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    window: Window,
    onto: [usize; 2],
) -> Tensor<B, 4> {
    let (weight, window) = no_smaller_than_its_stride(weight, window);
    let Window { stride, padding, .. } = window;
    let unreached = window.unreached(onto);
    let options = ConvTransposeOptions::new([stride, stride], [padding, padding], unreached, [1, 1], 1);
    module::conv_transpose2d(y, weight, None, options)
}

/// The same convolution with zeros around its weight where the window is smaller than its stride: of such ones Burn's GPU
/// backends (0.21.0) make a transposed convolution that is zero everywhere, and so wrong gradients.
fn no_smaller_than_its_stride<B: Backend>(weight: Tensor<B, 4>, window: Window) -> (Tensor<B, 4>, Window) {
    if window.side >= window.stride {
        return (weight, window);
    }
    let margin = (window.stride - window.side).div_ceil(2);
    let (side, padding) = (window.side + 2 * margin, window.padding + margin);
    let [o, i, height, width] = weight.dims();
    let zeros = Tensor::zeros([o, i, side, side], &weight.device());
    let inside = [0..o, 0..i, margin..margin + height, margin..margin + width];
    (zeros.slice_assign(inside, weight), Window { side, padding, ..window })
}

/// Mean of each window, the padding counted: as a convolution of one channel, because Burn's average pooling can't be
/// differentiated twice.
pub fn average_pool<B: Backend>(x: Tensor<B, 4>, window: Window) -> Tensor<B, 4> {
    let [n, c, height, width] = x.dims();
    let kernel = mean_kernel(window, &x);
    let y = convolution(x.reshape([n * c, 1, height, width]), kernel, window);
    let [_, _, height, width] = y.dims();
    y.reshape([n, c, height, width])
}

/// The transpose of [`average_pool`] as a linear map.
pub fn transposed_average_pool<B: Backend>(
    y: Tensor<B, 4>,
    window: Window,
    onto: [usize; 2],
) -> Tensor<B, 4> {
    let [n, c, height, width] = y.dims();
    let kernel = mean_kernel(window, &y);
    let x = transposed_convolution(y.reshape([n * c, 1, height, width]), kernel, window, onto);
    x.reshape([n, c, onto[0], onto[1]])
}

fn mean_kernel<B: Backend>(window: Window, beside: &Tensor<B, 4>) -> Tensor<B, 4> {
    let side = window.side;
    Tensor::full([1, 1, side, side], 1.0 / (side * side) as f64, &beside.device())
}

/// s = (x - mean) / sqrt(variance + epsilon) over the last two axes, and r = 1 / sqrt(variance + epsilon).
pub fn standardized<B: Backend>(x: Tensor<B, 4>, epsilon: f64) -> (Tensor<B, 4>, Tensor<B, 4>) {
    let centred = x.clone() - mean(x);
    let variance = mean(centred.clone() * centred.clone());
    let inverse_deviation = variance.add_scalar(epsilon).sqrt().recip();
    (centred * inverse_deviation.clone(), inverse_deviation)
}

/// r (v - mean(v) - s mean(v s)).
pub fn standardize_vjp<B: Backend>(s: Tensor<B, 4>, r: Tensor<B, 4>, v: Tensor<B, 4>) -> Tensor<B, 4> {
    let along = s.clone() * mean(v.clone() * s);
    (v.clone() - mean(v) - along) * r
}

/// Mean over the last two axes, which stay with length one.
pub fn mean<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    match x.dims() {
        [n, c, height, width] if height * width <= SHORT => x.reshape([n, c, 1, height * width]).mean_dim(3),
        _ => in_two(x).mean_dim(3).mean_dim(2),
    }
}

/// Sum over the last two axes, which stay with length one.
pub fn sum<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    match x.dims() {
        [n, c, height, width] if height * width <= SHORT => x.reshape([n, c, 1, height * width]).sum_dim(3),
        _ => in_two(x).sum_dim(3).sum_dim(2),
    }
}

/// The elements of the last two axes as rows and columns. Burn's GPU backends (0.21.0) reduce an axis by one thread for each
/// result: of a long axis that is hardly any, and they work for long.
fn in_two<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, c, height, width] = x.dims();
    let length = height * width;
    let rows = (1..=length.isqrt()).rev().find(|rows| length.is_multiple_of(*rows)).unwrap_or(1);
    x.reshape([n, c, rows, length / rows])
}

/// The ELU. Burn's own has a gradient of NaN above 88 in f32: it multiplies the infinite exp(x) by zero.
pub fn elu<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let below = x.clone().clamp(LEAST, 0.0);
    (x - below.clone()) + below.exp().sub_scalar(1.0)
}

/// g exp(min(x, 0)).
pub fn elu_vjp<B: Backend>(x: Tensor<B, 4>, g: Tensor<B, 4>) -> Tensor<B, 4> {
    g * x.clamp(LEAST, 0.0).exp()
}

/// Every l x l neighbourhood of \[n,d,h,w\] as a row: \[n*h*w, d*l*l\].
pub fn unfold<B: Backend>(features: Tensor<B, 4>, l: usize) -> Tensor<B, 2> {
    let [n, d, h, w] = features.dims();
    let r = l / 2;
    let padded = features.pad((r, r, r, r), 0.0); // [n,d,h+2r,w+2r]
    let shifts = (0..l * l).map(|k| {
        let (ky, kx) = (k / l, k % l);
        padded.clone().slice([0..n, 0..d, ky..ky + h, kx..kx + w])
    });
    let windows: Tensor<B, 5> = Tensor::stack(shifts.collect(), 2); // [n,d,l*l,h,w]
    windows.reshape([n, d * l * l, h * w]).swap_dims(1, 2).reshape([n * h * w, d * l * l])
}

/// The transpose of [`unfold`] as a linear map, onto features of the shape \[n,d,h,w\].
pub fn fold<B: Backend>(rows: Tensor<B, 2>, shape: [usize; 4], l: usize) -> Tensor<B, 4> {
    let ([n, d, h, w], r) = (shape, l / 2);
    let windows = rows.reshape([n, h * w, d * l * l]).swap_dims(1, 2).reshape([n, d, l * l, h, w]);
    let shifts = (0..l * l).map(|k| {
        let (ky, kx) = (k / l, k % l);
        let window = windows.clone().slice([0..n, 0..d, k..k + 1, 0..h, 0..w]).reshape([n, d, h, w]);
        window.pad((kx, l - 1 - kx, ky, l - 1 - ky), 0.0) // [n,d,h+2r,w+2r]
    });
    match shifts.reduce(|sum, window| sum + window) {
        Some(sum) => sum.slice([0..n, 0..d, r..r + h, r..r + w]),
        None => unreachable!("a receptive field is at least 1"),
    }
}

/// The product of matrices, each of which may be stored transposed.
pub fn product<B: Backend>(a: Tensor<B, 2>, b: Tensor<B, 2>, [of_a, of_b]: [bool; 2]) -> Tensor<B, 2> {
    let a = if of_a { a.transpose() } else { a };
    let b = if of_b { b.transpose() } else { b };
    a.matmul(b)
}

/// Sigmoid shrinkage of u, Eq. (9): u times its gate.
pub fn shrink<B: Backend>(u: Tensor<B, 2>, lambda: f64, tau: f64) -> Tensor<B, 2> {
    u.clone() * shrink_gate(u, lambda, tau)
}

/// a times the derivative of [`shrink`] in u: a (g + tau |u| (g - g^2)) with the gate g.
pub fn shrink_vjp<B: Backend>(u: Tensor<B, 2>, a: Tensor<B, 2>, lambda: f64, tau: f64) -> Tensor<B, 2> {
    let gate = shrink_gate(u.clone(), lambda, tau);
    let rise = u.abs().mul_scalar(tau) * (gate.clone() - gate.clone().powi_scalar(2));
    a * (gate + rise)
}

/// sigmoid(tau (|u| - lambda)). Burn's own sigmoid rounds to f32 on every backend, which would spoil f64 oracles; the
/// clamp keeps exp finite, and so its gradient.
pub fn shrink_gate<B: Backend>(u: Tensor<B, 2>, lambda: f64, tau: f64) -> Tensor<B, 2> {
    let exponent = u.abs().sub_scalar(lambda).mul_scalar(-tau);
    exponent.clamp(LEAST, 80.0).exp().add_scalar(1.0).recip()
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use burn_ndarray::NdArray;

    use super::*;

    type Plain = NdArray<f64>;

    fn waves(shape: [usize; 4]) -> Tensor<Plain, 4> {
        let values: Vec<f64> = (0..shape.iter().product()).map(|i| (1.7 * i as f64).sin()).collect();
        Tensor::from_data(TensorData::new(values, shape), &Default::default())
    }

    fn largest_difference(a: Tensor<Plain, 4>, b: Tensor<Plain, 4>) -> f64 {
        assert_eq!(a.dims(), b.dims());
        (a - b).abs().max().into_scalar()
    }

    #[test]
    fn a_window_smaller_than_its_stride_computes_the_same_with_zeros_around_it() {
        for (stride, size) in [(2, [8, 7]), (3, [9, 11]), (4, [5, 16])] {
            let (window, onto) = (Window::centred(1, stride), size);
            let (weight, x) = (waves([8, 4, 1, 1]), waves([2, 4, size[0], size[1]]));
            let [height, width] = window.apply(size);
            let y = waves([2, 8, height, width]);

            let options = ConvOptions::new([stride, stride], [0, 0], [1, 1], 1);
            let expected = module::conv2d(x.clone(), weight.clone(), None, options);
            assert!(largest_difference(convolution(x, weight.clone(), window), expected) < 1e-12);

            let unreached = window.unreached(onto);
            let options = ConvTransposeOptions::new([stride, stride], [0, 0], unreached, [1, 1], 1);
            let expected = module::conv_transpose2d(y.clone(), weight.clone(), None, options);
            let found = transposed_convolution(y, weight.clone(), window, onto);
            assert!(largest_difference(found, expected) < 1e-12);
            assert!(no_smaller_than_its_stride(weight, window).1.side >= stride);
        }
    }
}
