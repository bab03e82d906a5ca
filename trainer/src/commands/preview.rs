//! `sparsight-train preview`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, Result};
use burn_flex::Flex;
use clap::value_parser;
use sparsight_runtime::{
    heatmap::to_png,
    replace::{ReplaceError, replace_directory},
};
use sparsight_schemas::{LangevinConfig, Valid};
use sparsight_trainer::{
    categories::read_categories,
    checkpoint::Checkpoint,
    episodes::EpisodeSampler,
    preview::{episodes_sheet, langevin_sheet, negatives_sheet},
    replaceable::would_be_lost,
    weights::Weights,
};

/// Draw what a config trains on: episodes, negatives and the sampler's steps
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  sparsight-train preview trainer/configs/paper.yaml --data data -o pictures\n\n\
    episodes.png   a row for each task of a step: its support, then its queries\n\
    negatives.png  for each task its queries, their negatives, and what is wrong with those\n\
    langevin.png   for each query of the first task: original, negative, and every step of the sampler"
)]
pub struct PreviewArgs {
    /// Config file
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Folder of a checkpoint whose weights the sampler uses [default: random weights]
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// Folder of categories, in place of the config's data.roots; may be repeated
    #[arg(long, value_name = "DIR")]
    data: Vec<String>,
    /// The step whose episodes are drawn
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u64).range(..1 << 32))]
    step: u64,
    /// Folder to write the pictures to; what it held is replaced if it was a preview
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

const NAMES: [&str; 3] = ["episodes.png", "negatives.png", "langevin.png"];

pub fn run(args: PreviewArgs) -> Result<()> {
    let mut config = super::read_config(&args.config)?.into_raw();
    if !args.data.is_empty() {
        config.data.roots = args.data;
    }
    // The sampler is shown whether or not the loss counts it.
    config.objective.eta_cd = config.objective.eta_cd.max(f64::MIN_POSITIVE);
    let config = Valid::new(config).with_context(|| args.config.display().to_string())?;
    if let Some(other) = would_be_lost(&args.output, &NAMES) {
        anyhow::bail!(
            "{}: is no picture of a preview, and would be lost; give a new folder",
            other.display()
        );
    }
    let checkpoint = match &args.checkpoint {
        Some(folder) => Checkpoint::read(folder)?,
        None => Checkpoint::random(&config, None),
    };
    if checkpoint.config.backbone != config.backbone {
        anyhow::bail!(
            "{}: its backbone is not the checkpoint's; give the run's config",
            args.config.display()
        );
    }
    let (of_run, of_config) = (checkpoint.config.langevin, config.langevin);
    let step = |langevin: LangevinConfig| (langevin.learned, langevin.relative, langevin.step_size.to_bits());
    if (of_run.learned || of_config.learned) && step(of_run) != step(of_config) {
        anyhow::bail!(
            "{}: its step size, learned or not, is not that of the checkpoint's run (langevin); give the run's config",
            args.config.display()
        );
    }
    let categories = super::asked_for(read_categories(&config.data), &args.config)?;
    let sampler = EpisodeSampler::new(categories, &config)?;
    let episodes = sampler.episodes(args.step)?;
    let device = Default::default();
    let weights = Weights::<Flex>::from_parameters(checkpoint.model(), &device);
    let sheets = [
        episodes_sheet(&episodes),
        negatives_sheet(&episodes),
        langevin_sheet(&config, &weights, &episodes[0], &device)?,
    ];
    let pictures = sheets.iter().map(to_png).collect::<io::Result<Vec<_>>>()?;
    replace_directory(&args.output, |folder| -> Result<(), ReplaceError> {
        NAMES.iter().zip(&pictures).try_for_each(|(name, picture)| folder.write(name, picture))
    })?;
    for name in NAMES {
        writeln!(io::stdout(), "{}", args.output.join(name).display())?;
    }
    Ok(())
}
