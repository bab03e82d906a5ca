//! Computes the gradients of a step's tasks on one or several devices at once, each task on one of them.

use std::{num::NonZero, thread};

use burn::{
    module::Module,
    optim::{GradientsAccumulator, GradientsParams},
    tensor::{ElementConversion, Tensor, backend::AutodiffBackend},
};
use rayon::{ThreadPool, ThreadPoolBuilder};
use sparsight_schemas::{Config, FeatureGeometry};

use crate::{
    energy::EnergyModel,
    episodes::Episode,
    objective::{EpisodeTensors, Loss, episode_loss},
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

/// The devices that share the tasks of each step.
pub struct Workers<B: AutodiffBackend> {
    devices: Vec<B::Device>,
    /// One for each device, and none where there is one device. A GPU orders its work by the thread that gives it, so each
    /// has a thread of its own that lives as long as the run; each worker on the CPU has its share of the cores.
    pools: Vec<ThreadPool>,
}

impl<B: AutodiffBackend> Workers<B> {
    /// One worker for each of `devices`, at least one; the CPU may be named several times.
    ///
    /// # Errors
    /// The system has no threads left.
    pub fn new(devices: &[B::Device]) -> Result<Self, rayon::ThreadPoolBuildError> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = match devices {
            [one, another, ..] if one == another => cores.div_ceil(devices.len()),
            _ => 1,
        };
        let workers = if devices.len() > 1 { devices.len() } else { 0 };
        let pools = (0..workers).map(|_| ThreadPoolBuilder::new().num_threads(threads).build());
        Ok(Self { devices: devices.to_vec(), pools: pools.collect::<Result<_, _>>()? })
    }

    /// The gradients of the mean loss of `episodes` in `weights`, on the first device, and each episode's terms. Task i
    /// is computed on device i modulo their number; sums are in the order of the tasks, so the number of devices changes
    /// nothing.
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
            let own = episodes.iter().skip(worker).step_by(count);
            own.map(|episode| task(config, &weights, episode, share, device)).collect::<Vec<_>>().into_iter()
        };
        let mut of_devices: Vec<_> = match &self.pools[..] {
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
        let mut terms = Vec::with_capacity(episodes.len());
        for i in 0..episodes.len() {
            let Some((gradients, of_task)) = of_devices[i % count].next() else {
                unreachable!("every task is some device's")
            };
            sum.accumulate(weights, gradients.to_device(&self.devices[0], weights));
            terms.push(of_task);
        }
        (sum.grads(), terms)
    }
}

fn task<B: AutodiffBackend>(
    config: &Config,
    weights: &Weights<B>,
    episode: &Episode,
    share: f64,
    device: &B::Device,
) -> (GradientsParams, Terms) {
    let sparse_coding = config.trained_sparse_coding();
    let model = EnergyModel::new(&config.input, &config.backbone, &sparse_coding, weights);
    let geometry = FeatureGeometry::new(&config.input, &config.backbone);
    let tensors = EpisodeTensors::new(episode, &geometry, &sparse_coding, device);
    let loss = episode_loss(&model, weights, tensors, &config.langevin, &config.objective);
    let terms = Terms::new(&loss, episode);
    let gradients = GradientsParams::from_grads(loss.total.mul_scalar(share).backward(), weights);
    (gradients, terms)
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
