//! The interpreter that computes with Burn tensors, on any backend and under automatic differentiation.

use std::collections::HashMap;

use burn::tensor::{
    Tensor, TensorData, backend::Backend, module, ops::ConvOptions, ops::ConvTransposeOptions,
};

use super::{
    Operations, Window,
    kernels::{self, Kernel},
};

/// Parameters by name, and the operations on them.
pub struct BurnOperations<B: Backend> {
    parameters: HashMap<String, Tensor<B, 4>>,
    device: B::Device,
}

impl<B: Backend> BurnOperations<B> {
    /// Operations on these parameters.
    pub fn new(parameters: HashMap<String, Tensor<B, 4>>, device: B::Device) -> Self {
        Self { parameters, device }
    }

    /// Where the tensors live.
    pub fn device(&self) -> &B::Device {
        &self.device
    }
}

impl<B: Backend> Operations for BurnOperations<B> {
    type Tensor = Tensor<B, 4>;

    fn parameter(&self, name: &str) -> Tensor<B, 4> {
        match self.parameters.get(name) {
            Some(parameter) => parameter.clone(),
            None => unreachable!("the backbone asked for {name}, which its config doesn't list"),
        }
    }

    fn plane(&self, values: &[f64], [height, width]: [usize; 2]) -> Tensor<B, 4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, height, width]), &self.device)
    }

    fn affine(&self, x: &Tensor<B, 4>, scale: f64, shift: f64) -> Tensor<B, 4> {
        x.clone().mul_scalar(scale).add_scalar(shift)
    }

    fn add(&self, x: &Tensor<B, 4>, y: &Tensor<B, 4>) -> Tensor<B, 4> {
        x.clone() + y.clone()
    }

    fn sub(&self, x: &Tensor<B, 4>, y: &Tensor<B, 4>) -> Tensor<B, 4> {
        x.clone() - y.clone()
    }

    fn mul(&self, x: &Tensor<B, 4>, y: &Tensor<B, 4>) -> Tensor<B, 4> {
        x.clone() * y.clone()
    }

    fn scale(&self, x: &Tensor<B, 4>, scale: &Tensor<B, 4>) -> Tensor<B, 4> {
        kernels::apply(Kernel::Scale, [x, scale]).unwrap_or_else(|| self.mul(x, scale))
    }

    fn scale_shift(&self, x: &Tensor<B, 4>, scale: &Tensor<B, 4>, shift: &Tensor<B, 4>) -> Tensor<B, 4> {
        kernels::apply(Kernel::ScaleShift, [x, scale, shift])
            .unwrap_or_else(|| x.clone() * scale.clone() + shift.clone())
    }

    fn convolution(&self, x: &Tensor<B, 4>, weight: &Tensor<B, 4>, window: Window) -> Tensor<B, 4> {
        if let Some(y) = kernels::apply(Kernel::Convolution(window), [x, weight]) {
            return y;
        }
        let (weight, Window { stride, padding, .. }) = no_smaller_than_its_stride(weight, window);
        let options = ConvOptions::new([stride, stride], [padding, padding], [1, 1], 1);
        module::conv2d(x.clone(), weight, None, options)
    }

    fn transposed_convolution(
        &self,
        y: &Tensor<B, 4>,
        weight: &Tensor<B, 4>,
        window: Window,
        onto: [usize; 2],
    ) -> Tensor<B, 4> {
        if let Some(x) = kernels::apply(Kernel::TransposedConvolution(window, onto), [y, weight]) {
            return x;
        }
        let (weight, window) = no_smaller_than_its_stride(weight, window);
        let Window { stride, padding, .. } = window;
        let unreached = window.unreached(onto);
        let options = ConvTransposeOptions::new([stride, stride], [padding, padding], unreached, [1, 1], 1);
        module::conv_transpose2d(y.clone(), weight, None, options)
    }

    // As a convolution of one channel, because Burn's average pooling can't be differentiated twice.
    fn average_pool(&self, x: &Tensor<B, 4>, window: Window) -> Tensor<B, 4> {
        let [n, c, height, width] = x.dims();
        if let Some(y) = kernels::apply(Kernel::AveragePool(window, [height, width]), [x]) {
            return y;
        }
        let y = self.convolution(
            &x.clone().reshape([n * c, 1, height, width]),
            &self.mean_kernel(window),
            window,
        );
        let [_, _, height, width] = y.dims();
        y.reshape([n, c, height, width])
    }

    fn transposed_average_pool(&self, y: &Tensor<B, 4>, window: Window, onto: [usize; 2]) -> Tensor<B, 4> {
        if let Some(x) = kernels::apply(Kernel::TransposedAveragePool(window, onto), [y]) {
            return x;
        }
        let [n, c, height, width] = y.dims();
        let y = y.clone().reshape([n * c, 1, height, width]);
        let x = self.transposed_convolution(&y, &self.mean_kernel(window), window, onto);
        x.reshape([n, c, onto[0], onto[1]])
    }

    fn reshape(&self, x: &Tensor<B, 4>, [a, b, c]: [usize; 3]) -> Tensor<B, 4> {
        let n = x.dims()[0];
        x.clone().reshape([n, a, b, c])
    }

    fn standardize(&self, x: &Tensor<B, 4>, epsilon: f64) -> (Tensor<B, 4>, Tensor<B, 4>) {
        if let Some(standardized) = kernels::standardize(x, epsilon) {
            return standardized;
        }
        let centred = x.clone() - self.mean(x);
        let variance = self.mean(&(centred.clone() * centred.clone()));
        let inverse_deviation = variance.add_scalar(epsilon).sqrt().recip();
        (centred * inverse_deviation.clone(), inverse_deviation)
    }

    fn standardize_vjp(&self, s: &Tensor<B, 4>, r: &Tensor<B, 4>, v: &Tensor<B, 4>) -> Tensor<B, 4> {
        kernels::apply(Kernel::StandardizeVjp, [s, r, v]).unwrap_or_else(|| {
            let along = s.clone() * self.mean(&(v.clone() * s.clone()));
            (v.clone() - self.mean(v) - along) * r.clone()
        })
    }

    fn mean(&self, x: &Tensor<B, 4>) -> Tensor<B, 4> {
        let [n, c, height, width] = x.dims();
        x.clone().reshape([n, c, 1, height * width]).mean_dim(3)
    }

    // Burn's own elu has a gradient of NaN above 88 in f32: it multiplies the infinite exp(x) by zero.
    fn elu(&self, x: &Tensor<B, 4>) -> Tensor<B, 4> {
        kernels::apply(Kernel::Elu, [x])
            .unwrap_or_else(|| x.clone().clamp_min(0.0) + x.clone().clamp_max(0.0).exp().sub_scalar(1.0))
    }

    fn elu_vjp(&self, x: &Tensor<B, 4>, g: &Tensor<B, 4>) -> Tensor<B, 4> {
        kernels::apply(Kernel::EluVjp, [x, g]).unwrap_or_else(|| g.clone() * x.clone().clamp_max(0.0).exp())
    }

    fn tanh(&self, x: &Tensor<B, 4>) -> Tensor<B, 4> {
        x.clone().tanh()
    }
}

/// The same convolution with zeros around its weight where the window is smaller than its stride: of such ones Burn's GPU
/// backends (0.21.0) make a transposed convolution that is zero everywhere, and so wrong gradients.
fn no_smaller_than_its_stride<B: Backend>(weight: &Tensor<B, 4>, window: Window) -> (Tensor<B, 4>, Window) {
    if window.side >= window.stride {
        return (weight.clone(), window);
    }
    let margin = (window.stride - window.side).div_ceil(2);
    let (side, padding) = (window.side + 2 * margin, window.padding + margin);
    let [o, i, height, width] = weight.dims();
    let zeros = Tensor::zeros([o, i, side, side], &weight.device());
    let inside = [0..o, 0..i, margin..margin + height, margin..margin + width];
    (zeros.slice_assign(inside, weight.clone()), Window { side, padding, ..window })
}

impl<B: Backend> BurnOperations<B> {
    fn mean_kernel(&self, window: Window) -> Tensor<B, 4> {
        let side = window.side;
        Tensor::full([1, 1, side, side], 1.0 / (side * side) as f64, &self.device)
    }
}

#[cfg(test)]
mod tests {
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
            let operations = BurnOperations::new(HashMap::new(), Default::default());

            let options = ConvOptions::new([stride, stride], [0, 0], [1, 1], 1);
            let expected = module::conv2d(x.clone(), weight.clone(), None, options);
            assert!(largest_difference(operations.convolution(&x, &weight, window), expected) < 1e-12);

            let unreached = window.unreached(onto);
            let options = ConvTransposeOptions::new([stride, stride], [0, 0], unreached, [1, 1], 1);
            let expected = module::conv_transpose2d(y.clone(), weight.clone(), None, options);
            let found = operations.transposed_convolution(&y, &weight, window, onto);
            assert!(largest_difference(found, expected) < 1e-12);
            assert!(no_smaller_than_its_stride(&weight, window).1.side >= stride);
        }
    }
}
