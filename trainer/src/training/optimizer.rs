//! What a step does with its gradients: clipping, Adam at the learning rate of the step, the moving average.

use burn::{
    module::ParamId,
    optim::{
        Adam, AdamConfig, AdaptiveMomentumState, GradientsParams, Optimizer,
        adaptor::OptimizerAdaptor,
        record::{AdaptorRecord, AdaptorRecordV1},
    },
    record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder},
    tensor::{Tensor, backend::AutodiffBackend},
};
use sparsight_schemas::{LearningRateSchedule, OptimizerConfig};

use crate::weights::Weights;

/// Adam and its state.
pub struct Steps<B: AutodiffBackend> {
    adam: OptimizerAdaptor<Adam, Weights<B>, B>,
    config: OptimizerConfig,
}

impl<B: AutodiffBackend> Steps<B> {
    /// Adam before the first step.
    pub fn new(config: &OptimizerConfig) -> Self {
        let adam = AdamConfig::new()
            .with_beta_1(config.beta_1)
            .with_beta_2(config.beta_2)
            .with_epsilon(config.epsilon)
            .init();
        Self { adam, config: *config }
    }

    /// Goes on from a checkpoint's state, that of `weights` after `step` steps; before the first there is none.
    ///
    /// # Errors
    /// Why it is not that.
    pub fn resumed(mut self, state: &[u8], weights: &Weights<B>, step: usize) -> Result<Self, String> {
        if step == 0 {
            return Ok(self);
        }
        let device = weights.device();
        let record: <OptimizerAdaptor<Adam, Weights<B>, B> as Optimizer<Weights<B>, B>>::Record =
            recorder().load(state.to_vec(), &device).map_err(|_| "is damaged".to_owned())?;
        let fits = |id: ParamId| match record.get(&id) {
            Some(AdaptorRecord::V1(AdaptorRecordV1::Rank4(state))) => {
                let AdaptiveMomentumState { time, moment_1, moment_2, .. } = &state.momentum;
                let dims = weights.dims(id);
                *time == step && moment_1.dims() == dims && moment_2.dims() == dims
            }
            _ => false,
        };
        if record.len() != weights.ids().count() || !weights.ids().all(fits) {
            return Err("does not fit the weights beside it".into());
        }
        self.adam = self.adam.load_record(record);
        Ok(self)
    }

    /// The weights after step `step` of `steps`, counted from 0.
    pub fn step(
        &mut self,
        weights: Weights<B>,
        gradients: GradientsParams,
        [step, steps]: [usize; 2],
    ) -> Weights<B> {
        self.adam.step(learning_rate(&self.config, step, steps), weights, gradients)
    }

    /// The state for a checkpoint.
    ///
    /// # Errors
    /// Why Burn can't write it.
    pub fn state(&self) -> Result<Vec<u8>, String> {
        recorder().record(self.adam.to_record(), ()).map_err(|error| error.to_string())
    }
}

fn recorder() -> NamedMpkBytesRecorder<FullPrecisionSettings> {
    NamedMpkBytesRecorder::default()
}

/// The learning rate of step `step` of `steps`, counted from 0: over the warm-up it rises linearly, afterwards it stays
/// or falls to 0 along half a cosine.
pub fn learning_rate(config: &OptimizerConfig, step: usize, steps: usize) -> f64 {
    let rising = (step + 1) as f64 / (config.warm_up as f64 + 1.0);
    let done =
        step.saturating_sub(config.warm_up) as f64 / steps.saturating_sub(config.warm_up).max(1) as f64;
    let falling = match config.schedule {
        LearningRateSchedule::Constant => 1.0,
        LearningRateSchedule::Cosine => 0.5 + 0.5 * (std::f64::consts::PI * done).cos(),
    };
    config.learning_rate * rising.min(falling)
}

/// The l2 norm of all gradients together; those of a norm above `largest` are scaled down to it.
pub fn clip<B: AutodiffBackend>(
    gradients: &mut GradientsParams,
    weights: &Weights<B>,
    largest: Option<f64>,
) -> f64 {
    let square = |id| Some(gradients.get::<B::InnerBackend, 4>(id)?.powi_scalar(2).sum());
    let squares: Vec<_> = weights.ids().filter_map(square).collect();
    // Read at once: a GPU has to come to rest for each reading.
    let norm = match squares.is_empty() {
        true => 0.0,
        false => Tensor::cat(squares, 0).into_data().iter::<f64>().sum::<f64>().sqrt(),
    };
    if let Some(largest) = largest.filter(|largest| norm > *largest) {
        for id in weights.ids() {
            if let Some(gradient) = gradients.remove::<B::InnerBackend, 4>(id) {
                gradients.register(id, gradient.mul_scalar(largest / norm));
            }
        }
    }
    norm
}

/// How far the moving average goes towards the weights after `steps` steps: 1 - decay in the long run, more in the
/// beginning, when there is little to average.
pub fn averaging_step(decay: f32, steps: usize) -> f64 {
    1.0 - f64::from(decay).min((1 + steps) as f64 / (10 + steps) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_rises_over_the_warm_up_and_falls_along_a_cosine() {
        let config = OptimizerConfig {
            learning_rate: 2.0,
            warm_up: 3,
            schedule: LearningRateSchedule::Cosine,
            ..OptimizerConfig::default()
        };
        let rates: Vec<f64> = (0..13).map(|step| learning_rate(&config, step, 13)).collect();
        assert_eq!(rates[..4], [0.5, 1.0, 1.5, 2.0]);
        assert!((rates[8] - 1.0).abs() < 1e-12, "half-way: {}", rates[8]);
        assert!(rates[3..].windows(2).all(|pair| pair[1] < pair[0]));
        assert!(rates[12] > 0.0 && rates[12] < 0.06);
        let constant = OptimizerConfig { schedule: LearningRateSchedule::Constant, ..config };
        assert_eq!(learning_rate(&constant, 12, 13), 2.0);
    }

    #[test]
    fn the_average_forgets_quickly_at_first() {
        assert_eq!(averaging_step(0.99, 0), 0.9);
        assert!((averaging_step(0.99, 100_000) - 0.01).abs() < 1e-6);
    }
}
