//! The sampler: Langevin dynamics on the energy, Eq. (4), starting from negatives.

use burn::tensor::{Tensor, backend::Backend};
use sparsight_schemas::LangevinConfig;

use crate::{energy::EnergyModel, sparse_coding::Atoms};

/// Samples \[n,3,H,W\] after x <- clip(x - step_size/2 dE/dx + noise_std eps, 0, 1) for each standard normal draw eps
/// of `noise` (one \[n,3,H,W\] a step), where E is the sum of the images' energies, or of their logarithms where the
/// steps are relative. Differentiable in the weights through every step.
pub fn langevin<B: Backend>(
    model: &EnergyModel<B>,
    atoms: &Atoms<B>,
    negatives: Tensor<B, 4>,
    noise: Vec<Tensor<B, 4>>,
    config: &LangevinConfig,
) -> Tensor<B, 4> {
    noise.into_iter().fold(negatives, |x, eps| {
        let gradient = if config.relative {
            model.log_image_gradient(x.clone(), atoms)
        } else {
            model.image_gradient(x.clone(), atoms)
        };
        let step = gradient.mul_scalar(config.step_size / 2.0);
        (x - step + eps.mul_scalar(config.noise_std)).clamp(0.0, 1.0)
    })
}
