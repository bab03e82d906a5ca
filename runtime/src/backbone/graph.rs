//! One ONNX graph of a bundle as a session of ONNX Runtime; the only file that runs it.

use std::path::{Path, PathBuf};

use ndarray::{Array4, ArrayView4, Ix4};
use ort::{
    environment::Environment,
    ep,
    session::{Session, SessionInputValue, builder::GraphOptimizationLevel},
    value::TensorRef,
};

use super::{BackboneError, Provider};
use crate::{bundle::Bundle, onnxruntime::one_line};

/// A session and what is known of its file.
pub(super) struct Graph {
    path: PathBuf,
    inputs: &'static [&'static str],
    output: &'static str,
    session: Session,
}

impl Graph {
    /// Loads `file` of the bundle and checks the names of its inputs and its output.
    pub(super) fn open(
        bundle: &Bundle,
        file: &'static str,
        inputs: &'static [&'static str],
        output: &'static str,
        environment: &Environment,
        provider: Provider,
        threads: usize,
    ) -> Result<Self, BackboneError> {
        let path = bundle.path.join(file);
        let bytes = bundle.read(file)?; // the session is made of the very bytes that were hashed
        let session = open_session(&bytes, &path, environment, provider, threads)?;
        let graph = Self { path, inputs, output, session };
        graph.check_names()?;
        Ok(graph)
    }

    fn check_names(&self) -> Result<(), BackboneError> {
        let names = |outlets: &[ort::value::Outlet]| -> Vec<String> {
            outlets.iter().map(|outlet| outlet.name().to_string()).collect()
        };
        let (inputs, outputs) = (names(self.session.inputs()), names(self.session.outputs()));
        if inputs != self.inputs || outputs != [self.output] {
            let what = format!(
                "takes {} and gives {}, where {} and {} are expected",
                inputs.join(", "),
                outputs.join(", "),
                self.inputs.join(", "),
                self.output
            );
            return Err(BackboneError::OtherGraph { path: self.path.clone(), what });
        }
        Ok(())
    }

    /// Runs the graph on one array for each input, and checks that the result is finite and of the shape `output` for
    /// each image.
    pub(super) fn run(
        &mut self,
        inputs: &[ArrayView4<f32>],
        output: [usize; 3],
    ) -> Result<Array4<f32>, BackboneError> {
        let Self { path, inputs: names, output: output_name, session } = self;
        let failed = |error: ort::Error| BackboneError::Run {
            path: path.clone(),
            reason: one_line(&error.to_string()),
        };
        let arrays: Vec<_> = inputs.iter().map(|input| input.as_standard_layout()).collect();
        let mut values = Vec::with_capacity(inputs.len());
        for (name, array) in names.iter().zip(&arrays) {
            let value = TensorRef::from_array_view(array).map_err(failed)?;
            values.push((*name, SessionInputValue::from(value)));
        }
        let outputs = session.run(values).map_err(failed)?;
        let result = outputs[*output_name].try_extract_array::<f32>().map_err(failed)?;
        let expected = [inputs[0].dim().0, output[0], output[1], output[2]];
        let Some(result) =
            result.into_dimensionality::<Ix4>().ok().filter(|result| result.shape() == expected)
        else {
            let found = outputs[*output_name].shape();
            let what = format!("{output_name} of shape {found}, where the manifest says {expected:?}");
            return Err(BackboneError::OtherGraph { path: path.clone(), what });
        };
        match result.iter().all(|value| value.is_finite()) {
            true => Ok(result.into_owned()),
            false => Err(BackboneError::OutputNotFinite { path: path.clone(), name: output_name }),
        }
    }
}

fn open_session(
    bytes: &[u8],
    path: &Path,
    environment: &Environment,
    provider: Provider,
    threads: usize,
) -> Result<Session, BackboneError> {
    let load = |reason: String| BackboneError::Load { path: path.to_path_buf(), reason: one_line(&reason) };
    let cuda = |reason: String| BackboneError::Cuda(one_line(&reason));
    // Level 2 is as fast as the highest level here, and loads in half the time and memory. Threads that spin
    // between two images would take the cores from sparse coding.
    let builder = Session::builder(environment)
        .and_then(|builder| Ok(builder.with_optimization_level(GraphOptimizationLevel::Level2)?))
        .and_then(|builder| Ok(builder.with_intra_threads(threads)?))
        .and_then(|builder| Ok(builder.with_intra_op_spinning(false)?))
        .map_err(|error| load(error.to_string()))?;
    match provider {
        Provider::Cuda => {
            // TensorFloat-32 keeps 10 bits of a product's operands: too few for the tolerances of a manifest.
            let provider = ep::CUDA::default().with_tf32(false).build().error_on_failure();
            let mut builder =
                builder.with_execution_providers([provider]).map_err(|error| cuda(error.to_string()))?;
            builder.commit_from_memory(bytes).map_err(|error| cuda(error.to_string()))
        }
        Provider::Auto | Provider::Cpu => {
            let mut builder = builder;
            builder.commit_from_memory(bytes).map_err(|error| load(error.to_string()))
        }
    }
}
