//! `cargo xtask test`: everything that CI runs, in order, to the first failure. What each part checks is its own.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{dist, fixtures, process, regress, setup};

/// The seed of the property tests, so that a commit passes or fails whoever runs it; without this runner they draw anew.
const PROPTEST_RNG_SEED: &str = "7";

/// One part: what it is called, and what it does.
type Part<'a> = (&'static str, Box<dyn Fn() -> Result<()> + 'a>);

/// Runs every part; `quick` leaves out those that find style rather than faults.
pub fn run(workspace: &Workspace, quick: bool) -> Result<()> {
    let mut parts: Vec<Part> = vec![
        ("setup", Box::new(|| setup::run(workspace))),
        ("format", Box::new(|| process::run(&mut workspace.cargo(["fmt", "--all", "--check"])))),
    ];
    if !quick {
        parts.push(("lints", Box::new(|| lints(workspace))));
        parts.push(("documentation", Box::new(|| documentation(workspace))));
    }
    parts.push(("tests", Box::new(|| tests(workspace))));
    // With the program that the tests built: a build of its own would have other features, so other dependencies.
    parts.push((
        "fixtures",
        Box::new(|| fixtures::run(workspace, &workspace.binary("debug", "sparsight-train"), true)),
    ));
    parts.push(("regress", Box::new(|| regress::run(workspace))));
    parts.push(("archive", Box::new(|| dist::check(workspace))));
    if !quick {
        parts.push(("dependencies", Box::new(|| dependencies(workspace))));
    }
    let (times, outcome) = in_order(parts);
    summarise(&times);
    outcome
}

/// Runs parts up to the first that fails: how long each took and whether it passed, and that failure.
fn in_order(parts: Vec<Part>) -> (Vec<(&'static str, Duration, bool)>, Result<()>) {
    let mut times = Vec::new();
    for (name, part) in parts {
        eprintln!("\n=== {name}");
        let start = Instant::now();
        let outcome = part();
        times.push((name, start.elapsed(), outcome.is_ok()));
        if outcome.is_err() {
            return (times, outcome);
        }
    }
    (times, Ok(()))
}

/// All features, so that the CUDA half is compiled too, though no machine here may have a GPU.
fn lints(workspace: &Workspace) -> Result<()> {
    let clippy = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    process::run(&mut workspace.cargo(clippy))
}

fn documentation(workspace: &Workspace) -> Result<()> {
    let mut doc = workspace.cargo(["doc", "--workspace", "--no-deps", "--all-features"]);
    process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// The snapshot tests of xtask have a part of their own, which gives them the released binary.
fn tests(workspace: &Workspace) -> Result<()> {
    let library = setup::library(workspace)?;
    let packages = setup::python_packages(workspace);
    let with_environment = |mut cargo: Command| {
        cargo.env("ORT_DYLIB_PATH", &library).env("PROPTEST_RNG_SEED", PROPTEST_RNG_SEED);
        if let Some(packages) = &packages {
            cargo.env("SPARSIGHT_PYTHONPATH", packages);
        }
        process::run(&mut cargo)
    };
    with_environment(workspace.cargo(["test", "--workspace", "--exclude", "xtask", "--no-fail-fast"]))?;
    with_environment(workspace.cargo(["test", "--package", "xtask", "--bins", "--test", "setup"]))
}

/// The database of advisories comes over the network; everything else that cargo-deny checks is here.
fn dependencies(workspace: &Workspace) -> Result<()> {
    if !process::silent(&mut workspace.cargo(["deny", "--version"]))?.status.success() {
        eprintln!("skipped: cargo-deny is not installed (`cargo install cargo-deny`)");
        return Ok(());
    }
    let fetched = process::silent(&mut workspace.cargo(["deny", "fetch", "db"]))?.status.success();
    if !fetched {
        eprintln!("advisories skipped: their database can't be fetched");
    }
    let checks: &[&str] = if fetched { &["advisories"] } else { &[] };
    let always = ["deny", "check", "bans", "licenses", "sources"];
    process::run(workspace.cargo(always).args(checks))
}

fn summarise(times: &[(&str, Duration, bool)]) {
    eprintln!();
    for (name, time, passed) in times {
        let seconds = time.as_secs();
        let word = if *passed { "passed" } else { "FAILED" };
        eprintln!("{word}  {:>3} min {:02} s  {name}", seconds / 60, seconds % 60);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_the_last_part() {
        let parts: Vec<Part> = vec![
            ("first", Box::new(|| Ok(()))),
            ("second", Box::new(|| anyhow::bail!("broken"))),
            ("third", Box::new(|| panic!("must not run"))),
        ];
        let (times, outcome) = in_order(parts);
        let ran: Vec<_> = times.iter().map(|(name, _, passed)| (*name, *passed)).collect();
        assert_eq!(ran, [("first", true), ("second", false)]);
        assert_eq!(outcome.unwrap_err().to_string(), "broken");
    }
}
