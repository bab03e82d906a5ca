//! Which provider computes: what is said of it, and what is refused. The tests hold with a GPU and without.

use serde_json::Value;
use sparsight_schemas::ScoreRecord;

use crate::sandbox::{Sandbox, bundle, names, one_line, sparsight};

/// `sparsight` without a choice of provider.
fn sparsight_auto(command: &str) -> assert_cmd::Command {
    let mut sparsight = assert_cmd::Command::cargo_bin("sparsight").unwrap();
    sparsight.arg(command).env_remove("SPARSIGHT_PUBLIC_KEY");
    sparsight
}

/// What `info --providers` says of CUDA.
fn cuda() -> Value {
    let assert = sparsight("info").args(["--providers", "--json"]).assert().success();
    let report: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    let providers = report["providers"].as_array().unwrap();
    let find = |name: &str| providers.iter().find(|state| state["provider"] == name).unwrap().clone();
    let cpu = find("cpu");
    assert_eq!((&cpu["built_in"], &cpu["loads"], &cpu["usable"]), (&true.into(), &true.into(), &true.into()));
    assert_eq!(cpu["reason"], Value::Null);
    find("cuda")
}

#[test]
fn info_says_how_far_each_provider_gets_and_why_no_further() {
    let cuda = cuda();
    let stages = ["built_in", "loads", "usable"].map(|stage| cuda[stage].as_bool().unwrap());
    assert!(stages.is_sorted_by(|a, b| a >= b), "each stage needs the one before: {cuda}");
    assert_eq!(cuda["reason"].is_null(), stages[2], "{cuda}");
    let assert = sparsight("info").arg("--providers").assert().success();
    let text = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    names(
        &text,
        &[
            "ONNX Runtime",
            "cpu             built in: yes, loads: yes, usable: yes\n",
            "cuda            built in",
        ],
    );
    if let Some(reason) = cuda["reason"].as_str() {
        names(&text, &[reason]);
    }
}

#[test]
fn cuda_computes_exactly_where_info_calls_it_usable() {
    let output = sparsight_auto("verify").arg(bundle()).args(["--provider", "cuda"]).output().unwrap();
    match cuda()["reason"].as_str() {
        None => assert_eq!(output.status.code(), Some(0)),
        Some(reason) => {
            assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]));
            names(&one_line(&output.stderr), &["CUDA can't be used", reason, "--provider cpu"]);
        }
    }
}

#[test]
fn the_provider_that_auto_came_to_is_in_every_record() {
    let sandbox = Sandbox::new();
    let dictionary = sandbox.dictionary();
    let mut score = sparsight_auto("score");
    score.arg(bundle()).arg(dictionary).arg(sandbox.path("good")).args(["--format", "json"]);
    let assert = score.assert().success();
    let records: Vec<ScoreRecord> = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    let expected = if cuda()["usable"] == true { "cuda" } else { "cpu" };
    assert!(records.iter().all(|record| record.provider.as_deref() == Some(expected)), "{records:?}");
}

#[test]
fn that_a_library_for_cpus_has_no_cuda_is_told_only_to_those_who_ask_for_a_gpu() {
    let said = |flags: &[&str]| {
        let assert = sparsight_auto("verify").arg(bundle()).args(flags).assert().success();
        String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
    };
    if cuda()["built_in"] == true {
        return;
    }
    assert_eq!(said(&[]), "");
    for flags in [&["--device-id", "0"][..], &["--gpu-memory-limit", "512MiB"]] {
        names(&said(flags), &["CUDA does not start, the CPU computes (-v says why)"]);
    }
    names(&said(&["-v"]), &["provider: cpu", "CUDA does not start: this ONNX Runtime was built without it"]);
}

#[test]
fn flags_for_a_gpu_are_refused_where_the_cpu_is_asked_for() {
    let sandbox = Sandbox::new();
    for flags in [["--device-id", "1"], ["--gpu-memory-limit", "2GB"]] {
        let mut adapt = sparsight("adapt");
        adapt.arg(bundle()).arg(sandbox.good_images()).arg("-o").arg(sandbox.path("new.dictionary"));
        let assert = adapt.args(flags).assert().code(2);
        names(
            &String::from_utf8_lossy(&assert.get_output().stderr),
            &["--device-id", "--provider cpu uses none"],
        );
        assert!(!sandbox.path("new.dictionary").exists());
    }
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_and_no_other_is_taken() {
    let output = sparsight_auto("verify")
        .arg(bundle())
        .args(["--provider", "cuda", "--device-id", "999"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    names(&one_line(&output.stderr), &["CUDA can't be used"]);
}
