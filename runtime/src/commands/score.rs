//! `sparsight score`: images in, records, maps and heat maps out, one image at a time.

mod records;

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::{bail, ensure};
use clap::ArgGroup;
use image::RgbImage;
use ndarray::Array2;
use sparsight_runtime::{
    detector::{Score as Figures, Scorer},
    dictionary::Dictionary,
    heatmap::{draw_heatmap, energy_scale, gradient_scale, write_png},
    images::{FoundImage, find_images, read_image, to_input},
    maps::{energy_map_on_image, gradient_map_on_image, limit_to_roi},
    npy::write_npy,
    replace::{check_replaceable, replace_file},
};
use sparsight_schemas::ScoreRecord;

use self::records::{Format, RecordWriter};
use super::{
    Exit,
    destinations::{destinations, make_folder_of, refuse_to_replace},
    session::{BackboneFlags, Progress},
};

/// Score images: how far each is from the good ones of a dictionary
#[derive(clap::Args)]
#[command(after_help = EXAMPLE, group(ArgGroup::new("drawn").args(["heatmaps", "save_maps"]).multiple(true)))]
pub struct Score {
    /// The bundle, a folder
    bundle: PathBuf,
    /// A dictionary of that bundle
    dictionary: PathBuf,
    /// Images, or folders of them (searched to the bottom)
    #[arg(required = true, value_name = "IMAGE|DIR")]
    images: Vec<PathBuf>,
    /// Form of the records
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// File for the records, written when all are there [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Draw each map over its image as a PNG in this folder, coloured relative to the threshold
    #[arg(long, value_name = "DIR")]
    heatmaps: Option<PathBuf>,
    /// Store each map as float32 .npy of the image's height x width in this folder
    #[arg(long, value_name = "DIR")]
    save_maps: Option<PathBuf>,
    /// The map that is drawn and stored; scores are always of the energy map
    #[arg(long, value_enum, default_value_t = Map::Energy, requires = "drawn")]
    map: Map,
    /// Exit with 3 if an image is anomalous and none failed
    #[arg(long)]
    fail_on_anomaly: bool,
    #[command(flatten)]
    backbone: BackboneFlags,
}

const EXAMPLE: &str = "\
Heat maps: twice the threshold and more is the brightest colour, the threshold the middle one, 0 leaves the image as
it is. A gradient map has no threshold of its own: its highest value is coloured as the image's score.

Example:
  sparsight score bundle leather.dictionary new/ --format json -o scores.json --heatmaps heatmaps";

/// The maps that an image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Map {
    /// Energy at each feature position
    Energy,
    /// |d energy / d image|: it needs good weights, and about five times the work
    Gradient,
}

/// Where the results of one image go.
struct Destination<'a> {
    heatmap: Option<&'a Path>,
    map: Option<&'a Path>,
}

impl Score {
    pub fn run(&self, verbose: bool) -> anyhow::Result<Exit> {
        let mut detector = self.backbone.open(&self.bundle, verbose)?;
        let dictionary = Dictionary::read_for(&self.dictionary, detector.bundle())?;
        ensure!(
            dictionary.threshold().is_some() || !self.fail_on_anomaly,
            "{}: has no threshold for --fail-on-anomaly; adapt again with at least two images",
            self.dictionary.display()
        );
        let images = find_images(&self.images)?;
        let files = |folder: &Option<PathBuf>, extension| {
            folder.as_ref().map(|folder| destinations(&images, folder, extension)).transpose()
        };
        let (heatmaps, maps) = (files(&self.heatmaps, "png")?, files(&self.save_maps, "npy")?);
        if let Some(output) = &self.output {
            refuse_to_replace(&images, output)?;
            check_replaceable(output)?;
        }

        let mut scorer = detector.with_dictionary(&dictionary)?;
        let (mut buffer, mut stdout) = (Vec::new(), io::stdout().lock());
        let colour = self.output.is_none() && stdout.is_terminal() && !no_colour();
        let out: &mut dyn Write = if self.output.is_some() { &mut buffer } else { &mut stdout };
        let width = images.iter().map(|image| image.path.display().to_string().chars().count()).max();
        let mut writer = RecordWriter::new(self.format, out, width.unwrap_or(0), colour);
        let progress = Progress::new(images.len(), self.output.is_none());
        let (mut anomalous, mut errors) = (0, Vec::new());
        for (i, image) in images.iter().enumerate() {
            progress.show(i);
            let destination = Destination {
                heatmap: heatmaps.as_ref().map(|files| files[i].as_path()),
                map: maps.as_ref().map(|files| files[i].as_path()),
            };
            let record = self.score(&mut scorer, image, &destination)?;
            anomalous += usize::from(record.anomalous == Some(true));
            writer.write(&record)?;
            errors.extend(record.error);
        }
        drop(progress);
        writer.finish()?;
        if let Some(output) = &self.output {
            replace_file(output, &buffer)?;
        }
        match errors.as_slice() {
            [] if anomalous > 0 && self.fail_on_anomaly => Ok(Exit::Anomalous),
            [] => Ok(Exit::Done),
            [error] => bail!("1 of {} images could not be scored: {error}", images.len()),
            [first, ..] => {
                bail!("{} of {} images could not be scored, the first: {first}", errors.len(), images.len())
            }
        }
    }

    /// Scores one image and writes its maps. What is wrong with the image is in the record; an error is what would
    /// fail for every image.
    fn score(
        &self,
        scorer: &mut Scorer,
        image: &FoundImage,
        destination: &Destination,
    ) -> anyhow::Result<ScoreRecord> {
        let name = image.path.display().to_string();
        let (figures, pixels, map) = match self.compute(scorer, &image.path, destination) {
            Ok(computed) => computed,
            Err(error) => {
                return Ok(ScoreRecord {
                    image: name,
                    error: Some(error.to_string()),
                    ..ScoreRecord::default()
                });
            }
        };
        if let (Some(path), Some(map)) = (destination.map, &map) {
            make_folder_of(path)?;
            write_npy(path, map.view())?;
        }
        if let (Some(path), Some(map)) = (destination.heatmap, &map) {
            make_folder_of(path)?;
            let scale = match self.map {
                Map::Energy => energy_scale(map.view(), figures.threshold),
                Map::Gradient => gradient_scale(map.view(), figures.anomaly_score, figures.threshold),
            };
            write_png(path, &draw_heatmap(pixels, map.view(), scale))?;
        }
        let text = |path: Option<&Path>| path.map(|path| path.display().to_string());
        Ok(ScoreRecord {
            image: name,
            anomaly_score: Some(figures.anomaly_score),
            energy: Some(figures.energy),
            threshold: figures.threshold,
            false_alarm_rate: figures.false_alarm_rate,
            guaranteed_rate: figures.guaranteed_rate,
            anomalous: figures.anomalous,
            provider: Some(scorer.detector().backbone().provider().to_string()),
            heatmap: text(destination.heatmap),
            map: text(destination.map),
            error: None,
        })
    }

    /// The figures, the pixels, and the map at the image's size if it goes anywhere.
    fn compute(
        &self,
        scorer: &mut Scorer,
        path: &Path,
        destination: &Destination,
    ) -> anyhow::Result<(Figures, RgbImage, Option<Array2<f32>>)> {
        let pixels = read_image(path)?;
        let manifest = scorer.detector().bundle().manifest.clone();
        let input = to_input(&pixels, &manifest.input);
        let figures = scorer.score_input(input.view())?;
        let (width, height) = (pixels.width() as usize, pixels.height() as usize);
        let map = match self.map {
            _ if destination.heatmap.is_none() && destination.map.is_none() => None,
            Map::Energy => Some(energy_map_on_image(figures.scored_map.view(), &manifest, height, width)),
            Map::Gradient => {
                let map = scorer.gradient_map(input.view())?;
                Some(gradient_map_on_image(map.view(), &manifest, height, width))
            }
        };
        let map = match scorer.roi() {
            Some(roi) => map.map(|map| limit_to_roi(map, roi, &manifest, self.map != Map::Gradient)),
            None => map,
        };
        Ok((figures, pixels, map))
    }
}

/// Whether the environment asks for no colours (no-color.org).
fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
