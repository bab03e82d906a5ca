//! One ONNX graph of a bundle as a session of ONNX Runtime; the only file that runs it.

use std::path::PathBuf;

use ndarray::{Array4, ArrayView4, Ix4};
use ort::{
    session::{Session, SessionInputValue},
    value::{Outlet, TensorRef},
};

use super::{BackboneError, Engine, engine::SessionFault};
use crate::{bundle::Bundle, onnxruntime::one_line};

/// An input or an output: its name, and its shape for one image.
pub(super) type Port = (&'static str, [usize; 3]);

/// A session and what is known of its file.
pub(super) struct Graph {
    path: PathBuf,
    inputs: Vec<Port>,
    output: Port,
    session: Session,
}

impl Graph {
    /// Loads `file` of the bundle and checks names and shapes of its inputs and its output, so that nothing is made
    /// room for that it does not give.
    pub(super) fn open(
        bundle: &Bundle,
        file: &'static str,
        inputs: &[Port],
        output: Port,
        engine: &Engine,
    ) -> Result<Self, BackboneError> {
        let path = bundle.path.join(file);
        let bytes = bundle.read(file)?; // the session is made of the very bytes that were hashed
        let session = engine.session(&bytes).map_err(|fault| match fault {
            SessionFault::Cuda(fault) => BackboneError::Cuda(fault),
            SessionFault::Graph(reason) => BackboneError::Load { path: path.clone(), reason },
        })?;
        let graph = Self { path, inputs: inputs.to_vec(), output, session };
        graph.check_ports()?;
        Ok(graph)
    }

    fn check_ports(&self) -> Result<(), BackboneError> {
        let names = |outlets: &[Outlet]| -> Vec<String> {
            outlets.iter().map(|outlet| outlet.name().to_string()).collect()
        };
        let (inputs, outputs) = (names(self.session.inputs()), names(self.session.outputs()));
        let expected: Vec<&str> = self.inputs.iter().map(|(name, _)| *name).collect();
        if inputs != expected || outputs != [self.output.0] {
            return Err(self.other(format!(
                "takes {} and gives {}, where {} and {} are expected",
                inputs.join(", "),
                outputs.join(", "),
                expected.join(", "),
                self.output.0
            )));
        }
        let outlets = self.session.inputs().iter().chain(self.session.outputs());
        for (outlet, (name, shape)) in outlets.zip(self.inputs.iter().chain([&self.output])) {
            let found: Vec<i64> =
                outlet.dtype().tensor_shape().map(|shape| shape.to_vec()).unwrap_or_default();
            let expected = shape.map(|side| i64::try_from(side).unwrap_or(i64::MAX));
            if found.len() != 4 || found[1..] != expected {
                return Err(
                    self.other(format!("{name} of shape {found:?}, where the manifest says {shape:?}"))
                );
            }
        }
        Ok(())
    }

    fn other(&self, what: String) -> BackboneError {
        BackboneError::OtherGraph { path: self.path.clone(), what }
    }

    /// Runs the graph on one array for each input, and checks that the result is finite and of the output's shape
    /// for each image.
    pub(super) fn run(&mut self, inputs: &[ArrayView4<f32>]) -> Result<Array4<f32>, BackboneError> {
        let Self { path, inputs: ports, output: (name, [d, h, w]), session } = self;
        let failed = |error: ort::Error| BackboneError::Run {
            path: path.clone(),
            reason: one_line(&error.to_string()),
        };
        let arrays: Vec<_> = inputs.iter().map(|input| input.as_standard_layout()).collect();
        let mut values = Vec::with_capacity(inputs.len());
        for ((name, _), array) in ports.iter().zip(&arrays) {
            let value = TensorRef::from_array_view(array).map_err(failed)?;
            values.push((*name, SessionInputValue::from(value)));
        }
        let outputs = session.run(values).map_err(failed)?;
        let result = outputs[*name].try_extract_array::<f32>().map_err(failed)?;
        let expected = [inputs[0].dim().0, *d, *h, *w];
        let Some(result) =
            result.into_dimensionality::<Ix4>().ok().filter(|result| result.shape() == expected)
        else {
            let found = outputs[*name].shape();
            let what = format!("{name} of shape {found}, where the manifest says {expected:?}");
            return Err(BackboneError::OtherGraph { path: path.clone(), what });
        };
        match result.iter().all(|value| value.is_finite()) {
            true => Ok(result.into_owned()),
            false => Err(BackboneError::OutputNotFinite { path: path.clone(), name }),
        }
    }
}
