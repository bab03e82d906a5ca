//! Configs and manifests as YAML text, from outside. What every test here begins with is in this file; no test is.

mod reading;
mod round_trips;
mod rules;

/// A manifest that keeps every rule.
const MANIFEST: &str = "\
schema_version: 1
name: tiny
input: {height: 32, width: 32, resize: bilinear}
features: {channels: 16, height: 4, width: 4, stride: 8}
sparse_coding: {receptive_field: 3, steps: 8, lambda_max: 0.3, lambda_star: 0.05, shrinkage: sigmoid, tau: 20.0}
scoring: {top_fraction: 0.01, smoothing: 4.0}
tolerances: {features: 0.0001, energy: 0.0001, gradient: 0.001}
files:
  backbone.onnx: 0000000000000000000000000000000000000000000000000000000000000000
  backbone_vjp.onnx: 1111111111111111111111111111111111111111111111111111111111111111
  probe.safetensors: 2222222222222222222222222222222222222222222222222222222222222222
provenance: {version: 0.1.0, seed: 1, steps: 0, data_fingerprint: null, config: {}}
";
