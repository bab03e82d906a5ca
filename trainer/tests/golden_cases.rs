//! Every stage of the energy-based model against the golden cases: features, dictionary, codes, energies, their
//! gradients, the sampler, the loss, and the loss's gradient in every weight. f32 is on trial on the device that the
//! environment variable SPARSIGHT_DEVICE names, by default the CPU.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod device;
mod golden;

use std::path::Path;

use burn::{
    backend::Autodiff,
    tensor::{
        ElementConversion, Tensor,
        backend::{AutodiffBackend, Backend},
    },
};
use burn_ndarray::NdArray;
use device::on_the_devices;
use golden::{Golden, cases};
use sparsight_schemas::{LangevinConfig, ObjectiveConfig, Shrinkage};
use sparsight_trainer::{
    objective::{EpisodeTensors, episode_loss, episode_losses},
    sparse_coding::{codes, dictionary, energy_map, features_gradient, unfold},
    weights::Weights,
};

/// Of every f32 result, relative to the largest magnitude of the expected tensor.
const TOLERANCE: f64 = 1e-4;

#[test]
fn features_and_image_gradients_are_the_golden_ones() {
    on_the_devices!(check_features_and_image_gradients);
}

fn check_features_and_image_gradients<B: Backend>(devices: &[B::Device]) {
    let device = &devices[0];
    for path in cases() {
        let case = Golden::read(&path);
        let model = case.model::<B>(&case.weights(device));
        for (images, features) in [("support", "support_features"), ("negatives", "query_features")] {
            let difference = case.difference(features, model.features(case.tensor(images, device)));
            assert!(difference < TOLERANCE, "{path:?} {features}: {difference:e}");
        }
        let atoms = model.adapt(case.tensor("support", device), None);
        let difference =
            case.difference("image_gradient", model.image_gradient(case.tensor("negatives", device), &atoms));
        assert!(difference < TOLERANCE, "{path:?} image_gradient: {difference:e}");
        for (images, energy) in [("negatives", "energy"), ("positives", "energy_positive")] {
            let difference = case.difference(energy, model.energy(case.tensor(images, device), &atoms));
            assert!(difference < TOLERANCE, "{path:?} {energy}: {difference:e}");
        }
    }
}

#[test]
fn the_sparse_coding_layer_is_the_golden_one() {
    on_the_devices!(check_the_sparse_coding_layer);
}

fn check_the_sparse_coding_layer<B: Backend>(devices: &[B::Device]) {
    let device = &devices[0];
    for path in cases() {
        let case = Golden::read(&path);
        let config = &case.sparse_coding;
        let features = || case.tensor::<B, 4>("query_features", device);
        let atoms = dictionary(case.tensor::<B, 4>("support_features", device), config.receptive_field);
        let unfolded = unfold(features(), config.receptive_field);
        let a = codes(unfolded.clone(), &atoms, config);
        let [n, _, h, w] = features().dims();
        let map = energy_map(unfolded, &atoms, a.clone(), [n, h, w], config);
        for (name, difference) in [
            ("dictionary", case.difference("dictionary", atoms.dictionary.clone())),
            ("codes", case.difference("codes", a)),
            ("energy_map", case.difference("energy_map", map)),
            (
                "features_gradient",
                case.difference("features_gradient", features_gradient(features(), &atoms, config)),
            ),
        ] {
            assert!(difference < TOLERANCE, "{path:?} {name}: {difference:e}");
        }
    }
}

/// In f64 the equations themselves are on trial, so nothing but rounding may differ.
#[test]
fn one_episodes_loss_and_all_its_weight_gradients_are_the_golden_ones_in_f64() {
    for path in cases() {
        if path.ends_with("table_a.safetensors") {
            continue; // stored in f32
        }
        check_episode::<Autodiff<NdArray<f64>>>(&Default::default(), &path, [1e-9, 1e-9, 1e-8]);
    }
}

/// `tiny_rf1` is not among them: there a change of 1e-9 in the negatives, far below f32's rounding of a pixel, already
/// moves the gradients by 6e-4 (in f64). Its other stages are held to f32's tolerance above.
#[test]
fn one_episodes_loss_and_all_its_weight_gradients_are_the_golden_ones_in_f32() {
    on_the_devices!(check_episodes);
}

fn check_episodes<B: AutodiffBackend>(devices: &[B::Device]) {
    let device = &devices[0];
    for path in cases() {
        if path.ends_with("tiny_rf1.safetensors") {
            continue;
        }
        // Soft shrinkage has no second derivative where a code crosses its threshold.
        let soft = Golden::read(&path).sparse_coding.shrinkage == Shrinkage::Soft;
        let tolerances = if soft { [TOLERANCE, 1e-5, 2e-2] } else { [TOLERANCE, TOLERANCE, 1e-3] };
        check_episode::<B>(device, &path, tolerances);
    }
}

/// Tolerances of the sample, the loss and the gradients.
fn check_episode<B: AutodiffBackend>(
    device: &B::Device,
    path: &Path,
    [in_sample, in_loss, in_gradient]: [f64; 3],
) {
    let case = Golden::read(path);
    let weights: Weights<B> = case.weights(device);
    let loss =
        episode_loss(&case.model(&weights), &weights, case.episode(device), &case.langevin, &case.objective);
    let difference = case.difference("sampled", loss.sampled.expect("the paper's loss samples"));
    assert!(difference < in_sample, "{path:?} sampled: {difference:e}");
    let [reconstruction, contrastive_divergence] = [loss.reconstruction, loss.contrastive_divergence]
        .map(|term| term.expect("a term of the paper's loss"));
    let terms = [&loss.total, &reconstruction, &contrastive_divergence];
    for (term, expected) in terms.into_iter().zip(case.values("loss")) {
        let actual: f64 = term.clone().into_scalar().elem();
        assert!((actual - expected).abs() < in_loss * expected.abs(), "{path:?} loss: {actual} {expected}");
    }
    let gradients = loss.total.backward();
    for (name, tensor) in weights.tensors() {
        let gradient = tensor.grad(&gradients).expect("every weight has a gradient");
        let difference = case.difference(&format!("grad.{name}"), gradient);
        assert!(difference < in_gradient, "{path:?} grad.{name}: {difference:e}");
    }
}

/// The law that a GPU relies on, in f64: images of several tasks in one batch change nothing.
#[test]
fn episodes_computed_at_once_have_the_losses_and_gradients_of_each_alone() {
    type Traced = Autodiff<NdArray<f64>>;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden");
    let case = Golden::read(&fixtures.join("tiny_sigmoid.safetensors"));
    let device = Default::default();
    let weights: Weights<Traced> = case.weights(&device);
    let model = case.model(&weights);
    let config = LangevinConfig { relative: true, step_size: 10.0, ..case.langevin };
    let objective = ObjectiveConfig { relative: true, ..case.objective };
    let episode = || case.episode::<Traced>(&device);
    let other = || {
        let EpisodeTensors { positives, negatives, support, .. } = episode();
        let support = support.neg().add_scalar(1.0);
        EpisodeTensors { positives: negatives, negatives: positives, support, ..episode() }
    };
    let alone = [episode(), other()].map(|e| episode_loss(&model, &weights, e, &config, &objective));
    let at_once = episode_losses(&model, &weights, vec![episode(), other()], &config, &objective);
    let number = |x: &Tensor<Traced, 1>| x.clone().into_scalar();
    for (alone, at_once) in alone.iter().zip(&at_once) {
        assert!((number(&alone.total) - number(&at_once.total)).abs() < 1e-12 * number(&alone.total).abs());
    }
    assert!((number(&alone[0].total) - number(&alone[1].total)).abs() > 1e-6, "the two differ");
    let [a, b] = alone.map(|loss| loss.total.backward());
    let both = at_once.into_iter().map(|loss| loss.total).reduce(|a, b| a + b).unwrap().backward();
    for (name, tensor) in weights.tensors() {
        let expected = tensor.grad(&a).unwrap() + tensor.grad(&b).unwrap();
        let apart: f64 = (tensor.grad(&both).unwrap() - expected.clone()).abs().max().into_scalar();
        let largest: f64 = expected.abs().max().into_scalar();
        assert!(largest > 0.0 && apart < 1e-9 * largest, "{name}: {apart:e} of {largest:e}");
    }
}
