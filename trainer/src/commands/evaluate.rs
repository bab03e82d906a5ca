//! `sparsight-train evaluate`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Error, Result, bail};
use clap::{ValueEnum, value_parser};
use indicatif::ProgressBar;
use sparsight_runtime::{
    backbone::{CudaFault, MOST_THREADS, Options, Provider},
    calibration::DEFAULT_FALSE_ALARM_RATE,
    detector::Detector,
    replace::{check_replaceable, real_path, replace_file},
    signature::PublicKey,
};
use sparsight_schemas::{DataConfig, Poses, Protocol};
use sparsight_trainer::{
    categories::read_categories,
    evaluation::{Baseline, Map, Plan, csv, evaluate, page, scores_to_take, table},
};

/// Measure how well a bundle tells good from defective, on categories in the layout of MVTec-AD, VisA or BTAD
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  sparsight-train evaluate bundle --data data/synth --categories weave_000,gear_000 \
    --shots 10 --runs 5 -o report.json --html report.html\n\nFor each category and run the bundle adapts to random \
    images of train/good and scores those of test.\nThe table goes to stdout: mean and standard deviation over the \
    runs of\n  images: AUROC, average precision, best F1\n  pixels: AUROC, average precision, AUPRO up to a false \
    positive rate of 0.3 and 0.05, best F1, and mIoU, the\n  intersection over union of the anomalous pixels of all \
    test images, at the calibrated threshold and at the\n  best F1's, which the labels choose\nThe calibrated \
    threshold comes from the support alone: each shot in turn is scored by the others, and of\ntheir highest pixels \
    the conformal quantile is taken. It needs two shots.\n\nTime: all maps take about two and a half \
    times as long as the energy map alone; the baselines add half as much\nagain, most of it the random weights."
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
    /// Random supports of a category, each with a draw of atoms of its own
    #[arg(long, value_name = "R", default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    runs: u32,
    /// Seed of the supports and of their atoms
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Share of good images that the calibrated threshold may mark a pixel of, above 0 and below 1
    #[arg(long, value_name = "R", default_value_t = DEFAULT_FALSE_ALARM_RATE, value_parser = rate)]
    false_alarm_rate: f64,
    /// Take each support image in other poses too: flips, rotations by right angles, or all eight; as sparsight adapt does,
    /// but images that are not square are turned at the input's size, where all are squeezed alike
    #[arg(
        long,
        value_name = "POSES",
        require_equals = true,
        num_args = 0..=1,
        default_missing_value = "all",
        value_parser = poses
    )]
    augment_support: Option<Poses>,
    /// Maps to take figures of; product is energy times gradient. The first is the one in the pictures
    #[arg(
        long,
        value_name = "MAPS",
        value_enum,
        value_delimiter = ',',
        default_value = "energy,gradient,product"
    )]
    maps: Vec<MapArg>,
    /// Baselines with the same supports and images: knn (nearest feature that an atom is made of), difference (nearest pixel of the support as it was taken, whatever --augment-support says),
    /// random (energy with random weights of the seed).
    #[arg(
        long,
        value_name = "BASELINES",
        value_enum,
        value_delimiter = ',',
        default_value = "knn,difference,random"
    )]
    baselines: Vec<BaselineArg>,
    /// Take no figures of baselines
    #[arg(long, conflicts_with = "baselines")]
    no_baselines: bool,
    /// Where ONNX Runtime computes: auto, cpu or cuda
    #[arg(long, value_name = "PROVIDER", default_value_t)]
    provider: Provider,
    /// Threads of ONNX Runtime; 0 for one for each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u32).range(0..=MOST_THREADS as i64))]
    threads: u32,
    /// File to write the report to, as JSON
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// File to write the figures to, as CSV: a row for each category and map or baseline
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// File to write a page to, as HTML: the figures, and each category's worst and best cases as pictures
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MapArg {
    Energy,
    Gradient,
    Product,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BaselineArg {
    Knn,
    Difference,
    Random,
}

impl From<MapArg> for Map {
    fn from(map: MapArg) -> Self {
        match map {
            MapArg::Energy => Self::Energy,
            MapArg::Gradient => Self::Gradient,
            MapArg::Product => Self::Product,
        }
    }
}

impl From<BaselineArg> for Baseline {
    fn from(baseline: BaselineArg) -> Self {
        match baseline {
            BaselineArg::Knn => Self::Knn,
            BaselineArg::Difference => Self::Difference,
            BaselineArg::Random => Self::Random,
        }
    }
}

pub fn run(args: EvaluateArgs) -> Result<()> {
    let written: Vec<&PathBuf> = [&args.output, &args.csv, &args.html].into_iter().flatten().collect();
    for (i, path) in written.iter().enumerate() {
        if written[..i].iter().any(|other| real_path(other) == real_path(path)) {
            bail!("{}: is given twice; write each form of the report to a file of its own", path.display());
        }
        if real_path(path).starts_with(real_path(&args.bundle)) {
            bail!("{}: is within the bundle; write the report elsewhere", path.display());
        }
        check_replaceable(path)?;
    }
    let data = DataConfig { roots: args.data, include: args.categories, ..DataConfig::default() };
    let categories = read_categories(&data)?;
    let options = Options {
        provider: args.provider,
        threads: args.threads as usize,
        public_key: PublicKey::pinned(None)?,
        ..Options::default()
    };
    let mut detector = Detector::open_with(&args.bundle, &options)?;
    // That a library for CPUs computes on the CPU is no news.
    if let Some(reason) =
        detector.backbone().provider_note().filter(|reason| **reason != CudaFault::NotBuiltIn)
    {
        super::note(format_args!("CUDA does not start, the CPU computes: {reason}"));
    }

    let plan = Plan {
        protocol: Protocol {
            shots: args.shots as usize,
            runs: args.runs as usize,
            seed: args.seed,
            false_alarm_rate: args.false_alarm_rate,
            poses: args.augment_support.unwrap_or_default(),
        },
        maps: once_each(args.maps),
        baselines: if args.no_baselines { Vec::new() } else { once_each(args.baselines) },
        pictures: args.html.is_some(),
        options,
    };
    let progress = ProgressBar::new(scores_to_take(&categories, plan.protocol) as u64);
    let evaluation = evaluate(&mut detector, &categories, &plan, || progress.inc(1))?;
    progress.finish_and_clear();
    for (category, copies) in &evaluation.copies {
        super::note(format_args!(
            "{category}: of its test images {copies} are good training images too, which flatters its figures; remove them from one of both"
        ));
    }
    for (category, unmarked) in &evaluation.unmarked {
        super::note(format_args!(
            "{category}: the masks of {unmarked} defective images mark no pixel, so that all of theirs count as good; mend the masks"
        ));
    }
    // What took an hour is not lost for one of its forms that can't be written.
    let json = |path: &PathBuf| -> Result<()> {
        Ok(replace_file(path, (serde_json::to_string_pretty(&evaluation.report)? + "\n").as_bytes())?)
    };
    let told = write!(io::stdout(), "{}", table(&evaluation.report)).map_err(Error::new);
    let outcomes = [
        args.output.as_ref().map_or(Ok(()), json),
        args.csv.as_ref().map_or(Ok(()), |path| Ok(replace_file(path, csv(&evaluation.report).as_bytes())?)),
        args.html.as_ref().map_or(Ok(()), |path| Ok(replace_file(path, page(&evaluation)?.as_bytes())?)),
        told,
    ];
    let mut errors = outcomes.into_iter().filter_map(Result::err);
    let Some(first) = errors.next() else { return Ok(()) };
    errors.for_each(|error| super::note(format_args!("{error}")));
    Err(first)
}

/// What was chosen, without what was named again.
fn once_each<A: Into<T>, T: PartialEq>(arguments: Vec<A>) -> Vec<T> {
    let mut chosen: Vec<T> = Vec::new();
    for choice in arguments.into_iter().map(Into::into) {
        if !chosen.contains(&choice) {
            chosen.push(choice);
        }
    }
    chosen
}

fn poses(argument: &str) -> Result<Poses, String> {
    Poses::named(argument).ok_or_else(|| "must be flips, rotations or all".into())
}

fn rate(argument: &str) -> Result<f64, String> {
    match argument.parse() {
        Ok(rate) if rate > 0.0 && rate < 1.0 => Ok(rate),
        _ => Err("must be above 0 and below 1".into()),
    }
}
