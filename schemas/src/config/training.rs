//! The part of the config that says how a model is trained, with its defaults and what makes it valid. What the model
//! is lies in `config`.

use serde::{Deserialize, Serialize};

use super::{LARGEST_SCALE, is_receptive_field};
use crate::Violation;

/// Where training images come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Folders of categories (layouts of MVTec-AD, VisA or BTAD, or plain folders of good images); relative ones start
    /// at the working directory.
    pub roots: Vec<String>,
    /// Names of the only categories to use; empty for all.
    pub include: Vec<String>,
    /// Names of categories to leave out.
    pub exclude: Vec<String>,
    /// Names of categories that validate the run and are not trained on.
    pub validation: Vec<String>,
}

/// How many tasks, shots and queries make a training step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct EpisodeConfig {
    /// Episodes whose gradients are averaged in a step.
    pub tasks: usize,
    /// Support images K of an episode.
    pub shots: usize,
    /// Query images M of an episode.
    pub queries: usize,
    /// How an episode's images are varied.
    pub augmentation: AugmentationConfig,
}

/// How an episode's images are varied. What says what is normal (flips, rotation, colours) is drawn once for an episode;
/// what a camera may change (brightness, contrast) is drawn for each image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AugmentationConfig {
    /// Mirror left and right, and top and bottom, each for half of the episodes.
    pub flips: bool,
    /// Turn by 0, 90, 180 or 270 degrees; by 0 or 180 where images are not square.
    pub rotation: bool,
    /// Permute red, green and blue.
    pub channel_permutation: bool,
    /// Share of the episodes whose images are grey: the mean of red, green and blue in all three.
    pub greyscale: f32,
    /// Largest shift of brightness, in units of the image's range [0, 1].
    pub brightness: f32,
    /// Largest change of contrast, as a share: factors of 1 - contrast to 1 + contrast about the image's mean.
    pub contrast: f32,
}

/// How queries are spoilt into negatives, the sampler's starting points (appendix A.4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct NegativesConfig {
    /// Fewest and most patches of an image.
    pub patches: [usize; 2],
    /// Smallest and largest area of a patch, as a share of the image.
    pub area: [f32; 2],
    /// Smallest and largest ratio of a patch's height to its width.
    pub aspect_ratio: [f32; 2],
    /// How often each kind is drawn, relative to the others.
    pub kinds: NegativeKinds,
    /// Outline of the patches.
    pub shape: PatchShape,
    /// Least and most opaque patch: 1 replaces what is under it, as in the paper; less lets it shine through.
    pub opacity: [f32; 2],
    /// Share of the negatives that are the category's own labelled anomalies, where it has some with masks.
    pub anomalies: f32,
}

/// Outline of a patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PatchShape {
    /// The whole rectangle, as in the paper.
    #[default]
    Rectangle,
    /// An irregular blob inside the rectangle, with a soft edge.
    Blob,
}

/// How often each kind of patch is drawn, relative to the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct NegativeKinds {
    /// Uniform noise.
    pub noise: f32,
    /// One colour.
    pub constant: f32,
    /// A piece of the same image.
    pub copy_paste: f32,
    /// Gaussian blur.
    pub blur: f32,
}

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

/// Weights of the terms of the loss: those of Eq. (12), and the dense one. A term of weight 0 is not computed.
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

impl Default for EpisodeConfig {
    fn default() -> Self {
        Self { tasks: 4, shots: 10, queries: 10, augmentation: AugmentationConfig::default() }
    }
}

impl Default for NegativesConfig {
    fn default() -> Self {
        Self {
            patches: [1, 3],
            area: [0.0025, 0.025],
            aspect_ratio: [0.01, 100.0],
            kinds: NegativeKinds::default(),
            shape: PatchShape::default(),
            opacity: [1.0, 1.0],
            anomalies: 0.0,
        }
    }
}

impl Default for NegativeKinds {
    fn default() -> Self {
        Self { noise: 1.0, constant: 1.0, copy_paste: 1.0, blur: 1.0 }
    }
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

fn at_least_one(counts: &[(&'static str, usize)]) -> Result<(), Violation> {
    match counts.iter().find(|(_, count)| *count == 0) {
        Some((field, _)) => Err(Violation::ZeroCount(field)),
        None => Ok(()),
    }
}

fn scales(scales: &[(&'static str, f64)]) -> Result<(), Violation> {
    match scales.iter().find(|(_, value)| !(0.0..=LARGEST_SCALE).contains(value)) {
        Some(&(field, value)) => Err(Violation::Scale { field, value }),
        None => Ok(()),
    }
}

fn shares(shares: &[(&'static str, f32)]) -> Result<(), Violation> {
    match shares.iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
        Some(&(field, value)) => Err(Violation::Share { field, value }),
        None => Ok(()),
    }
}

impl DataConfig {
    /// What is wrong with the choice of categories, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
        let barred = |name: &&String| self.exclude.contains(name);
        match self.validation.iter().find(barred) {
            Some(name) => Err(Violation::ValidationExcluded(name.clone())),
            None => Ok(()),
        }
    }
}

impl EpisodeConfig {
    /// What is wrong with the settings, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
        at_least_one(&[
            ("episodes.tasks", self.tasks),
            ("episodes.shots", self.shots),
            ("episodes.queries", self.queries),
        ])?;
        shares(&[
            ("episodes.augmentation.greyscale", self.augmentation.greyscale),
            ("episodes.augmentation.brightness", self.augmentation.brightness),
            ("episodes.augmentation.contrast", self.augmentation.contrast),
        ])
    }
}

impl NegativesConfig {
    /// What is wrong with the settings, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
        let [fewest, most] = self.patches;
        if fewest == 0 || fewest > most {
            return Err(Violation::Patches(self.patches));
        }
        let [smallest, largest] = self.area;
        if !(smallest > 0.0 && smallest <= largest && largest <= 1.0) {
            return Err(Violation::PatchArea(self.area));
        }
        let [flattest, tallest] = self.aspect_ratio;
        if !(flattest > 0.0 && flattest <= tallest && tallest.is_finite()) {
            return Err(Violation::PatchAspectRatio(self.aspect_ratio));
        }
        let weights = self.kinds.weights();
        if !(weights.iter().all(|w| *w >= 0.0 && w.is_finite()) && weights.iter().sum::<f32>() > 0.0) {
            return Err(Violation::PatchKinds(weights));
        }
        let [faintest, firmest] = self.opacity;
        if !(faintest > 0.0 && faintest <= firmest && firmest <= 1.0) {
            return Err(Violation::PatchOpacity(self.opacity));
        }
        shares(&[("negatives.anomalies", self.anomalies)])
    }
}

impl NegativeKinds {
    /// The weights in the order noise, constant, copy-paste, blur.
    pub fn weights(&self) -> [f32; 4] {
        [self.noise, self.constant, self.copy_paste, self.blur]
    }
}

impl LangevinConfig {
    /// What is wrong with the settings, if anything.
    pub fn validate(&self) -> Result<(), Violation> {
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
