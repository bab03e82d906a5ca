//! Which providers this machine has. Nothing is taken on trust: each must compute something.

use std::path::Path;

use ort::value::TensorRef;

use super::{
    CudaFault, Options, Provider,
    engine::{Engine, SessionFault},
};
use crate::onnxruntime::{self, Library, OnnxRuntimeError, one_line};

/// How far a provider gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderState {
    /// [`Provider::Cpu`] or [`Provider::Cuda`].
    pub provider: Provider,
    /// Whether the library was built with it.
    pub built_in: bool,
    /// Whether the libraries that it needs load.
    pub loads: bool,
    /// Whether it computes.
    pub usable: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// How far each provider of a library gets (`library` as for [`onnxruntime::find`]), on the GPU `device_id`.
///
/// # Errors
/// No usable library.
pub fn provider_states(
    library: Option<&Path>,
    device_id: u16,
) -> Result<(Library, Vec<ProviderState>), OnnxRuntimeError> {
    let (library, environment) = onnxruntime::environment(library)?;
    let options = Options { device_id, threads: 1, ..Options::default() };
    let state = |provider| state(&Engine::new(&environment, provider, &options));
    Ok((library, vec![state(Provider::Cpu), state(Provider::Cuda)]))
}

fn state(engine: &Engine) -> ProviderState {
    let (built_in, loads, reason) = match negate(engine) {
        Ok(()) => (true, true, None),
        Err(SessionFault::Cuda(fault)) => (
            !matches!(fault, CudaFault::NotBuiltIn),
            matches!(fault, CudaFault::NotStarted(_) | CudaFault::NoDevice(_)),
            Some(fault.to_string()),
        ),
        Err(SessionFault::Graph(reason)) => (true, true, Some(reason)),
    };
    ProviderState { provider: engine.provider, built_in, loads, usable: reason.is_none(), reason }
}

/// Computes -1 on the engine.
fn negate(engine: &Engine) -> Result<(), SessionFault> {
    let mut session = engine.session(NEGATION)?;
    let failed = |error: ort::Error| match engine.provider {
        Provider::Cuda => SessionFault::Cuda(CudaFault::NotStarted(one_line(&error.to_string()))),
        _ => SessionFault::Graph(one_line(&error.to_string())),
    };
    let one = ndarray::arr1(&[1.0_f32]);
    let input = TensorRef::from_array_view(&one).map_err(failed)?;
    let outputs = session.run(ort::inputs!["x" => input]).map_err(failed)?;
    let (_, values) = outputs["y"].try_extract_tensor::<f32>().map_err(failed)?;
    match values {
        [-1.0] => Ok(()),
        other => Err(SessionFault::Graph(format!("-1 comes out as {other:?}"))),
    }
}

/// An ONNX graph with one node, y = Neg(x), of one float: a model of IR version 8 and operator set 13.
const NEGATION: &[u8] = b"\x08\x08\x3a\x32\
    \x0a\x0b\x0a\x01x\x12\x01y\x22\x03Neg\
    \x12\x01g\
    \x5a\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\
    \x62\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\
    \x42\x02\x10\x0d";
