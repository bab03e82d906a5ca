//! From weights and a config to a bundle: two traces of the backbone, a probe, and the manifest that seals them.

use std::path::{Path, PathBuf};

use burn_flex::Flex;
use ndarray::{Array4, Axis, concatenate};
use prost::Message;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sparsight_runtime::{
    bundle::{MANIFEST_FILE, SIGNATURE_FILE},
    replace::{ReplaceError, replace_directory, sha256_hex},
    tensors::TensorError,
    verify::Probe,
};
use sparsight_schemas::{
    BUNDLE_FILES, Config, FeatureGeometry, MANIFEST_SCHEMA_VERSION, Manifest, Provenance, Tolerances,
    TrainingSummary, Valid, Violation, lambda_schedule,
};

use crate::{
    arrays::{to_array, to_tensor},
    backbone::Backbone,
    energy::EnergyModel,
    onnx::{Model, ValueInfo},
    operations::onnx::OnnxOperations,
    replaceable::would_be_lost,
    sparse_coding::{codes, features_gradient, unfold},
    weights::{NamedParameters, Weights},
};

/// Why no bundle came of it.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The folder can't be written.
    #[error(transparent)]
    Write(#[from] ReplaceError),
    /// The folder holds something that is no part of a bundle.
    #[error("{}: is no part of a bundle, and would be lost; move it away or write the bundle elsewhere", .0.display())]
    HoldsOther(PathBuf),
    /// The weights give features that are not finite.
    #[error("the weights give {0} that are not finite; go back to an earlier checkpoint")]
    NotFinite(&'static str),
    /// Arrays that a file can't hold.
    #[error(transparent)]
    Probe(#[from] TensorError),
    /// A tensor of an unexpected rank.
    #[error(transparent)]
    Shape(#[from] ndarray::ShapeError),
    /// The manifest breaks a rule.
    #[error("manifest: {0}")]
    Manifest(#[from] Violation),
    /// ONNX Runtime does not load it, or computes something else than training.
    #[error("{0}")]
    NotProven(String),
    /// The manifest can't be written as YAML.
    #[error("manifest: {0}")]
    Yaml(#[from] serde_yaml::Error),
}

/// Where the weights come from, for the manifest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// Training steps behind them.
    pub steps: usize,
    /// Fingerprint of the training images.
    pub data_fingerprint: Option<String>,
    /// sha256 of the file of weights that the training began with; none for random ones.
    pub initial_weights: Option<String>,
    /// What the training's log says.
    pub training: Option<TrainingSummary>,
    /// The config of the training; none if it is the one that is exported with.
    pub config: Option<Valid<Config>>,
}

/// Writes the bundle whole, or not at all; an older bundle at `path` is replaced. `check` sees it before it takes that place.
///
/// # Errors
/// A folder that holds something else, weights that give values that are not finite, what `check` finds, or the system's refusal.
pub fn export_bundle(
    parameters: &NamedParameters,
    config: &Valid<Config>,
    origin: Origin,
    path: &Path,
    check: impl FnOnce(&Path) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    // It will be replaced whole, and what else somebody keeps there with it.
    let own = [&BUNDLE_FILES[..], &[MANIFEST_FILE, SIGNATURE_FILE]].concat();
    if let Some(other) = would_be_lost(path, &own) {
        return Err(ExportError::HoldsOther(other));
    }
    let files = [
        ("backbone.onnx", forward_model(parameters, config).encode_to_vec()),
        ("backbone_vjp.onnx", vjp_model(parameters, config).encode_to_vec()),
        ("probe.safetensors", probe(parameters, config)?.to_bytes()?),
    ];
    let trained_with = origin.config.unwrap_or_else(|| config.clone());
    let manifest = Valid::new(Manifest {
        schema_version: MANIFEST_SCHEMA_VERSION,
        name: config.name.clone(),
        input: config.input,
        features: FeatureGeometry::new(&config.input, &config.backbone),
        sparse_coding: config.sparse_coding,
        scoring: config.scoring,
        tolerances: Tolerances::default(),
        files: files.iter().map(|(name, bytes)| ((*name).to_owned(), sha256_hex(bytes))).collect(),
        provenance: Provenance {
            version: env!("CARGO_PKG_VERSION").into(),
            seed: trained_with.seed,
            steps: origin.steps,
            data_fingerprint: origin.data_fingerprint,
            initial_weights: origin.initial_weights,
            training: origin.training,
            config: trained_with.into_raw(),
        },
    })?;
    let manifest = serde_yaml::to_string(&*manifest)?;
    replace_directory(path, |folder| {
        for (name, bytes) in &files {
            folder.write(name, bytes)?;
        }
        folder.write(MANIFEST_FILE, manifest.as_bytes())?;
        check(folder.path())
    })
}

/// `backbone.onnx`: `image` \[N,3,H,W\] -> `features` \[N,d,h,w\].
pub fn forward_model(parameters: &NamedParameters, config: &Config) -> Model {
    let FeatureGeometry { channels, height, width, .. } =
        FeatureGeometry::new(&config.input, &config.backbone);
    let ops = OnnxOperations::new(parameters);
    let tape = Backbone::new(&config.input, &config.backbone).forward(&ops, &"image".to_owned());
    ops.name(&tape.features, "features");
    ops.into_model("backbone", vec![image_info(config)], "features", [channels, height, width])
}

/// `backbone_vjp.onnx`: `image` \[N,3,H,W\], `features_gradient` \[N,d,h,w\] -> `image_gradient` \[N,3,H,W\].
pub fn vjp_model(parameters: &NamedParameters, config: &Config) -> Model {
    let FeatureGeometry { channels, height, width, .. } =
        FeatureGeometry::new(&config.input, &config.backbone);
    let ops = OnnxOperations::new(parameters);
    let backbone = Backbone::new(&config.input, &config.backbone);
    let tape = backbone.forward(&ops, &"image".to_owned());
    let gradient = backbone.vjp(&ops, &tape, &"features_gradient".to_owned());
    ops.name(&gradient, "image_gradient");
    let features_gradient = ValueInfo::batch("features_gradient", [channels, height, width]);
    let shape = [3, config.input.height, config.input.width];
    ops.into_model("backbone_vjp", vec![image_info(config), features_gradient], "image_gradient", shape)
}

fn image_info(config: &Config) -> ValueInfo {
    ValueInfo::batch("image", [3, config.input.height, config.input.width])
}

/// Two support images, a query with a foreign patch, and what training's implementation makes of them, with as many atoms as the
/// bundle keeps.
pub fn probe(parameters: &NamedParameters, config: &Config) -> Result<Probe, ExportError> {
    let device = Default::default();
    let weights: Weights<Flex> = Weights::from_parameters(parameters, &device);
    let model = EnergyModel::new(&config.input, &config.backbone, &config.sparse_coding, &weights);
    let sparse_coding = &config.sparse_coding;

    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let (height, width) = (config.input.height, config.input.width);
    let [first, second] = [(); 2].map(|()| soft_noise(height, width, &mut rng));
    let support = concatenate(Axis(0), &[first.view(), second.view()])?;
    let mut query = first;
    for ((_, _, y, x), value) in query.indexed_iter_mut() {
        if (height / 4..height / 2).contains(&y) && (width / 4..width / 2).contains(&x) {
            *value = rng.random();
        }
    }

    let support_features = model.features(to_tensor(&support, &device));
    let positions = 2 * FeatureGeometry::new(&config.input, &config.backbone).positions();
    let most = if sparse_coding.max_atoms == 0 { positions } else { sparse_coding.max_atoms };
    let kept = Probe::atom_positions(positions, most);
    let atoms = model.adapt(to_tensor(&support, &device), Some(kept));
    let query_features = model.features(to_tensor(&query, &device));
    let unfolded = unfold(query_features.clone(), sparse_coding.receptive_field);
    let probe = Probe {
        support_features: to_array(support_features)?,
        codes: to_array(codes(unfolded, &atoms, sparse_coding))?,
        energy_map: to_array(model.energy_map(query_features.clone(), &atoms))?,
        energy: to_array(model.energy(to_tensor(&query, &device), &atoms))?,
        features_gradient: to_array(features_gradient(query_features.clone(), &atoms, sparse_coding))?,
        image_gradient: to_array(model.image_gradient(to_tensor(&query, &device), &atoms))?,
        query_features: to_array(query_features)?,
        lambdas: lambda_schedule(sparse_coding.steps, sparse_coding.lambda_max, sparse_coding.lambda_star)
            .into_iter()
            .map(|lambda| lambda as f32)
            .collect(),
        support,
        query,
    };
    if !probe.support_features.iter().chain(&probe.query_features).all(|v| v.is_finite()) {
        return Err(ExportError::NotFinite("features"));
    }
    if !probe.image_gradient.iter().chain(&probe.energy_map).all(|v| v.is_finite()) {
        return Err(ExportError::NotFinite("energies or gradients"));
    }
    Ok(probe)
}

/// An image \[1,3,H,W\] of coarse blotches with some grain.
fn soft_noise(height: usize, width: usize, rng: &mut ChaCha8Rng) -> Array4<f32> {
    const CELL: usize = 8;
    let (rows, columns) = (height / CELL + 2, width / CELL + 2);
    let grid = Array4::from_shape_simple_fn((1, 3, rows, columns), || rng.random::<f32>());
    Array4::from_shape_fn((1, 3, height, width), |(_, c, y, x)| {
        let (cy, cx) = (y / CELL, x / CELL);
        let (fy, fx) = ((y % CELL) as f32 / CELL as f32, (x % CELL) as f32 / CELL as f32);
        let row = |cy| grid[[0, c, cy, cx]] * (1.0 - fx) + grid[[0, c, cy, cx + 1]] * fx;
        let blotch = row(cy) * (1.0 - fy) + row(cy + 1) * fy;
        0.9 * blotch + 0.1 * rng.random::<f32>()
    })
}
