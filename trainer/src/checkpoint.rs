//! Checkpoints: a folder with the weights, the optimizer's state, the config and the step. The random state is the
//! seed and the step, because every step's draws follow from these two.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sparsight_runtime::replace::{ReplaceError, replace_directory, replace_file};
use sparsight_schemas::{Config, ParseError, Valid};

use crate::weights::{NamedParameters, WeightsError, read_parameters, to_safetensors};

/// What a run needs to go on, and an export to begin.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The config of the run.
    pub config: Valid<Config>,
    /// The weights.
    pub parameters: NamedParameters,
    /// The optimizer's state as Burn records it; empty before the first step.
    pub optimizer: Vec<u8>,
    /// How far the run is, and on which images.
    pub progress: Progress,
}

/// How far a run is, and on which images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Fingerprint of the training images; none if the run needed none.
    pub data_fingerprint: Option<String>,
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
    /// Reads the folder.
    ///
    /// # Errors
    /// A file that is missing or not what this program writes.
    pub fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let text = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(|source| CheckpointError::Read { path, source })
        };
        let config: Valid<Config> = Valid::parse(&text("config.yaml")?)
            .map_err(|source| CheckpointError::Config { path: folder.join("config.yaml"), source })?;
        let progress = serde_yaml::from_str(&text("progress.yaml")?)
            .map_err(|source| CheckpointError::Progress { path: folder.join("progress.yaml"), source })?;
        let path = folder.join("optimizer.mpk");
        let optimizer = std::fs::read(&path).map_err(|source| CheckpointError::Read { path, source })?;
        let parameters = read_parameters(&folder.join("model.safetensors"), &config.backbone)?;
        Ok(Self { config, parameters, optimizer, progress })
    }

    /// Writes the folder whole, in place of an older checkpoint.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn write(&self, folder: &Path) -> Result<(), CheckpointError> {
        let form = |error: &dyn std::fmt::Display| CheckpointError::Form(error.to_string());
        let config = serde_yaml::to_string(&*self.config).map_err(|e| form(&e))?;
        let progress = serde_yaml::to_string(&self.progress).map_err(|e| form(&e))?;
        let model = to_safetensors(&self.parameters).map_err(|e| form(&e))?;
        replace_directory(folder, |folder| {
            replace_file(&folder.join("config.yaml"), config.as_bytes())?;
            replace_file(&folder.join("progress.yaml"), progress.as_bytes())?;
            replace_file(&folder.join("model.safetensors"), &model)?;
            Ok(replace_file(&folder.join("optimizer.mpk"), &self.optimizer)?)
        })
    }
}
