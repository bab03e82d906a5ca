//! `train` and `bench`: configs, folders, streams and devices. What a training computes is for `tests/training.rs`.

use std::{fs, path::Path};

use sparsight_trainer::training::RunFolder;

use crate::sandbox::{TINY, call, error_of, forge_progress, program, stderr_of, with_data, written};

#[test]
fn an_unknown_field_and_a_value_out_of_range_are_named_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    for (config, field, line) in [
        ("seed: 1\nlangevin:\n  stepsize: 3\n", "stepsize", "line 3"),
        ("seed: 1\nsparse_coding:\n  steps: 8\n  tau: -1\n", "sparse_coding.tau", "line 4"),
    ] {
        let path = written(folder.path(), config);
        let stderr = stderr_of(program().args(["train", "--config"]).arg(path), 1);
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
        program().args(["train", "--config"]).arg(config).arg("--output").arg(folder.path().join("run")),
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
        let mut command = program();
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
        let mut command = program();
        command.args(["train", "--resume", "--config"]).arg(config);
        stderr_of(command.arg("--output").arg(folder.path().join("run")), code)
    };
    let config = written(folder.path(), TINY);
    program()
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
    let mut command = std::process::Command::new(program().get_program());
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
fn a_checkpoint_that_was_changed_or_does_not_say_what_images_it_saw_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let run =
        |arguments: &[&str], code| stderr_of(program().args(arguments).current_dir(folder.path()), code);
    run(&["synth", "data", "--categories", "2", "--size", "64", "--train", "4", "--test", "2"], 0);
    let more = "data: {roots: [data]}\nepisodes: {tasks: 1, shots: 2, queries: 2}\n";
    written(folder.path(), &format!("{TINY}{more}"));
    let train = ["train", "--config", "config.yaml", "--output", "run"];
    run(&train, 0);
    // Weights that have seen none yet go on with any.
    run(&[&train[..], &["--resume", "--steps", "1"]].concat(), 0);
    let checkpoint = folder.path().join("run/checkpoint");
    let resume = [&train[..], &["--resume", "--steps", "2"]].concat();
    let images =
        |text: &str| text.lines().find(|line| line.starts_with("data_fingerprint")).unwrap().to_owned();
    let whole = fs::read_to_string(checkpoint.join("progress.yaml")).unwrap();
    for (wrong, said) in [
        (whole.replace(&images(&whole), "data_fingerprint: null"), "progress.yaml: does not say what images"),
        (
            whole.replace("version: 1", "version: 2\nnew: field"),
            "progress.yaml: version 2; this program reads version 1",
        ),
        (whole.replace("version: 1\n", ""), "progress.yaml: version 0; this program reads version 1"),
    ] {
        forge_progress(&checkpoint, |_| wrong.clone());
        assert!(run(&resume, 1).contains(said));
        forge_progress(&checkpoint, |_| whole.clone());
    }

    for name in ["model.safetensors", "optimizer.mpk", "progress.yaml", "config.yaml"] {
        let path = checkpoint.join(name);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 4;
        fs::write(&path, flipped).unwrap();
        assert!(run(&resume, 1).contains(&format!("{name}: is not what was written")));
        fs::write(&path, whole).unwrap();
    }
    let (hashes, away) = (checkpoint.join("sha256.yaml"), folder.path().join("sha256.yaml"));
    fs::rename(&hashes, &away).unwrap();
    assert!(run(&resume, 1).contains("sha256.yaml: "));
    fs::rename(&away, &hashes).unwrap();
    run(&resume, 0);
}

#[test]
fn the_best_of_other_validation_images_does_not_count_for_a_resumed_run() {
    let folder = with_data();
    let more = "data: {roots: [data], validation: [gear_000]}\nepisodes: {tasks: 1, shots: 2, queries: 2}\n";
    written(folder.path(), &format!("{TINY}{more}"));
    let checkpoint = folder.path().join("run/checkpoint");
    let best_after = |steps: &str, more: &[&str]| {
        let train = ["train", "--config", "config.yaml", "--output", "run", "--steps", steps];
        call(&[&train[..], more].concat(), folder.path()).success();
        let text = fs::read_to_string(checkpoint.join("progress.yaml")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("best: ")).unwrap();
        line.parse::<f64>().unwrap()
    };
    let first = best_after("1", &[]);
    // No validation is as good as this one, so that it stays while it counts.
    forge_progress(&checkpoint, |text| text.replace(&format!("best: {first}"), "best: 2.0"));
    assert_eq!(best_after("2", &["--resume"]), 2.0);
    let image = |category: &str| folder.path().join("data").join(category).join("train/good/000.png");
    fs::copy(image("weave_000"), image("gear_000")).unwrap();
    assert!(best_after("3", &["--resume"]) <= 1.0);

    fs::write(folder.path().join("run/best/notes.txt"), "mine").unwrap();
    let again = ["train", "--config", "config.yaml", "--output", "run", "--steps", "4"];
    for way in ["--resume", "--overwrite"] {
        let error = error_of(call(&[&again[..], &[way]].concat(), folder.path()));
        assert!(
            error.contains("run/best/notes.txt: is no part of a checkpoint, and would be lost"),
            "{error}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_training_goes_on_after_a_hang_up_that_it_is_to_ignore() {
    let folder = with_data();
    let more = "data: {roots: [data]}\nepisodes: {tasks: 1, shots: 2, queries: 2}\n";
    written(folder.path(), &format!("{TINY}{more}"));
    // As nohup does it.
    let mut train = std::process::Command::new("sh");
    train.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(program().get_program());
    train.args(["train", "--config", "config.yaml", "--output", "run", "--steps", "60"]);
    train.current_dir(folder.path()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = train.spawn().unwrap();
    let metrics = folder.path().join("run/metrics.jsonl");
    while fs::read(&metrics).is_ok_and(|lines| lines.is_empty()) || !metrics.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before its first step");
    }
    let sent = std::process::Command::new("kill").args(["-s", "HUP", &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(metrics).unwrap().lines().count(), 60);
}

#[cfg(target_os = "linux")]
#[test]
fn a_training_goes_on_where_stderr_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(program().get_program());
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
        let mut command = program();
        command.args(["train", "--overwrite", "--device", device, "--config"]).arg(&config);
        command.arg("--output").arg(folder.path().join("run"));
        stderr_of(&mut command, code)
    };
    assert!(with("cuda", 1).contains("--device cuda: "));
    with("auto", 0);
}

#[test]
fn wrong_usage_exits_with_two_and_every_help_has_an_example() {
    stderr_of(program().arg("fly"), 2);
    for command in ["synth", "plan", "preview", "train", "export", "evaluate", "bench"] {
        let output = program().args([command, "--help"]).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("Example:"), "{command}");
    }
}

#[test]
fn a_bench_counts_what_its_time_says() {
    let folder = tempfile::tempdir().unwrap();
    let config = written(folder.path(), &format!("{TINY}episodes: {{tasks: 2, shots: 2, queries: 3}}\n"));
    let mut bench = program();
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
