//! Time and memory of training steps on random images: what a machine can do with a config, without data.

use std::time::Instant;

use burn::tensor::backend::AutodiffBackend;
use ndarray::{Array, Array3, Dimension, ShapeBuilder};
use rand::{RngExt, SeedableRng, distr::Distribution};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::Serialize;
use sparsight_schemas::{Config, Valid};

use crate::{
    checkpoint::Checkpoint,
    episodes::Episode,
    training::{
        TrainingError,
        optimizer::{Steps, clip},
        workers::Workers,
    },
    weights::Weights,
};

/// Figures of the steps after the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Steps that were timed.
    pub steps: usize,
    /// Workers or GPUs that shared a step's tasks.
    pub devices: usize,
    /// Tasks of a step.
    pub tasks: usize,
    /// Shots of a task.
    pub shots: usize,
    /// Queries of a task.
    pub queries: usize,
    /// Median time of a step in milliseconds.
    pub step_ms: f64,
    /// Mean time of the processor that a step took, all cores together, in milliseconds; Linux only.
    pub step_cpu_ms: Option<f64>,
    /// Query images of a step by its median time in seconds.
    pub query_images_per_second: f64,
    /// Most memory of the process at any time, in bytes; Linux only.
    pub peak_memory_bytes: Option<u64>,
}

/// Times `steps` steps of a config on random images, after one that warms up.
///
/// # Errors
/// Threads for the devices can't be started.
pub fn bench<B: AutodiffBackend>(
    config: &Valid<Config>,
    steps: usize,
    devices: &[B::Device],
) -> Result<Figures, TrainingError> {
    let mut weights =
        Weights::<B>::from_parameters(&Checkpoint::random(config, None).parameters, &devices[0]);
    let workers = Workers::new(devices)?;
    let mut optimizer = Steps::<B>::new(&config.optimizer);
    let episodes: Vec<Episode> =
        (0..config.episodes.tasks).map(|task| random_episode(config, task)).collect();
    let mut times = Vec::new();
    let mut cpu_before = None;
    for step in 0..=steps {
        if step == 1 {
            cpu_before = cpu_seconds();
        }
        let started = Instant::now();
        let (mut gradients, _) = workers.gradients(config, &weights, &episodes);
        clip(&mut gradients, &weights, config.optimizer.clip_norm);
        weights = optimizer.step(weights, gradients, [step, steps + 1]);
        // A device that failed says so at the next step.
        let _ = B::sync(&devices[0]);
        times.push(started.elapsed().as_secs_f64());
    }
    let cpu = cpu_seconds().zip(cpu_before).map(|(after, before)| after - before);
    times.remove(0);
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let episodes = &config.episodes;
    Ok(Figures {
        steps,
        devices: devices.len(),
        tasks: episodes.tasks,
        shots: episodes.shots,
        queries: episodes.queries,
        step_ms: 1e3 * median,
        step_cpu_ms: cpu.map(|seconds| 1e3 * seconds / steps as f64),
        query_images_per_second: (episodes.tasks * episodes.queries) as f64 / median,
        peak_memory_bytes: peak_memory_bytes(),
    })
}

/// Images of uniform noise; the middle of each negative counts as spoilt.
fn random_episode(config: &Config, task: usize) -> Episode {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    rng.set_stream(task as u64);
    let (height, width) = (config.input.height, config.input.width);
    let (shots, queries) = (config.episodes.shots, config.episodes.queries);
    let queries_shape = (queries, 3, height, width);
    let is_spoilt =
        |y: usize, x: usize| (height / 4..height / 2).contains(&y) && (width / 4..width / 2).contains(&x);
    let steps = if config.objective.samples() { config.langevin.steps } else { 0 };
    Episode {
        category: format!("random_{task}"),
        support: drawn((shots, 3, height, width), || rng.random()),
        positives: drawn(queries_shape, || rng.random()),
        negatives: drawn(queries_shape, || rng.random()),
        masks: Array3::from_shape_fn((queries, height, width), |(_, y, x)| f32::from(is_spoilt(y, x))),
        noise: (0..steps).map(|_| drawn(queries_shape, || StandardNormal.sample(&mut rng))).collect(),
        atoms_seed: task as u64,
    }
}

fn drawn<D: Dimension, S: ShapeBuilder<Dim = D>>(shape: S, mut draw: impl FnMut() -> f32) -> Array<f32, D> {
    Array::from_shape_simple_fn(shape, &mut draw)
}

/// Time of the processor that this process took so far, where the system tells in `/proc`.
fn cpu_seconds() -> Option<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    let ticks = after_name.split(' ').skip(11).take(2).map(str::parse::<f64>); // of the user, of the system
    Some(ticks.sum::<Result<f64, _>>().ok()? / TICKS_PER_SECOND)
}

/// Most memory that this process held so far, where the system tells in `/proc`.
fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()?)
}
