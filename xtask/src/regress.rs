//! `cargo xtask regress`: the released binary over the tiny bundle against the committed snapshot. What is compared,
//! and how closely, is in `tests/regress.rs`.

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{process, setup};

/// Builds the released binary and runs the snapshot tests with it.
pub fn run(workspace: &Workspace) -> Result<()> {
    let library = setup::library(workspace)?;
    let sparsight = workspace.build_sparsight()?;
    let mut tests = workspace.cargo(["test", "--package", "xtask", "--test", "regress"]);
    process::run(tests.env("SPARSIGHT_BIN", sparsight).env("ORT_DYLIB_PATH", library))
}
