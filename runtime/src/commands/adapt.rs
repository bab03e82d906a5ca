//! `sparsight adapt`: from good images to a dictionary file.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::{anyhow, bail};

use sparsight_runtime::{
    bundle::Bundle,
    calibration::DEFAULT_FALSE_ALARM_RATE,
    detector::Adaptation,
    dictionary::AtomSelection,
    images::{FoundImage, find_images, image_size, read_image},
    replace::check_replaceable,
    roi::{Roi, check_aspect_ratio},
};
use sparsight_schemas::Poses;

use super::{
    Exit,
    destinations::{Sources, lock, refuse_to_replace_what_is_read},
    promise::{promise, summary},
    session::{BackboneFlags, note},
    support::read_support,
};

/// Adapt a bundle to a category: make a dictionary of a few good images
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Adapt {
    /// The bundle, a folder
    bundle: PathBuf,
    /// Good images, or folders of them (searched to the bottom)
    #[arg(required = true, value_name = "IMAGE|DIR")]
    images: Vec<PathBuf>,
    /// The dictionary file to write
    #[arg(short, long, value_name = "DICTIONARY")]
    output: PathBuf,
    /// Share of good images that may be called anomalous; decides the threshold
    #[arg(long, value_name = "R", default_value_t = DEFAULT_FALSE_ALARM_RATE, value_parser = rate)]
    false_alarm_rate: f64,
    /// Keep a random selection of this many atoms, drawn as the bundle says: less memory and time, less to explain good images
    /// with
    /// [default: what the bundle asks for]
    #[arg(long, value_name = "A")]
    max_atoms: Option<NonZeroUsize>,
    /// Image of which white is the region of interest: atoms, energies, maps and score are limited to the feature
    /// positions half of whose cell is white. It has the aspect ratio of the images, at any size
    #[arg(long, value_name = "MASK")]
    roi: Option<PathBuf>,
    /// Take each image in other poses too, for parts that come in any: flips, rotations by right angles, or all eight.
    /// Not with --roi. The atoms that are kept are drawn from all poses. Rotations need square images
    #[arg(
        long,
        value_name = "POSES",
        require_equals = true,
        num_args = 0..=1,
        default_missing_value = "all",
        conflicts_with = "roi",
        value_parser = poses
    )]
    augment_support: Option<Poses>,
    /// Seed of the selection of atoms
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    backbone: BackboneFlags,
}

const EXAMPLE: &str = "\
Example:
  sparsight adapt bundle good/000.png good/001.png good/002.png -o leather.dictionary
  sparsight adapt bundle good/ -o leather.dictionary --roi mask.png --false-alarm-rate 0.05
  sparsight adapt bundle good/ -o screws.dictionary --augment-support=rotations --max-atoms 1024";

/// Poses from the command line.
fn poses(text: &str) -> Result<Poses, String> {
    Poses::named(text).ok_or_else(|| "must be flips, rotations or all".into())
}

/// A false alarm rate from the command line.
pub fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate < 1.0 => Ok(rate),
        _ => Err("must be a number above 0 and below 1".into()),
    }
}

/// The region of interest of the mask in the file `path`, which fits all of `images`.
fn read_roi(path: &Path, images: &[FoundImage], bundle: &Bundle) -> anyhow::Result<Roi> {
    let mask = read_image(path)?;
    for image in images {
        // One that has no size is reported with its reason when it is read.
        if let Ok(size) = image_size(&image.path) {
            check_aspect_ratio(mask.dimensions(), size)
                .map_err(|error| anyhow!("{}: for {}: {error}", path.display(), image.path.display()))?;
        }
    }
    Roi::from_mask(&mask, &bundle.manifest).map_err(|error| anyhow!("{}: {error}", path.display()))
}

/// Refuses images that a right angle would squeeze.
pub fn check_square(images: &[FoundImage]) -> anyhow::Result<()> {
    for image in images {
        match image_size(&image.path) {
            Ok((width, height)) if width != height => bail!(
                "{}: is not square, so that turned by a right angle it would be squeezed; use --augment-support=flips",
                image.path.display()
            ),
            _ => {} // one that has no size is reported with its reason when it is read
        }
    }
    Ok(())
}

impl Adapt {
    pub fn run(&self, verbose: bool) -> anyhow::Result<Exit> {
        let mut detector = self.backbone.open(&self.bundle, verbose)?;
        let images = find_images(&self.images)?;
        Sources::new(&images).refuse_to_replace(&self.output)?;
        let read: Vec<&Path> = std::iter::once(&self.bundle).chain(&self.roi).map(PathBuf::as_path).collect();
        refuse_to_replace_what_is_read(&read, &self.output)?;
        check_replaceable(&self.output)?;
        let roi = self.roi.as_deref().map(|mask| read_roi(mask, &images, detector.bundle())).transpose()?;
        let support = read_support(&images, &detector.bundle().manifest.input, &[])?;
        let mut sparse_coding = detector.bundle().manifest.sparse_coding;
        sparse_coding.max_atoms = self.max_atoms.map_or(sparse_coding.max_atoms, NonZeroUsize::get);
        let selection = AtomSelection::new(&sparse_coding, self.seed);
        let (false_alarm_rate, poses) = (self.false_alarm_rate, self.augment_support.unwrap_or_default());
        if poses.turn() {
            check_square(&images)?;
        }
        let adaptation = Adaptation { false_alarm_rate, selection, roi, poses };
        let dictionary = detector.dictionary(&support, &adaptation)?;
        let _lock = lock(&self.output)?;
        dictionary.write(&self.output)?;
        note(format_args!("{}: {}", self.output.display(), summary(&dictionary)));
        promise(&dictionary).iter().for_each(|line| note(format_args!("{line}")));
        Ok(Exit::Done)
    }
}
