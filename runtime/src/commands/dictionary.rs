//! `sparsight dictionary`: what a dictionary holds, and changes to it. The rest stays, and all is calibrated anew.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::bail;
use sparsight_runtime::{
    bundle::Bundle,
    calibration::{Calibration, Method},
    dictionary::{self, DictionaryError, DictionaryFault, Shot},
    images::find_images,
    terminal::printable,
};

use super::{
    Exit, adapt,
    destinations::{lock, refuse_to_replace_what_is_read},
    promise::{promise, summary},
    session::{BackboneFlags, note},
    support::read_support,
    trust::Trust,
};

/// List, add, remove or merge the shots of dictionaries
#[derive(clap::Subcommand)]
#[command(after_help = "Example:\n  sparsight dictionary list leather.dictionary")]
pub enum Dictionary {
    List(List),
    Add(Add),
    Remove(Remove),
    Merge(Merge),
}

/// List the shots of a dictionary: name, calibration score, sha256
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sparsight dictionary list leather.dictionary")]
pub struct List {
    /// The dictionary file
    dictionary: PathBuf,
}

/// Add good images to a dictionary
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sparsight dictionary add bundle leather.dictionary good/010.png")]
pub struct Add {
    /// The bundle that the dictionary was made with
    bundle: PathBuf,
    /// The dictionary file to change
    dictionary: PathBuf,
    /// Good images, or folders of them
    #[arg(required = true, value_name = "IMAGE|DIR")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    backbone: BackboneFlags,
}

/// Remove shots from a dictionary, by the names that list shows
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sparsight dictionary remove bundle leather.dictionary 003.png")]
pub struct Remove {
    /// The bundle that the dictionary was made with; its settings are needed for the new threshold
    bundle: PathBuf,
    /// The dictionary file to change
    dictionary: PathBuf,
    /// Names of shots
    #[arg(required = true, value_name = "SHOT")]
    shots: Vec<String>,
    #[command(flatten)]
    trust: Trust,
}

/// Make one dictionary of the shots of several, with the settings of the first
#[derive(clap::Args)]
#[command(after_help = MERGE_EXAMPLE)]
pub struct Merge {
    /// The bundle that all were made with
    bundle: PathBuf,
    /// Dictionary files
    #[arg(required = true, num_args = 2.., value_name = "DICTIONARY")]
    dictionaries: Vec<PathBuf>,
    /// The dictionary file to write; may be one of them
    #[arg(short, long, value_name = "DICTIONARY")]
    output: PathBuf,
    #[command(flatten)]
    trust: Trust,
}

const MERGE_EXAMPLE: &str = "\
An image that is in several counts once. A shot whose name is taken is called after its file, as monday/000.png.

Example:
  sparsight dictionary merge bundle monday.dictionary tuesday.dictionary -o leather.dictionary";

impl Dictionary {
    pub fn run(&self, verbose: bool) -> anyhow::Result<Exit> {
        match self {
            Self::List(list) => list.run(),
            Self::Add(add) => add.run(verbose),
            Self::Remove(remove) => remove.run(),
            Self::Merge(merge) => merge.run(),
        }
    }
}

impl List {
    fn run(&self) -> anyhow::Result<Exit> {
        let dictionary = dictionary::Dictionary::read(&self.dictionary)?;
        let names: Vec<String> = dictionary.shots.iter().map(|shot| printable(&shot.name)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let scores = dictionary.calibration.as_ref().and_then(Calibration::shot_scores);
        let mut out = io::stdout().lock();
        for (i, shot) in dictionary.shots.iter().enumerate() {
            let score = scores.map_or("-".into(), |scores| format!("{:.6}", scores[i]));
            writeln!(out, "{:width$}  {score:>12}  {}", names[i], shot.sha256)?;
        }
        if dictionary.roi.is_some() || !dictionary.poses.are_as_taken() {
            note(format_args!("{}", summary(&dictionary)));
        }
        Ok(Exit::Done)
    }
}

impl Add {
    fn run(&self, verbose: bool) -> anyhow::Result<Exit> {
        let mut detector = self.backbone.open(&self.bundle, verbose)?;
        let _lock = lock(&self.dictionary)?;
        let mut dictionary = dictionary::Dictionary::read_for(&self.dictionary, detector.bundle())?;
        let before = dictionary.calibration.clone();
        let images = find_images(&self.images)?;
        if dictionary.poses.turn() {
            adapt::check_square(&images)?;
        }
        let support = read_support(&images, &detector.bundle().manifest.input, &dictionary.shots)?;
        if support.is_empty() {
            bail!("{}: holds all of these images already; nothing was written", self.dictionary.display());
        }
        let features = detector.support_features(&support, dictionary.poses)?;
        let shots: Vec<Shot> = support.into_iter().map(|image| image.shot).collect();
        let names: Vec<String> = shots.iter().map(|shot| shot.name.clone()).collect();
        dictionary.add(shots, features).map_err(at(&self.dictionary))?;
        let done = replace(dictionary, before, &self.dictionary, detector.bundle())?;
        for name in names.iter().filter(|name| images.iter().all(|i| i.name.display().to_string() != **name))
        {
            note(format_args!(
                "{name}: is what the new shot is called, because another has the name of its file"
            ));
        }
        Ok(done)
    }
}

impl Remove {
    fn run(&self) -> anyhow::Result<Exit> {
        let bundle = self.trust.open(&self.bundle)?;
        let _lock = lock(&self.dictionary)?;
        let mut dictionary = dictionary::Dictionary::read_for(&self.dictionary, &bundle)?;
        let before = dictionary.calibration.clone();
        self.shots.iter().try_for_each(|name| dictionary.remove(name)).map_err(at(&self.dictionary))?;
        if dictionary.shots.is_empty() {
            bail!(
                "{}: these are all of its shots; add others first, or delete the file; nothing was written",
                self.dictionary.display()
            );
        }
        replace(dictionary, before, &self.dictionary, &bundle)
    }
}

impl Merge {
    fn run(&self) -> anyhow::Result<Exit> {
        let bundle = self.trust.open(&self.bundle)?;
        refuse_to_replace_what_is_read(&[&self.bundle], &self.output)?;
        let _lock = lock(&self.output)?;
        let read = |path: &PathBuf| dictionary::Dictionary::read_for(path, &bundle);
        let all = self.dictionaries.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut merged = all[0].clone();
        for (path, other) in self.dictionaries.iter().zip(&all).skip(1) {
            let label = path.file_stem().unwrap_or_default().to_string_lossy();
            let added = merged.merge(other, &label).map_err(at(path))?;
            if added < other.shots.len() {
                let (known, shots) = (other.shots.len() - added, other.shots.len());
                note(format_args!("{}: {known} of {shots} shots are there already", path.display()));
            }
        }
        replace(merged, all[0].calibration.clone(), &self.output, &bundle)
    }
}

/// Names the file that is at fault.
fn at(path: &Path) -> impl Fn(DictionaryFault) -> DictionaryError {
    let path = path.to_path_buf();
    move |fault| DictionaryError { path: path.clone(), fault }
}

/// Calibrates a changed dictionary and writes it; `before` is the calibration that it had.
fn replace(
    mut dictionary: dictionary::Dictionary,
    before: Option<Calibration>,
    path: &Path,
    bundle: &Bundle,
) -> anyhow::Result<Exit> {
    dictionary.calibrate(bundle).map_err(at(path))?;
    dictionary.write(path)?;
    note(format_args!("{}: {}", path.display(), summary(&dictionary)));
    if let Some(Calibration { method: Method::HeldOut, scores, .. }) = before {
        note(format_args!(
            "the threshold of {} held-out images went, because other shots score them; give them to sparsight \
             calibrate again",
            scores.len()
        ));
    }
    promise(&dictionary).iter().for_each(|line| note(format_args!("{line}")));
    Ok(Exit::Done)
}
