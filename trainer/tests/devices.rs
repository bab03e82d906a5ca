//! Training on the devices that SPARSIGHT_DEVICE names, beside training on one and on the CPU. What a device computes at
//! every stage is `golden_cases`' to say.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod device;

use std::{any::TypeId, path::Path, sync::atomic::AtomicBool};

use burn::{backend::Autodiff, optim::GradientsParams, tensor::backend::AutodiffBackend};
use burn_flex::Flex;
use burn_ndarray::NdArray;
use device::on_the_devices;
use sparsight_schemas::{
    BackboneConfig, Config, DataConfig, EpisodeConfig, InputConfig, LangevinConfig, ObjectiveConfig,
    OptimizerConfig, ResizeFilter, TrainingConfig, Valid,
};
use sparsight_trainer::{
    categories::{read_categories, read_validation_categories},
    checkpoint::Checkpoint,
    episodes::EpisodeSampler,
    synth::{Options, synthesise},
    training::{train, validation::Validator, workers::Workers},
    weights::Weights,
};

/// A small run with every term of the objective.
fn config(data: &Path) -> Valid<Config> {
    let config = Config {
        seed: 3,
        input: InputConfig { height: 32, width: 32, resize: ResizeFilter::default() },
        backbone: BackboneConfig {
            widths: vec![8, 16],
            strides: vec![1, 2],
            feature_channels: 16,
            image_shortcut: true,
            image_shortcut_contrast: true,
            ..BackboneConfig::default()
        },
        data: DataConfig {
            roots: vec![data.display().to_string()],
            validation: vec!["gear_000".into()],
            ..DataConfig::default()
        },
        episodes: EpisodeConfig { tasks: 3, shots: 2, queries: 2, ..EpisodeConfig::default() },
        langevin: LangevinConfig { steps: 2, relative: true, step_size: 0.5, ..LangevinConfig::default() },
        objective: ObjectiveConfig { eta_dense: 1.0, eta_image: 0.3, ..ObjectiveConfig::default() },
        optimizer: OptimizerConfig {
            learning_rate: 2e-3,
            averaging: 0.9,
            clip_norm: Some(1.0),
            ..OptimizerConfig::default()
        },
        training: TrainingConfig {
            steps: 10,
            checkpoint_every: 5,
            validate_every: 5,
            ..TrainingConfig::default()
        },
        ..Config::default()
    };
    Valid::new(config).unwrap()
}

fn categories(folder: &Path) {
    let options = Options { categories: 4, seed: 1, size: 64, train: 6, test: 2 };
    synthesise(folder, &options, &AtomicBool::new(false), || {}).unwrap();
}

#[test]
fn the_tasks_of_a_step_shared_by_devices_have_the_gradients_of_one_device() {
    on_the_devices!(check_shared_tasks);
}

/// Where one device is named, it is two workers.
fn check_shared_tasks<B: AutodiffBackend>(devices: &[B::Device]) {
    let folder = tempfile::tempdir().unwrap();
    categories(folder.path());
    let config = config(folder.path());
    let sampler = EpisodeSampler::new(read_categories(&config.data).unwrap(), &config).unwrap();
    let episodes = sampler.episodes(0).unwrap();
    let weights: Weights<B> =
        Weights::from_parameters(&Checkpoint::random(&config, None).parameters, &devices[0]);
    let gradients_by =
        |devices: &[B::Device]| Workers::<B>::new(devices).unwrap().gradients(&config, &weights, &episodes);
    let values = |gradients: &GradientsParams| -> Vec<f32> {
        let of = |id| gradients.get::<B::InnerBackend, 4>(id).unwrap().into_data().to_vec::<f32>().unwrap();
        weights.ids().flat_map(of).collect()
    };

    let (alone, terms) = gradients_by(&devices[..1]);
    let several: Vec<_> = devices.iter().cycle().take(devices.len().max(2)).cloned().collect();
    let (shared, shared_terms) = gradients_by(&several);

    let (alone, shared) = (values(&alone), values(&shared));
    let largest = alone.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    assert!(largest > 0.0);
    assert!(alone.iter().chain(&shared).all(|value| value.is_finite()));
    let apart = alone.iter().zip(&shared).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    // On the CPU to the bit; GPUs compute other tasks at once, and so round otherwise.
    let tolerance = if is_cpu::<B>() { 0.0 } else { 1e-4 };
    assert!(apart <= tolerance * largest, "{apart:e} of {largest:e}");
    for (term, shared) in terms.iter().zip(&shared_terms) {
        let tolerance = f64::from(tolerance) * term.total.abs();
        assert!((term.total - shared.total).abs() <= tolerance, "{term:?} {shared:?}");
    }
}

fn is_cpu<B: AutodiffBackend>() -> bool {
    TypeId::of::<B>() == TypeId::of::<Autodiff<Flex>>()
}

/// In f64 on a backend that computes several tasks at once as a GPU does, so that nothing but rounding may differ.
#[test]
fn many_tasks_in_parts_on_several_devices_have_the_terms_and_gradients_of_each_alone() {
    type Traced = Autodiff<NdArray<f64>>;
    let folder = tempfile::tempdir().unwrap();
    categories(folder.path());
    let mut config = config(folder.path()).into_raw();
    config.episodes.tasks = 11;
    let config = Valid::new(config).unwrap();
    let sampler = EpisodeSampler::new(read_categories(&config.data).unwrap(), &config).unwrap();
    let episodes = sampler.episodes(0).unwrap();
    let device = Default::default();
    let weights: Weights<Traced> =
        Weights::from_parameters(&Checkpoint::random(&config, None).parameters, &device);
    let values = |gradients: &GradientsParams| -> Vec<f64> {
        let of = |id| gradients.get::<NdArray<f64>, 4>(id).unwrap().into_data().to_vec::<f64>().unwrap();
        weights.ids().flat_map(of).collect()
    };
    let alone: Vec<_> = episodes
        .iter()
        .map(|e| {
            Workers::<Traced>::new(&[device]).unwrap().gradients(&config, &weights, std::slice::from_ref(e))
        })
        .collect();
    let mut expected = values(&alone[0].0);
    alone[1..].iter().for_each(|(g, _)| expected.iter_mut().zip(values(g)).for_each(|(sum, g)| *sum += g));
    let largest = expected.iter().fold(0.0f64, |most, value| most.max(value.abs() / 11.0));
    for devices in [1, 2, 13] {
        let workers = Workers::<Traced>::new(&vec![device; devices]).unwrap();
        let (gradients, terms) = workers.gradients(&config, &weights, &episodes);
        for (term, (_, alone)) in terms.iter().zip(&alone) {
            assert!((term.total - alone[0].total).abs() < 1e-9 * term.total.abs(), "{devices} devices");
        }
        for (found, expected) in values(&gradients).iter().zip(&expected) {
            assert!(
                (found - expected / 11.0).abs() < 1e-9 * largest,
                "{devices} devices: {found} {expected}"
            );
        }
    }
}

#[test]
fn a_run_follows_the_loss_curve_of_the_cpu() {
    on_the_devices!(check_loss_curve);
}

fn check_loss_curve<B: AutodiffBackend>(devices: &[B::Device]) {
    if is_cpu::<B>() {
        eprintln!("skipped: SPARSIGHT_DEVICE names no GPU");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    categories(&folder.path().join("data"));
    let config = config(&folder.path().join("data"));
    let here = losses::<B>(&config, devices, &folder.path().join("here"));
    let cpu = losses::<Autodiff<Flex>>(&config, &[Default::default()], &folder.path().join("cpu"));
    assert_eq!((here.len(), cpu.len()), (10, 10));
    for (step, (here, cpu)) in here.iter().zip(&cpu).enumerate() {
        assert!((here - cpu).abs() <= 1e-2 * cpu.abs(), "step {step}: {here} where the CPU has {cpu}");
    }
}

fn losses<B: AutodiffBackend>(config: &Valid<Config>, devices: &[B::Device], output: &Path) -> Vec<f64> {
    let sampler = EpisodeSampler::new(read_categories(&config.data).unwrap(), config).unwrap();
    let validator = Validator::new(read_validation_categories(&config.data).unwrap(), config).unwrap();
    let start = Checkpoint::random(config, None);
    let never = AtomicBool::new(false);
    train::<B>(start, &sampler, validator.as_ref(), output, devices, &never).unwrap();
    let log = std::fs::read_to_string(output.join("metrics.jsonl")).unwrap();
    let line =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["loss"].as_f64().unwrap();
    log.lines().map(line).collect()
}
