//! The interpreter that computes with Burn tensors, on any backend and under automatic differentiation.

use std::collections::HashMap;

use burn::tensor::{Tensor, TensorData, backend::Backend};

use super::{
    Operations, Window, expressions,
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
        kernels::apply(Kernel::Convolution(window), [x, weight])
            .unwrap_or_else(|| expressions::convolution(x.clone(), weight.clone(), window))
    }

    fn transposed_convolution(
        &self,
        y: &Tensor<B, 4>,
        weight: &Tensor<B, 4>,
        window: Window,
        onto: [usize; 2],
    ) -> Tensor<B, 4> {
        kernels::apply(Kernel::TransposedConvolution(window, onto), [y, weight])
            .unwrap_or_else(|| expressions::transposed_convolution(y.clone(), weight.clone(), window, onto))
    }

    fn average_pool(&self, x: &Tensor<B, 4>, window: Window) -> Tensor<B, 4> {
        let [_, _, height, width] = x.dims();
        kernels::apply(Kernel::AveragePool(window, [height, width]), [x])
            .unwrap_or_else(|| expressions::average_pool(x.clone(), window))
    }

    fn transposed_average_pool(&self, y: &Tensor<B, 4>, window: Window, onto: [usize; 2]) -> Tensor<B, 4> {
        kernels::apply(Kernel::TransposedAveragePool(window, onto), [y])
            .unwrap_or_else(|| expressions::transposed_average_pool(y.clone(), window, onto))
    }

    fn reshape(&self, x: &Tensor<B, 4>, [a, b, c]: [usize; 3]) -> Tensor<B, 4> {
        let n = x.dims()[0];
        x.clone().reshape([n, a, b, c])
    }

    fn standardize(&self, x: &Tensor<B, 4>, epsilon: f64) -> (Tensor<B, 4>, Tensor<B, 4>) {
        kernels::standardize(x, epsilon).unwrap_or_else(|| expressions::standardized(x.clone(), epsilon))
    }

    fn standardize_vjp(&self, s: &Tensor<B, 4>, r: &Tensor<B, 4>, v: &Tensor<B, 4>) -> Tensor<B, 4> {
        kernels::apply(Kernel::StandardizeVjp, [s, r, v])
            .unwrap_or_else(|| expressions::standardize_vjp(s.clone(), r.clone(), v.clone()))
    }

    fn mean(&self, x: &Tensor<B, 4>) -> Tensor<B, 4> {
        expressions::mean(x.clone())
    }

    fn elu(&self, x: &Tensor<B, 4>) -> Tensor<B, 4> {
        kernels::apply(Kernel::Elu, [x]).unwrap_or_else(|| expressions::elu(x.clone()))
    }

    fn elu_vjp(&self, x: &Tensor<B, 4>, g: &Tensor<B, 4>) -> Tensor<B, 4> {
        kernels::apply(Kernel::EluVjp, [x, g]).unwrap_or_else(|| expressions::elu_vjp(x.clone(), g.clone()))
    }

    fn tanh(&self, x: &Tensor<B, 4>) -> Tensor<B, 4> {
        x.clone().tanh()
    }

    fn log(&self, x: &Tensor<B, 4>) -> Tensor<B, 4> {
        x.clone().log()
    }

    fn reciprocal(&self, x: &Tensor<B, 4>) -> Tensor<B, 4> {
        x.clone().recip()
    }
}
