//! How `score` ends before its last image: signals, and readers that go. `watch` and `stream` are `coming`'s.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::sandbox::{Sandbox, bundle, names, sparsight, texture, with_default_signals};

/// The arguments of a score of `new/`, with a page.
fn score(sandbox: &Sandbox) -> Command {
    let mut score = Command::new(sparsight("score").get_program());
    score.args(["score", "--provider", "cpu", "--threads", "1", "--format", "jsonl", "--html"]);
    score.arg(sandbox.path("page.html")).arg(bundle()).arg(sandbox.dictionary()).arg(sandbox.path("new"));
    score
}

/// So many images in `new/`.
fn images(sandbox: &Sandbox, count: u32, side: u32) {
    for seed in 0..count {
        sandbox.image(&format!("new/{seed}.png"), texture(side, side, 1000 + seed));
    }
}

/// What comes of it if this signal arrives while it scores.
fn signalled(mut score: Command, signal: &str) -> Output {
    with_default_signals(&mut score).stdout(Stdio::piped());
    let mut child = score.stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    child.wait_with_output().unwrap()
}

#[test]
fn whoever_reads_no_further_still_gets_every_heat_map_and_the_verdict() {
    let sandbox = Sandbox::new();
    images(&sandbox, 30, 40);
    let closed = |arguments: &[&Path]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut score = Command::new(sparsight("score").get_program());
        score.args(["score", "--provider", "cpu"]).arg(bundle()).arg(sandbox.dictionary());
        score.arg(sandbox.path("new")).args(arguments).stdout(writer).stderr(Stdio::piped());
        let output = score.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (heatmaps, page) = (sandbox.path("heatmaps"), sandbox.path("page.html"));
    assert_eq!(
        closed(&[Path::new("--heatmaps"), &heatmaps, Path::new("--html"), &page]),
        (Some(0), "".into())
    );
    assert_eq!(fs::read_dir(&heatmaps).unwrap().count(), 30);
    assert_eq!(fs::read_to_string(&page).unwrap().matches("<tr class=").count(), 30);
    assert_eq!(closed(&[Path::new("--fail-on-anomaly")]).0, Some(3));
    assert_eq!(closed(&[]), (Some(0), "".into()), "who wants nothing else has seen enough");
}

#[test]
fn a_score_that_is_interrupted_leaves_nothing_half_written() {
    let sandbox = Sandbox::new();
    images(&sandbox, 400, 300);
    let output = signalled(score(&sandbox), "INT");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    names(&stderr, &["interrupted; --output and --html are not written"]);
    let is_left = |name: &String| name.contains(".sparsight-") || name.contains("page");
    assert_eq!(sandbox.entries().into_iter().filter(is_left).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_signal_that_is_to_be_ignored_stops_nothing() {
    let sandbox = Sandbox::new();
    images(&sandbox, 100, 200);
    let score = score(&sandbox);
    // As nohup does it.
    let mut ignoring = Command::new("sh");
    ignoring.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(score.get_program()).args(score.get_args());
    let output = signalled(ignoring, "HUP");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 100);
    assert!(sandbox.path("page.html").is_file());
}
