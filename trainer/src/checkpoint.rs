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
use serde_yaml::Value;
use sparsight_runtime::replace::{ReplaceError, replace_directory, sha256_hex};
use sparsight_schemas::{Config, ParseError, Valid};

use crate::{
    objective::objective_parameters,
    weights::{NamedParameters, WeightsError, parameters_of, random_parameters, to_safetensors},
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
        found: u64,
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
        let (backbone, sha256) = if weights.is_dir() {
            let trained = TrainedWeights::read(weights)?;
            if trained.config.backbone != config.backbone {
                return Err(CheckpointError::OtherBackbone(weights.to_owned())); // shapes alone would let strides differ
            }
            (trained.backbone, trained.sha256)
        } else {
            let read = |source| CheckpointError::Read { path: weights.to_owned(), source };
            let bytes = std::fs::read(weights).map_err(read)?;
            (parameters_of(&bytes, weights, config.backbone.parameters())?, sha256_hex(&bytes))
        };
        let initial_weights = Some(sha256);
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
        Files::consistent(folder, |files| {
            let (config, progress) = files.origin()?;
            let mut listed = config.backbone.parameters();
            listed.extend(objective_parameters(&config).into_iter().map(|(name, shape, _)| (name, shape)));
            let model = files.parameters(MODEL, listed.clone())?;
            let (parameters, average) = if config.optimizer.averaging > 0.0 {
                (files.parameters(MOVING, listed)?, Some(model))
            } else {
                (model, None)
            };
            Ok(Self { config, parameters, average, optimizer: files.read(OPTIMIZER)?, progress })
        })
    }

    /// Reads of the folder how far its run is.
    ///
    /// # Errors
    /// A file that is missing or not what this program writes.
    pub fn read_progress(folder: &Path) -> Result<Progress, CheckpointError> {
        Files::consistent(folder, |files| Ok(files.origin()?.1))
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

/// Of a checkpoint what an export needs: the weights that ship, and where they come from.
#[derive(Clone, Debug)]
pub struct TrainedWeights {
    /// The config of the run.
    pub config: Valid<Config>,
    /// How far the run is, and on which images.
    pub progress: Progress,
    /// The backbone's.
    pub backbone: NamedParameters,
    /// sha256 of their file.
    pub sha256: String,
}

impl TrainedWeights {
    /// Reads them from a checkpoint's folder.
    ///
    /// # Errors
    /// A file that is missing or not what this program writes.
    pub fn read(folder: &Path) -> Result<Self, CheckpointError> {
        Files::consistent(folder, |files| {
            let (config, progress) = files.origin()?;
            let backbone = files.parameters(MODEL, config.backbone.parameters())?;
            Ok(Self { config, progress, backbone, sha256: files.sha256[MODEL].clone() })
        })
    }
}

/// The files of one checkpoint, each as it was written.
struct Files<'a> {
    folder: &'a Path,
    sha256: BTreeMap<String, String>,
}

impl<'a> Files<'a> {
    /// What `read` makes of the files of one checkpoint, also where a training puts the next one in its place meanwhile.
    fn consistent<T>(
        folder: &'a Path,
        read: impl Fn(&Self) -> Result<T, CheckpointError>,
    ) -> Result<T, CheckpointError> {
        let mut files = Self::open(folder)?;
        loop {
            let result = read(&files);
            if result.is_ok() {
                return result;
            }
            let now = Self::open(folder)?;
            if now.sha256 == files.sha256 {
                return result;
            }
            files = now;
        }
    }

    fn open(folder: &'a Path) -> Result<Self, CheckpointError> {
        let path = folder.join(HASHES);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| CheckpointError::Read { path: path.clone(), source })?;
        let sha256 =
            serde_yaml::from_str(&text).map_err(|source| CheckpointError::Progress { path, source })?;
        Ok(Self { folder, sha256 })
    }

    /// The bytes of a file.
    fn read(&self, name: &str) -> Result<Vec<u8>, CheckpointError> {
        let path = self.folder.join(name);
        let bytes =
            std::fs::read(&path).map_err(|source| CheckpointError::Read { path: path.clone(), source })?;
        match self.sha256.get(name) == Some(&sha256_hex(&bytes)) {
            true => Ok(bytes),
            false => Err(CheckpointError::Altered(path)),
        }
    }

    fn parameters(
        &self,
        name: &str,
        listed: Vec<(String, Vec<usize>)>,
    ) -> Result<NamedParameters, CheckpointError> {
        Ok(parameters_of(&self.read(name)?, &self.folder.join(name), listed)?)
    }

    fn origin(&self) -> Result<(Valid<Config>, Progress), CheckpointError> {
        self.check_version()?;
        let text =
            |name: &str| Ok::<_, CheckpointError>(String::from_utf8_lossy(&self.read(name)?).into_owned());
        let config = Valid::parse(&text(CONFIG)?)
            .map_err(|source| CheckpointError::Config { path: self.folder.join(CONFIG), source })?;
        let progress = serde_yaml::from_str(&text(PROGRESS)?)
            .map_err(|source| CheckpointError::Progress { path: self.folder.join(PROGRESS), source })?;
        Ok((config, progress))
    }

    /// Before anything else is asked of it: another version may have other files and fields.
    fn check_version(&self) -> Result<(), CheckpointError> {
        let path = self.folder.join(PROGRESS);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| CheckpointError::Read { path: path.clone(), source })?;
        // What is no YAML is not what was written, which the hash tells.
        let Ok(Value::Mapping(fields)) = serde_yaml::from_str(&text) else { return Ok(()) };
        match fields.get("version").and_then(Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => Ok(()),
            found => Err(CheckpointError::Version { path, found: found.unwrap_or(0) }),
        }
    }
}
