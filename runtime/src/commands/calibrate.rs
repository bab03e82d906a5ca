//! `sparsight calibrate`: another threshold for a dictionary, from good images beyond its shots or for another rate.

use std::path::PathBuf;

use anyhow::{anyhow, ensure};
use sparsight_runtime::{
    calibration::{Calibration, Method},
    dictionary::Dictionary,
    images::find_images,
};

use super::{
    Exit, adapt,
    destinations::{Sources, lock, refuse_to_replace_what_is_read},
    promise::promise,
    session::{BackboneFlags, Progress, note},
    support::read_each,
};

/// Set the threshold of a dictionary by more good images than its shots
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Calibrate {
    /// The bundle that the dictionary was made with
    bundle: PathBuf,
    /// The dictionary file
    dictionary: PathBuf,
    /// Good images that are no shots, or folders of them; none to score each shot by the others, as adapt does
    #[arg(value_name = "IMAGE|DIR")]
    images: Vec<PathBuf>,
    /// Dictionary file to write [default: the same]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Share of good images that may be called anomalous [default: what the dictionary was made for]
    #[arg(long, value_name = "R", value_parser = adapt::rate)]
    false_alarm_rate: Option<f64>,
    #[command(flatten)]
    backbone: BackboneFlags,
}

const EXAMPLE: &str = "\
With n good images, drawn like those to come, the smallest false alarm rate that can be guaranteed is 1/(n + 1). They
must not be among the shots, which the dictionary knows: those are passed over. A change of the shots discards them.

Example:
  sparsight calibrate bundle leather.dictionary more/ --false-alarm-rate 0.01";

impl Calibrate {
    pub fn run(&self, verbose: bool) -> anyhow::Result<Exit> {
        let output = self.output.as_ref().unwrap_or(&self.dictionary);
        let images = if self.images.is_empty() { vec![] } else { find_images(&self.images)? };
        Sources::new(&images).refuse_to_replace(output)?;
        refuse_to_replace_what_is_read(&[&self.bundle], output)?;
        let mut detector = self.backbone.open(&self.bundle, verbose)?;
        let _lock = lock(output)?;
        let mut dictionary = Dictionary::read_for(&self.dictionary, detector.bundle())?;
        dictionary.false_alarm_rate = self.false_alarm_rate.unwrap_or(dictionary.false_alarm_rate);

        if images.is_empty() {
            let before = dictionary.calibration.take();
            dictionary.calibrate(detector.bundle())?;
            if let Some(Calibration { method: Method::HeldOut, scores, .. }) = before {
                let images = scores.len();
                note(format_args!(
                    "the shots set the threshold in place of {images} held-out images; give them again to have it back"
                ));
            }
        } else {
            let input = detector.bundle().manifest.input;
            let mut scorer = detector.with_dictionary(&dictionary)?;
            let progress = Progress::new(images.len(), false);
            let mut scores = Vec::new();
            read_each(&images, &input, &dictionary.shots, |image| {
                progress.show(scores.len());
                let score = scorer.score_input(image.input.view());
                scores.push(score.map_err(|error| anyhow!("{}: {error}", image.shot.name))?.anomaly_score);
                Ok(())
            })?;
            drop(progress);
            ensure!(
                !scores.is_empty(),
                "{}: all of these images are its shots, which it knows; give other good images",
                self.dictionary.display()
            );
            dictionary.calibrate_by_held_out(scores)?;
        }
        dictionary.write(output)?;
        promise(&dictionary).iter().for_each(|line| note(format_args!("{line}")));
        Ok(Exit::Done)
    }
}
