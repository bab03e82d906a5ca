//! The sampler's relative steps against finite differences of the log energy, in f64. Derivatives of what it reaches are
//! `nested_autodiff`'s.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod golden;

use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use burn_ndarray::NdArray;
use golden::Golden;
use sparsight_schemas::LangevinConfig;
use sparsight_trainer::{energy::EnergyModel, langevin::langevin, sparse_coding::Atoms};

type Plain = NdArray<f64>;

/// A model, atoms, and images no pixel of which is near the ends of the range, where the sampler clips.
fn case() -> (EnergyModel<Plain>, Atoms<Plain>, Tensor<Plain, 4>) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden");
    let case = Golden::read(&fixtures.join("tiny_sigmoid.safetensors"));
    let device = Default::default();
    let model = case.model(&case.weights(&device));
    let atoms = model.adapt(case.tensor("support", &device), None);
    let images: Tensor<Plain, 4> = case.tensor("negatives", &device);
    (model, atoms, images.mul_scalar(0.5).add_scalar(0.25))
}

fn number(tensor: Tensor<Plain, 1>) -> f64 {
    tensor.into_data().iter::<f64>().next().unwrap()
}

#[test]
fn a_relative_step_follows_the_slope_of_the_log_energy() {
    let (model, atoms, x) = case();
    let config = LangevinConfig { steps: 1, step_size: 0.01, noise_std: 0.0, relative: true };
    let moved = langevin(&model, &atoms, x.clone(), vec![x.zeros_like()], &config);
    let gradient = (x.clone() - moved).mul_scalar(2.0 / config.step_size);

    let log_energy = |x: Tensor<Plain, 4>| number(model.energy(x, &atoms).log().sum());
    for phase in [0.1, 0.7, 2.9] {
        let wave: Vec<f64> = (0..x.shape().num_elements()).map(|i| (phase + 1.7 * i as f64).sin()).collect();
        let along: Tensor<Plain, 4> =
            Tensor::from_data(TensorData::new(wave, x.shape()), &Default::default());
        let nudge = along.clone().mul_scalar(1e-5);
        let slope = (log_energy(x.clone() + nudge.clone()) - log_energy(x.clone() - nudge)) / 2e-5;
        let expected = number((gradient.clone() * along).sum());
        assert!((slope - expected).abs() < 1e-5 * expected.abs().max(1e-3), "{slope} and {expected}");
    }
}

#[test]
fn a_relative_gradient_is_the_gradient_divided_by_each_images_energy() {
    let (model, atoms, x) = case();
    let relative = model.log_image_gradient(x.clone(), &atoms);
    let absolute = model.image_gradient(x.clone(), &atoms);
    let energy = model.energy(x, &atoms).reshape([-1, 1, 1, 1]);
    let difference = (relative.clone() * energy - absolute).abs().max();
    assert!(number(difference) < 1e-12 * number(relative.abs().max()));
}
