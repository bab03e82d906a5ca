//! The backbone: one graph for features and one for gradients, on the provider that was asked for. Nothing but finite
//! arrays of the right shape passes in or out.

mod engine;
mod graph;
mod providers;

use std::{fmt, path::PathBuf, str::FromStr};

pub use engine::CudaFault;
use engine::Engine;
use graph::Graph;
use ndarray::{Array4, ArrayView4};
pub use providers::{ProviderState, provider_states};
use sparsight_schemas::{FeatureGeometry, InputConfig};

use crate::{
    bundle::{Bundle, BundleError},
    onnxruntime::{self, Library, OnnxRuntimeError},
    signature::PublicKey,
};

/// Images that pass through a session together; more only need more memory.
const LARGEST_BATCH: usize = 16;

/// What may compute the backbone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provider {
    /// CUDA if it starts, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// CUDA, or an error that says why not.
    Cuda,
}

impl fmt::Display for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        })
    }
}

impl FromStr for Provider {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Auto, Self::Cpu, Self::Cuda]
            .into_iter()
            .find(|provider| provider.to_string() == name)
            .ok_or_else(|| format!("{name:?} is not a provider; use auto, cpu or cuda"))
    }
}

/// Threads of a computation, at most: each takes memory of its own, and no CPU has use for more.
pub const MOST_THREADS: usize = 256;

/// How the backbone is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What computes it.
    pub provider: Provider,
    /// Threads of a computation on the CPU; 0 for one for each core, [`MOST_THREADS`] at most.
    pub threads: usize,
    /// Which GPU; the CPU takes no notice.
    pub device_id: u16,
    /// Bytes of its memory that ONNX Runtime may take for arrays; none for what it wants.
    pub gpu_memory_limit: Option<usize>,
    /// The ONNX Runtime library; none to look for it.
    pub library: Option<PathBuf>,
    /// The key that must have signed the bundle; none to take unsigned ones.
    pub public_key: Option<PublicKey>,
}

/// Why the backbone gave no result.
#[derive(Debug, thiserror::Error)]
pub enum BackboneError {
    /// There is no library to run it.
    #[error(transparent)]
    OnnxRuntime(#[from] OnnxRuntimeError),
    /// Its file is missing or altered.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// CUDA was asked for and does not start.
    #[error(
        "CUDA can't be used ({0}); use --provider cpu, or install an ONNX Runtime with CUDA and point ORT_DYLIB_PATH to it"
    )]
    Cuda(CudaFault),
    /// ONNX Runtime does not load the file.
    #[error("{}: ONNX Runtime can't load it ({reason}); export the bundle again", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// ONNX Runtime's reason.
        reason: String,
    },
    /// The file has other inputs or outputs than a backbone.
    #[error("{}: {what}; export the bundle again", path.display())]
    OtherGraph {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// The caller's array has a wrong shape.
    #[error(
        "{name} of shape {found:?}; the bundle takes {expected:?} for each image, and at least one image"
    )]
    InputShape {
        /// Which input.
        name: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape of one image's part.
        expected: [usize; 3],
    },
    /// The caller's array holds NaN or infinity.
    #[error("{0} hold NaN or infinity; check the image")]
    InputNotFinite(&'static str),
    /// The backbone's result holds NaN or infinity.
    #[error("{}: {name} hold NaN or infinity; the weights are broken, export a healthy checkpoint", path.display())]
    OutputNotFinite {
        /// The file.
        path: PathBuf,
        /// Which output.
        name: &'static str,
    },
    /// ONNX Runtime fails in the middle.
    #[error("{}: ONNX Runtime failed ({reason}); try --provider cpu or free some memory", path.display())]
    Run {
        /// The file.
        path: PathBuf,
        /// ONNX Runtime's reason.
        reason: String,
    },
}

/// The sessions of a bundle.
pub struct Backbone {
    bundle: Bundle,
    library: Library,
    options: Options,
    engine: Engine,
    note: Option<CudaFault>,
    forward: Graph,
    vjp: Option<Graph>,
}

impl Backbone {
    /// Loads the library and `backbone.onnx`; `backbone_vjp.onnx` waits until it is needed.
    ///
    /// # Errors
    /// No usable library, CUDA asked for in vain, or a file that is not the bundle's.
    pub fn open(bundle: &Bundle, options: &Options) -> Result<Self, BackboneError> {
        let (library, environment) = onnxruntime::environment(options.library.as_deref())?;
        let open = |provider| {
            let engine = Engine::new(&environment, provider, options);
            let (image, features) = (image_shape(bundle), features_shape(bundle));
            let inputs = [("image", image)];
            let forward = Graph::open(bundle, "backbone.onnx", &inputs, ("features", features), &engine)?;
            Ok((engine, forward))
        };
        let ((engine, forward), note) = match options.provider {
            Provider::Auto => match open(Provider::Cuda) {
                Err(BackboneError::Cuda(fault)) => (open(Provider::Cpu)?, Some(fault)),
                opened => (opened?, None),
            },
            provider => (open(provider)?, None),
        };
        let (bundle, options) = (bundle.clone(), options.clone());
        Ok(Self { bundle, library, options, engine, note, forward, vjp: None })
    }

    /// The same graphs on the same provider in sessions of their own, for another thread.
    ///
    /// # Errors
    /// As [`Backbone::open`].
    pub fn beside(&self, threads: usize) -> Result<Self, BackboneError> {
        let options = Options { provider: self.provider(), threads, ..self.options.clone() };
        Self::open(&self.bundle, &options)
    }

    /// What computes: [`Provider::Cpu`] or [`Provider::Cuda`].
    pub fn provider(&self) -> Provider {
        self.engine.provider
    }

    /// Why [`Provider::Auto`] came to the CPU.
    pub fn provider_note(&self) -> Option<&CudaFault> {
        self.note.as_ref()
    }

    /// The library that runs the sessions.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// Features \[n, d, h, w\] of `images` \[n, 3, H, W\] in \[0, 1\].
    ///
    /// # Errors
    /// An input of another shape, no image, NaN or infinity on either side, or ONNX Runtime's failure.
    pub fn features(&mut self, images: ArrayView4<f32>) -> Result<Array4<f32>, BackboneError> {
        let (image, features) = (image_shape(&self.bundle), features_shape(&self.bundle));
        check_input("images", images, image)?;
        let mut result = Array4::zeros((images.dim().0, features[0], features[1], features[2]));
        for (part, mut out) in
            chunks(images).zip(result.axis_chunks_iter_mut(ndarray::Axis(0), LARGEST_BATCH))
        {
            out.assign(&self.forward.run(&[part])?);
        }
        Ok(result)
    }

    /// The vector-Jacobian product \[n, 3, H, W\]: the gradient in `images` \[n, 3, H, W\] of a number whose gradient
    /// in their features is `features_gradient` \[n, d, h, w\].
    ///
    /// # Errors
    /// As [`Backbone::features`].
    pub fn image_gradient(
        &mut self,
        images: ArrayView4<f32>,
        features_gradient: ArrayView4<f32>,
    ) -> Result<Array4<f32>, BackboneError> {
        let (image, features) = (image_shape(&self.bundle), features_shape(&self.bundle));
        check_input("images", images, image)?;
        check_input("features_gradient", features_gradient, features)?;
        assert_eq!(images.dim().0, features_gradient.dim().0, "images and gradients of their features");
        let vjp = match &mut self.vjp {
            Some(vjp) => vjp,
            none => none.insert(Graph::open(
                &self.bundle,
                "backbone_vjp.onnx",
                &[("image", image), ("features_gradient", features)],
                ("image_gradient", image),
                &self.engine,
            )?),
        };
        let mut result = Array4::zeros(images.dim());
        let parts = chunks(images).zip(chunks(features_gradient));
        for ((part, gradient), mut out) in
            parts.zip(result.axis_chunks_iter_mut(ndarray::Axis(0), LARGEST_BATCH))
        {
            out.assign(&vjp.run(&[part, gradient])?);
        }
        Ok(result)
    }
}

/// \[3, H, W\] of an image that the bundle takes.
fn image_shape(bundle: &Bundle) -> [usize; 3] {
    let InputConfig { height, width, .. } = bundle.manifest.input;
    [3, height, width]
}

/// \[d, h, w\] of its features.
fn features_shape(bundle: &Bundle) -> [usize; 3] {
    let FeatureGeometry { channels, height, width, .. } = bundle.manifest.features;
    [channels, height, width]
}

fn chunks(array: ArrayView4<'_, f32>) -> impl Iterator<Item = ArrayView4<'_, f32>> {
    let count = array.dim().0;
    (0..count).step_by(LARGEST_BATCH).map(move |start| {
        let end = (start + LARGEST_BATCH).min(count);
        array.slice_move(ndarray::s![start..end, .., .., ..])
    })
}

fn check_input(
    name: &'static str,
    array: ArrayView4<f32>,
    expected: [usize; 3],
) -> Result<(), BackboneError> {
    if array.dim().0 == 0 || array.shape()[1..] != expected {
        return Err(BackboneError::InputShape { name, found: array.shape().to_vec(), expected });
    }
    match array.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(BackboneError::InputNotFinite(name)),
    }
}
