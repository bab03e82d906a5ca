//! Bare sessions of ONNX Runtime on one thread: a bundle's backbone, and the iterations of sparse coding as a graph.

use std::path::Path;

use anyhow::Context;
use ndarray::{Array2, Array4};
use ort::{
    environment::Environment,
    session::{Session, builder::GraphOptimizationLevel},
    value::TensorRef,
};
use serde_json::{Value, json};
use sparsight_runtime::{bundle::Bundle, onnxruntime::find};
use sparsight_schemas::SparseCodingConfig;

use super::{graph, milliseconds};

/// Milliseconds of the graphs by name.
pub fn measure(bundle: Option<&Path>) -> anyhow::Result<Value> {
    let environment = ort::init_from(find(None)?.path)?.with_telemetry(false).build()?;
    let mut report = json!({});
    for side in [4, 8, 16] {
        let (positions, atoms, values) = (side * side, 10 * side * side, 256 * 9);
        let model = graph::iterations(atoms, values, &SparseCodingConfig::default());
        let mut session = open(&environment, &model)?;
        let z = Array2::from_shape_fn((positions, values), |(p, i)| ((p * 7 + i * 13) % 17) as f32 / 17.0);
        let z = TensorRef::from_array_view(&z)?;
        let times = if atoms > 1000 { 3 } else { 20 };
        let mut failed = None;
        report[format!("graph_{atoms}_ms")] = json!(milliseconds(times, || {
            failed =
                session.run(ort::inputs![z.clone()]).err().map(|error| error.to_string()).or(failed.take());
        }));
        anyhow::ensure!(failed.is_none(), "{failed:?}");
    }
    if let Some(bundle) = bundle {
        let bundle = Bundle::open(bundle)?;
        let input = bundle.manifest.input;
        let mut session = open(&environment, &bundle.read("backbone.onnx")?)?;
        let image = Array4::from_elem((1, 3, input.height, input.width), 0.5f32);
        let image = TensorRef::from_array_view(&image)?;
        let mut failed = None;
        report["bare_backbone_ms"] = json!(milliseconds(50, || {
            failed = session
                .run(ort::inputs![image.clone()])
                .err()
                .map(|error| error.to_string())
                .or(failed.take());
        }));
        anyhow::ensure!(failed.is_none(), "{failed:?}");
    }
    Ok(report)
}

fn open(environment: &Environment, model: &[u8]) -> anyhow::Result<Session> {
    let mut builder = Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::Level3)
        .map_err(|error| anyhow::anyhow!("{error}"))?
        .with_intra_threads(1)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    builder.commit_from_memory(model).context("loading a graph")
}
