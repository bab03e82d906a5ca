//! The training loop: it reads from top to bottom. What a step computes is `objective`'s, on which devices `workers`';
//! what it sees, `episodes`'; what it does with the gradients, `optimizer`'s.

pub mod curves;
mod metrics_file;
pub mod optimizer;
mod run_folder;
pub mod summary;
pub mod validation;
pub mod workers;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use burn::{
    module::AutodiffModule,
    tensor::{ElementConversion, Tensor, backend::AutodiffBackend},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    episodes::{Ahead, EpisodeError, EpisodeSampler},
    langevin::step_size,
    weights::Weights,
};
use metrics_file::Log;
pub use metrics_file::StepMetrics;
use optimizer::{Steps, averaging_step, clip, learning_rate};
pub use run_folder::RunFolder;
use validation::{Validation, Validator};
use workers::Workers;

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
    #[error("{}: {reason}; train anew with --overwrite, or put the run's best in the place of checkpoint", path.display())]
    Optimizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Threads for the devices can't be started.
    #[error("{0}; name fewer devices")]
    Workers(#[from] rayon::ThreadPoolBuildError),
    /// An image that can't be read.
    #[error(transparent)]
    Episode(#[from] EpisodeError),
    /// The checkpoint can't be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The curves can't be drawn.
    #[error(transparent)]
    Curves(#[from] curves::CurvesError),
    /// The metrics can't be read.
    #[error("{}: {source}; make it readable, or move it away", path.display())]
    MetricsRead {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The metrics can't be written.
    #[error("{}: {source}; free some space or choose another training.output", path.display())]
    MetricsWrite {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of the metrics is not one of this program's.
    #[error("{}: line {line}: {reason}; remove the line", path.display())]
    MetricsLine {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// Trains from `checkpoint` until the config's last step, or until `interrupted` is set, and returns where it ended.
///
/// The folder `output` gets `checkpoint/` (the last), `best/` (of the best validation), `metrics.jsonl` (a line a step),
/// `validation.jsonl` and `curves.svg`. The tasks of a step are shared by the `devices`; weights live on the first.
///
/// # Errors
/// A loss that is not finite, an image that can't be read, a file that can't be written, threads that can't be started; and where a run is resumed, a log or
/// an optimizer's state that is damaged, before anything is changed.
pub fn train<B: AutodiffBackend>(
    mut checkpoint: Checkpoint,
    sampler: &EpisodeSampler,
    validator: Option<&Validator>,
    output: &Path,
    devices: &[B::Device],
    interrupted: &AtomicBool,
) -> Result<Checkpoint, TrainingError> {
    let folder = RunFolder(output);
    let config = checkpoint.config.clone();
    let steps = config.training.steps;
    let device = &devices[0];
    let workers = Workers::new(devices)?;
    let mut weights: Weights<B> = Weights::from_parameters(&checkpoint.parameters, device);
    let mut average: Option<Weights<B::InnerBackend>> =
        checkpoint.average.as_ref().map(|average| Weights::from_parameters(average, device));
    let unusable =
        |reason| TrainingError::Optimizer { path: folder.checkpoint().join("optimizer.mpk"), reason };
    let mut optimizer = Steps::new(&config.optimizer)
        .resumed(&checkpoint.optimizer, &weights, checkpoint.progress.step)
        .map_err(unusable)?;
    // An interrupted run may have written lines past its checkpoint; a new one begins with none.
    let log: Log<StepMetrics> = Log::read(folder.metrics(), checkpoint.progress.step)?;
    let validations: Log<Validation> = Log::read(folder.validations(), checkpoint.progress.step)?;
    let (mut metrics_file, mut validation_file) = (log.go_on()?, validations.go_on()?);
    let bar = progress_bar(steps, checkpoint.progress.step);

    thread::scope(|scope| {
        let first = checkpoint.progress.step;
        let mut drawn = Ahead::start(scope, sampler, first..steps, workers.drawing_threads());
        for step in first..steps {
            let started = Instant::now();
            let Some(episodes) = drawn.next().transpose()? else { break };
            let waited = started.elapsed();

            let (mut gradients, terms) = workers.gradients(&config, &weights, &episodes);
            let mut metrics = StepMetrics::new(step + 1, &terms);
            metrics.gradient_norm = clip(&mut gradients, &weights, config.optimizer.clip_norm);
            metrics.learning_rate = learning_rate(&config.optimizer, step, steps);
            metrics.step_size = config.langevin.learned.then(|| {
                let of_unit_energy = Tensor::ones([1], device);
                step_size(of_unit_energy, &weights, &config.langevin).into_scalar().elem()
            });
            if let Some(term) = metrics.not_finite(&terms) {
                let categories = episodes.iter().map(|e| e.category.as_str()).collect::<Vec<_>>().join(", ");
                return Err(TrainingError::NotFinite { step: step + 1, term, categories });
            }
            weights = optimizer.step(weights, gradients, [step, steps]);
            average = average
                .map(|a| a.towards(&weights.valid(), averaging_step(config.optimizer.averaging, step)));

            metrics.waited_seconds = waited.as_secs_f64();
            metrics.seconds = started.elapsed().as_secs_f64();
            metrics_file.write(metrics)?;
            bar.set_message(format!("loss {:.4}", metrics.loss));
            bar.inc(1);

            let is_end = step + 1 == steps;
            let is_last = is_end || interrupted.load(Ordering::Relaxed);
            let mut is_best = false;
            // An interrupted run is not validated: it would have a chance to be the best that others don't have.
            if let Some(validator) = validator
                && (is_end || (step + 1) % config.training.validate_every == 0)
            {
                let exported = average.clone().unwrap_or_else(|| weights.valid());
                let validation = validator.validate(step + 1, &config, &exported, device)?;
                // A bar that nobody sees prints nothing.
                if bar.is_hidden() {
                    let _ = writeln!(io::stderr(), "{}", validation.line());
                } else {
                    bar.println(validation.line());
                }
                is_best = checkpoint.progress.best.is_none_or(|best| validation.position_auroc > best);
                if is_best {
                    checkpoint.progress.best = Some(validation.position_auroc);
                }
                validation_file.write(validation)?;
            }
            if is_best || is_last || (step + 1) % config.training.checkpoint_every == 0 {
                checkpoint.progress.step = step + 1;
                metrics_file.sync()?;
                validation_file.sync()?;
                checkpoint.parameters = weights.to_parameters();
                checkpoint.average = average.as_ref().map(Weights::to_parameters);
                checkpoint.optimizer = optimizer.state().map_err(unusable)?;
                // The last says what the best is, so that must be there first.
                if is_best {
                    checkpoint.write(&folder.best())?;
                }
                checkpoint.write(&folder.checkpoint())?;
                curves::draw(&folder.curves(), metrics_file.lines(), validation_file.lines())?;
            }
            if is_last {
                break;
            }
        }
        Ok(())
    })?;
    bar.finish();
    Ok(checkpoint)
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
