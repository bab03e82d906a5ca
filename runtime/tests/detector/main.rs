//! A bundle at work on ONNX Runtime: what it must compute, and every way in which it must fail instead of giving a number.
//! Needs the library: `cargo xtask setup`, or ORT_DYLIB_PATH.

#![allow(clippy::unwrap_used)] // a test may

mod computes;
mod refuses;
mod tiny;
