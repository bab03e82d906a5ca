//! Between ndarray's arrays, which the runtime speaks, and tensors on a device.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use ndarray::{Array, ArrayBase, Data, Dim, Dimension, IxDynImpl, ShapeError};

/// The array on the device.
pub fn to_tensor<B: Backend, S: Data<Elem = f32>, D: Dimension, const R: usize>(
    array: &ArrayBase<S, D>,
    device: &B::Device,
) -> Tensor<B, R> {
    let values: Vec<f32> = array.iter().copied().collect();
    Tensor::from_data(TensorData::new(values, array.shape().to_vec()), device)
}

/// The tensor off the device.
///
/// # Errors
/// A tensor of another rank than the array's.
pub fn to_array<B: Backend, D: Dimension, const R: usize>(
    tensor: Tensor<B, R>,
) -> Result<Array<f32, D>, ShapeError> {
    let shape: Dim<IxDynImpl> = Dim(&tensor.dims()[..]);
    let values = tensor.into_data().iter::<f32>().collect();
    Array::from_shape_vec(shape, values)?.into_dimensionality()
}
