//! `sparsight score`: images in, records, maps and heat maps out, in the order of the images.

mod page;
mod records;
mod workers;

use std::{
    collections::{BTreeSet, HashSet},
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{bail, ensure};
use clap::ArgGroup;
use sparsight_runtime::{
    detector::{Detector, Scorer},
    dictionary::Dictionary,
    heatmap::{with_colour_bar, write_png},
    images::{FoundImage, find_images, read_image},
    npy::write_npy,
    replace::{check_replaceable, real_path, replace_file},
    signals::on_signal,
};
use sparsight_schemas::ScoreRecord;

use self::{
    page::{LARGEST_SIDE, Page, Pictures},
    records::{Format, RecordWriter},
    workers::in_order,
};
use super::{
    Exit,
    destinations::{Sources, destinations, make_folder_of, refuse_to_replace_what_is_read},
    scoring::{MapFlags, failed},
    session::{BackboneFlags, Progress, note},
};

/// Score images: how far each is from the good ones of a dictionary
#[derive(clap::Args)]
#[command(after_help = EXAMPLE, group(ArgGroup::new("drawn").args(["heatmaps", "save_maps", "boxes", "html"]).multiple(true)))]
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
    /// Draw each map over its image as a PNG in this folder, coloured relative to the threshold, with its contour and
    /// a colour bar
    #[arg(long, value_name = "DIR")]
    heatmaps: Option<PathBuf>,
    /// Store each map as float32 .npy of the image's height x width in this folder
    #[arg(long, value_name = "DIR")]
    save_maps: Option<PathBuf>,
    /// Write a page with sortable records, small pictures and sliders to this file; it works offline
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    maps: MapFlags,
    /// Exit with 3 if an image is anomalous and none failed
    #[arg(long)]
    fail_on_anomaly: bool,
    #[command(flatten)]
    backbone: BackboneFlags,
}

const EXAMPLE: &str = "\
Heat maps: twice the map's threshold and more is the brightest colour, the threshold the middle one, 0 leaves the image
as it is. The map's threshold is its highest value times threshold / anomaly score, so that an image has pixels above
it, and boxes, exactly if it is anomalous.

Example:
  sparsight score bundle leather.dictionary new/ --format json -o scores.json --heatmaps heatmaps --boxes";

/// Where the results of one image go.
struct Destination<'a> {
    heatmap: Option<&'a Path>,
    map: Option<&'a Path>,
}

impl Score {
    pub fn run(&self, verbose: bool) -> anyhow::Result<Exit> {
        let images = find_images(&self.images)?;
        let mut detectors = self.backbone.open_for(images.len(), &self.bundle, verbose)?;
        let dictionary = Dictionary::read_to_score(&self.dictionary, detectors[0].bundle())?;
        ensure!(
            dictionary.threshold().is_some() || !self.fail_on_anomaly,
            "{}: has no threshold for --fail-on-anomaly; adapt again with at least two images",
            self.dictionary.display()
        );
        let files = |folder: &Option<PathBuf>, extension| {
            folder.as_ref().map(|folder| destinations(&images, folder, extension)).transpose()
        };
        let (heatmaps, maps) = (files(&self.heatmaps, "png")?, files(&self.save_maps, "npy")?);
        for file in self.output.iter().chain(&self.html) {
            Sources::new(&images).refuse_to_replace(file)?;
            refuse_to_replace_what_is_read(&[&self.bundle, &self.dictionary], file)?;
            check_replaceable(file)?;
        }
        // An image that is given twice has one picture.
        let pictures: BTreeSet<&PathBuf> = heatmaps.iter().chain(&maps).flatten().collect();
        let mut real = HashSet::new();
        for file in pictures.into_iter().chain(&self.output).chain(&self.html) {
            ensure!(
                real.insert(real_path(file)),
                "{}: would hold two results; give each a file of its own",
                file.display()
            );
        }

        let scorers = scorers(&mut detectors, &dictionary)?;
        let page = self.html.as_ref().map(|file| Page::begin(file, &self.title(), dictionary.threshold()));
        let mut page = page.transpose()?;
        let (mut buffer, mut stdout) = (Vec::new(), io::stdout().lock());
        let colour = self.output.is_none() && stdout.is_terminal() && !no_colour();
        let out: &mut dyn Write = if self.output.is_some() { &mut buffer } else { &mut stdout };
        let width = images.iter().map(|image| image.path.display().to_string().chars().count()).max();
        let mut writer = RecordWriter::new(self.format, out, width.unwrap_or(0), colour);
        let progress = Progress::new(images.len(), self.output.is_none());
        let (mut anomalous, mut errors) = (0, Vec::new());
        let interrupted = Arc::new(AtomicBool::new(false));
        let heard = interrupted.clone();
        on_signal(move || heard.store(true, Ordering::Relaxed))?;
        // Whoever reads stdout may have seen enough, as `head` has; what else was asked for is still made.
        let more = self.fail_on_anomaly || self.html.is_some() || heatmaps.is_some() || maps.is_some();
        let seen_enough = |error: io::Error| match error.kind() {
            io::ErrorKind::BrokenPipe if more => Ok(()),
            _ => Err(error),
        };
        let score = |scorer: &mut Scorer, i: usize| {
            let destination = Destination {
                heatmap: heatmaps.as_ref().map(|files| files[i].as_path()),
                map: maps.as_ref().map(|files| files[i].as_path()),
            };
            self.score(scorer, &images[i], &destination)
        };
        let done = in_order(scorers, images.len(), score, |i, (record, pictures)| {
            ensure!(!interrupted.load(Ordering::Relaxed), "interrupted");
            progress.show(i + 1);
            anomalous += usize::from(record.anomalous == Some(true));
            writer.write(&record).or_else(seen_enough)?;
            if let Some(page) = &mut page {
                page.row(&record, pictures.as_ref())?;
            }
            errors.extend(record.error);
            Ok(())
        });
        drop(progress);
        let finished = writer.finish().or_else(seen_enough);
        if interrupted.load(Ordering::Relaxed) && done.is_err() {
            note(format_args!("interrupted; --output and --html are not written"));
            return Ok(Exit::Interrupted);
        }
        done?;
        finished?;
        if let Some(output) = &self.output {
            replace_file(output, &buffer)?;
        }
        if let Some(page) = page {
            page.finish()?;
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

    /// What the page is of.
    fn title(&self) -> String {
        let images: Vec<String> = self.images.iter().map(|path| path.display().to_string()).collect();
        match images.as_slice() {
            [one] => format!("{one} by {}", self.dictionary.display()),
            [first, others @ ..] => {
                format!("{first} and {} more by {}", others.len(), self.dictionary.display())
            }
            [] => self.dictionary.display().to_string(),
        }
    }

    /// Scores one image and writes its maps. What is wrong with the image is in the record; an error is what would
    /// fail for every image.
    fn score(
        &self,
        scorer: &mut Scorer,
        image: &FoundImage,
        destination: &Destination,
    ) -> anyhow::Result<(ScoreRecord, Option<Pictures>)> {
        let name = image.path.display().to_string();
        let drawn = destination.heatmap.is_some() || destination.map.is_some() || self.html.is_some();
        let scored = read_image(&image.path)
            .map_err(anyhow::Error::from)
            .and_then(|pixels| Ok((self.maps.score(scorer, &pixels, drawn)?, pixels)));
        let (scored, pixels) = match scored {
            Ok(scored) => scored,
            Err(error) => return Ok((failed(name, &error), None)),
        };
        if let (Some(path), Some(map)) = (destination.map, &scored.map) {
            make_folder_of(path)?;
            write_npy(path, map.view())?;
        }
        let pictures = match self.html {
            Some(_) => {
                let (image, heatmap) = scored.small(&pixels, LARGEST_SIDE);
                Some(Pictures::new(&image, &heatmap)?)
            }
            None => None,
        };
        if let Some(path) = destination.heatmap {
            make_folder_of(path)?;
            let (scale, threshold) = scored.scale();
            write_png(path, &with_colour_bar(&scored.draw(pixels), scale, threshold))?;
        }
        let text = |path: Option<&Path>| path.map(|path| path.display().to_string());
        let record = ScoreRecord {
            heatmap: text(destination.heatmap),
            map: text(destination.map),
            ..scored.into_record(name)
        };
        Ok((record, pictures))
    }
}

/// A scorer on each detector; they share the dictionary.
fn scorers<'a>(detectors: &'a mut [Detector], dictionary: &Dictionary) -> anyhow::Result<Vec<Scorer<'a>>> {
    let Some((first, others)) = detectors.split_first_mut() else { return Ok(vec![]) };
    let first = first.with_dictionary(dictionary)?;
    let mut scorers: Vec<_> = others.iter_mut().map(|detector| first.on(detector)).collect();
    scorers.push(first);
    Ok(scorers)
}

/// Whether the environment asks for no colours (no-color.org).
fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
