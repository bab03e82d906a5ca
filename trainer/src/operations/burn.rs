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
        let Window { stride, padding, .. } = window;
        let options = ConvOptions::new([stride, stride], [padding, padding], [1, 1], 1);
        module::conv2d(x.clone(), weight.clone(), None, options)
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
        let Window { stride, padding, .. } = window;
        let unreached = window.unreached(onto);
        let options = ConvTransposeOptions::new([stride, stride], [padding, padding], unreached, [1, 1], 1);
        module::conv_transpose2d(y.clone(), weight.clone(), None, options)
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

impl<B: Backend> BurnOperations<B> {
    fn mean_kernel(&self, window: Window) -> Tensor<B, 4> {
        let side = window.side;
        Tensor::full([1, 1, side, side], 1.0 / (side * side) as f64, &self.device)
    }
}
