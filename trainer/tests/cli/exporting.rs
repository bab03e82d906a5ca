//! `export`, and weights that a training begins with.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sparsight_runtime::replace::sha256_hex;
use sparsight_schemas::{Config, Manifest, Valid};
use sparsight_trainer::weights::{random_parameters, to_safetensors};

use crate::sandbox::{TINY, program, stderr_of, written};

#[test]
fn no_steps_keep_the_random_weights_which_export_into_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let config = written(folder.path(), TINY);
    let run = folder.path().join("run");
    program().args(["train", "--config"]).arg(config).arg("--output").arg(&run).assert().success();
    // What a run needs to go on, an export does not.
    fs::remove_file(run.join("checkpoint/optimizer.mpk")).unwrap();
    let bundle = folder.path().join("bundle");
    program()
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
    program().args(["train", "--config"]).arg(config).arg("--output").arg(&run).assert().success();
    let text = TINY.replace("height: 32, width: 32", "height: 48, width: 40");
    let other = written(folder.path(), &format!("{text}\nseed: 8\noptimizer: {{learning_rate: 0.5}}\n"));
    let mut export = program();
    export.args(["export", "--checkpoint"]).arg(run.join("checkpoint")).arg("--config").arg(other);
    export.arg("-o").arg(&bundle).assert().success();

    let manifest = fs::read_to_string(bundle.join("manifest.yaml")).unwrap();
    let manifest = Valid::<Manifest>::parse(&manifest).unwrap();
    let trained_with = Valid::<Config>::parse(TINY).unwrap();
    assert_eq!([manifest.input.height, manifest.input.width], [48, 40]);
    assert_eq!(manifest.provenance.config, *trained_with);
    assert_eq!(manifest.provenance.seed, trained_with.seed);
}

/// A file of random weights of the tiny config's backbone.
fn weights_by_name(folder: &Path) -> PathBuf {
    let backbone = Valid::<Config>::parse(TINY).unwrap().backbone.clone();
    let weights = folder.join("weights.safetensors");
    fs::write(&weights, to_safetensors(&random_parameters(&backbone, 7)).unwrap()).unwrap();
    weights
}

#[test]
fn a_file_of_weights_by_name_exports_with_its_config_and_at_another_input_size() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights_by_name(folder.path());
    let config = written(folder.path(), &TINY.replace("height: 32, width: 32", "height: 48, width: 40"));
    let bundle = folder.path().join("bundle");
    program()
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
    let weights = weights_by_name(folder.path());
    for (widths, named) in
        [("[8, 16], strides: [1, 2]", "stage2.conv1.weight"), ("[8], strides: [1]", "stage2.conv1.weight")]
    {
        let config = written(folder.path(), &TINY.replace("[8, 8], strides: [1, 2]", widths));
        let bundle = folder.path().join("bundle");
        let stderr = stderr_of(
            program()
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
    let run =
        |arguments: &[&str], code| stderr_of(program().args(arguments).current_dir(folder.path()), code);
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
    let error = from(&wider, "fourth", "first/checkpoint/model.safetensors", 1);
    assert!(error.contains("model.safetensors: stage2.conv1.weight has shape"), "{error}");
    // Of the same shapes.
    let strided = TINY.replace("[1, 2]", "[2, 1]");
    let error = from(&strided, "fourth", "first/checkpoint", 1);
    assert!(error.contains("first/checkpoint: was trained with another backbone"), "{error}");
    let error = run(&["export", "--checkpoint", "first/checkpoint", "--config", "config.yaml", "-o", "b"], 1);
    assert!(error.contains("first/checkpoint: was trained with another backbone"), "{error}");
    assert!(from(TINY, "fourth", "nowhere", 1).contains("nowhere: "));
    assert!(!folder.path().join("fourth").exists());
    run(&["train", "--config", "config.yaml", "--weights", "first/checkpoint", "--resume"], 2);
}
