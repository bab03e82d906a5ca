//! What sessions run on: ONNX Runtime's environment, a provider and its settings. What they compute is the graphs'.

use ort::{
    environment::Environment,
    ep::{self, ExecutionProvider},
    session::{Session, builder::GraphOptimizationLevel},
};

use super::{MOST_THREADS, Options, Provider};
use crate::onnxruntime::one_line;

/// Why CUDA can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CudaFault {
    /// The library is one for CPUs.
    #[error("this ONNX Runtime was built without it")]
    NotBuiltIn,
    /// The library's CUDA half, or what that needs, does not load.
    #[error("its libraries don't load: {0}")]
    NotLoaded(String),
    /// The libraries load, but there is no GPU of that number.
    #[error("there is no GPU {0}, counted from 0: choose another --device-id")]
    NoDevice(u16),
    /// The libraries load, but the device does not start.
    #[error("the device does not start: {0}")]
    NotStarted(String),
}

/// Why there is no session.
pub(super) enum SessionFault {
    /// CUDA was asked for in vain.
    Cuda(CudaFault),
    /// The graph is none, in ONNX Runtime's words.
    Graph(String),
}

/// Makes sessions that all run on one provider.
#[derive(Clone)]
pub(super) struct Engine {
    environment: Environment,
    pub(super) provider: Provider,
    threads: usize,
    device_id: u16,
    gpu_memory_limit: Option<usize>,
}

impl Engine {
    /// On `provider`, otherwise as the options say.
    pub(super) fn new(environment: &Environment, provider: Provider, options: &Options) -> Self {
        Self {
            environment: environment.clone(),
            provider,
            threads: options.threads.min(MOST_THREADS),
            device_id: options.device_id,
            gpu_memory_limit: options.gpu_memory_limit,
        }
    }

    /// A session for the graph in `bytes`.
    pub(super) fn session(&self, bytes: &[u8]) -> Result<Session, SessionFault> {
        let graph = |error: ort::Error| SessionFault::Graph(one_line(&error.to_string()));
        // Level 2 is as fast as the highest level here, and loads in half the time and memory. Threads that spin
        // between two images would take the cores from sparse coding.
        let mut builder = Session::builder(&self.environment)
            .and_then(|builder| Ok(builder.with_optimization_level(GraphOptimizationLevel::Level2)?))
            .and_then(|builder| Ok(builder.with_intra_threads(self.threads)?))
            .and_then(|builder| Ok(builder.with_intra_op_spinning(false)?))
            .map_err(graph)?;
        if self.provider != Provider::Cuda {
            return builder.commit_from_memory(bytes).map_err(graph);
        }
        if !ep::CUDA::is_available().unwrap_or(false) {
            return Err(SessionFault::Cuda(CudaFault::NotBuiltIn));
        }
        // TensorFloat-32 keeps 10 bits of a product's operands: too few for the tolerances of a manifest.
        let mut cuda = ep::CUDA::default().with_device_id(self.device_id.into()).with_tf32(false);
        if let Some(limit) = self.gpu_memory_limit {
            cuda = cuda.with_memory_limit(limit);
        }
        let mut builder = builder
            .with_execution_providers([cuda.build().error_on_failure()])
            .map_err(|error| SessionFault::Cuda(not_loaded(&error.to_string(), self.device_id)))?;
        builder
            .commit_from_memory(bytes)
            .map_err(|error| SessionFault::Cuda(CudaFault::NotStarted(one_line(&error.to_string()))))
    }
}

/// Why the provider can't be appended. ONNX Runtime has no error codes for it, only words.
fn not_loaded(words: &str, device_id: u16) -> CudaFault {
    match words.contains("Invalid device ID") {
        true => CudaFault::NoDevice(device_id),
        false => CudaFault::NotLoaded(one_line(words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_not_there_is_told_from_libraries_that_do_not_load() {
        // The first as ONNX Runtime 1.28.0 said it on a machine with one GPU.
        let of_device = "Failed to parse provider option \"device_id\": cuda_execution_provider_info.cc:70 operator() \
                         Invalid device ID: 7, must be between 0 (inclusive) and 1 (exclusive).";
        assert_eq!(not_loaded(of_device, 7), CudaFault::NoDevice(7));
        let of_library =
            "Failed to load library libonnxruntime_providers_cuda.so with error: libcublasLt.so.13";
        assert_eq!(not_loaded(of_library, 7), CudaFault::NotLoaded(of_library.into()));
    }
}
