//! The gradients of the training step against nested automatic differentiation in f64: the oracle differentiates the
//! energy by itself, twice, and so knows neither the VJP nor the gradient in the features.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod golden;

use std::path::PathBuf;

use burn::{
    backend::Autodiff,
    tensor::{Tensor, backend::Backend},
};
use burn_ndarray::NdArray;
use golden::{Golden, cases, relative_difference};
use sparsight_schemas::{EnergyKind, LangevinConfig, SMALLEST_CODE, SparseCodingConfig};
use sparsight_trainer::{
    backbone::Backbone,
    objective::episode_loss,
    operations::burn::BurnOperations,
    sparse_coding::{Atoms, codes, dictionary, energy, energy_map, unfold},
    weights::Weights,
};

/// Name of the learned step's parameter, as checkpoints have it.
const STEP_SIZE: &str = "langevin.step_size";

type Once = Autodiff<NdArray<f64>>;
type Twice = Autodiff<Once>;

/// The features of images, unfolded, their codes, and how many images and positions there are.
fn forward<B: Backend>(
    case: &Golden,
    ops: &BurnOperations<B>,
    atoms: &Atoms<B>,
    images: Tensor<B, 4>,
) -> (Tensor<B, 2>, Tensor<B, 2>, [usize; 3]) {
    let features = Backbone::new(&case.input, &case.backbone).forward(ops, &images).features;
    let [n, _, h, w] = features.dims();
    let unfolded = unfold(features, case.sparse_coding.receptive_field);
    let a = codes(unfolded.clone(), atoms, &case.sparse_coding);
    (unfolded, a, [n, h, w])
}

/// The energy by the forward pass alone.
fn plain_energy<B: Backend>(
    case: &Golden,
    ops: &BurnOperations<B>,
    atoms: &Atoms<B>,
    images: Tensor<B, 4>,
) -> Tensor<B, 1> {
    let (unfolded, a, shape) = forward(case, ops, atoms, images);
    energy(energy_map(unfolded, atoms, a, shape, &case.sparse_coding))
}

/// The energy that steps descend: that of [`plain_energy`], but sizes of codes below [`SMALLEST_CODE`] count by their squares, so that
/// their derivative is the straight line that the gradient has there.
fn descended_energy<B: Backend>(
    case: &Golden,
    ops: &BurnOperations<B>,
    atoms: &Atoms<B>,
    images: Tensor<B, 4>,
) -> Tensor<B, 1> {
    let (unfolded, a, [n, h, w]) = forward(case, ops, atoms, images);
    let m = unfolded.dims()[1];
    let without = SparseCodingConfig { energy: EnergyKind::Reconstruction, ..case.sparse_coding };
    let unexplained = energy(energy_map(unfolded, atoms, a.clone(), [n, h, w], &without));
    if case.sparse_coding.energy == EnergyKind::Reconstruction {
        return unexplained;
    }
    let (size, small) = (a.clone().abs(), a.abs().clamp_max(SMALLEST_CODE));
    let sizes = small.clone().powi_scalar(2).div_scalar(2.0 * SMALLEST_CODE) + (size - small);
    let paid = sizes.sum_dim(1).reshape([n, h * w]).mean_dim(1).reshape([n]);
    unexplained + paid.mul_scalar(2.0 * case.sparse_coding.lambda_star / m as f64)
}

#[test]
fn the_loss_and_every_weight_gradient_agree_with_nested_automatic_differentiation() {
    agree(cases(), |_| ());
}

#[test]
fn they_agree_where_the_codes_count() {
    agree(cases(), |case| case.sparse_coding.energy = EnergyKind::Lasso);
}

#[test]
fn they_agree_where_energies_are_relative_and_the_step_is_learned() {
    let relative = |case: &mut Golden| {
        case.langevin = LangevinConfig { relative: true, step_size: 10.0, ..case.langevin };
    };
    let two = || cases().into_iter().filter(|path| path.to_string_lossy().contains("_sigmoid"));
    agree(two(), relative);
    let learned = |case: &mut Golden| {
        relative(case);
        case.langevin.learned = true;
    };
    agree(two(), learned);
}

/// Compares golden cases with the oracle, with their settings so changed.
fn agree(cases: impl IntoIterator<Item = PathBuf>, change: impl Fn(&mut Golden)) {
    let device = Default::default();
    for path in cases.into_iter().filter(|path| !path.ends_with("table_a.safetensors")) {
        let mut case = Golden::read(&path);
        change(&mut case);
        case.objective.relative = case.langevin.relative;
        let mut parameters = case.parameters();
        if case.langevin.learned {
            parameters.push((STEP_SIZE.into(), vec![1], vec![0.1]));
        }
        let weights = Weights::<Once>::from_parameters(&parameters, &device);
        let loss = episode_loss(
            &case.model(&weights),
            &weights,
            case.episode(&device),
            &case.langevin,
            &case.objective,
        );

        let oracle_weights = Weights::<Once>::from_parameters(&parameters, &device);
        let ops = oracle_weights.operations();
        let lifted =
            oracle_weights.tensors().map(|(name, t)| (name.to_owned(), Tensor::from_inner(t))).collect();
        let lifted = BurnOperations::<Twice>::new(lifted, device);
        let episode = case.episode::<Once>(&device);
        let layers = Backbone::new(&case.input, &case.backbone);
        let support = layers.forward(&ops, &episode.support).features;
        let atoms = dictionary(support, case.sparse_coding.receptive_field);
        let lifted_atoms = Atoms::<Twice> {
            dictionary: Tensor::from_inner(atoms.dictionary.clone()),
            gram: Tensor::from_inner(atoms.gram.clone()),
        };
        let low = plain_energy(&case, &ops, &atoms, episode.positives.clone());
        let squares = |x: &Tensor<Once, 4>| (x.clone() - episode.positives.clone()).powi_scalar(2).mean();
        let (unit, damage) = match case.langevin.relative {
            true => (low.clone().mean().detach(), squares(&episode.negatives)),
            false => (Tensor::ones([1], &device), Tensor::ones([1], &device)),
        };
        let mut step_size = unit.recip().mul_scalar(case.langevin.step_size);
        if case.langevin.learned {
            step_size = step_size * oracle_weights.parameter(STEP_SIZE).reshape([1]).mul_scalar(5.0).exp();
        }
        let mut x = episode.negatives.clone();
        for eps in episode.noise {
            let image = Tensor::<Twice, 4>::from_inner(x.clone()).require_grad();
            let energies = descended_energy(&case, &lifted, &lifted_atoms, image.clone());
            let gradients = energies.sum().backward();
            let gradient = image.grad(&gradients).unwrap();
            let step = gradient.mul_scalar(0.5) * step_size.clone().reshape([1, 1, 1, 1]);
            x = (x - step + eps.mul_scalar(case.langevin.noise_std)).clamp(0.0, 1.0);
        }
        let reconstruction = squares(&x) / damage;
        let high = plain_energy(&case, &ops, &atoms, x.detach());
        let oracle = reconstruction.mul_scalar(case.objective.eta_rec)
            + (low - high).mean().mul_scalar(case.objective.eta_cd);

        let values = |tensor: Tensor<Once, 1>| tensor.into_data().iter::<f64>().collect::<Vec<_>>();
        let difference = relative_difference(&values(loss.total.clone()), &values(oracle.clone()));
        assert!(difference < 1e-9, "{path:?} loss: {difference:e}");
        let (gradients, oracle_gradients) = (loss.total.backward(), oracle.backward());
        for ((name, ours), (_, theirs)) in weights.tensors().zip(oracle_weights.tensors()) {
            let values = |t: Tensor<NdArray<f64>, 4>| t.into_data().iter::<f64>().collect::<Vec<_>>();
            let ours = values(ours.grad(&gradients).unwrap());
            let theirs = values(theirs.grad(&oracle_gradients).unwrap());
            let difference = relative_difference(&ours, &theirs);
            assert!(difference < 1e-8, "{path:?} {name}: {difference:e}");
        }
    }
}

#[test]
fn an_atom_of_zeros_leaves_every_gradient_finite() {
    let device = Default::default();
    let features =
        |values: [f64; 4]| Tensor::<Once, 1>::from_data(values, &device).reshape([1, 2, 1, 2]).require_grad();
    let (support, query) = (features([0.0, 1.0, 0.0, 2.0]), features([0.5, -1.0, 2.0, 1.0]));
    let config = SparseCodingConfig { receptive_field: 1, ..SparseCodingConfig::default() };
    let atoms = dictionary(support.clone(), 1);
    let unfolded = unfold(query.clone(), 1);
    let a = codes(unfolded.clone(), &atoms, &config);
    let gradients = energy(energy_map(unfolded, &atoms, a, [1, 1, 2], &config)).sum().backward();
    for features in [support, query] {
        let gradient: Vec<f64> = features.grad(&gradients).unwrap().into_data().iter().collect();
        assert!(gradient.iter().all(|value| value.is_finite()), "{gradient:?}");
        assert!(gradient.iter().any(|value| *value != 0.0), "{gradient:?}");
    }
}
