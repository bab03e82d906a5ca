//! Checkpoints: a folder with the weights, the optimizer's state, the config and the step. The random state is the
//! seed and the step, because every step's draws follow from these two.
//!
//! `model.safetensors` holds the weights that are exported: the moving average where the config averages. Then
//! `moving.safetensors` holds those that the optimizer moves. `sha256.yaml` tells whether all are as they were written.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sparsight_runtime::replace::{ReplaceError, replace_directory, sha256_hex, sha256_of_file};
use sparsight_schemas::{Config, ParseError, Valid};

use crate::{
    objective::objective_parameters,
    weights::{NamedParameters, WeightsError, random_parameters, read_parameters, to_safetensors},
};

const MODEL: &str = "model.safetensors";
const MOVING: &str = "moving.safetensors";
const OPTIMIZER: &str = "optimizer.mpk";
/// The sha256 of all others, by name.
const HASHES: &str = "sha256.yaml";
const CONFIG: &str = "config.yaml";
const PROGRESS: &str = "progress.yaml";

/// The version that this code writes and reads.
const VERSION: u32 = 1;

/// What the folder of a checkpoint may hold.
pub const FILES: [&str; 6] = [CONFIG, PROGRESS, MODEL, MOVING, OPTIMIZER, HASHES];

/// What a run needs to go on, and an export to begin.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The config of the run.
    pub config: Valid<Config>,
    /// The weights that the optimizer moves.
    pub parameters: NamedParameters,
    /// Their moving average, where the config averages.
    pub average: Option<NamedParameters>,
    /// The optimizer's state as Burn records it; empty before the first step.
    pub optimizer: Vec<u8>,
    /// How far the run is, and on which images.
    pub progress: Progress,
}

/// How far a run is, and on which images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Version of the checkpoint's format.
    pub version: u32,
    /// Steps done.
    pub step: usize,
    /// Fingerprint of the training images; none if the run needed none.
    pub data_fingerprint: Option<String>,
    /// Fingerprint of the validation images; none if the run has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_fingerprint: Option<String>,
    /// sha256 of the file of weights that the run began with; none for random ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_weights: Option<String>,
    /// The best validation so far, as AUROC of positions; none before the first.
    #[serde(default)]
    pub best: Option<f64>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            version: VERSION,
            step: 0,
            data_fingerprint: None,
            validation_fingerprint: None,
            initial_weights: None,
            best: None,
        }
    }
}

/// Why a checkpoint can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file is missing or can't be read.
    #[error("{}: {source}; give a folder that sparsight-train wrote as checkpoint", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The config is not valid.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ParseError,
    },
    /// The progress is not what this program writes.
    #[error("{}: {source}; use an older checkpoint", path.display())]
    Progress {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_yaml::Error,
    },
    /// Another program wrote it.
    #[error("{}: version {found}; this program reads version {VERSION}: use the sparsight-train that wrote it", path.display())]
    Version {
        /// The file that says so.
        path: PathBuf,
        /// The version that it has.
        found: u32,
    },
    /// A file is not as it was written.
    #[error("{}: is not what was written; use the run's best, or an older checkpoint", .0.display())]
    Altered(PathBuf),
    /// The weights are of a backbone that the config does not have.
    #[error("{}: was trained with another backbone than the config has; take over its backbone settings", .0.display())]
    OtherBackbone(PathBuf),
    /// The weights don't fit the config.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The folder can't be written.
    #[error(transparent)]
    Write(#[from] ReplaceError),
    /// Something that the formats can't hold.
    #[error("checkpoint: {0}")]
    Form(String),
}

/// The file of the weights to export: that of a checkpoint's folder, or the file itself.
pub fn weights_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(MODEL) } else { path.to_owned() }
}

impl Checkpoint {
    /// The start of a run: random weights.
    pub fn random(config: &Valid<Config>, data_fingerprint: Option<String>) -> Self {
        let backbone = random_parameters(&config.backbone, config.seed);
        Self::start(config, backbone, Progress { data_fingerprint, ..Progress::default() })
    }

    /// The start of a run from weights that were trained before, in a checkpoint's folder or a file of weights by name.
    /// What is learned with the backbone and not exported begins as in any run.
    ///
    /// # Errors
    /// A file that can't be read, or another backbone than the config's.
    pub fn from_weights(
        config: &Valid<Config>,
        weights: &Path,
        data_fingerprint: Option<String>,
    ) -> Result<Self, CheckpointError> {
        if weights.is_dir() && Self::read_origin(weights)?.0.backbone != config.backbone {
            return Err(CheckpointError::OtherBackbone(weights.to_owned())); // shapes alone would let strides differ
        }
        let path = weights_file(weights);
        let backbone = read_parameters(&path, config.backbone.parameters())?;
        let initial_weights =
            Some(sha256_of_file(&path).map_err(|source| CheckpointError::Read { path, source })?);
        Ok(Self::start(
            config,
            backbone,
            Progress { data_fingerprint, initial_weights, ..Progress::default() },
        ))
    }

    fn start(config: &Valid<Config>, backbone: NamedParameters, progress: Progress) -> Self {
        let parameters = [backbone, objective_parameters(config)].concat();
        Self {
            average: (config.optimizer.averaging > 0.0).then(|| parameters.clone()),
            parameters,
            optimizer: Vec::new(),
            progress,
            config: config.clone(),
        }
    }

    /// The weights to export and to evaluate.
    pub fn model(&self) -> &NamedParameters {
        self.average.as_ref().unwrap_or(&self.parameters)
    }

    /// Reads the folder.
    ///
    /// # Errors
    /// A file that is missing or not what this program writes.
    pub fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let (config, progress) = Self::read_origin(folder)?;
        check(folder, OPTIMIZER)?;
        let path = folder.join(OPTIMIZER);
        let optimizer = std::fs::read(&path).map_err(|source| CheckpointError::Read { path, source })?;
        let mut listed = config.backbone.parameters();
        listed.extend(objective_parameters(&config).into_iter().map(|(name, shape, _)| (name, shape)));
        let model = read_parameters(&folder.join(MODEL), listed.clone())?;
        let (parameters, average) = if config.optimizer.averaging > 0.0 {
            check(folder, MOVING)?;
            (read_parameters(&folder.join(MOVING), listed)?, Some(model))
        } else {
            (model, None)
        };
        Ok(Self { config, parameters, average, optimizer, progress })
    }

    /// Reads of the folder what its run was, and whether the weights that ship are as they were written: an export needs no more
    /// beside them.
    ///
    /// # Errors
    /// A file that is missing or not what this program writes.
    pub fn read_origin(folder: &Path) -> Result<(Valid<Config>, Progress), CheckpointError> {
        let text = |name: &str| {
            check(folder, name)?;
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(|source| CheckpointError::Read { path, source })
        };
        let config = Valid::parse(&text(CONFIG)?)
            .map_err(|source| CheckpointError::Config { path: folder.join(CONFIG), source })?;
        let path = folder.join(PROGRESS);
        let progress: Progress = serde_yaml::from_str(&text(PROGRESS)?)
            .map_err(|source| CheckpointError::Progress { path: path.clone(), source })?;
        if progress.version != VERSION {
            return Err(CheckpointError::Version { path, found: progress.version });
        }
        check(folder, MODEL)?;
        Ok((config, progress))
    }

    /// Writes the folder whole, in place of an older checkpoint.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn write(&self, folder: &Path) -> Result<(), CheckpointError> {
        let form = |error: &dyn std::fmt::Display| CheckpointError::Form(error.to_string());
        let config = serde_yaml::to_string(&*self.config).map_err(|e| form(&e))?;
        let progress = serde_yaml::to_string(&self.progress).map_err(|e| form(&e))?;
        let model = to_safetensors(self.model()).map_err(|e| form(&e))?;
        let moving = to_safetensors(&self.parameters).map_err(|e| form(&e))?;
        let mut files = vec![
            (CONFIG, config.as_bytes()),
            (PROGRESS, progress.as_bytes()),
            (MODEL, model.as_slice()),
            (OPTIMIZER, self.optimizer.as_slice()),
        ];
        files.extend(self.average.is_some().then_some((MOVING, moving.as_slice())));
        let hashes: BTreeMap<&str, String> =
            files.iter().map(|(name, bytes)| (*name, sha256_hex(bytes))).collect();
        let hashes = serde_yaml::to_string(&hashes).map_err(|e| form(&e))?;
        files.push((HASHES, hashes.as_bytes()));
        replace_directory(folder, |folder| {
            Ok(files.iter().try_for_each(|(name, bytes)| folder.write(name, bytes))?)
        })
    }
}

/// Whether a file of a checkpoint is as it was written.
fn check(folder: &Path, name: &str) -> Result<(), CheckpointError> {
    let path = folder.join(HASHES);
    let read = |source| CheckpointError::Read { path: path.clone(), source };
    let text = std::fs::read_to_string(&path).map_err(read)?;
    let hashes: BTreeMap<String, String> =
        serde_yaml::from_str(&text).map_err(|source| CheckpointError::Progress { path, source })?;
    let path = folder.join(name);
    match sha256_of_file(&path) {
        Err(source) => Err(CheckpointError::Read { path, source }),
        Ok(found) if hashes.get(name) != Some(&found) => Err(CheckpointError::Altered(path)),
        Ok(_) => Ok(()),
    }
}
