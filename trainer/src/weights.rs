//! The backbone's parameters: drawn, read from and written to safetensors, handed to the optimizer. What they compute
//! is `backbone`'s.

use std::{collections::HashMap, path::Path};

use burn::{
    module::{Module, Param, ParamId},
    tensor::{Tensor, TensorData, backend::Backend},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sparsight_schemas::{BackboneConfig, CONTRAST_SHORTCUT, IMAGE_SHORTCUT};

use crate::operations::burn::BurnOperations;

/// Every parameter of a backbone in the order of [`BackboneConfig::parameters`]; convolutions \[O,I,k,k\], norms
/// \[1,C,1,1\].
#[derive(Module, Debug)]
pub struct Weights<B: Backend> {
    parameters: Vec<Param<Tensor<B, 4>>>,
    names: Vec<String>,
}

/// Why a file of weights can't be used; one line.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file can't be read.
    #[error("{path}: {source}; give the path of a checkpoint folder or of a .safetensors file")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not safetensors.
    #[error("{path}: not a safetensors file ({source}); use another checkpoint")]
    Form {
        /// The file.
        path: String,
        /// What is wrong.
        source: safetensors::SafeTensorError,
    },
    /// A parameter of the config is not in the file.
    #[error("{path}: no parameter {name}; is the config the one that it was trained with?")]
    Missing {
        /// The file.
        path: String,
        /// The parameter.
        name: String,
    },
    /// The file holds a parameter of a larger backbone.
    #[error("{path}: parameter {name} is not in the config; is the config the one that it was trained with?")]
    Unexpected {
        /// The file.
        path: String,
        /// The parameter.
        name: String,
    },
    /// A parameter has another shape than the config says.
    #[error(
        "{path}: {name} has shape {found:?}, the config says {expected:?}; use the config of its training"
    )]
    Shape {
        /// The file.
        path: String,
        /// The parameter.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape that the config says.
        expected: Vec<usize>,
    },
    /// A parameter is not stored as floats.
    #[error("{path}: {name} is {dtype:?}; store it as F32 or F64")]
    Dtype {
        /// The file.
        path: String,
        /// The parameter.
        name: String,
        /// How it is stored.
        dtype: Dtype,
    },
    /// A parameter holds NaN or infinity.
    #[error("{path}: {name} holds a value that is not finite; go back to an earlier checkpoint")]
    NotFinite {
        /// The file.
        path: String,
        /// The parameter.
        name: String,
    },
}

/// The values of every parameter, by name; the form between files, devices and graphs.
pub type NamedParameters = Vec<(String, Vec<usize>, Vec<f32>)>;

/// What random weights of the image shortcut are multiplied by: no norm follows that would undo it, and so black and
/// white lie well apart in the features.
const SHORTCUT_GAIN: f64 = 2.0;

/// Random parameters: He's uniform distribution for convolutions, of variance 2 / fan-in; norms start as identity.
/// The same on every machine, because it takes nothing but products and a square root.
pub fn random_parameters(config: &BackboneConfig, seed: u64) -> NamedParameters {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let draw = |(name, shape): (String, Vec<usize>)| {
        let count = shape.iter().product();
        let values = match shape[..] {
            [_, input, height, width] => {
                let past_norms = name == IMAGE_SHORTCUT || name == CONTRAST_SHORTCUT;
                let gain = if past_norms { SHORTCUT_GAIN } else { 1.0 };
                let bound = gain * (6.0 / (input * height * width) as f64).sqrt();
                (0..count).map(|_| (bound * (2.0 * rng.random::<f64>() - 1.0)) as f32).collect()
            }
            _ if name.ends_with(".weight") => vec![1.0; count],
            _ => vec![0.0; count],
        };
        (name, shape, values)
    };
    config.parameters().into_iter().map(draw).collect()
}

/// Reads the parameters that `listed` names, with their shapes, from a safetensors file. Other tensors may lie beside
/// them, as long as they are no parameters of a larger backbone.
///
/// # Errors
/// A missing, unexpected, misshapen or non-finite parameter, or a file that can't be read.
pub fn read_parameters(
    path: &Path,
    listed: Vec<(String, Vec<usize>)>,
) -> Result<NamedParameters, WeightsError> {
    let bytes = std::fs::read(path)
        .map_err(|source| WeightsError::Read { path: path.display().to_string(), source })?;
    parameters_of(&bytes, path, listed)
}

/// As [`read_parameters`], of the file's bytes; `path` is for messages.
///
/// # Errors
/// As [`read_parameters`].
pub fn parameters_of(
    bytes: &[u8],
    path: &Path,
    listed: Vec<(String, Vec<usize>)>,
) -> Result<NamedParameters, WeightsError> {
    let shown = path.display().to_string();
    let file = SafeTensors::deserialize(bytes)
        .map_err(|source| WeightsError::Form { path: shown.clone(), source })?;
    let is_parameter = |name: &str| ["stem.", "stage", "head."].iter().any(|part| name.starts_with(part));
    let mut names = file.names();
    names.sort_unstable();
    if let Some(name) =
        names.into_iter().find(|n| is_parameter(n) && !listed.iter().any(|(name, _)| name == n))
    {
        return Err(WeightsError::Unexpected { path: shown, name: name.to_owned() });
    }
    let read = |(name, shape): (String, Vec<usize>)| {
        let path = shown.clone();
        let Ok(view) = file.tensor(&name) else { return Err(WeightsError::Missing { path, name }) };
        if view.shape() != shape {
            return Err(WeightsError::Shape { path, name, found: view.shape().to_vec(), expected: shape });
        }
        let Some(values) = floats(&view) else {
            return Err(WeightsError::Dtype { path, name, dtype: view.dtype() });
        };
        if values.iter().any(|value| !value.is_finite()) {
            return Err(WeightsError::NotFinite { path, name });
        }
        Ok((name, shape, values))
    };
    listed.into_iter().map(read).collect()
}

/// The elements as f32; none if they are neither F32 nor F64.
fn floats(view: &TensorView) -> Option<Vec<f32>> {
    let data = view.data();
    match view.dtype() {
        Dtype::F32 => Some(data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        Dtype::F64 => Some(data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()),
        _ => None,
    }
}

/// The parameters as the bytes of a safetensors file.
///
/// # Errors
/// Shapes that don't fit the values.
pub fn to_safetensors(parameters: &NamedParameters) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let bytes: Vec<Vec<u8>> = parameters
        .iter()
        .map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let views = parameters.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
    });
    safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, None)
}

impl<B: Backend> Weights<B> {
    /// Puts the parameters on a device. Each gets an identity made of its place, not a random one, so that the
    /// optimizer's state finds it again after a resume.
    pub fn from_parameters(parameters: &NamedParameters, device: &B::Device) -> Self {
        let tensor = |(index, (_, shape, values)): (usize, &(String, Vec<usize>, Vec<f32>))| {
            let shape = if let [o, i, h, w] = shape[..] { [o, i, h, w] } else { [1, shape[0], 1, 1] };
            let tensor = Tensor::from_data(TensorData::new(values.clone(), shape), device);
            Param::initialized(ParamId::from(index as u64), tensor.require_grad())
        };
        Self {
            parameters: parameters.iter().enumerate().map(tensor).collect(),
            names: parameters.iter().map(|(name, _, _)| name.clone()).collect(),
        }
    }

    /// Takes the parameters off the device.
    pub fn to_parameters(&self) -> NamedParameters {
        let values = |(name, parameter): (&String, &Param<Tensor<B, 4>>)| {
            let (shape, values) = named_values(name, parameter.val());
            (name.clone(), shape, values)
        };
        self.names.iter().zip(&self.parameters).map(values).collect()
    }

    /// The tensors by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, Tensor<B, 4>)> {
        self.names.iter().map(String::as_str).zip(self.parameters.iter().map(|parameter| parameter.val()))
    }

    /// The parameter of that name.
    ///
    /// # Panics
    /// If there is none: which there are follows from the config.
    pub fn parameter(&self, name: &str) -> Tensor<B, 4> {
        match self.names.iter().position(|known| known == name) {
            Some(index) => self.parameters[index].val(),
            None => unreachable!("{name} was asked for, which the config doesn't list"),
        }
    }

    /// Where they are.
    pub fn device(&self) -> B::Device {
        self.parameters[0].val().device()
    }

    /// Shape of the parameter of that identity, one of [`Weights::ids`]; norms' are \[1,C,1,1\].
    ///
    /// # Panics
    /// If there is none.
    pub fn dims(&self, id: ParamId) -> [usize; 4] {
        match self.parameters.iter().find(|parameter| parameter.id == id) {
            Some(parameter) => parameter.val().dims(),
            None => unreachable!("{id} is no identity of these weights"),
        }
    }

    /// Identities of the parameters, in their order.
    pub fn ids(&self) -> impl Iterator<Item = ParamId> {
        self.parameters.iter().map(|parameter| parameter.id)
    }

    /// These weights moved towards `others` by the share `step`: the next value of a moving average.
    pub fn towards(self, others: &Self, step: f64) -> Self {
        let moved = |(own, other): (Param<Tensor<B, 4>>, &Param<Tensor<B, 4>>)| {
            own.map(|own| own.clone() + (other.val() - own).mul_scalar(step))
        };
        Self { parameters: self.parameters.into_iter().zip(&others.parameters).map(moved).collect(), ..self }
    }

    /// The operations on these parameters.
    pub fn operations(&self) -> BurnOperations<B> {
        let parameters: HashMap<_, _> = self.tensors().map(|(name, t)| (name.to_owned(), t)).collect();
        BurnOperations::new(parameters, self.device())
    }
}

/// Shape in files and elements of a parameter, or of its gradient.
pub fn named_values<B: Backend>(name: &str, tensor: Tensor<B, 4>) -> (Vec<usize>, Vec<f32>) {
    let dims = tensor.dims();
    let shape = if name.contains("conv") { dims.to_vec() } else { vec![dims[1]] };
    (shape, tensor.into_data().iter::<f32>().collect())
}
