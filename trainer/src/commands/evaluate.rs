//! `sparsight-train evaluate`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{ValueEnum, value_parser};
use indicatif::ProgressBar;
use sparsight_runtime::{
    backbone::{Options, Provider},
    detector::Detector,
    replace::{check_replaceable, replace_file},
};
use sparsight_schemas::{DataConfig, Protocol};
use sparsight_trainer::{
    categories::read_categories,
    evaluation::{Map, evaluate, scores_to_take, table},
};

/// Measure how well a bundle tells good from defective, on categories in the MVTec-AD layout
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  sparsight-train evaluate bundle --data data/synth --categories weave_000,gear_000 \
    --shots 10 --runs 5 -o report.json\n\nFor each category and run the bundle adapts to random images of train/good \
    and scores those of test.\nThe table goes to stdout: mean and standard deviation of AUROC over the runs."
)]
pub struct EvaluateArgs {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Folder of categories; may be repeated
    #[arg(long, value_name = "DIR", required = true)]
    data: Vec<String>,
    /// Names of the categories to evaluate [default: all]
    #[arg(long, value_name = "a,b", value_delimiter = ',')]
    categories: Vec<String>,
    /// Support images of a run
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = value_parser!(u32).range(1..))]
    shots: u32,
    /// Random supports of a category
    #[arg(long, value_name = "R", default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    runs: u32,
    /// Seed of the supports
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Maps to take figures of
    #[arg(long, value_name = "MAPS", value_enum, value_delimiter = ',', default_value = "energy,gradient")]
    maps: Vec<MapArg>,
    /// Where ONNX Runtime computes: auto, cpu or cuda
    #[arg(long, value_name = "PROVIDER", default_value_t)]
    provider: Provider,
    /// Threads of ONNX Runtime; 0 for one for each core
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// File to write the report to, as JSON
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MapArg {
    Energy,
    Gradient,
}

pub fn run(args: EvaluateArgs) -> Result<()> {
    if let Some(path) = &args.output {
        check_replaceable(path)?;
    }
    let data = DataConfig { roots: args.data, include: args.categories, ..DataConfig::default() };
    let categories = read_categories(&data)?;
    let maps: Vec<Map> = args
        .maps
        .iter()
        .map(|map| match map {
            MapArg::Energy => Map::Energy,
            MapArg::Gradient => Map::Gradient,
        })
        .collect();
    let options = Options { provider: args.provider, threads: args.threads, library: None };
    let mut detector = Detector::open(&args.bundle, &options)?;
    if let Some(reason) = detector.backbone().provider_note() {
        eprintln!("CUDA does not start, the CPU computes: {reason}");
    }

    let protocol = Protocol { shots: args.shots as usize, runs: args.runs as usize, seed: args.seed };
    let progress = ProgressBar::new(scores_to_take(&categories, protocol) as u64);
    let report = evaluate(&mut detector, &categories, protocol, &maps, || progress.inc(1))?;
    progress.finish_and_clear();
    if let Some(path) = &args.output {
        replace_file(path, (serde_json::to_string_pretty(&report)? + "\n").as_bytes())?;
    }
    print!("{}", table(&report));
    Ok(())
}
