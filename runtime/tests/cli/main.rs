//! Black-box tests of the `sparsight` command, over the tiny bundle in `fixtures/`. They need ONNX Runtime
//! (`cargo xtask setup`, or `ORT_DYLIB_PATH`) and hold for any weights.

#![allow(clippy::unwrap_used)] // a test may stop at what it did not expect

mod adapting;
mod bad_files;
mod bad_images;
mod calibrating;
mod changing;
mod coming;
#[cfg(unix)]
mod ending;
#[cfg(unix)]
mod killing;
mod outputs;
mod posing;
mod providers;
mod regions;
mod sandbox;
mod scoring;
mod signed;
mod telling;
