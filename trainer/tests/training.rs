//! Whole runs of a small model on procedural categories.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::{path::Path, sync::atomic::AtomicBool};

use burn::backend::Autodiff;
use burn_flex::Flex;
use sparsight_schemas::{
    BackboneConfig, Config, DataConfig, EnergyKind, EpisodeConfig, InputConfig, LangevinConfig,
    LearningRateSchedule, NegativesConfig, ObjectiveConfig, OptimizerConfig, PatchShape, ResizeFilter,
    TrainingConfig, Valid,
};
use sparsight_trainer::{
    categories::{read_categories, read_validation_categories},
    checkpoint::Checkpoint,
    episodes::EpisodeSampler,
    synth::{Options, synthesise},
    training::{
        StepMetrics, TrainingError, train,
        validation::{Validation, Validator},
    },
};

fn config(data: &Path, steps: usize) -> Config {
    Config {
        seed: 3,
        input: InputConfig { height: 32, width: 32, resize: ResizeFilter::default() },
        backbone: BackboneConfig {
            widths: vec![8, 16],
            strides: vec![1, 1],
            feature_channels: 16,
            ..BackboneConfig::default()
        },
        data: DataConfig { roots: vec![data.display().to_string()], ..DataConfig::default() },
        episodes: EpisodeConfig { tasks: 2, shots: 2, queries: 2, ..EpisodeConfig::default() },
        langevin: LangevinConfig { steps: 2, ..LangevinConfig::default() },
        optimizer: OptimizerConfig { learning_rate: 2e-3, ..OptimizerConfig::default() },
        training: TrainingConfig { steps, checkpoint_every: 5, ..TrainingConfig::default() },
        ..Config::default()
    }
}

fn categories(folder: &Path) {
    let options = Options { categories: 3, seed: 1, size: 64, train: 6, test: 0 };
    synthesise(folder, &options, &AtomicBool::new(false), || {}).unwrap();
}

fn run(config: &Config, from: Option<Checkpoint>, output: &Path) -> Result<Checkpoint, TrainingError> {
    run_on(1, config, from, output)
}

fn run_on(
    workers: usize,
    config: &Config,
    from: Option<Checkpoint>,
    output: &Path,
) -> Result<Checkpoint, TrainingError> {
    let config = Valid::new(config.clone()).unwrap();
    let sampler = EpisodeSampler::new(read_categories(&config.data).unwrap(), &config).unwrap();
    let validator = Validator::new(read_validation_categories(&config.data).unwrap(), &config).unwrap();
    let start = match from {
        Some(checkpoint) => Checkpoint { config: config.clone(), ..checkpoint },
        None => Checkpoint::random(&config, None),
    };
    let devices = vec![Default::default(); workers];
    let never = AtomicBool::new(false);
    train::<Autodiff<Flex>>(start, &sampler, validator.as_ref(), output, &devices, &never)
}

fn metrics(output: &Path) -> Vec<StepMetrics> {
    let text = std::fs::read_to_string(output.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn losses(output: &Path) -> Vec<f64> {
    metrics(output).iter().map(|line| line.loss).collect()
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
fn a_damaged_log_or_optimizer_is_named_before_a_resumed_run_changes_anything() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    categories(&data);
    let output = folder.path().join("run");
    let log = output.join("metrics.jsonl");
    std::fs::create_dir(&output).unwrap();
    std::fs::write(&log, "older\n").unwrap();
    run(&config(&data, 3), None, &output).unwrap();
    let checkpoint = Checkpoint::read(&output.join("checkpoint")).unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().count(), 3, "what was there is another run's");
    let resume = |checkpoint| run(&config(&data, 4), Some(checkpoint), &output);

    let damaged = text.replacen("\"loss\"", "\"gain\"", 1);
    std::fs::write(&log, &damaged).unwrap();
    let error = resume(checkpoint.clone()).unwrap_err().to_string();
    assert!(error.contains("metrics.jsonl: line 1: missing field `loss`; remove the line"), "{error}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), damaged);

    let longer = format!("{text}{}", text.lines().last().unwrap().replace("\"step\":3", "\"step\":4"));
    std::fs::write(&log, &longer).unwrap();
    std::fs::write(output.join("validation.jsonl"), b"\xff\n").unwrap();
    let error = resume(checkpoint.clone()).unwrap_err().to_string();
    assert!(error.contains("validation.jsonl: line 1: "), "{error}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), longer);
    std::fs::write(output.join("validation.jsonl"), "").unwrap();

    let named = output.join("checkpoint").join("optimizer.mpk").display().to_string();
    let mut wider = config(&data, 3);
    wider.backbone.widths[0] = 16;
    let wider = run(&wider, None, &folder.path().join("wider")).unwrap().optimizer;
    for optimizer in [vec![1, 2, 3], vec![], wider] {
        let error = resume(Checkpoint { optimizer, ..checkpoint.clone() }).unwrap_err();
        assert!(error.to_string().starts_with(&named), "{error}");
    }

    // A machine that went off in the middle of a line took nothing that the checkpoint knows; neither does an editor that
    // takes the last line's end.
    for end in ["{\"step\":4,\"lo", "", "{\"step\":4,\"\u{fe}"] {
        let end = if end.is_empty() { text.trim_end().to_owned() } else { format!("{text}{end}") };
        std::fs::write(&log, end).unwrap();
        resume(checkpoint.clone()).unwrap();
        assert!(std::fs::read_to_string(&log).unwrap().starts_with(&text));
        assert_eq!(losses(&output).len(), 4);
    }
}

#[test]
fn a_run_may_be_trained_in_other_neighbourhoods_than_it_is_read_in() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    categories(&data);
    let trained = |name: &str, read: usize, trained: Option<usize>| {
        let mut config = config(&data, 3);
        config.sparse_coding.receptive_field = read;
        config.training.receptive_field = trained;
        run(&config, None, &folder.path().join(name)).unwrap().parameters
    };
    let (wide, narrow) = (trained("wide", 3, None), trained("narrow", 1, None));
    assert_ne!(wide, narrow);
    assert_eq!(trained("read one by one", 1, Some(3)), wide);
}

#[test]
fn the_energy_that_features_are_read_by_does_not_change_their_training() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    categories(&data);
    let trained = |name: &str, energy: EnergyKind| {
        let mut config = config(&data, 3);
        config.sparse_coding.energy = energy;
        run(&config, None, &folder.path().join(name)).unwrap().parameters
    };
    let (lasso, reconstruction) = (EnergyKind::Lasso, EnergyKind::Reconstruction);
    assert_eq!(trained("lasso", lasso), trained("reconstruction", reconstruction));
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_with_the_step_and_the_categories() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    categories(&data);
    let config = config(&data, 3);
    let mut start = Checkpoint::random(&Valid::new(config.clone()).unwrap(), None);
    start.parameters[0].2.fill(f32::MAX);
    let error = run(&config, Some(start), folder.path()).unwrap_err();
    assert!(matches!(error, TrainingError::NotFinite { step: 1, .. }), "{error}");
    assert!(error.to_string().contains("_000"), "{error}");
}

/// All terms, every option of the optimizer, anomalies and validation.
fn rich(data: &Path, steps: usize) -> Config {
    Config {
        data: DataConfig {
            roots: vec![data.display().to_string()],
            validation: vec!["gear_000".into()],
            ..DataConfig::default()
        },
        negatives: NegativesConfig {
            shape: PatchShape::Blob,
            opacity: [0.4, 1.0],
            anomalies: 0.5,
            ..NegativesConfig::default()
        },
        objective: ObjectiveConfig {
            eta_rec: 0.0,
            eta_cd: 0.1,
            eta_dense: 1.0,
            eta_image: 0.5,
            relative: false,
        },
        optimizer: OptimizerConfig {
            learning_rate: 2e-3,
            schedule: LearningRateSchedule::Cosine,
            warm_up: 2,
            clip_norm: Some(1.0),
            averaging: 0.9,
            ..OptimizerConfig::default()
        },
        training: TrainingConfig {
            steps,
            checkpoint_every: 5,
            validate_every: 3,
            ..TrainingConfig::default()
        },
        ..config(data, steps)
    }
}

fn categories_with_anomalies(folder: &Path) {
    let options = Options { categories: 3, seed: 1, size: 64, train: 6, test: 8 };
    synthesise(folder, &options, &AtomicBool::new(false), || {}).unwrap();
}

#[test]
fn a_run_with_every_option_ends_the_same_on_one_worker_and_on_three_and_when_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    categories_with_anomalies(&data);
    let [one, three, parts] = ["one", "three", "parts"].map(|name| folder.path().join(name));
    let expected = run(&rich(&data, 10), None, &one).unwrap();
    let shared = run_on(3, &rich(&data, 10), None, &three).unwrap();
    assert_eq!(losses(&three), losses(&one));
    assert_eq!(shared.parameters, expected.parameters);

    // The schedule depends on the length of the run, so it is interrupted, not shortened.
    let config = Valid::new(rich(&data, 10)).unwrap();
    let sampler = EpisodeSampler::new(read_categories(&config.data).unwrap(), &config).unwrap();
    let start = Checkpoint::random(&config, None);
    let validator = Validator::new(read_validation_categories(&config.data).unwrap(), &config).unwrap();
    let at_once = AtomicBool::new(true);
    let one_device = [Default::default()];
    train::<Autodiff<Flex>>(start, &sampler, validator.as_ref(), &parts, &one_device, &at_once).unwrap();
    let checkpoint = Checkpoint::read(&parts.join("checkpoint")).unwrap();
    assert_eq!(checkpoint.progress.step, 1, "an interrupted run finishes its step");
    let resumed = run(&rich(&data, 10), Some(checkpoint), &parts).unwrap();
    assert_eq!(losses(&parts), losses(&one));
    assert_eq!(resumed.parameters, expected.parameters);
    assert_eq!(resumed.average, expected.average);
    assert_eq!(resumed.progress, expected.progress);
    assert_ne!(resumed.average.as_ref(), Some(&resumed.parameters));

    let best = Checkpoint::read(&one.join("best")).unwrap();
    assert!(best.progress.best.is_some());
    let curves = std::fs::read_to_string(one.join("curves.svg")).unwrap();
    assert!(curves.contains("validation"));
}

#[test]
fn a_clipped_step_has_the_norm_of_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    categories_with_anomalies(&data);
    let moved = |limit: Option<f64>| {
        let mut config = rich(&data, 1);
        config.optimizer.clip_norm = limit;
        config.optimizer.warm_up = 0;
        // Adam's first step would have the same length whatever the gradient's, but for a large epsilon.
        config.optimizer.epsilon = 1e3;
        let output = folder.path().join(format!("{limit:?}"));
        let before = Checkpoint::random(&Valid::new(config.clone()).unwrap(), None).parameters;
        let after = run(&config, None, &output).unwrap().parameters;
        let changes = before.iter().zip(&after).flat_map(|(before, after)| before.2.iter().zip(&after.2));
        changes.map(|(before, after)| f64::from(after - before).powi(2)).sum::<f64>().sqrt()
    };
    let (free, clipped) = (moved(None), moved(Some(1e-3)));
    assert!(clipped < 0.5 * free, "{clipped} against {free}");
}

#[test]
fn a_learned_step_moves_and_is_resumed_with_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    categories(&data);
    let learning = |steps: usize| {
        let mut config = config(&data, steps);
        config.langevin = LangevinConfig { step_size: 1.0, relative: true, learned: true, ..config.langevin };
        config.objective.relative = true;
        config.optimizer.averaging = 0.9;
        config
    };
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    let expected = run(&learning(6), None, &whole).unwrap();
    let step = |checkpoint: &Checkpoint| {
        let of_step = checkpoint.parameters.iter().find(|(name, ..)| name == "langevin.step_size");
        of_step.unwrap().2[0]
    };
    assert_ne!(step(&expected), 0.0);
    let lines = metrics(&whole);
    let sizes: Vec<f64> = lines.iter().map(|line| line.step_size.unwrap()).collect();
    assert!(sizes[0] == 1.0 && sizes[5] != 1.0, "{sizes:?}");
    let ObjectiveConfig { eta_rec, eta_cd, .. } = learning(6).objective;
    for line in lines {
        let sum =
            eta_rec * line.reconstruction_share.unwrap() + eta_cd * line.contrastive_divergence.unwrap();
        assert!((line.loss - sum).abs() < 1e-5 * line.loss.abs(), "{line:?}");
    }

    run(&learning(3), None, &parts).unwrap();
    let checkpoint = Checkpoint::read(&parts.join("checkpoint")).unwrap();
    assert_ne!(step(&checkpoint), step(&expected));
    let resumed = run(&learning(6), Some(checkpoint), &parts).unwrap();
    assert_eq!(resumed.parameters, expected.parameters);
    assert_eq!(resumed.average, expected.average);
}

#[test]
fn validation_says_how_much_of_the_damage_the_sampler_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    categories(&data);
    let left = |name: &str, noise_std: f64, objective: ObjectiveConfig| {
        let mut config = config(&data, 1);
        config.data.validation = vec!["gear_000".into()];
        config.langevin = LangevinConfig { step_size: 0.0, noise_std, ..config.langevin };
        config.objective = objective;
        let output = folder.path().join(name);
        run(&config, None, &output).unwrap();
        let line = std::fs::read_to_string(output.join("validation.jsonl")).unwrap();
        serde_json::from_str::<Validation>(&line).unwrap().damage_left
    };
    let papers = ObjectiveConfig::default();
    let nothing_done = left("still", 0.0, papers).unwrap();
    assert!((nothing_done - 1.0).abs() < 1e-6, "{nothing_done}");
    assert!(left("noisy", 0.2, papers).unwrap() > 1.0);
    let no_sampler = ObjectiveConfig { eta_rec: 0.0, eta_cd: 0.0, eta_dense: 1.0, ..papers };
    assert_eq!(left("without", 0.0, no_sampler), None);
}
