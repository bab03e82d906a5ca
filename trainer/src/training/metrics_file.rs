//! Files of JSON lines that a run appends to and a resumed run continues.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Write},
    path::PathBuf,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sparsight_runtime::replace::replace_file;

use super::{TrainingError, validation::Validation, workers::Terms};
use crate::{checkpoint::CheckpointError, objective::LEAST_DAMAGE};

/// One line of `metrics.jsonl`: means over the episodes of a step. Terms that don't count are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// Steps done, this one included.
    pub step: usize,
    /// The loss.
    pub loss: f64,
    /// mean((LD(x~) - x)^2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconstruction: Option<f64>,
    /// The tasks' mean of the reconstruction as a share of its start: what counts in the loss with `objective.relative`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconstruction_share: Option<f64>,
    /// mean(E(x) - E(LD(x~))).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contrastive_divergence: Option<f64>,
    /// Cross entropy of the positions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dense: Option<f64>,
    /// Cross entropy of the images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<f64>,
    /// mean((x~ - x)^2): the reconstruction of a sampler that does nothing.
    pub start: f64,
    /// The l2 norm of all gradients together, before clipping.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// The sampler's step size, in the config's unit of energy; none if it is not learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_size: Option<f64>,
    /// Seconds of the step.
    pub seconds: f64,
    /// Seconds of them spent waiting for images.
    pub waited_seconds: f64,
}

impl StepMetrics {
    /// The means of the tasks' terms.
    pub fn new(step: usize, terms: &[Terms]) -> Self {
        let mean = |term: fn(&Terms) -> Option<f64>| {
            let values: Option<Vec<f64>> = terms.iter().map(term).collect();
            values.map(|values| values.iter().sum::<f64>() / terms.len() as f64)
        };
        Self {
            step,
            loss: mean(|terms| Some(terms.total)).unwrap_or_default(),
            reconstruction: mean(|terms| terms.reconstruction),
            reconstruction_share: mean(|terms| Some(terms.reconstruction? / terms.start.max(LEAST_DAMAGE))),
            contrastive_divergence: mean(|terms| terms.contrastive_divergence),
            dense: mean(|terms| terms.dense),
            image: mean(|terms| terms.image),
            start: mean(|terms| Some(terms.start)).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// What is NaN or infinite: a term, or the gradients.
    pub fn not_finite(&self, terms: &[Terms]) -> Option<&'static str> {
        let gradient = (!self.gradient_norm.is_finite()).then_some("a gradient");
        terms.iter().find_map(Terms::not_finite).or(gradient)
    }
}

/// A line of such a file: it says after how many steps it was written.
pub trait Line: Serialize + DeserializeOwned {
    /// Steps done.
    fn step(&self) -> usize;
}

impl Line for StepMetrics {
    fn step(&self) -> usize {
        self.step
    }
}

impl Line for Validation {
    fn step(&self) -> usize {
        self.step
    }
}

/// What an earlier run left of a file, up to a step.
pub struct Log<L> {
    path: PathBuf,
    text: String,
    /// Its lines.
    pub lines: Vec<L>,
}

impl<L: Line> Log<L> {
    /// Reads the lines up to `step`; none if there is no file, or before the first step, whatever is there then. What
    /// follows the last line end was cut off while it was written, if it is no line.
    ///
    /// # Errors
    /// A line that is not one, or the system's refusal.
    pub fn read(path: PathBuf, step: usize) -> Result<Self, TrainingError> {
        let bytes = match std::fs::read(&path) {
            Ok(bytes) if step > 0 => bytes,
            Err(source) if step > 0 && source.kind() != ErrorKind::NotFound => {
                return Err(TrainingError::MetricsRead { path, source });
            }
            _ => Vec::new(),
        };
        let (mut text, mut lines) = (String::new(), Vec::new());
        for (i, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            match serde_json::from_slice::<L>(line) {
                Ok(parsed) if parsed.step() <= step => {
                    text += String::from_utf8_lossy(line).trim_end();
                    text.push('\n');
                    lines.push(parsed);
                }
                Err(error) if line.ends_with(b"\n") => {
                    // It would say where in the line, as line 1.
                    let reason = error.to_string();
                    let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
                    return Err(TrainingError::MetricsLine { path, line: i + 1, reason });
                }
                _ => {}
            }
        }
        Ok(Self { path, text, lines })
    }

    /// Replaces the file by these lines, to add others.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn go_on(self) -> Result<MetricsFile<L>, TrainingError> {
        let Self { path, text, lines } = self;
        let failed = |source| TrainingError::MetricsWrite { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        replace_file(&path, text.as_bytes()).map_err(CheckpointError::from)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(failed)?;
        Ok(MetricsFile { path, file, lines })
    }
}

/// A file of JSON lines that grows.
pub struct MetricsFile<L> {
    path: PathBuf,
    file: File,
    lines: Vec<L>,
}

impl<L: Line> MetricsFile<L> {
    /// All lines so far.
    pub fn lines(&self) -> &[L] {
        &self.lines
    }

    /// Adds a line.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn write(&mut self, line: L) -> Result<(), TrainingError> {
        let failed = |source| TrainingError::MetricsWrite { path: self.path.clone(), source };
        let text = serde_json::to_string(&line).map_err(|error| failed(error.into()))? + "\n";
        self.lines.push(line);
        self.file.write_all(text.as_bytes()).map_err(failed)
    }

    /// Waits until all lines are where no power loss takes them, as a checkpoint's files are.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn sync(&self) -> Result<(), TrainingError> {
        let failed = |source| TrainingError::MetricsWrite { path: self.path.clone(), source };
        self.file.sync_data().map_err(failed)
    }
}
