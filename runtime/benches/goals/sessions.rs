//! Bare sessions of ONNX Runtime on one thread: a bundle's backbone, and the iterations of sparse coding as a graph.

use std::path::Path;

use anyhow::Context;
use ndarray::{Array, Array2, Array4, Dimension};
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
        let times = if atoms > 1000 { 3 } else { 20 };
        report[format!("graph_{atoms}_ms")] = json!(run(&mut session, &z, times)?);
    }
    if let Some(bundle) = bundle {
        let bundle = Bundle::open(bundle)?;
        let input = bundle.manifest.input;
        let mut session = open(&environment, &bundle.read("backbone.onnx")?)?;
        let image = Array4::from_elem((1, 3, input.height, input.width), 0.5f32);
        report["bare_backbone_ms"] = json!(run(&mut session, &image, 50)?);
        let features = bundle.manifest.features;
        let gradient = Array4::from_elem((1, features.channels, features.height, features.width), 0.1f32);
        let mut session = open(&environment, &bundle.read("backbone_vjp.onnx")?)?;
        report["bare_vjp_ms"] = json!(run_with(&mut session, 20, |session| {
            let inputs =
                ort::inputs![TensorRef::from_array_view(&image)?, TensorRef::from_array_view(&gradient)?];
            session.run(inputs).map(drop)
        })?);
    }
    Ok(report)
}

/// Milliseconds of a run of a graph with one input.
fn run<D: Dimension + 'static>(
    session: &mut Session,
    input: &Array<f32, D>,
    times: usize,
) -> anyhow::Result<f64> {
    // A tensor for each run: a clone of one waits for itself in ort 2.0.0-rc.15.
    run_with(session, times, |session| {
        session.run(ort::inputs![TensorRef::from_array_view(input)?]).map(drop)
    })
}

/// Milliseconds of `run`.
fn run_with(
    session: &mut Session,
    times: usize,
    mut run: impl FnMut(&mut Session) -> ort::Result<()>,
) -> anyhow::Result<f64> {
    let mut failed = None;
    let time = milliseconds(times, || failed = run(session).err().or(failed.take()));
    match failed {
        Some(error) => Err(error).context("running a graph"),
        None => Ok(time),
    }
}

fn open(environment: &Environment, model: &[u8]) -> anyhow::Result<Session> {
    let mut builder = Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::Level3)
        .map_err(|error| anyhow::anyhow!("{error}"))?
        .with_intra_threads(1)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    builder.commit_from_memory(model).context("loading a graph")
}
