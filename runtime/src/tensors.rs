//! Named f32 arrays in the safetensors format: from bytes and to bytes, the same bytes for the same arrays. What
//! the names mean is for the callers to know.

use std::collections::HashMap;

use ndarray::{Array, ArrayD, Dimension};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};

/// Why a tensor can't be had.
#[derive(Debug, thiserror::Error)]
pub enum TensorError {
    /// Truncated or another format.
    #[error("not a whole safetensors file ({0})")]
    NotSafetensors(#[from] SafeTensorError),
    /// No such name.
    #[error("no tensor {0:?}")]
    Missing(String),
    /// Not f32.
    #[error("tensor {name:?} holds {found}, not F32")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        found: Dtype,
    },
    /// Another number of sides.
    #[error("tensor {name:?} has shape {found:?}, not {sides} sides")]
    Sides {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The number that it should have.
        sides: usize,
    },
    /// NaN or infinity.
    #[error("tensor {0:?} holds NaN or infinity")]
    NotFinite(String),
}

/// The finite f32 tensor `name` as an array with the sides of `D`.
///
/// # Errors
/// A missing tensor, another type, another number of sides, NaN or infinity.
pub fn array<D: Dimension>(tensors: &SafeTensors, name: &str) -> Result<Array<f32, D>, TensorError> {
    let tensor = tensors.tensor(name).map_err(|_| TensorError::Missing(name.into()))?;
    if tensor.dtype() != Dtype::F32 {
        return Err(TensorError::Type { name: name.into(), found: tensor.dtype() });
    }
    let (bytes, _) = tensor.data().as_chunks::<4>();
    let values: Vec<f32> = bytes.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    if values.iter().any(|value| !value.is_finite()) {
        return Err(TensorError::NotFinite(name.into()));
    }
    let sides = || TensorError::Sides {
        name: name.into(),
        found: tensor.shape().to_vec(),
        sides: D::NDIM.unwrap_or_default(),
    };
    let array = ArrayD::from_shape_vec(tensor.shape(), values).map_err(|_| sides())?;
    array.into_dimensionality().map_err(|_| sides())
}

/// The bytes of a safetensors file with these tensors and, under the key `sparsight`, `metadata`. One key only: the
/// format writes several in no fixed order.
///
/// # Errors
/// Tensors that the format can't hold.
pub fn to_bytes(tensors: &[(&str, ArrayD<f32>)], metadata: Option<String>) -> Result<Vec<u8>, TensorError> {
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, array)| array.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let views = tensors
        .iter()
        .zip(&data)
        .map(|((name, array), bytes)| {
            Ok((*name, TensorView::new(Dtype::F32, array.shape().to_vec(), bytes)?))
        })
        .collect::<Result<Vec<_>, SafeTensorError>>()?;
    let metadata = metadata.map(|text| HashMap::from([(METADATA_KEY.to_string(), text)]));
    Ok(safetensors::serialize(views, metadata)?)
}

/// The text under the key `sparsight` in a file's metadata.
///
/// # Errors
/// Not a whole safetensors file.
pub fn metadata(bytes: &[u8]) -> Result<Option<String>, TensorError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    Ok(header.metadata().as_ref().and_then(|entries| entries.get(METADATA_KEY).cloned()))
}

const METADATA_KEY: &str = "sparsight";
