//! The part of the config that says how a model is trained, with its defaults and what makes it valid: sampler, loss,
//! optimizer, length. On what it is trained is in `episodes`, what the model is in `config`.

use serde::{Deserialize, Serialize};

use super::{LARGEST_SCALE, at_least_one, is_receptive_field};
use crate::Violation;

/// The sampler, Eq. (4): x <- clip(x - step_size/2 * dE/dx + noise_std * eps, 0, 1).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct LangevinConfig {
    /// Steps from the negative to the sample.
    pub steps: usize,
    /// Step size on the energy of Eq. (8), a mean, or on that energy in the unit that `relative` gives it, where it should
    /// be far smaller: one with which untrained weights do not add damage.
    pub step_size: f64,
    /// Standard deviation of the noise, in units of the image's range [0, 1].
    pub noise_std: f64,
    /// Whether the unit of energy is the mean energy of the episode's good queries: what a step changes then depends on no
    /// scale that training moves. Beyond the paper.
    #[serde(skip_serializing_if = "std::ops::Not::not")] // bundles that don't need it stay as they were
    pub relative: bool,
    /// Whether the step size is learned with the weights, from `step_size` on, by what the reconstruction term asks for: too
    /// large a step is then answered by a smaller one and not by features that tell nothing apart. Beyond the paper.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub learned: bool,
}

/// Weights of the terms of the loss: those of Eq. (12), and the cross entropies. A term of weight 0 is not computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ObjectiveConfig {
    /// Weight of the reconstruction term, mean((LD(x~) - x)^2), or of the share that `relative` makes of it.
    pub eta_rec: f64,
    /// Weight of the contrastive divergence term, mean(E(x) - E(LD(x~))).
    pub eta_cd: f64,
    /// Weight of the dense term, the cross entropy of each position's log energy, relative to the episode's normal
    /// queries, with the mask of the negative; it needs no sampler.
    pub eta_dense: f64,
    /// Weight of the image term, the cross entropy of each image's smooth maximum of log energies with whether it is a
    /// negative; it needs no sampler.
    pub eta_image: f64,
    /// Whether the reconstruction term is a share of what the negatives differ by, mean((x~ - x)^2): it then does not
    /// depend on how little of an image is spoilt. Beyond the paper.
    #[serde(skip_serializing_if = "std::ops::Not::not")] // bundles that don't need it stay as they were
    pub relative: bool,
}

/// Adam.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Learning rate, the highest of the schedule.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta_1: f32,
    /// Decay of the second moment.
    pub beta_2: f32,
    /// What is added to the root of the second moment.
    pub epsilon: f32,
    /// How the learning rate changes over the run.
    pub schedule: LearningRateSchedule,
    /// Steps in which the learning rate rises from 0.
    pub warm_up: usize,
    /// Largest l2 norm of all weights' gradients together; larger ones are scaled down to it. None clips nothing.
    pub clip_norm: Option<f64>,
    /// Decay of the moving average of the weights that checkpoints and exports hold; 0 for the last weights themselves.
    pub averaging: f32,
}

/// How the learning rate changes over the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LearningRateSchedule {
    /// It stays.
    #[default]
    Constant,
    /// It falls to 0 along half a cosine.
    Cosine,
}

/// Length of the run and what it writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Steps of the run; 0 keeps the random weights.
    pub steps: usize,
    /// Steps between checkpoints.
    pub checkpoint_every: usize,
    /// Steps between validations; they need `data.validation`.
    pub validate_every: usize,
    /// Folder of the run: checkpoints, metrics, curves.
    pub output: String,
    /// Receptive field of sparse coding while the weights are trained, if another than `sparse_coding.receptive_field`:
    /// features that were trained in wider neighbourhoods may be read one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receptive_field: Option<usize>,
}

impl Default for LangevinConfig {
    fn default() -> Self {
        Self { steps: 5, step_size: 200.0, noise_std: 0.005, relative: false, learned: false }
    }
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self { eta_rec: 1.0, eta_cd: 0.25, eta_dense: 0.0, eta_image: 0.0, relative: false }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-4,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            schedule: LearningRateSchedule::default(),
            warm_up: 0,
            clip_norm: None,
            averaging: 0.0,
        }
    }
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            checkpoint_every: 100,
            validate_every: 100,
            output: "runs/default".into(),
            receptive_field: None,
        }
    }
}

impl LangevinConfig {
    /// What is wrong with the settings, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
        // A draw of noise for each, of the size of the queries, is made ahead.
        if self.steps > 1000 {
            return Err(Violation::LangevinSteps(self.steps));
        }
        scales(&[("langevin.step_size", self.step_size), ("langevin.noise_std", self.noise_std)])
    }
}

impl ObjectiveConfig {
    /// What is wrong with the weights, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
        scales(&[
            ("objective.eta_rec", self.eta_rec),
            ("objective.eta_cd", self.eta_cd),
            ("objective.eta_dense", self.eta_dense),
            ("objective.eta_image", self.eta_image),
        ])?;
        if !self.samples() && !self.classifies() {
            return Err(Violation::NoObjective);
        }
        Ok(())
    }

    /// Whether a term needs the sampler.
    pub fn samples(&self) -> bool {
        self.eta_rec > 0.0 || self.eta_cd > 0.0
    }

    /// Whether a term tells negatives from good queries.
    pub fn classifies(&self) -> bool {
        self.eta_dense > 0.0 || self.eta_image > 0.0
    }
}

impl OptimizerConfig {
    /// What is wrong with the settings, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
        scales(&[("optimizer.learning_rate", self.learning_rate)])?;
        let decays = [
            ("optimizer.beta_1", self.beta_1),
            ("optimizer.beta_2", self.beta_2),
            ("optimizer.averaging", self.averaging),
        ];
        if let Some(&(field, value)) = decays.iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
            return Err(Violation::Decay { field, value });
        }
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return Err(Violation::OptimizerEpsilon(self.epsilon));
        }
        match self.clip_norm {
            Some(norm) if !(norm > 0.0 && norm <= LARGEST_SCALE) => Err(Violation::ClipNorm(norm)),
            _ => Ok(()),
        }
    }
}

impl TrainingConfig {
    /// What is wrong with the settings, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
        // YAML's null comes as the text that it is written as; a folder of such a name is nothing that anybody wants.
        if matches!(self.output.trim(), "" | "~" | "null") {
            return Err(Violation::NoOutput(self.output.clone()));
        }
        at_least_one(&[
            ("training.checkpoint_every", self.checkpoint_every),
            ("training.validate_every", self.validate_every),
        ])?;
        match self.receptive_field {
            Some(side) if !is_receptive_field(side) => Err(Violation::TrainingReceptiveField(side)),
            _ => Ok(()),
        }
    }
}

fn scales(scales: &[(&'static str, f64)]) -> Result<(), Violation> {
    match scales.iter().find(|(_, value)| !(0.0..=LARGEST_SCALE).contains(value)) {
        Some(&(field, value)) => Err(Violation::Scale { field, value }),
        None => Ok(()),
    }
}
