//! `sparsight-train train` and `export` as a person meets them.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::{fs, path::Path};

use assert_cmd::Command;
use sparsight_runtime::replace::sha256_hex;
use sparsight_schemas::{BackboneConfig, Config, Manifest, Valid};
use sparsight_trainer::{
    training::RunFolder,
    weights::{random_parameters, to_safetensors},
};

const TINY: &str = "input: {height: 32, width: 32}\n\
    backbone: {widths: [8, 8], strides: [1, 2], feature_channels: 16}\n\
    training: {steps: 0}\n";

fn train() -> Command {
    Command::cargo_bin("sparsight-train").unwrap()
}

/// Runs, expects that exit code, and returns stderr, which must be one line where something failed.
fn stderr_of(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    if code == 1 {
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    stderr
}

fn written(folder: &Path, config: &str) -> std::path::PathBuf {
    let path = folder.join("config.yaml");
    fs::write(&path, config).unwrap();
    path
}

#[test]
fn no_steps_keep_the_random_weights_which_export_into_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let config = written(folder.path(), TINY);
    let run = folder.path().join("run");
    train().args(["train", "--config"]).arg(config).arg("--output").arg(&run).assert().success();
    // What a run needs to go on, an export does not.
    fs::remove_file(run.join("checkpoint/optimizer.mpk")).unwrap();
    let bundle = folder.path().join("bundle");
    train()
        .args(["export", "--checkpoint"])
        .arg(run.join("checkpoint"))
        .arg("-o")
        .arg(&bundle)
        .assert()
        .success();
    let mut names: Vec<_> = fs::read_dir(&bundle).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["backbone.onnx", "backbone_vjp.onnx", "manifest.yaml", "probe.safetensors"]);
}

#[test]
fn another_config_at_export_changes_what_ships_and_not_what_trained_it() {
    let folder = tempfile::tempdir().unwrap();
    let (run, bundle) = (folder.path().join("run"), folder.path().join("bundle"));
    let config = written(folder.path(), TINY);
    train().args(["train", "--config"]).arg(config).arg("--output").arg(&run).assert().success();
    let text = TINY.replace("height: 32, width: 32", "height: 48, width: 40");
    let other = written(folder.path(), &format!("{text}\nseed: 8\noptimizer: {{learning_rate: 0.5}}\n"));
    let mut export = train();
    export.args(["export", "--checkpoint"]).arg(run.join("checkpoint")).arg("--config").arg(other);
    export.arg("-o").arg(&bundle).assert().success();

    let manifest = fs::read_to_string(bundle.join("manifest.yaml")).unwrap();
    let manifest = Valid::<Manifest>::parse(&manifest).unwrap();
    let trained_with = Valid::<Config>::parse(TINY).unwrap();
    assert_eq!([manifest.input.height, manifest.input.width], [48, 40]);
    assert_eq!(manifest.provenance.config, *trained_with);
    assert_eq!(manifest.provenance.seed, trained_with.seed);
}

#[test]
fn a_file_of_weights_by_name_exports_with_its_config_and_at_another_input_size() {
    let folder = tempfile::tempdir().unwrap();
    let backbone = BackboneConfig {
        widths: vec![8, 8],
        strides: vec![1, 2],
        feature_channels: 16,
        ..BackboneConfig::default()
    };
    let weights = folder.path().join("weights.safetensors");
    fs::write(&weights, to_safetensors(&random_parameters(&backbone, 7)).unwrap()).unwrap();
    let config = written(folder.path(), &TINY.replace("height: 32, width: 32", "height: 48, width: 40"));
    let bundle = folder.path().join("bundle");
    train()
        .args(["export", "--checkpoint"])
        .arg(&weights)
        .arg("--config")
        .arg(config)
        .arg("-o")
        .arg(&bundle)
        .assert()
        .success();
    let manifest = fs::read_to_string(bundle.join("manifest.yaml")).unwrap();
    assert!(manifest.contains("height: 48\n  width: 40"), "{manifest}");
}

#[test]
fn weights_that_do_not_fit_the_config_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let backbone = BackboneConfig {
        widths: vec![8, 8],
        strides: vec![1, 2],
        feature_channels: 16,
        ..BackboneConfig::default()
    };
    let weights = folder.path().join("weights.safetensors");
    fs::write(&weights, to_safetensors(&random_parameters(&backbone, 7)).unwrap()).unwrap();
    for (widths, named) in
        [("[8, 16], strides: [1, 2]", "stage2.conv1.weight"), ("[8], strides: [1]", "stage2.conv1.weight")]
    {
        let config = written(folder.path(), &TINY.replace("[8, 8], strides: [1, 2]", widths));
        let bundle = folder.path().join("bundle");
        let stderr = stderr_of(
            train()
                .args(["export", "--checkpoint"])
                .arg(&weights)
                .arg("--config")
                .arg(config)
                .arg("-o")
                .arg(&bundle),
            1,
        );
        assert!(stderr.contains("weights.safetensors") && stderr.contains(named), "{stderr}");
        assert!(!bundle.exists());
    }
}

#[test]
fn a_run_that_begins_with_trained_weights_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], code| stderr_of(train().args(arguments).current_dir(folder.path()), code);
    let from = |config: &str, output: &str, weights: &str, code| {
        written(folder.path(), config);
        run(&["train", "--config", "config.yaml", "--output", output, "--weights", weights], code)
    };
    written(folder.path(), TINY);
    run(&["train", "--config", "config.yaml", "--output", "first"], 0);
    let other = format!("{TINY}seed: 9\noptimizer: {{averaging: 0.9}}\n");
    from(&other, "second", "first/checkpoint", 0);
    from(&other, "third", "first/checkpoint/model.safetensors", 0);

    let weights = |run: &str| fs::read(folder.path().join(run).join("checkpoint/model.safetensors")).unwrap();
    assert_eq!(weights("second"), weights("first"));
    assert_eq!(weights("third"), weights("first"));
    run(&["export", "--checkpoint", "second/checkpoint", "-o", "bundle"], 0);
    let manifest = fs::read_to_string(folder.path().join("bundle/manifest.yaml")).unwrap();
    let manifest = Valid::<Manifest>::parse(&manifest).unwrap();
    assert_eq!(manifest.provenance.initial_weights, Some(sha256_hex(&weights("first"))));

    let wider = TINY.replace("[8, 8]", "[8, 16]");
    let error = from(&wider, "fourth", "first/checkpoint", 1);
    assert!(error.contains("model.safetensors: stage2.conv1.weight has shape"), "{error}");
    assert!(from(TINY, "fourth", "nowhere", 1).contains("nowhere: "));
    assert!(!folder.path().join("fourth").exists());
    run(&["train", "--config", "config.yaml", "--weights", "first/checkpoint", "--resume"], 2);
}

#[test]
fn an_unknown_field_and_a_value_out_of_range_are_named_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    for (config, field, line) in [
        ("seed: 1\nlangevin:\n  stepsize: 3\n", "stepsize", "line 3"),
        ("seed: 1\nsparse_coding:\n  steps: 8\n  tau: -1\n", "sparse_coding.tau", "line 4"),
    ] {
        let path = written(folder.path(), config);
        let stderr = stderr_of(train().args(["train", "--config"]).arg(path), 1);
        assert!(
            stderr.contains("config.yaml") && stderr.contains(field) && stderr.contains(line),
            "{stderr}"
        );
    }
}

#[test]
fn a_config_without_data_folders_says_how_to_name_some() {
    let folder = tempfile::tempdir().unwrap();
    let config = written(folder.path(), &TINY.replace("steps: 0", "steps: 5"));
    let stderr = stderr_of(
        train().args(["train", "--config"]).arg(config).arg("--output").arg(folder.path().join("run")),
        1,
    );
    assert!(stderr.contains("data.roots"), "{stderr}");
    assert!(!folder.path().join("run").exists());
}

#[test]
fn an_older_checkpoint_is_not_overwritten_unasked_nor_under_another_training() {
    let folder = tempfile::tempdir().unwrap();
    let config = written(folder.path(), TINY);
    let again = |flag: &[&str], code| {
        let mut command = train();
        command
            .args(["train", "--config"])
            .arg(&config)
            .arg("--output")
            .arg(folder.path().join("run"))
            .args(flag);
        stderr_of(&mut command, code)
    };
    again(&[], 0);
    assert!(again(&[], 1).contains("--resume"));
    let best = folder.path().join("run/best");
    fs::create_dir(&best).unwrap();
    let other = RunFolder(&folder.path().join("run")).lock().unwrap();
    assert!(again(&["--overwrite"], 1).contains("another training is at work there"));
    assert!(best.exists());
    drop(other);
    again(&["--overwrite"], 0);
    assert!(!best.exists(), "what is left of the older run would be taken for the new one's");
}

#[test]
fn a_run_is_resumed_in_the_neighbourhoods_that_it_was_trained_in() {
    let folder = tempfile::tempdir().unwrap();
    let resume = |config: &str, code| {
        let config = written(folder.path(), config);
        let mut command = train();
        command.args(["train", "--resume", "--config"]).arg(config);
        stderr_of(command.arg("--output").arg(folder.path().join("run")), code)
    };
    let config = written(folder.path(), TINY);
    train()
        .args(["train", "--config"])
        .arg(config)
        .arg("--output")
        .arg(folder.path().join("run"))
        .assert()
        .success();
    let other = TINY.replace("steps: 0", "steps: 0, receptive_field: 1");
    assert!(resume(&other, 1).contains("resume with the config of its run"));
    assert!(resume(TINY, 0).contains("nothing to do: 0 steps are done"));
}

#[cfg(target_os = "linux")]
#[test]
fn standard_output_that_is_full_is_an_error_and_one_that_is_closed_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let config = written(folder.path(), TINY);
    let mut command = std::process::Command::new(train().get_program());
    command
        .args(["train", "--overwrite", "--config"])
        .arg(&config)
        .arg("--output")
        .arg(folder.path().join("run"));
    command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let full = command.output().unwrap();
    let stderr = String::from_utf8(full.stderr).unwrap();
    assert_eq!(full.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("error: standard output: ") && stderr.lines().count() == 1, "{stderr}");

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let closed = command.stdout(writer).output().unwrap();
    assert_eq!((closed.status.code(), closed.stderr), (Some(0), vec![]));
}

#[test]
fn a_checkpoint_that_does_not_say_what_images_it_saw_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], code| stderr_of(train().args(arguments).current_dir(folder.path()), code);
    run(&["synth", "data", "--categories", "2", "--size", "64", "--train", "4", "--test", "2"], 0);
    let more = "data: {roots: [data]}\nepisodes: {tasks: 1, shots: 2, queries: 2}\n";
    written(folder.path(), &format!("{TINY}{more}"));
    let train = ["train", "--config", "config.yaml", "--output", "run"];
    run(&train, 0);
    // Weights that have seen none yet go on with any.
    run(&[&train[..], &["--resume", "--steps", "1"]].concat(), 0);
    let progress = folder.path().join("run/checkpoint/progress.yaml");
    let whole = fs::read_to_string(&progress).unwrap();
    fs::write(&progress, whole.lines().next().unwrap()).unwrap();
    let resume = [&train[..], &["--resume", "--steps", "2"]].concat();
    assert!(run(&resume, 1).contains("progress.yaml: does not say what images"));
    fs::write(&progress, whole).unwrap();
    run(&resume, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_training_goes_on_where_stderr_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(train().get_program());
        let output = command.args(arguments).current_dir(folder.path()).stderr(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    };
    run(&[
        "synth",
        "data",
        "--categories",
        "3",
        "--seed",
        "1",
        "--size",
        "64",
        "--train",
        "6",
        "--test",
        "2",
    ]);
    assert!(data.join("gear_000").is_dir());
    let text = TINY.replace("steps: 0", "steps: 2, validate_every: 1");
    let more = "data: {roots: [data], validation: [gear_000]}\nepisodes: {tasks: 1, shots: 2, queries: 2}\n";
    written(folder.path(), &format!("{text}{more}"));
    run(&["train", "--config", "config.yaml", "--output", "run"]);
    assert!(folder.path().join("run/checkpoint").is_dir());
    let validations = fs::read_to_string(folder.path().join("run/validation.jsonl")).unwrap();
    assert_eq!(validations.lines().count(), 2);
}

#[test]
fn cuda_where_it_can_not_work_is_refused_with_its_reason_and_auto_falls_back() {
    if Path::new("/dev/nvidiactl").exists() {
        eprintln!("skipped: this machine has an NVIDIA driver");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = written(folder.path(), TINY);
    let with = |device: &str, code| {
        let mut command = train();
        command.args(["train", "--overwrite", "--device", device, "--config"]).arg(&config);
        command.arg("--output").arg(folder.path().join("run"));
        stderr_of(&mut command, code)
    };
    assert!(with("cuda", 1).contains("--device cuda: "));
    with("auto", 0);
}

#[test]
fn wrong_usage_exits_with_two_and_every_help_has_an_example() {
    stderr_of(train().arg("fly"), 2);
    for command in ["synth", "train", "export", "evaluate"] {
        let output = train().args([command, "--help"]).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("Example:"), "{command}");
    }
}

#[test]
fn a_bench_counts_what_its_time_says() {
    let folder = tempfile::tempdir().unwrap();
    let config = written(folder.path(), &format!("{TINY}episodes: {{tasks: 2, shots: 2, queries: 3}}\n"));
    let mut bench = train();
    bench.args(["bench", "--steps", "2", "--device", "cpu,cpu", "--json", "--config"]).arg(config);
    let output = bench.assert().success().get_output().stdout.clone();
    let figures: serde_json::Value = serde_json::from_slice(&output).unwrap();
    let number = |name: &str| figures[name].as_f64().unwrap();
    assert_eq!((number("steps"), number("devices")), (2.0, 2.0));
    let images = number("query_images_per_second") * number("step_ms") / 1e3;
    assert!((images - 6.0).abs() < 1e-6, "{images} query images a step");
    if cfg!(target_os = "linux") {
        assert!(number("peak_memory_bytes") > 1e6 && number("step_cpu_ms") > 0.0);
    }
}
