//! The training loop: it reads from top to bottom. What a step computes is `objective`'s; what it sees, `episodes`'.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use burn::{
    optim::{AdamConfig, GradientsAccumulator, GradientsParams, Optimizer},
    record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder},
    tensor::{ElementConversion, Tensor, TensorData, backend::AutodiffBackend},
};
use indicatif::{ProgressBar, ProgressStyle};
use rand::distr::Distribution;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use crate::{
    arrays::to_tensor,
    checkpoint::{Checkpoint, CheckpointError},
    energy::EnergyModel,
    episodes::{Episode, EpisodeSampler},
    objective::{EpisodeTensors, Loss, episode_loss},
    weights::Weights,
};

/// One line of `metrics.jsonl`: means over the episodes of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// Steps done, this one included.
    pub step: usize,
    /// The loss, Eq. (12).
    pub loss: f64,
    /// mean((LD(x~) - x)^2).
    pub reconstruction: f64,
    /// mean(E(x) - E(LD(x~))).
    pub contrastive_divergence: f64,
    /// mean((x~ - x)^2): the reconstruction of a sampler that does nothing.
    pub start: f64,
    /// Seconds of the step.
    pub seconds: f64,
}

/// Why training stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The loss or a gradient is NaN or infinite; the last checkpoint is from before.
    #[error(
        "step {step}: {term} is not finite, in {categories}; lower optimizer.learning_rate or langevin.step_size"
    )]
    NotFinite {
        /// The step.
        step: usize,
        /// The offending term.
        term: &'static str,
        /// The categories of the step.
        categories: String,
    },
    /// The optimizer's state is not one of this program's.
    #[error("optimizer.mpk: {0}; use an older checkpoint")]
    Optimizer(String),
    /// The checkpoint can't be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The metrics can't be written.
    #[error("{}: {source}; free some space or choose another training.output", path.display())]
    Metrics {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Trains from `checkpoint` until the config's last step, writing `checkpoint/` and `metrics.jsonl` into `output`, and
/// returns where it ended.
///
/// # Errors
/// A loss that is not finite, or a file that can't be written.
pub fn train<B: AutodiffBackend>(
    mut checkpoint: Checkpoint,
    sampler: &EpisodeSampler,
    output: &Path,
    device: &B::Device,
) -> Result<Checkpoint, TrainingError> {
    let config = checkpoint.config.clone();
    let mut weights: Weights<B> = Weights::from_parameters(&checkpoint.parameters, device);
    let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
    let unreadable = |error: &dyn std::fmt::Display| TrainingError::Optimizer(error.to_string());
    let mut adam = AdamConfig::new()
        .with_beta_1(config.optimizer.beta_1)
        .with_beta_2(config.optimizer.beta_2)
        .with_epsilon(config.optimizer.epsilon)
        .init();
    if checkpoint.progress.step > 0 {
        adam = adam
            .load_record(recorder.load(checkpoint.optimizer.clone(), device).map_err(|e| unreadable(&e))?);
    }
    let mut metrics_file = MetricsFile::open(output, checkpoint.progress.step)?;
    let bar = progress_bar(config.training.steps, checkpoint.progress.step);

    for step in checkpoint.progress.step..config.training.steps {
        let started = Instant::now();
        let episodes = sampler.episodes(step as u64);
        let mut noise_rng = sampler.langevin_rng(step as u64);
        let mut gradients = GradientsAccumulator::new();
        let mut metrics = StepMetrics { step: step + 1, ..StepMetrics::default() };

        for episode in &episodes {
            let model = EnergyModel::new(&config.input, &config.backbone, &config.sparse_coding, &weights);
            let tensors = tensors::<B>(episode, config.langevin.steps, &mut noise_rng, device);
            let start = mean_square(&tensors);
            let loss = episode_loss(&model, tensors, &config.langevin, &config.objective);
            metrics.add(&loss, start, episodes.len());
            let share = loss.total.div_scalar(episodes.len() as f64);
            gradients.accumulate(&weights, GradientsParams::from_grads(share.backward(), &weights));
        }

        if let Some(term) = metrics.not_finite() {
            let categories = episodes.iter().map(|e| e.category.as_str()).collect::<Vec<_>>().join(", ");
            return Err(TrainingError::NotFinite { step: step + 1, term, categories });
        }
        weights = adam.step(config.optimizer.learning_rate, weights, gradients.grads());

        metrics.seconds = started.elapsed().as_secs_f64();
        metrics_file.write(&metrics)?;
        bar.set_message(format!("loss {:.4}", metrics.loss));
        bar.inc(1);
        if (step + 1) % config.training.checkpoint_every == 0 || step + 1 == config.training.steps {
            checkpoint.progress.step = step + 1;
            checkpoint.parameters = weights.to_parameters();
            checkpoint.optimizer = recorder.record(adam.to_record(), ()).map_err(|e| unreadable(&e))?;
            checkpoint.write(&output.join("checkpoint"))?;
        }
    }
    bar.finish();
    Ok(checkpoint)
}

/// The episode on the device, with the sampler's noise.
fn tensors<B: AutodiffBackend>(
    episode: &Episode,
    langevin_steps: usize,
    rng: &mut ChaCha8Rng,
    device: &B::Device,
) -> EpisodeTensors<B> {
    let shape = episode.negatives.shape();
    let mut draw = || {
        let values: Vec<f32> = StandardNormal.sample_iter(&mut *rng).take(episode.negatives.len()).collect();
        Tensor::from_data(TensorData::new(values, shape.to_vec()), device)
    };
    EpisodeTensors {
        noise: (0..langevin_steps).map(|_| draw()).collect(),
        support: to_tensor(&episode.support, device),
        positives: to_tensor(&episode.positives, device),
        negatives: to_tensor(&episode.negatives, device),
    }
}

fn mean_square<B: AutodiffBackend>(episode: &EpisodeTensors<B>) -> f64 {
    let difference = episode.negatives.clone() - episode.positives.clone();
    difference.powi_scalar(2).mean().into_scalar().elem()
}

impl StepMetrics {
    fn add<B: AutodiffBackend>(&mut self, loss: &Loss<B>, start: f64, episodes: usize) {
        let share = |term: &Tensor<B, 1>| term.clone().into_scalar().elem::<f64>() / episodes as f64;
        self.loss += share(&loss.total);
        self.reconstruction += share(&loss.reconstruction);
        self.contrastive_divergence += share(&loss.contrastive_divergence);
        self.start += start / episodes as f64;
    }

    fn not_finite(&self) -> Option<&'static str> {
        let terms = [
            ("reconstruction", self.reconstruction),
            ("contrastive divergence", self.contrastive_divergence),
            ("loss", self.loss),
        ];
        terms.into_iter().find(|(_, value)| !value.is_finite()).map(|(term, _)| term)
    }
}

/// `metrics.jsonl`, a line a step.
struct MetricsFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl MetricsFile {
    /// Opens the file, keeping the lines up to `step`: an interrupted run may have written some past its checkpoint.
    fn open(output: &Path, step: usize) -> Result<Self, TrainingError> {
        let path = output.join("metrics.jsonl");
        let failed = |source| TrainingError::Metrics { path: path.clone(), source };
        std::fs::create_dir_all(output).map_err(failed)?;
        let old = if step > 0 { std::fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
        let mut file = BufWriter::new(File::create(&path).map_err(failed)?);
        for line in old.lines() {
            if serde_json::from_str::<StepMetrics>(line).is_ok_and(|metrics| metrics.step <= step) {
                writeln!(file, "{line}").map_err(failed)?;
            }
        }
        Ok(Self { path, file })
    }

    fn write(&mut self, metrics: &StepMetrics) -> Result<(), TrainingError> {
        let failed = |source| TrainingError::Metrics { path: self.path.clone(), source };
        let line = serde_json::to_string(metrics).map_err(|error| failed(error.into()))?;
        writeln!(self.file, "{line}").and_then(|()| self.file.flush()).map_err(failed)
    }
}

/// Rate and remaining time, on stderr where that is a terminal.
fn progress_bar(steps: usize, done: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64).with_position(done as u64);
    let template = "{bar:30} {pos}/{len} steps  {per_sec}  {eta} left  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.reset_eta();
    bar
}
