//! `sparsight-train synth`.

use std::{
    io::{self, Write},
    path::PathBuf,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Result;
use clap::value_parser;
use indicatif::ProgressBar;
use sparsight_runtime::signals::{INTERRUPTED, on_signal};
use sparsight_trainer::synth::{DEFECTS, FAMILIES, Options, SynthError, synthesise};

/// Make procedural categories to train and test with, in the MVTec-AD layout
#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub struct SynthArgs {
    /// Folder to write to; new or empty
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Number of categories; families take turns
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..))]
    categories: u32,
    /// Seed of everything
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Side of the images in pixels, 64 to 1024
    #[arg(long, value_name = "PIXELS", default_value_t = 128, value_parser = value_parser!(u32).range(64..=1024))]
    size: u32,
    /// Good images for training, in each category
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..))]
    train: u32,
    /// Images to test with, in each category; one half good, the others defective
    #[arg(long, value_name = "N", default_value_t = 20)]
    test: u32,
}

fn after_help() -> String {
    format!(
        "Example:\n  sparsight-train synth data/synth --categories 120 --seed 1\n\n\
        Each category has NAME/train/good, NAME/test/good, NAME/test/DEFECT and NAME/ground_truth/DEFECT. There are\n\
        {} families, textures and objects by turns, and {} kinds of defects, which go on from one category to the\n\
        next. The same options make the same files on every platform; more categories leave the first ones as they\n\
        are.",
        FAMILIES.len(),
        DEFECTS.len()
    )
}

pub fn run(args: SynthArgs) -> Result<()> {
    let options = Options {
        categories: args.categories as usize,
        seed: args.seed,
        size: args.size as usize,
        train: args.train as usize,
        test: args.test as usize,
    };
    // Draws on stderr, and nothing when that is not a terminal.
    let progress = ProgressBar::new(u64::from(args.categories));
    let interrupted = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&interrupted);
    on_signal(move || heard.store(true, Ordering::Relaxed))?;
    match synthesise(&args.out, &options, &interrupted, || progress.inc(1)) {
        Err(SynthError::Interrupted) => process::exit(INTERRUPTED),
        done => done?,
    }
    progress.finish_and_clear();
    super::note(format_args!("{} categories, {} images each", args.categories, args.train + args.test));
    writeln!(io::stdout(), "{}", args.out.display())?;
    Ok(())
}
