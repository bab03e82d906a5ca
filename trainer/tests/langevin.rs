//! The sampler's steps: their direction against finite differences of the energy, their size by what the config says, in
//! f64. Derivatives of what it reaches are `nested_autodiff`'s.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod golden;

use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use burn_ndarray::NdArray;
use golden::Golden;
use sparsight_schemas::{Config, LangevinConfig};
use sparsight_trainer::{
    energy::EnergyModel,
    langevin::{langevin, langevin_parameters, step_size},
    sparse_coding::Atoms,
    weights::{NamedParameters, Weights, random_parameters},
};

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

fn tensor(values: &[f64]) -> Tensor<Plain, 1> {
    Tensor::from_data(TensorData::from(values), &Default::default())
}

#[test]
fn a_step_follows_the_slope_of_the_energy() {
    let (model, atoms, x) = case();
    let size = 0.01;
    let moved = langevin(
        &model,
        std::slice::from_ref(&atoms),
        x.clone(),
        vec![x.zeros_like()],
        vec![tensor(&[size])],
        0.0,
    );
    let gradient = (x.clone() - moved).mul_scalar(2.0 / size);

    let energy = |x: Tensor<Plain, 4>| number(model.energy(x, &atoms).sum());
    for phase in [0.1, 0.7, 2.9] {
        let wave: Vec<f64> = (0..x.shape().num_elements()).map(|i| (phase + 1.7 * i as f64).sin()).collect();
        let along: Tensor<Plain, 4> =
            Tensor::from_data(TensorData::new(wave, x.shape()), &Default::default());
        let nudge = along.clone().mul_scalar(1e-5);
        let slope = (energy(x.clone() + nudge.clone()) - energy(x.clone() - nudge)) / 2e-5;
        let expected = number((gradient.clone() * along).sum());
        assert!((slope - expected).abs() < 1e-5 * expected.abs().max(1e-3), "{slope} and {expected}");
    }
}

/// The step size of an episode whose good queries have the mean energy 0.2.
fn size(config: &Config, weights: &Weights<Plain>) -> f64 {
    number(step_size(tensor(&[0.1, 0.3]), weights, &config.langevin))
}

fn config(relative: bool, learned: bool) -> Config {
    let langevin = LangevinConfig { step_size: 3.0, relative, learned, ..LangevinConfig::default() };
    Config { langevin, ..Config::default() }
}

#[test]
fn steps_are_as_long_as_the_config_says_in_units_of_the_good_energy_where_they_are_relative() {
    let none =
        Weights::from_parameters(&random_parameters(&Config::default().backbone, 1), &Default::default());
    assert_eq!(size(&config(false, false), &none), 3.0);
    assert!((size(&config(true, false), &none) - 15.0).abs() < 1e-12);
}

#[test]
fn a_learned_step_begins_as_the_config_says_and_grows_with_its_parameter() {
    let config = config(true, true);
    let mut parameters = langevin_parameters(&config);
    assert_eq!(parameters.len(), 1);
    let learned = |parameters: &NamedParameters| {
        size(&config, &Weights::from_parameters(parameters, &Default::default()))
    };
    assert!((learned(&parameters) - 15.0).abs() < 1e-12);
    parameters[0].2 = vec![0.2];
    let grown = learned(&parameters);
    assert!((grown / 15.0 - 1f64.exp()).abs() < 1e-6, "{grown}");
    assert_eq!(langevin_parameters(&Config::default()), vec![]);
}
