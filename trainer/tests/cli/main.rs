//! Black-box tests of the `sparsight-train` command: what it prints, writes and refuses. Those that score need ONNX Runtime:
//! `cargo xtask setup`, or ORT_DYLIB_PATH.

#![allow(clippy::unwrap_used)] // a test may stop at what it did not expect

mod evaluating;
mod exporting;
mod preparing;
mod sandbox;
mod training;
