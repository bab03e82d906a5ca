//! The tiny bundle's `backbone.onnx` as burn-import understands it, for the test that compares it with the original.
//! Nothing else may use it.

/// Generated code.
#[allow(missing_docs, unused_qualifications, clippy::all)]
pub mod backbone {
    include!(concat!(env!("OUT_DIR"), "/model/backbone.rs"));
}
