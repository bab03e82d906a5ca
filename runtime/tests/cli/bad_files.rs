//! Bundles, dictionaries and libraries that can't be used.

use std::{fs, path::Path};

use assert_cmd::Command;

use crate::sandbox::{Sandbox, bundle, failure, names, one_line, sparsight};

#[test]
fn a_bundle_with_a_missing_file_is_refused() {
    for file in ["manifest.yaml", "backbone.onnx", "backbone_vjp.onnx", "probe.safetensors"] {
        let sandbox = Sandbox::new();
        let bundle = sandbox.bundle();
        fs::remove_file(bundle.join(file)).unwrap();
        for command in ["verify", "info"] {
            names(&failure(sparsight(command).arg(&bundle), 1), &[file, "is missing"]);
        }
    }
    names(&failure(sparsight("verify").arg("nowhere"), 1), &["nowhere: no such folder"]);
}

#[test]
fn a_bundle_with_an_altered_file_is_refused() {
    for file in ["backbone.onnx", "backbone_vjp.onnx", "probe.safetensors"] {
        let sandbox = Sandbox::new();
        let bundle = sandbox.bundle();
        let mut bytes = fs::read(bundle.join(file)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(bundle.join(file), bytes).unwrap();
        let line = failure(sparsight("verify").arg(&bundle), 1);
        names(&line, &[file, "is not the file that the manifest lists"]);
    }
}

/// The line of the manifest that starts with `key` replaced by `text`, and its number.
fn spoil_manifest(bundle: &Path, key: &str, text: &str) -> String {
    let path = bundle.join("manifest.yaml");
    let manifest = fs::read_to_string(&path).unwrap();
    let number = manifest.lines().position(|line| line.trim_start().starts_with(key)).unwrap();
    let lines: Vec<&str> =
        manifest.lines().enumerate().map(|(i, l)| if i == number { text } else { l }).collect();
    fs::write(&path, lines.join("\n")).unwrap();
    format!("line {}", number + 1)
}

#[test]
fn a_wrong_manifest_is_refused_with_the_field_and_its_line() {
    for (key, text, field, allowed) in [
        ("steps:", "  steps: 0", "sparse_coding.steps", "must be 1 to 1000"),
        ("top_fraction:", "  top_fraction: 1.5", "scoring.top_fraction", "at most 1"),
        ("lambda_max:", "  lambda_maximum: 1.0", "lambda_maximum", "unknown field"),
        ("height:", "  height: tall", "height", "invalid type"),
    ] {
        let sandbox = Sandbox::new();
        let bundle = sandbox.bundle();
        let line = spoil_manifest(&bundle, key, text);
        for command in ["verify", "info"] {
            let message = failure(sparsight(command).arg(&bundle), 1);
            names(&message, &["manifest.yaml", field, allowed, &line]);
        }
    }
}

#[test]
fn a_dictionary_of_another_bundle_is_refused() {
    let sandbox = Sandbox::new();
    let (dictionary, other) = (sandbox.dictionary(), sandbox.bundle());
    spoil_manifest(&other, "name:", "name: another");
    let image = sandbox.path("good/000.png");
    for mut command in [sparsight("score"), sparsight("bench")] {
        command.arg(&other).arg(&dictionary);
        if !format!("{command:?}").contains("bench") {
            command.arg(&image);
        }
        names(&failure(&mut command, 1), &["good.dictionary", "another bundle", "adapt again"]);
    }
}

#[test]
fn a_damaged_dictionary_is_refused() {
    let sandbox = Sandbox::new();
    let bytes = fs::read(sandbox.dictionary()).unwrap();
    let mut not_a_number = bytes.clone();
    let last = bytes.len() - 4;
    not_a_number[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    for (damaged, reason) in [
        (not_a_number, "NaN"),
        (bytes[..bytes.len() - 5].to_vec(), "damaged"),
        (bytes[..20].to_vec(), "damaged"),
        (vec![], "damaged"),
        (fs::read(sandbox.path("good/000.png")).unwrap(), "not a dictionary"),
    ] {
        let damaged = sandbox.write("damaged.dictionary", &damaged);
        let mut score = sparsight("score");
        score.arg(bundle()).arg(&damaged).arg(sandbox.path("good"));
        names(&failure(&mut score, 1), &["damaged.dictionary", reason]);
        names(&failure(sparsight("info").arg(&damaged), 1), &["damaged.dictionary", reason]);
    }
    let mut score = sparsight("score");
    score.arg(bundle()).arg("nowhere.dictionary").arg(sandbox.path("good"));
    names(&failure(&mut score, 1), &["nowhere.dictionary: no such file"]);
}

#[test]
fn a_missing_library_is_named_with_the_ways_to_get_one() {
    let sandbox = Sandbox::new();
    let line = failure(sparsight("verify").arg(bundle()).args(["--onnxruntime", "nowhere.so"]), 1);
    names(&line, &["nowhere.so", "cargo xtask setup", "ORT_DYLIB_PATH"]);
    let line = failure(sparsight("verify").arg(bundle()).env("ORT_DYLIB_PATH", "elsewhere.so"), 1);
    names(&line, &["elsewhere.so", "cargo xtask setup", "ORT_DYLIB_PATH"]);
    let text = sandbox.write("libonnxruntime.so", b"this is text");
    let line = failure(sparsight("verify").arg(bundle()).arg("--onnxruntime").arg(text), 1);
    names(&line, &["libonnxruntime.so: can't be used"]);
}

#[test]
fn cuda_is_used_or_its_reason_is_given() {
    let output = sparsight_cuda().output().unwrap();
    match output.status.code() {
        Some(0) => names(&String::from_utf8_lossy(&output.stderr), &["provider: cuda"]),
        Some(1) => names(&one_line(&output.stderr), &["CUDA can't be used", "--provider cpu"]),
        code => panic!("{code:?}"),
    }
}

fn sparsight_cuda() -> Command {
    let mut command = Command::cargo_bin("sparsight").unwrap();
    command.args(["verify", "-v", "--provider", "cuda"]).arg(bundle());
    command
}
