//! Meta-trains the energy-based model over many categories, and exports bundles.
//!
//! Architecture invariant: nothing here decodes or resizes an image, and no published figure is computed by the
//! model here: both are the runtime's, because the runtime is what ships.

#![recursion_limit = "256"]

pub mod arrays;
pub mod augmentation;
pub mod backbone;
pub mod batch;
pub mod bench;
pub mod categories;
pub mod checkpoint;
pub mod device;
pub mod energy;
pub mod episodes;
pub mod evaluation;
pub mod export;
pub mod langevin;
pub mod metrics;
pub mod negatives;
pub mod objective;
pub mod onnx;
pub mod operations;
pub mod plan;
pub mod preview;
pub mod replaceable;
pub mod sparse_coding;
pub mod synth;
pub mod training;
pub mod weights;
