//! Pinned keys at the command line: every command that opens a bundle takes the signed one and refuses any other.

use std::{fs, path::Path};

use assert_cmd::Command;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ed25519_compact::{KeyPair, Seed};
use serde_json::Value;

use crate::sandbox::{Sandbox, bundle, failure, names, sparsight};

const KEY_ID: [u8; 8] = *b"sparsigh";

/// A key pair that is as good as its seed is secret: for tests.
fn key_pair() -> KeyPair {
    KeyPair::from_seed(Seed::new([7; 32]))
}

fn public_key() -> String {
    BASE64.encode([b"Ed", &KEY_ID[..], &key_pair().pk[..]].concat())
}

/// Signs the manifest of a bundle as `minisign -S -l` does.
fn sign(bundle: &Path) {
    let secret = key_pair().sk;
    let signature = secret.sign(fs::read(bundle.join("manifest.yaml")).unwrap(), None);
    let comment = "timestamp:0\tfile:manifest.yaml";
    let both = secret.sign([&signature[..], comment.as_bytes()].concat(), None);
    let text = format!(
        "untrusted comment: a test's\n{}\ntrusted comment: {comment}\n{}\n",
        BASE64.encode([b"Ed", &KEY_ID[..], &signature[..]].concat()),
        BASE64.encode(both)
    );
    fs::write(bundle.join("manifest.yaml.minisig"), text).unwrap();
}

/// Every command that opens a bundle, over this one.
fn commands(sandbox: &Sandbox, bundle: &Path) -> Vec<Command> {
    let dictionary = sandbox.dictionary();
    let new = sandbox.image("new.png", crate::sandbox::texture(20, 20, 9));
    let mut commands: Vec<Command> =
        ["verify", "info", "adapt", "score", "bench"].into_iter().map(sparsight).collect();
    for change in ["add", "remove"] {
        let mut command = sparsight("dictionary");
        command.arg(change);
        commands.push(command);
    }
    commands.iter_mut().for_each(|command| {
        command.arg(bundle);
    });
    commands[2].arg(sandbox.path("good")).arg("-o").arg(sandbox.path("new.dictionary"));
    commands[3].arg(&dictionary).arg(&new);
    commands[4].arg(&dictionary).args(["--repeat", "1"]);
    commands[5].arg(&dictionary).arg(&new).args(["--provider", "cpu"]);
    commands[6].arg(&dictionary).arg("000.png");
    commands
}

#[test]
fn every_command_takes_a_bundle_that_the_pinned_key_signed() {
    let sandbox = Sandbox::new();
    let signed = sandbox.bundle();
    sign(&signed);
    let key = sandbox.write("maker.pub", format!("untrusted comment: maker\n{}\n", public_key()).as_bytes());
    for mut command in commands(&sandbox, &signed) {
        command.arg("--public-key").arg(&key).assert().success();
    }
}

#[test]
fn every_command_refuses_a_bundle_that_the_pinned_key_did_not_sign() {
    let sandbox = Sandbox::new();
    let forged = sandbox.bundle();
    sign(&forged);
    let manifest = fs::read_to_string(forged.join("manifest.yaml")).unwrap();
    fs::write(forged.join("manifest.yaml"), manifest.replace("smoothing: 4.0", "smoothing: 0.0")).unwrap();
    for mut command in commands(&sandbox, &forged) {
        let line = failure(command.args(["--public-key", &public_key()]), 1);
        names(&line, &["manifest.yaml.minisig: is not the signature of the manifest"]);
    }
    for mut command in commands(&sandbox, &bundle()) {
        let line = failure(command.args(["--public-key", &public_key()]), 1);
        names(&line, &["manifest.yaml.minisig: is missing", "minisign -Sm manifest.yaml"]);
    }
    assert!(!sandbox.path("new.dictionary").exists());
}

#[test]
fn a_key_is_pinned_by_the_flag_the_variable_or_a_file_beside_the_program() {
    let sandbox = Sandbox::new();
    let signed = sandbox.bundle();
    sign(&signed);
    let other =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/signatures/other.pub"))
            .unwrap();
    let info = |variable: &str| {
        let mut info = sparsight("info");
        info.arg(&signed).env("SPARSIGHT_PUBLIC_KEY", variable);
        info
    };
    info(&public_key()).assert().success();
    names(&failure(&mut info(""), 1), &["SPARSIGHT_PUBLIC_KEY: is set and empty"]);
    names(&failure(&mut info(other.lines().nth(1).unwrap()), 1), &["another key than the pinned one"]);
    names(&failure(&mut info("no key"), 1), &["no key: is neither a public key"]);
    // The flag goes before the variable.
    info("no key").args(["--public-key", &public_key()]).assert().success();

    // A copy of the program, with the other key beside it.
    let program = sandbox.path("bin/sparsight").with_extension(std::env::consts::EXE_EXTENSION);
    sandbox.write("bin/sparsight.pub", other.as_bytes());
    fs::copy(sparsight("info").get_program(), &program).unwrap();
    let info = |key: &str| {
        let mut info = Command::new(&program);
        info.env_remove("SPARSIGHT_PUBLIC_KEY").arg("info").arg(&signed);
        if !key.is_empty() {
            info.args(["--public-key", key]);
        }
        info
    };
    names(&failure(&mut info(""), 1), &["another key than the pinned one"]);
    info(&public_key()).assert().success();
    let beside = sandbox.write("bin/sparsight.pub", b"");
    names(&failure(&mut info(""), 1), &["sparsight.pub: is neither a public key"]);
    #[cfg(unix)]
    {
        fs::remove_file(&beside).unwrap();
        std::os::unix::fs::symlink(sandbox.path("nowhere"), &beside).unwrap();
        names(&failure(&mut info(""), 1), &["sparsight.pub: can't be read"]);
    }
    fs::remove_file(&beside).unwrap();
    info("").assert().success();
}

#[test]
fn verify_reports_files_signer_and_stages_as_json_too() {
    let sandbox = Sandbox::new();
    let signed = sandbox.bundle();
    sign(&signed);
    let report = |key: Option<&str>| -> Value {
        let mut verify = sparsight("verify");
        verify.arg(&signed).arg("--json");
        if let Some(key) = key {
            verify.args(["--public-key", key]);
        }
        serde_json::from_slice(&verify.assert().success().get_output().stdout).unwrap()
    };
    let (pinned, unpinned) = (report(Some(&public_key())), report(None));
    assert_eq!((&pinned["signer"], &unpinned["signer"]), (&Value::from(public_key()), &Value::Null));
    assert_eq!((&pinned["holds"], &pinned["provider"]), (&Value::from(true), &Value::from("cpu")));
    let files = pinned["files"].as_object().unwrap();
    assert_eq!(files.len(), 4);
    for (file, sha256) in files {
        let expected = sparsight_runtime::replace::sha256_of_file(&signed.join(file)).unwrap();
        assert_eq!(sha256.as_str(), Some(expected.as_str()), "{file}");
    }
    let stages = pinned["stages"].as_array().unwrap();
    let stage = |name: &str| stages.iter().find(|stage| stage["stage"] == name).unwrap();
    for name in ["support_features", "codes", "energy_map", "energy", "image_gradient"] {
        let (difference, tolerance) = (stage(name)["difference"].as_f64(), stage(name)["tolerance"].as_f64());
        assert!(difference <= tolerance && tolerance.is_some(), "{name}: {difference:?} {tolerance:?}");
    }
}
