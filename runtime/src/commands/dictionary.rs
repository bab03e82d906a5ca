//! `sparsight dictionary`: what a dictionary holds, and changes to it. The rest stays, and all is calibrated anew.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use ndarray::{Axis, concatenate, stack};
use sparsight_runtime::{
    bundle::Bundle,
    calibration::DEFAULT_FALSE_ALARM_RATE,
    dictionary::{self, DictionaryError},
    images::find_images,
};

use super::{
    Exit,
    adapt::{promise, summary},
    session::{BackboneFlags, note},
    support::read_support,
};

/// List, add or remove the shots of a dictionary
#[derive(clap::Subcommand)]
#[command(after_help = "Example:\n  sparsight dictionary list leather.dictionary")]
pub enum Dictionary {
    List(List),
    Add(Add),
    Remove(Remove),
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
}

impl Dictionary {
    pub fn run(&self, verbose: bool) -> anyhow::Result<Exit> {
        match self {
            Self::List(list) => list.run(),
            Self::Add(add) => add.run(verbose),
            Self::Remove(remove) => remove.run(),
        }
    }
}

impl List {
    fn run(&self) -> anyhow::Result<Exit> {
        let dictionary = dictionary::Dictionary::read(&self.dictionary)?;
        let width = dictionary.shots.iter().map(|shot| shot.name.chars().count()).max().unwrap_or(0);
        let mut out = io::stdout().lock();
        for (i, shot) in dictionary.shots.iter().enumerate() {
            let score = dictionary.calibration.as_ref().map_or("-".into(), |c| format!("{:.6}", c.scores[i]));
            writeln!(out, "{:width$}  {score:>12}  {}", shot.name, shot.sha256)?;
        }
        Ok(Exit::Done)
    }
}

impl Add {
    fn run(&self, verbose: bool) -> anyhow::Result<Exit> {
        let mut detector = self.backbone.open(&self.bundle, verbose)?;
        let mut dictionary = dictionary::Dictionary::read_for(&self.dictionary, detector.bundle())?;
        let images = find_images(&self.images)?;
        let support = read_support(&images, &detector.bundle().manifest.input, &dictionary.shots)?;
        if support.is_empty() {
            bail!("{}: holds all of these images already; nothing was written", self.dictionary.display());
        }
        let inputs: Vec<_> = support.iter().map(|image| image.input.view()).collect();
        let features = detector.backbone_mut().features(stack(Axis(0), &inputs)?.view())?;
        dictionary.support_features =
            concatenate(Axis(0), &[dictionary.support_features.view(), features.view()])?;
        dictionary.shots.extend(support.into_iter().map(|image| image.shot));
        replace(dictionary, &self.dictionary, detector.bundle())
    }
}

impl Remove {
    fn run(&self) -> anyhow::Result<Exit> {
        let bundle = Bundle::open(&self.bundle)?;
        let mut dictionary = dictionary::Dictionary::read_for(&self.dictionary, &bundle)?;
        for name in &self.shots {
            let place = dictionary.shots.iter().position(|shot| shot.name == *name).with_context(|| {
                format!(
                    "{}: holds no shot named {name}; see sparsight dictionary list",
                    self.dictionary.display()
                )
            })?;
            dictionary.shots.remove(place);
            dictionary.support_features.remove_index(Axis(0), place);
        }
        replace(dictionary, &self.dictionary, &bundle)
    }
}

/// Calibrates a changed dictionary for the rate it had and writes it.
fn replace(mut dictionary: dictionary::Dictionary, path: &Path, bundle: &Bundle) -> anyhow::Result<Exit> {
    let rate = dictionary.calibration.as_ref().map_or(DEFAULT_FALSE_ALARM_RATE, |c| c.false_alarm_rate);
    dictionary
        .calibrate(bundle, rate)
        .map_err(|fault| DictionaryError { path: path.to_path_buf(), fault })?;
    dictionary.write(path)?;
    note(format_args!("{}: {}", path.display(), summary(&dictionary)));
    note(format_args!("{}", promise(dictionary.calibration.as_ref(), rate)));
    Ok(Exit::Done)
}
