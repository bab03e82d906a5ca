//! `sparsight verify`: whether this machine computes what the trainer's did.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::ensure;
use sparsight_runtime::verify::verify;

use super::{Exit, session::BackboneFlags};

/// Check that a bundle is whole and gives on this machine what it gave where it was made
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sparsight verify bundle --provider cuda")]
pub struct Verify {
    /// The bundle, a folder
    bundle: PathBuf,
    #[command(flatten)]
    backbone: BackboneFlags,
}

impl Verify {
    pub fn run(&self, verbose: bool) -> anyhow::Result<Exit> {
        let mut detector = self.backbone.open(&self.bundle, verbose)?;
        let stages = verify(&mut detector)?;
        let mut out = io::stdout().lock();
        writeln!(out, "{:<18}  {:>10}  {:>10}  verdict", "stage", "difference", "tolerance")?;
        for stage in &stages {
            let verdict = if stage.holds() { "holds" } else { "differs" };
            writeln!(
                out,
                "{:<18}  {:>10.2e}  {:>10.2e}  {verdict}",
                stage.name, stage.difference, stage.tolerance
            )?;
        }
        let differing: Vec<&str> =
            stages.iter().filter(|stage| !stage.holds()).map(|stage| stage.name).collect();
        ensure!(
            differing.is_empty(),
            "{}: this machine gives other results ({}); try --provider cpu or another ONNX Runtime, or export the bundle again",
            self.bundle.display(),
            differing.join(", ")
        );
        Ok(Exit::Done)
    }
}
