//! `verify`, `info`, `bench`, help and usage.

use serde_json::Value;

use crate::sandbox::{Sandbox, bundle, failure, names, sparsight, texture};

#[test]
fn the_bundle_gives_on_this_machine_what_it_gave_where_it_was_made() {
    let assert = sparsight("verify").arg(bundle()).assert().success();
    let text = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    names(&text, &["query_features", "codes", "energy_map", "image_gradient", "holds"]);
    assert!(!text.contains("differs"), "{text}");
}

#[test]
fn a_machine_that_gives_other_results_is_told_the_stages() {
    let sandbox = Sandbox::new();
    let bundle = sandbox.bundle();
    // Another schedule stands for another machine: features agree, what follows does not.
    let path = bundle.join("manifest.yaml");
    let manifest = std::fs::read_to_string(&path).unwrap();
    let lambda = manifest.lines().find(|line| line.trim_start().starts_with("lambda_max:")).unwrap();
    std::fs::write(&path, manifest.replacen(lambda, "  lambda_max: 0.9", 1)).unwrap();
    let assert = sparsight("verify").arg(&bundle).assert().code(1);
    let line = crate::sandbox::one_line(&assert.get_output().stderr);
    names(&line, &["this machine gives other results (lambdas, codes", "--provider cpu"]);
    let text = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    let features = text.lines().find(|line| line.starts_with("query_features")).unwrap();
    assert!(features.ends_with("holds"), "{text}");
}

#[test]
fn info_says_what_a_bundle_and_a_dictionary_are() {
    let sandbox = Sandbox::new();
    let dictionary = sandbox.dictionary();
    let said = |path: &std::path::Path, json: bool| {
        let mut info = sparsight("info");
        info.arg(path).args(json.then_some("--json"));
        String::from_utf8(info.assert().success().get_output().stdout.clone()).unwrap()
    };
    names(&said(&bundle(), false), &["input", "features", "sparse coding", "all of a support", "smoothing"]);
    names(
        &said(&bundle().with_file_name("default"), false),
        &["at most 128 of a support, drawn by inverse density", "their size (lasso)", "own energies"],
    );
    names(&said(&dictionary, false), &["5 shots", "threshold"]);
    let bundle: Value = serde_json::from_str(&said(&bundle(), true)).unwrap();
    let dictionary: Value = serde_json::from_str(&said(&dictionary, true)).unwrap();
    assert_eq!(dictionary["bundle_sha256"], bundle["sha256"]);
    assert_eq!(dictionary["shots"].as_array().unwrap().len(), 5);
    assert_eq!(bundle["manifest"]["schema_version"], 1);
    names(&failure(sparsight("info").arg("nowhere"), 1), &["nowhere: no such file"]);
}

#[test]
fn bench_gives_a_median_for_every_stage() {
    let sandbox = Sandbox::new();
    let dictionary = sandbox.dictionary();
    for images in [None, Some(sandbox.path("good"))] {
        let mut bench = sparsight("bench");
        bench.arg(bundle()).arg(&dictionary).args(["--repeat", "3", "--threads", "1", "--json"]);
        if let Some(images) = images {
            bench.arg("--images").arg(images);
        }
        let figures: Value = serde_json::from_slice(&bench.assert().success().get_output().stdout).unwrap();
        for stage in ["decode_ms", "backbone_ms", "sparse_coding_ms", "gradient_map_ms", "total_ms"] {
            assert!(figures[stage].as_f64().unwrap() > 0.0, "{stage} in {figures}");
        }
        assert_eq!(figures["threads"], 1);
        assert!(figures["atoms"].as_u64().unwrap() > 0);
    }
    let mut bench = sparsight("bench");
    let assert = bench.arg(bundle()).arg(&dictionary).args(["--repeat", "1"]).assert().success();
    names(&String::from_utf8_lossy(&assert.get_output().stdout), &["decode_ms", "total_ms"]);
}

#[test]
fn every_help_has_an_example() {
    let commands: [&[&str]; 14] = [
        &[],
        &["adapt"],
        &["calibrate"],
        &["score"],
        &["watch"],
        &["stream"],
        &["dictionary", "list"],
        &["dictionary", "add"],
        &["dictionary", "remove"],
        &["dictionary", "merge"],
        &["verify"],
        &["info"],
        &["bench"],
        &["help", "score"],
    ];
    for command in commands {
        let mut sparsight = assert_cmd::Command::cargo_bin("sparsight").unwrap();
        sparsight.args(command);
        if command.first() != Some(&"help") {
            sparsight.arg("--help");
        }
        let assert = sparsight.assert().success();
        names(&String::from_utf8_lossy(&assert.get_output().stdout), &["Example:\n  sparsight "]);
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &["score", "bundle"][..],
        &["adapt", "bundle", "image.png"],
        &["adapt", "bundle", "image.png", "-o", "d", "--false-alarm-rate", "0"],
        &["adapt", "bundle", "image.png", "-o", "d", "--false-alarm-rate", "1.5"],
        &["adapt", "bundle", "image.png", "-o", "d", "--max-atoms", "0"],
        &["calibrate", "bundle"],
        &["dictionary", "merge", "bundle", "d", "-o", "e"],
        &["calibrate", "bundle", "d", "--false-alarm-rate", "1"],
        &["score", "bundle", "d", "image.png", "--format", "xml"],
        &["score", "bundle", "d", "image.png", "--map", "gradient"],
        &["score", "bundle", "d", "image.png", "--provider", "tpu"],
        &["score", "bundle", "d", "image.png", "--threads", "0"],
        &["score", "bundle", "d", "image.png", "--threads", "100000"],
        &["stream", "bundle", "d", "--size", "640"],
        &["stream", "bundle", "d", "--size", "0x480"],
        &["stream", "bundle", "d", "--size", "100000x100000"],
        &["stream", "bundle", "d", "--queue", "0"],
        &["watch", "bundle", "d", "camera", "--settle", "-1"],
        &["bench", "bundle", "d", "--repeat", "0"],
        &["verify", "bundle", "--provider", "cpu", "--device-id", "0"],
        &["score", "bundle", "d", "image.png", "--provider", "cpu", "--gpu-memory-limit", "1GB"],
        &["score", "bundle", "d", "image.png", "--gpu-memory-limit", "1TB"],
        &["score", "bundle", "d", "image.png", "--gpu-memory-limit", "0"],
        &["score", "bundle", "d", "image.png", "--gpu-memory-limit", "99999999999GB"],
        &["score", "bundle", "d", "image.png", "--device-id", "-1"],
        &["info"],
        &["info", "bundle", "--providers"],
        &["info", "bundle", "--device-id", "0"],
        &["unknown"],
        &[],
    ] {
        let mut sparsight = assert_cmd::Command::cargo_bin("sparsight").unwrap();
        let assert = sparsight.args(arguments).assert().code(2);
        assert_eq!(assert.get_output().stdout, b"", "{arguments:?}");
    }
}

#[test]
fn verbose_names_the_library_and_the_provider() {
    let assert = sparsight("verify").arg(bundle()).arg("-v").assert().success();
    names(&String::from_utf8_lossy(&assert.get_output().stderr), &["ONNX Runtime: ", "provider: cpu"]);
}

/// A pipe never gets colours; a terminal does, unless NO_COLOR says otherwise.
#[cfg(target_os = "linux")]
#[test]
fn only_terminals_get_colours_and_no_color_is_honoured() {
    let sandbox = Sandbox::new();
    let (dictionary, image) = (sandbox.dictionary(), sandbox.image("other.png", texture(90, 70, 99)));
    let program = assert_cmd::cargo::cargo_bin("sparsight");
    let scored = |terminal: bool, no_color: &str| {
        let quoted = |path: &std::path::Path| format!("'{}'", path.display());
        let [program, bundle, dictionary, image] =
            [&program, &bundle(), &dictionary, &image].map(|path| quoted(path));
        let line = format!("{program} score {bundle} {dictionary} {image} --provider cpu");
        let mut command = match terminal {
            true => assert_cmd::Command::new("script"),
            false => assert_cmd::Command::new("sh"),
        };
        match terminal {
            true => command.args(["-qec", &line, "/dev/null"]),
            false => command.args(["-c", &line]),
        };
        let assert = command.env("NO_COLOR", no_color).assert().success();
        String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
    };
    let pipe = scored(false, "");
    assert!(pipe.contains("anomalous") && !pipe.contains('\x1b'), "{pipe:?}");
    if std::process::Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped: there is no `script` to make a terminal with");
        return;
    }
    assert!(scored(true, "").contains("\x1b[31manomalous"), "{}", scored(true, ""));
    assert!(!scored(true, "1").contains('\x1b'), "{}", scored(true, "1"));
}

#[test]
fn quiet_leaves_nothing_on_stderr_but_errors() {
    let sandbox = Sandbox::new();
    let good = sandbox.good_images();
    let adapt = |flags: &[&str]| {
        let mut adapt = sparsight("adapt");
        adapt.arg(bundle()).arg(&good).arg("-o").arg(sandbox.path("new.dictionary")).args(flags);
        let assert = adapt.assert().success();
        String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
    };
    names(&adapt(&[]), &["5 shots"]);
    assert_eq!(adapt(&["--quiet"]), "");
    names(&failure(sparsight("info").args(["nowhere", "-q"]), 1), &["nowhere: no such file"]);
    sparsight("verify").arg(bundle()).args(["-q", "-v"]).assert().code(2);
}

#[test]
fn auto_says_which_provider_it_came_to() {
    let mut sparsight = assert_cmd::Command::cargo_bin("sparsight").unwrap();
    let assert = sparsight.args(["verify", "-v"]).arg(bundle()).assert().success();
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    match stderr.contains("provider: cuda") {
        true => assert!(!stderr.contains("does not start"), "{stderr}"),
        false => names(&stderr, &["provider: cpu", "CUDA does not start"]),
    }
}
