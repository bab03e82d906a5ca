//! `sparsight bench`: how long the stages of a score take, one image at a time.

use std::{
    io::{self, Write},
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use ndarray::{Array3, Axis};
use serde::Serialize;
use sparsight_runtime::{
    detector::{Detector, Scorer},
    dictionary::Dictionary,
    images::{ImageError, decode_image, find_images, read_image, to_input},
    verify::{PROBE_FILE, Probe},
};
use sparsight_schemas::InputConfig;

use super::{Exit, session::BackboneFlags};

/// Scores before those that count.
const WARM_UP: usize = 3;

/// Measure how long scoring takes: medians over images, batch 1
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Bench {
    /// The bundle, a folder
    bundle: PathBuf,
    /// A dictionary of that bundle
    dictionary: PathBuf,
    /// Images to score in turn [default: the bundle's probe as a PNG in memory]
    #[arg(long, value_name = "IMAGE|DIR")]
    images: Option<PathBuf>,
    /// Scores that count
    #[arg(long, value_name = "R", default_value = "20")]
    repeat: NonZeroU32,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backbone: BackboneFlags,
}

const EXAMPLE: &str = "\
total_ms is decode_ms, backbone_ms and sparse_coding_ms together; gradient_map_ms is what --map gradient adds.

Example:
  sparsight bench bundle leather.dictionary --images test/good --threads 1";

/// Medians in milliseconds, and what they hold for.
#[derive(Serialize)]
struct Figures {
    decode_ms: f32,
    backbone_ms: f32,
    sparse_coding_ms: f32,
    gradient_map_ms: f32,
    total_ms: f32,
    threads: usize,
    atoms: usize,
    provider: String,
    repeat: usize,
}

/// Where images come from.
enum Source {
    Files(Vec<PathBuf>),
    Memory(Vec<u8>),
}

impl Bench {
    pub fn run(mut self, verbose: bool) -> anyhow::Result<Exit> {
        let threads = *self.backbone.threads.get_or_insert(NonZeroUsize::MIN);
        let mut detector = self.backbone.open(&self.bundle, verbose)?;
        let dictionary = Dictionary::read_to_score(&self.dictionary, detector.bundle())?;
        let source = match &self.images {
            Some(path) => Source::Files(find_images(&[path])?.into_iter().map(|image| image.path).collect()),
            None => Source::Memory(probe_png(&detector)?),
        };
        let (input, provider) =
            (detector.bundle().manifest.input, detector.backbone().provider().to_string());
        let mut scorer = detector.with_dictionary(&dictionary)?;
        let mut samples = Vec::new();
        for i in 0..WARM_UP + self.repeat.get() as usize {
            samples.push(measure(&mut scorer, &source, i, &input)?);
        }
        let median = |stage: usize| median(samples[WARM_UP..].iter().map(|sample| sample[stage]).collect());
        let figures = Figures {
            decode_ms: median(0),
            backbone_ms: median(1),
            sparse_coding_ms: median(2),
            total_ms: median(3),
            gradient_map_ms: median(4),
            threads: threads.get(),
            atoms: dictionary.atom_count(),
            provider,
            repeat: self.repeat.get() as usize,
        };
        print(&figures, self.json)?;
        Ok(Exit::Done)
    }
}

/// Milliseconds of decoding, backbone, sparse coding, all three, and the gradient map for the `i`th image.
fn measure(scorer: &mut Scorer, source: &Source, i: usize, input: &InputConfig) -> anyhow::Result<[f32; 5]> {
    let start = Instant::now();
    let image = source.load(i, input)?;
    let decode = start.elapsed();
    let elapsed = scorer.score_input(image.view())?.elapsed;
    let total = start.elapsed();
    // What it takes beyond a score; its sparse coding goes on to the gradient in the features, and no clock parts the two.
    let start = Instant::now();
    scorer.gradient_map(image.view())?;
    let gradient_map = start.elapsed().saturating_sub(elapsed.backbone + elapsed.sparse_coding);
    Ok([decode, elapsed.backbone, elapsed.sparse_coding, total, gradient_map]
        .map(|time| 1e3 * time.as_secs_f32()))
}

impl Source {
    fn load(&self, i: usize, input: &InputConfig) -> Result<Array3<f32>, ImageError> {
        let image = match self {
            Self::Files(files) => read_image(&files[i % files.len()])?,
            Self::Memory(bytes) => decode_image(bytes, Path::new(PROBE_FILE))?,
        };
        Ok(to_input(&image, input))
    }
}

/// The probe's first query as a PNG file.
fn probe_png(detector: &Detector) -> anyhow::Result<Vec<u8>> {
    let bundle = detector.bundle();
    let path = bundle.path.join(PROBE_FILE);
    let unusable = || format!("{}: is not a probe; export the bundle again", path.display());
    let probe = Probe::from_bytes(&bundle.read(PROBE_FILE)?).with_context(unusable)?;
    let query = probe.query.axis_iter(Axis(0)).next().with_context(unusable)?;
    let (_, height, width) = query.dim();
    let pixels: Vec<u8> =
        query.permuted_axes([1, 2, 0]).iter().map(|value| (255.0 * value).round() as u8).collect();
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(&pixels, width as u32, height as u32, ExtendedColorType::Rgb8)?;
    Ok(bytes)
}

fn median(mut values: Vec<f32>) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn print(figures: &Figures, json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(figures)?)?;
        return Ok(());
    }
    for (name, milliseconds) in [
        ("decode_ms", figures.decode_ms),
        ("backbone_ms", figures.backbone_ms),
        ("sparse_coding_ms", figures.sparse_coding_ms),
        ("total_ms", figures.total_ms),
        ("gradient_map_ms", figures.gradient_map_ms),
    ] {
        writeln!(out, "{name:<18}{milliseconds:>10.3}")?;
    }
    for (name, value) in [
        ("threads", figures.threads.to_string()),
        ("atoms", figures.atoms.to_string()),
        ("provider", figures.provider.clone()),
        ("repeat", figures.repeat.to_string()),
    ] {
        writeln!(out, "{name:<18}{value:>10}")?;
    }
    Ok(())
}
