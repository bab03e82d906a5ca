//! `sparsight watch`: new files of a folder, JSON lines on stdout.

mod arrivals;

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::ArgGroup;
use sparsight_runtime::{dictionary::Dictionary, images::read_image};

use self::arrivals::Arrivals;
use super::{
    Exit,
    feed::{self, QueueFlags},
    scoring::MapFlags,
    session::{BackboneFlags, note},
};

/// Score images as they appear in a folder, one JSON line each
#[derive(clap::Args)]
#[command(after_help = EXAMPLE, group(ArgGroup::new("drawn").args(["boxes"])))]
pub struct Watch {
    /// The bundle, a folder
    bundle: PathBuf,
    /// A dictionary of that bundle
    dictionary: PathBuf,
    /// The folder, watched to the bottom
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Score what is there at the start, too
    #[arg(long)]
    existing: bool,
    /// Seconds for which a file must not change until it counts as whole
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    settle: Duration,
    /// Seconds between two looks at the folder
    #[arg(long, value_name = "SECONDS", default_value = "0.2", value_parser = seconds)]
    every: Duration,
    #[command(flatten)]
    queue: QueueFlags,
    #[command(flatten)]
    maps: MapFlags,
    #[command(flatten)]
    backbone: BackboneFlags,
}

const EXAMPLE: &str = "\
A file is scored once it has kept its size and its time for --settle seconds, and again whenever it is replaced or
changed after that. Who writes elsewhere and renames it into the folder never shows half a file. Hidden files and other
extensions than those of images are passed over. It ends on SIGINT or SIGTERM once what waits is scored; a summary is
on stderr.

Example:
  sparsight watch bundle leather.dictionary camera/ >> scores.jsonl";

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f32(seconds).ok());
    seconds.filter(|seconds| *seconds <= Duration::from_secs(3600)).ok_or("must be 0 to 3600 seconds".into())
}

impl Watch {
    pub fn run(&self, verbose: bool) -> anyhow::Result<Exit> {
        ensure!(
            self.folder.is_dir(),
            "{}: no such folder; create it or check the path",
            self.folder.display()
        );
        let mut detector = self.backbone.open(&self.bundle, verbose)?;
        let dictionary = Dictionary::read_to_score(&self.dictionary, detector.bundle())?;
        let mut scorer = detector.with_dictionary(&dictionary)?;
        let mut arrivals = Arrivals::new(self.folder.clone(), self.settle);
        if !self.existing {
            arrivals.pass_over()?;
        }
        note(format_args!("watching {}", self.folder.display()));
        let every = self.every.max(Duration::from_millis(1));
        let bring = move |queue: &feed::Queue<PathBuf>| {
            while !queue.has_ended() {
                for path in arrivals.look(Instant::now())? {
                    queue.bring(path);
                }
                thread::sleep(every);
            }
            Ok(())
        };
        let read =
            |path: PathBuf| (path.display().to_string(), read_image(&path).map_err(anyhow::Error::from));
        feed::run("images", self.queue, self.maps, &mut scorer, bring, read)
    }
}
