//! What the tests of the command share: how it is called, a config of a tiny model, and data for it. No test is here.

use std::{
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::{Command, assert::Assert};
use sparsight_runtime::replace::sha256_hex;
use tempfile::TempDir;

pub const TINY: &str = "input: {height: 32, width: 32}\n\
    backbone: {widths: [8, 8], strides: [1, 2], feature_channels: 16}\n\
    training: {steps: 0}\n";

/// The command, without arguments.
pub fn program() -> Command {
    Command::cargo_bin("sparsight-train").unwrap()
}

/// Runs, expects that exit code, and returns stderr, which must be one line where something failed.
pub fn stderr_of(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    if code == 1 {
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    stderr
}

/// A config file in the folder.
pub fn written(folder: &Path, config: &str) -> PathBuf {
    let path = folder.join("config.yaml");
    fs::write(&path, config).unwrap();
    path
}

/// Changes a checkpoint's progress, and what says that it is as it was written.
pub fn forge_progress(checkpoint: &Path, change: impl Fn(&str) -> String) {
    let [progress, hashes] = ["progress.yaml", "sha256.yaml"].map(|name| checkpoint.join(name));
    let before = fs::read_to_string(&progress).unwrap();
    let after = change(&before);
    assert_ne!(before, after);
    let forged = fs::read_to_string(&hashes)
        .unwrap()
        .replace(&sha256_hex(before.as_bytes()), &sha256_hex(after.as_bytes()));
    fs::write(progress, after).unwrap();
    fs::write(hashes, forged).unwrap();
}

/// Runs the command in the folder.
pub fn call(arguments: &[&str], folder: &Path) -> Assert {
    Command::cargo_bin("sparsight-train").unwrap().args(arguments).current_dir(folder).assert()
}

/// Two categories in `data`: weave_000 and gear_000, 6 good images each for training, 16 for testing.
pub fn with_data() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let sizes = ["--size", "64", "--train", "6", "--test", "16"];
    call(&[&["synth", "data", "--categories", "2", "--seed", "1"][..], &sizes].concat(), folder.path())
        .success()
        .stdout("data\n");
    folder
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The only line on stderr of a command that failed with exit code 1.
pub fn error_of(assert: Assert) -> String {
    let output = assert.code(1).get_output().clone();
    let message = text(&output.stderr);
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    assert!(message.starts_with("error: ") && message.lines().count() == 1, "{message}");
    message
}
