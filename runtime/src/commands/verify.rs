//! `sparsight verify`: whether a bundle is whole, signed, and computes on this machine what it did on the trainer's.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::ensure;
use serde_json::{Value, json};
use sparsight_runtime::{
    bundle::MANIFEST_FILE,
    detector::Detector,
    verify::{Stage, verify},
};

use super::{Exit, session::BackboneFlags};

/// Check that a bundle is whole and gives on this machine what it gave where it was made
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Verify {
    /// The bundle, a folder
    bundle: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backbone: BackboneFlags,
}

const EXAMPLE: &str = "\
The sha256 of every file is that of the manifest, and the bundle's stored images are computed again, stage by stage. A
difference is the largest one of a stage, relative to its largest value; the manifest holds the tolerance.

Example:
  sparsight verify bundle --provider cuda
  sparsight verify bundle --public-key RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

impl Verify {
    pub fn run(&self, verbose: bool) -> anyhow::Result<Exit> {
        let mut detector = self.backbone.open(&self.bundle, verbose)?;
        let stages = verify(&mut detector)?;
        let mut out = io::stdout().lock();
        match self.json {
            true => writeln!(out, "{:#}", report(&detector, &stages))?,
            false => print(&mut out, &detector, &stages)?,
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

/// Every file of the bundle and its sha256, which is the one that the manifest lists.
fn files(detector: &Detector) -> impl Iterator<Item = (&str, &str)> {
    let bundle = detector.bundle();
    let listed = bundle.manifest.files.iter().map(|(file, sha256)| (file.as_str(), sha256.as_str()));
    [(MANIFEST_FILE, bundle.sha256.as_str())].into_iter().chain(listed)
}

fn print(out: &mut impl Write, detector: &Detector, stages: &[Stage]) -> io::Result<()> {
    writeln!(out, "{:<18}  sha256", "file")?;
    for (file, sha256) in files(detector) {
        writeln!(out, "{file:<18}  {sha256}")?;
    }
    let signature = match &detector.bundle().signer {
        Some(key) => format!("by the pinned key {key}"),
        None => "not looked for: no public key is pinned".into(),
    };
    writeln!(out, "{:<18}  {signature}", "signature")?;
    writeln!(out, "{:<18}  {}\n", "provider", detector.backbone().provider())?;
    writeln!(out, "{:<18}  {:>10}  {:>10}  verdict", "stage", "difference", "tolerance")?;
    for stage in stages {
        let verdict = if stage.holds() { "holds" } else { "differs" };
        writeln!(
            out,
            "{:<18}  {:>10.2e}  {:>10.2e}  {verdict}",
            stage.name, stage.difference, stage.tolerance
        )?;
    }
    Ok(())
}

/// The same for programs; a difference that is infinite or hidden by NaN is null.
fn report(detector: &Detector, stages: &[Stage]) -> Value {
    let bundle = detector.bundle();
    let stage = |stage: &Stage| {
        json!({
            "stage": stage.name,
            "difference": stage.difference,
            "tolerance": stage.tolerance,
            "holds": stage.holds(),
        })
    };
    json!({
        "bundle": bundle.path,
        "files": files(detector).collect::<std::collections::BTreeMap<_, _>>(),
        "signer": bundle.signer.as_ref().map(ToString::to_string),
        "provider": detector.backbone().provider().to_string(),
        "onnxruntime": detector.backbone().library().path,
        "stages": stages.iter().map(stage).collect::<Vec<_>>(),
        "holds": stages.iter().all(Stage::holds),
    })
}
