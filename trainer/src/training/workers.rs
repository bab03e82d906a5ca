//! Computes the gradients of a step's tasks on one or several devices at once, each task on one of them.

use std::{any::TypeId, num::NonZero, thread};

use burn::{
    module::Module,
    optim::{GradientsAccumulator, GradientsParams},
    tensor::{ElementConversion, Tensor, backend::AutodiffBackend},
};
use burn_flex::FlexDevice;
use rayon::{ThreadPool, ThreadPoolBuilder};
use sparsight_schemas::{Config, FeatureGeometry};

use crate::{
    energy::EnergyModel,
    episodes::Episode,
    objective::{EpisodeTensors, Loss, episode_losses},
    weights::Weights,
};

/// The terms of a loss, as numbers; those that don't count are none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Terms {
    /// The loss.
    pub total: f64,
    /// mean((LD(x~) - x)^2).
    pub reconstruction: Option<f64>,
    /// mean(E(x) - E(LD(x~))).
    pub contrastive_divergence: Option<f64>,
    /// Cross entropy of the positions.
    pub dense: Option<f64>,
    /// Cross entropy of the images.
    pub image: Option<f64>,
    /// mean((x~ - x)^2): the reconstruction of a sampler that does nothing.
    pub start: f64,
}

/// Tasks that a GPU computes at once: its time goes by the number of operations more than by their size. The CPU's goes by
/// their size, and its caches hold one. Memory grows with it; fewer `episodes.tasks` need less.
const AT_ONCE_ON_A_GPU: usize = 4;

const MOST_DRAWING_THREADS: usize = 8;

/// The devices that share the tasks of each step.
pub struct Workers<B: AutodiffBackend> {
    devices: Vec<B::Device>,
    /// One for each device; none for a single GPU. Burn gives each thread its own stream of a GPU, so each GPU keeps one thread
    /// for the whole run. Workers on the CPU that split each other's loops would wait for each other, so each has its share of
    /// the cores.
    pools: Vec<ThreadPool>,
    /// Tasks that are computed at once: 1 on the CPU.
    at_once: usize,
}

impl<B: AutodiffBackend> Workers<B> {
    /// One worker for each of `devices`, at least one; the CPU may be named several times.
    ///
    /// # Errors
    /// The system has no threads left.
    pub fn new(devices: &[B::Device]) -> Result<Self, rayon::ThreadPoolBuildError> {
        let is_cpu = TypeId::of::<B::Device>() == TypeId::of::<FlexDevice>();
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = if is_cpu { cores.div_ceil(devices.len()) } else { 1 };
        let workers = if is_cpu || devices.len() > 1 { devices.len() } else { 0 };
        let pools = (0..workers).map(|_| ThreadPoolBuilder::new().num_threads(threads).build());
        let at_once = if is_cpu { 1 } else { AT_ONCE_ON_A_GPU };
        Ok(Self { devices: devices.to_vec(), pools: pools.collect::<Result<_, _>>()?, at_once })
    }

    /// Threads that draw the episodes of coming steps: a GPU is quicker than two of them, and leaves the cores to them.
    pub fn drawing_threads(&self) -> usize {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        if self.at_once == 1 { 2 } else { cores.clamp(2, MOST_DRAWING_THREADS) }
    }

    /// The gradients of the mean loss of `episodes` in `weights`, on the first device, and each episode's terms. Task i
    /// is computed on device i modulo their number. On the CPU sums are in the order of the tasks, so the number of workers
    /// changes nothing; on GPUs it changes what is computed at once, and so the rounding.
    pub fn gradients(
        &self,
        config: &Config,
        weights: &Weights<B>,
        episodes: &[Episode],
    ) -> (GradientsParams, Vec<Terms>) {
        let share = 1.0 / episodes.len() as f64;
        let count = self.devices.len();
        let compute = |worker: usize| {
            let device = &self.devices[worker];
            let weights = weights.clone().fork(device);
            let own: Vec<&Episode> = episodes.iter().skip(worker).step_by(count).collect();
            own.chunks(self.at_once)
                .map(|part| tasks(config, &weights, part, share, device))
                .collect::<Vec<_>>()
        };
        let of_devices: Vec<_> = match &self.pools[..] {
            [] => vec![compute(0)],
            pools => thread::scope(|scope| {
                let compute = &compute;
                let run = |(worker, pool): (usize, &'_ ThreadPool)| pool.install(|| compute(worker));
                let spawned: Vec<_> =
                    pools.iter().enumerate().map(|worker| scope.spawn(move || run(worker))).collect();
                let joined = spawned.into_iter().map(|thread| match thread.join() {
                    Ok(computed) => computed,
                    Err(panic) => std::panic::resume_unwind(panic),
                });
                joined.collect()
            }),
        };
        let mut sum = GradientsAccumulator::new();
        let mut terms = vec![None; episodes.len()];
        let mut of_devices: Vec<_> = of_devices.into_iter().map(Vec::into_iter).collect();
        for part in 0..episodes.len().div_ceil(self.at_once) {
            for (worker, parts) in of_devices.iter_mut().enumerate() {
                let Some((gradients, of_part)) = parts.next() else { continue };
                sum.accumulate(weights, gradients.to_device(&self.devices[0], weights));
                for (k, of_task) in of_part.into_iter().enumerate() {
                    terms[worker + count * (part * self.at_once + k)] = Some(of_task);
                }
            }
        }
        let every =
            |of_task: Option<Terms>| of_task.unwrap_or_else(|| unreachable!("every task is some device's"));
        (sum.grads(), terms.into_iter().map(every).collect())
    }
}

/// The gradients of the tasks' losses, each times `share`, and the terms of each.
fn tasks<B: AutodiffBackend>(
    config: &Config,
    weights: &Weights<B>,
    episodes: &[&Episode],
    share: f64,
    device: &B::Device,
) -> (GradientsParams, Vec<Terms>) {
    let sparse_coding = config.trained_sparse_coding();
    let model = EnergyModel::new(&config.input, &config.backbone, &sparse_coding, weights);
    let geometry = FeatureGeometry::new(&config.input, &config.backbone);
    let tensors =
        episodes.iter().map(|e| EpisodeTensors::new(e, &geometry, &sparse_coding, device)).collect();
    let losses = episode_losses(&model, weights, tensors, &config.langevin, &config.objective);
    let terms = losses.iter().zip(episodes).map(|(loss, episode)| Terms::new(loss, episode)).collect();
    let Some(total) = losses.into_iter().map(|loss| loss.total).reduce(|a, b| a + b) else {
        unreachable!("a part has a task")
    };
    (GradientsParams::from_grads(total.mul_scalar(share).backward(), weights), terms)
}

impl Terms {
    fn new<B: AutodiffBackend>(loss: &Loss<B>, episode: &Episode) -> Self {
        let number = |term: &Tensor<B, 1>| term.clone().into_scalar().elem::<f64>();
        let changes = episode.negatives.iter().zip(&episode.positives).map(|(x, y)| f64::from(x - y).powi(2));
        Self {
            total: number(&loss.total),
            reconstruction: loss.reconstruction.as_ref().map(number),
            contrastive_divergence: loss.contrastive_divergence.as_ref().map(number),
            dense: loss.dense.as_ref().map(number),
            image: loss.image.as_ref().map(number),
            start: changes.sum::<f64>() / episode.negatives.len() as f64,
        }
    }

    /// The first term that is NaN or infinite.
    pub fn not_finite(&self) -> Option<&'static str> {
        let terms = [
            ("the reconstruction", self.reconstruction),
            ("the contrastive divergence", self.contrastive_divergence),
            ("the dense cross entropy", self.dense),
            ("the image cross entropy", self.image),
            ("the loss", Some(self.total)),
        ];
        terms
            .into_iter()
            .find(|(_, value)| value.is_some_and(|value| !value.is_finite()))
            .map(|(term, _)| term)
    }
}
