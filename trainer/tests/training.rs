//! Whole runs of a small model on procedural categories.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::path::Path;

use burn::backend::Autodiff;
use burn_flex::Flex;
use sparsight_schemas::{
    BackboneConfig, Config, DataConfig, EpisodeConfig, InputConfig, LangevinConfig, OptimizerConfig,
    ResizeFilter, TrainingConfig, Valid,
};
use sparsight_trainer::{
    categories::read_categories,
    checkpoint::{Checkpoint, Progress},
    episodes::EpisodeSampler,
    synth::{Options, synthesise},
    training::{StepMetrics, TrainingError, train},
    weights::random_parameters,
};

fn config(data: &Path, steps: usize) -> Config {
    Config {
        seed: 3,
        input: InputConfig { height: 32, width: 32, resize: ResizeFilter::default() },
        backbone: BackboneConfig { widths: vec![8, 16], strides: vec![1, 1], feature_channels: 16 },
        data: DataConfig { roots: vec![data.display().to_string()], ..DataConfig::default() },
        episodes: EpisodeConfig { tasks: 2, shots: 2, queries: 2 },
        langevin: LangevinConfig { steps: 2, ..LangevinConfig::default() },
        optimizer: OptimizerConfig { learning_rate: 2e-3, ..OptimizerConfig::default() },
        training: TrainingConfig { steps, checkpoint_every: 5, ..TrainingConfig::default() },
        ..Config::default()
    }
}

fn categories(folder: &Path) {
    synthesise(folder, &Options { categories: 3, seed: 1, size: 64, train: 6, test: 0 }, || {}).unwrap();
}

fn run(config: &Config, from: Option<Checkpoint>, output: &Path) -> Result<Checkpoint, TrainingError> {
    let config = Valid::new(config.clone()).unwrap();
    let categories = read_categories(&config.data).unwrap();
    let sampler =
        EpisodeSampler::load(&categories, &config.input, &config.episodes, &config.negatives, config.seed)
            .unwrap();
    let fresh = || Checkpoint {
        parameters: random_parameters(&config.backbone, config.seed),
        optimizer: Vec::new(),
        progress: Progress::default(),
        config: config.clone(),
    };
    let start = Checkpoint { config: config.clone(), ..from.unwrap_or_else(fresh) };
    train::<Autodiff<Flex>>(start, &sampler, output, &Default::default())
}

fn losses(output: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(output.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str::<StepMetrics>(line).unwrap().loss).collect()
}

#[test]
fn the_loss_falls() {
    let folder = tempfile::tempdir().unwrap();
    categories(&folder.path().join("data"));
    run(&config(&folder.path().join("data"), 40), None, folder.path()).unwrap();
    let losses = losses(folder.path());
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&losses[..10]), mean(&losses[30..]));
    assert!(last < first, "mean loss of the first ten steps {first}, of the last ten {last}");
}

#[test]
fn a_resumed_run_ends_exactly_where_an_uninterrupted_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    categories(&data);
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    let expected = run(&config(&data, 10), None, &whole).unwrap();

    run(&config(&data, 5), None, &parts).unwrap();
    let checkpoint = Checkpoint::read(&parts.join("checkpoint")).unwrap();
    assert_eq!(checkpoint.progress.step, 5);
    let resumed = run(&config(&data, 10), Some(checkpoint), &parts).unwrap();

    assert_eq!(losses(&parts), losses(&whole));
    assert_eq!(resumed.parameters, expected.parameters);
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_with_the_step_and_the_categories() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    categories(&data);
    let config = config(&data, 3);
    let mut parameters = random_parameters(&config.backbone, config.seed);
    parameters[0].2.fill(f32::MAX);
    let start = Checkpoint {
        config: Valid::new(config.clone()).unwrap(),
        parameters,
        optimizer: Vec::new(),
        progress: Progress::default(),
    };
    let error = run(&config, Some(start), folder.path()).unwrap_err();
    assert!(matches!(error, TrainingError::NotFinite { step: 1, .. }), "{error}");
    assert!(error.to_string().contains("_000"), "{error}");
}
