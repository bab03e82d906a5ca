//! The sampler: Langevin dynamics on the energy, Eq. (4), starting from negatives, and the size of its steps.

use burn::tensor::{Tensor, backend::Backend};
use sparsight_schemas::{Config, LangevinConfig};

use crate::{
    batch::join,
    energy::EnergyModel,
    sparse_coding::Atoms,
    weights::{NamedParameters, Weights},
};

/// Parameter of a step size that is learned: the size is the config's times exp([`RATE`] * parameter). It ends with the
/// training, as the sampler does.
const STEP_SIZE: &str = "langevin.step_size";
/// An optimizer moves each parameter by about the learning rate; this many times as much changes the step in time.
const RATE: f64 = 5.0;
/// Energies are divided by no less: of images that the support explains entirely.
const LEAST_ENERGY: f64 = 1e-8;

/// The parameters that the sampler has, at their first values.
pub fn langevin_parameters(config: &Config) -> NamedParameters {
    let learned = config.langevin.learned.then(|| (STEP_SIZE.to_owned(), vec![1], vec![0.0]));
    learned.into_iter().collect()
}

/// The step size \[1\] in an episode whose good queries have the energies `good` \[M\]: the config's, times what was learned,
/// over the unit of energy. Where energies are relative that is the mean of `good`, held constant; else 1.
pub fn step_size<B: Backend>(
    good: Tensor<B, 1>,
    weights: &Weights<B>,
    config: &LangevinConfig,
) -> Tensor<B, 1> {
    let unit = match config.relative {
        true => good.mean().detach().clamp_min(LEAST_ENERGY),
        false => Tensor::ones([1], &good.device()),
    };
    let fixed = unit.recip().mul_scalar(config.step_size);
    match config.learned {
        true => fixed * weights.parameter(STEP_SIZE).reshape([1]).mul_scalar(RATE).exp(),
        false => fixed,
    }
}

/// Samples \[n,3,H,W\] after x <- clip(x - step_size/2 dE/dx + noise_std eps, 0, 1) for each standard normal draw eps
/// of `noise` (one \[n,3,H,W\] a step), where E is the sum of the images' energies. The images are of several tasks, as many of
/// each; each task has its dictionary and its step size \[1\]. Differentiable in the weights through every step.
pub fn langevin<B: Backend>(
    model: &EnergyModel<B>,
    dictionaries: &[Atoms<B>],
    negatives: Tensor<B, 4>,
    noise: Vec<Tensor<B, 4>>,
    step_sizes: Vec<Tensor<B, 1>>,
    noise_std: f64,
) -> Tensor<B, 4> {
    let of_each = negatives.dims()[0] / dictionaries.len();
    let half = |step_size: Tensor<B, 1>| step_size.mul_scalar(0.5).reshape([1, 1, 1, 1]);
    let halves = match step_sizes.len() {
        1 => step_sizes.into_iter().map(half).collect(),
        _ => step_sizes.into_iter().map(|size| half(size).repeat_dim(0, of_each)).collect(),
    };
    let halves = join(halves); // [1,1,1,1] or [n,1,1,1]
    noise.into_iter().fold(negatives, |x, eps| {
        let step = model.image_gradients(x.clone(), dictionaries) * halves.clone();
        (x - step + eps.mul_scalar(noise_std)).clamp(0.0, 1.0)
    })
}
