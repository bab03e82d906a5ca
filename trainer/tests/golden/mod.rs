//! Reading the golden cases, for tests of every stage; no expectation is computed here.
#![allow(dead_code)] // each test binary uses its part

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use burn::tensor::{Tensor, TensorData, backend::Backend};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use sparsight_schemas::{
    BackboneConfig, InputConfig, LangevinConfig, ObjectiveConfig, ResizeFilter, Shrinkage, SparseCodingConfig,
};
use sparsight_trainer::{energy::EnergyModel, objective::EpisodeTensors, weights::Weights};

/// A golden case: results of an independent float64 implementation.
pub struct Golden {
    pub input: InputConfig,
    pub backbone: BackboneConfig,
    pub sparse_coding: SparseCodingConfig,
    pub langevin: LangevinConfig,
    pub objective: ObjectiveConfig,
    tensors: HashMap<String, (Vec<usize>, Vec<f64>)>,
}

#[derive(Deserialize)]
struct GoldenConfig {
    receptive_field: usize,
    steps: usize,
    lambda_max: f64,
    lambda_star: f64,
    shrinkage: Shrinkage,
    tau: f64,
    step_size: f64,
    noise_std: f64,
    eta_rec: f64,
    eta_cd: f64,
    strides: Vec<usize>,
    widths: Vec<usize>,
    d: usize,
    height: usize,
    width: usize,
}

/// The cases in the repository, and `table_a` too where SPARSIGHT_GOLDEN names a folder that has it.
pub fn cases() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden");
    let names = ["tiny_sigmoid", "tiny_soft", "tiny_none", "tiny_one_step", "tiny_rf1", "rect_sigmoid"];
    let mut cases: Vec<PathBuf> =
        names.iter().map(|name| fixtures.join(format!("{name}.safetensors"))).collect();
    match std::env::var_os("SPARSIGHT_GOLDEN").map(|dir| Path::new(&dir).join("table_a.safetensors")) {
        Some(large) if large.exists() => cases.push(large),
        _ => eprintln!("skipped: table_a, the full-size case (SPARSIGHT_GOLDEN names no folder that has it)"),
    }
    cases
}

impl Golden {
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let config = &header.metadata().as_ref().unwrap()["config"];
        let c: GoldenConfig = serde_json::from_str(config).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let values = match view.dtype() {
                Dtype::F32 => {
                    view.data().as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
                }
                Dtype::F64 => view.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
                other => panic!("{name} is {other:?}"),
            };
            (name, (view.shape().to_vec(), values))
        });
        Self {
            input: InputConfig { height: c.height, width: c.width, resize: ResizeFilter::default() },
            backbone: BackboneConfig {
                widths: c.widths,
                strides: c.strides,
                feature_channels: c.d,
                ..BackboneConfig::default()
            },
            sparse_coding: SparseCodingConfig {
                receptive_field: c.receptive_field,
                steps: c.steps,
                lambda_max: c.lambda_max,
                lambda_star: c.lambda_star,
                shrinkage: c.shrinkage,
                tau: c.tau,
                ..SparseCodingConfig::default()
            },
            langevin: LangevinConfig {
                steps: 5,
                step_size: c.step_size,
                noise_std: c.noise_std,
                relative: false,
                learned: false,
            },
            objective: ObjectiveConfig { eta_rec: c.eta_rec, eta_cd: c.eta_cd, ..ObjectiveConfig::default() },
            tensors: tensors.collect(),
        }
    }

    pub fn values(&self, name: &str) -> &[f64] {
        &self.tensors[name].1
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.tensors[name].0
    }

    pub fn tensor<B: Backend, const D: usize>(&self, name: &str, device: &B::Device) -> Tensor<B, D> {
        let (shape, values) = &self.tensors[name];
        Tensor::from_data(TensorData::new(values.clone(), shape.clone()).convert::<B::FloatElem>(), device)
    }

    /// The parameters, in the form between files, devices and graphs.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let values = |name: &str| self.values(&format!("weights.{name}")).iter().map(|v| *v as f32).collect();
        self.backbone
            .parameters()
            .into_iter()
            .map(|(name, shape)| (name.clone(), shape, values(&name)))
            .collect()
    }

    pub fn weights<B: Backend>(&self, device: &B::Device) -> Weights<B> {
        Weights::from_parameters(&self.parameters(), device)
    }

    pub fn model<B: Backend>(&self, weights: &Weights<B>) -> EnergyModel<B> {
        EnergyModel::new(&self.input, &self.backbone, &self.sparse_coding, weights)
    }

    pub fn episode<B: Backend>(&self, device: &B::Device) -> EpisodeTensors<B> {
        let noise: Tensor<B, 5> = self.tensor("noise", device);
        let [steps, n, c, h, w] = noise.dims();
        let step = |i: usize| noise.clone().slice([i..i + 1, 0..n, 0..c, 0..h, 0..w]).reshape([n, c, h, w]);
        EpisodeTensors {
            atoms: None,
            labels: Tensor::zeros([1, 1, 1], device), // the dense term's, which the cases don't have
            support: self.tensor("support", device),
            positives: self.tensor("positives", device),
            negatives: self.tensor("negatives", device),
            noise: (0..steps).map(step).collect(),
        }
    }

    /// Largest difference from the expected tensor, relative to its largest magnitude.
    pub fn difference<B: Backend, const D: usize>(&self, name: &str, actual: Tensor<B, D>) -> f64 {
        assert_eq!(actual.dims().iter().product::<usize>(), self.values(name).len(), "elements of {name}");
        let actual: Vec<f64> = actual.into_data().iter::<f64>().collect();
        relative_difference(&actual, self.values(name))
    }
}

/// Largest difference between the two, relative to the largest magnitude of what is expected.
pub fn relative_difference(actual: &[f64], expected: &[f64]) -> f64 {
    let scale = expected.iter().fold(1e-12, |max: f64, v| max.max(v.abs()));
    actual
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |max, d| if d > max || d.is_nan() { d } else { max })
        / scale
}
