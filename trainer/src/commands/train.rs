//! `sparsight-train train`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use burn::backend::Autodiff;
use burn_flex::Flex;
use sparsight_schemas::{Config, Valid};
use sparsight_trainer::{
    categories::{fingerprint, read_categories},
    checkpoint::{Checkpoint, Progress},
    device::{Device, DeviceChoice},
    episodes::EpisodeSampler,
    training::train,
    weights::random_parameters,
};

/// Train on many categories and write a checkpoint
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  sparsight-train train --config trainer/configs/demo.yaml --output runs/demo"
)]
pub struct TrainArgs {
    /// Config file; see schemas/json/config.schema.json
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Go on from the checkpoint in the output folder
    #[arg(long)]
    resume: bool,
    /// Start anew although the output folder holds a checkpoint
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Folder for checkpoint and metrics, in place of the config's training.output
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Number of steps, in place of the config's training.steps
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Folder of categories, in place of the config's data.roots; may be repeated
    #[arg(long, value_name = "DIR")]
    data: Vec<String>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
}

pub fn run(args: TrainArgs) -> Result<()> {
    let mut config = super::read_config(&args.config)?.into_raw();
    if let Some(steps) = args.steps {
        config.training.steps = steps;
    }
    if !args.data.is_empty() {
        config.data.roots = args.data;
    }
    let config = Valid::new(config).with_context(|| args.config.display().to_string())?;
    let output = args.output.unwrap_or_else(|| PathBuf::from(&config.training.output));
    let folder = output.join("checkpoint");
    if folder.exists() && !args.resume && !args.overwrite {
        bail!(
            "{}: a checkpoint is there; go on with --resume or replace it with --overwrite",
            folder.display()
        );
    }
    let (device, note) = args.device.choose().map_err(anyhow::Error::msg)?;
    if let Some(note) = note {
        eprintln!("training on the CPU: {note}");
    }

    let categories = if config.training.steps > 0 { read_categories(&config.data)? } else { Vec::new() };
    let data_fingerprint = if categories.is_empty() { None } else { Some(fingerprint(&categories)?) };
    let checkpoint = if args.resume {
        let checkpoint = Checkpoint::read(&folder)?;
        if checkpoint.progress.data_fingerprint != data_fingerprint {
            bail!("{}: the run so far used other images; restore them or train anew", folder.display());
        }
        Checkpoint { config: continued(checkpoint.config, &config, &folder)?, ..checkpoint }
    } else {
        Checkpoint {
            parameters: random_parameters(&config.backbone, config.seed),
            optimizer: Vec::new(),
            progress: Progress { step: 0, data_fingerprint },
            config: config.clone(),
        }
    };

    if checkpoint.progress.step >= config.training.steps {
        std::fs::create_dir_all(&output).with_context(|| output.display().to_string())?;
        checkpoint.write(&folder)?;
    } else {
        let sampler = EpisodeSampler::load(
            &categories,
            &config.input,
            &config.episodes,
            &config.negatives,
            config.seed,
        )?;
        eprintln!("{} categories, {} steps", categories.len(), config.training.steps);
        match device {
            Device::Cpu => train::<Autodiff<Flex>>(checkpoint, &sampler, &output, &Default::default())?,
            #[cfg(feature = "cuda")]
            Device::Cuda => {
                train::<Autodiff<burn::backend::Cuda>>(checkpoint, &sampler, &output, &Default::default())?
            }
            #[cfg(not(feature = "cuda"))]
            Device::Cuda => bail!("this sparsight-train was built without CUDA"),
        };
    }
    println!("{}", folder.display());
    Ok(())
}

/// The config of a resumed run: only its length, its folders and its checkpoints may differ from before.
fn continued(before: Valid<Config>, now: &Valid<Config>, folder: &std::path::Path) -> Result<Valid<Config>> {
    let mut expected = before.into_raw();
    expected.training = now.training.clone();
    expected.data = now.data.clone();
    if expected != **now {
        bail!(
            "{}: the checkpoint's config is another one; resume with the config of its run",
            folder.display()
        );
    }
    Ok(now.clone())
}
