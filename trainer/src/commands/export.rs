//! `sparsight-train export`.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Error, Result, bail};
use sparsight_runtime::{
    backbone::BackboneError,
    detector::{Detector, DetectorError},
    verify::verify,
};
use sparsight_schemas::{Config, Valid};
use sparsight_trainer::{
    checkpoint::{Progress, TrainedWeights},
    export::{ExportError, Origin, export_bundle},
    training::summary::summarise,
    weights::read_parameters,
};

/// Write a bundle that `sparsight` can adapt and score with
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sparsight-train export --checkpoint runs/demo/checkpoint -o bundle\n\n\
    The weights must fit the config; its input size, sparse coding and scoring may differ from the training's. What the\n\
    weights were trained with stays in the manifest's provenance.")]
pub struct ExportArgs {
    /// Folder of a checkpoint, or a file of weights by name
    #[arg(long, value_name = "DIR|FILE.safetensors")]
    checkpoint: PathBuf,
    /// Config file, in place of the checkpoint's; for a file of weights the default is Table A's
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder to write the bundle to
    #[arg(short, long, value_name = "BUNDLE")]
    output: PathBuf,
}

pub fn run(args: ExportArgs) -> Result<()> {
    let config = args.config.as_deref().map(super::read_config).transpose()?;
    let (parameters, config, origin) = if args.checkpoint.is_dir() {
        let TrainedWeights { config: trained_with, progress, backbone, .. } =
            TrainedWeights::read(&args.checkpoint)?;
        let config = config.unwrap_or_else(|| trained_with.clone());
        // Shapes alone would let strides differ.
        if config.backbone != trained_with.backbone {
            bail!(
                "{}: was trained with another backbone than --config has; only input, sparse_coding and scoring may differ",
                args.checkpoint.display()
            );
        }
        let Progress { step: steps, data_fingerprint, initial_weights, .. } = progress;
        // The run's folder is the one around the checkpoint.
        let training = match args
            .checkpoint
            .canonicalize()
            .with_context(|| args.checkpoint.display().to_string())?
            .parent()
        {
            Some(run) => summarise(run, steps)?,
            None => None,
        };
        let origin =
            Origin { steps, data_fingerprint, initial_weights, training, config: Some(trained_with) };
        (backbone, config, origin)
    } else {
        let config = match config {
            Some(config) => config,
            None => Valid::new(Config::default())?,
        };
        let parameters = read_parameters(&args.checkpoint, config.backbone.parameters())?;
        (parameters, config, Origin::default())
    };
    let mut unavailable = None;
    let proven = |folder: &Path| match Detector::open(folder) {
        // Without the library nothing is proven, and nothing is known to be wrong.
        Err(DetectorError::Backbone(BackboneError::OnnxRuntime(error))) => {
            unavailable = Some(error);
            Ok(())
        }
        opened => opened.map_err(|error| error.to_string()).and_then(prove).map_err(|error| {
            // The bundle is not yet where it is to be.
            let place = args.output.to_string_lossy();
            ExportError::NotProven(error.replace(&*folder.to_string_lossy(), &place))
        }),
    };
    export_bundle(&parameters, &config, origin, &args.output, proven).map_err(|error| match error {
        ExportError::NotFinite(_) => Error::new(error).context(args.checkpoint.display().to_string()),
        error => error.into(),
    })?;
    match unavailable {
        None => super::note("verified: every stage of the probe holds"),
        Some(error) => super::note(format_args!("not verified: {error}")),
    }
    writeln!(io::stdout(), "{}", args.output.display())?;
    Ok(())
}

/// Whether ONNX Runtime computes what training did.
fn prove(mut detector: Detector) -> Result<(), String> {
    let stages = verify(&mut detector).map_err(|error| error.to_string())?;
    match stages.iter().find(|stage| !stage.holds()) {
        None => Ok(()),
        Some(stage) => Err(format!(
            "{}: ONNX Runtime computes {} differently from training (by {:e}); export with another input or sparse_coding, \
             or report this",
            detector.bundle().path.display(),
            stage.name,
            stage.difference
        )),
    }
}
