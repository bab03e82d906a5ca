//! Where the checkout and its build outputs are, and the cargo that builds them. No command lives here.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// The checkout that this program was built from.
pub struct Workspace {
    /// Folder of the workspace's Cargo.toml.
    pub root: PathBuf,
    /// Cargo's target directory, wherever the user put it.
    pub target: PathBuf,
}

impl Workspace {
    /// Asks cargo where things are.
    pub fn locate() -> Result<Self> {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in no workspace")?.to_owned();
        let metadata = process::output(Command::new(cargo_program()).current_dir(&root).args([
            "metadata",
            "--no-deps",
            "--format-version=1",
        ]))?;
        let metadata: serde_json::Value =
            serde_json::from_str(&metadata).context("reading `cargo metadata`")?;
        let Some(target) = metadata["target_directory"].as_str() else {
            bail!("`cargo metadata` names no target directory");
        };
        Ok(Self { root, target: target.into() })
    }

    /// A cargo command that runs in the root.
    pub fn cargo<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(cargo_program());
        command.current_dir(&self.root).args(arguments);
        command
    }

    /// Builds the released `sparsight` and says where it is.
    pub fn build_sparsight(&self) -> Result<PathBuf> {
        let build = ["build", "--release", "--package", "sparsight-runtime", "--bin", "sparsight"];
        process::run(&mut self.cargo(build))?;
        Ok(self.binary("release", "sparsight"))
    }

    /// Builds `sparsight-train` as the tests do, with optimised dependencies, and says where it is: link-time
    /// optimisation of the training framework takes longer than anything that is trained here.
    pub fn build_sparsight_train(&self) -> Result<PathBuf> {
        process::run(&mut self.cargo([
            "build",
            "--package",
            "sparsight-trainer",
            "--bin",
            "sparsight-train",
        ]))?;
        Ok(self.binary("debug", "sparsight-train"))
    }

    /// Builds the program that writes the manual pages and says where it is. It has the features of the whole
    /// workspace, and so the dependencies, that the tests have: after them nothing is left to build.
    pub fn build_sparsight_pages(&self) -> Result<PathBuf> {
        let build = ["build", "--workspace", "--exclude", "xtask", "--example", "sparsight-pages"];
        process::run(&mut self.cargo(build))?;
        Ok(self.binary("debug/examples", "sparsight-pages"))
    }

    /// Where cargo puts a program.
    pub fn binary(&self, profile: &str, name: &str) -> PathBuf {
        self.target.join(profile).join(name).with_extension(env::consts::EXE_EXTENSION)
    }
}

fn cargo_program() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}
