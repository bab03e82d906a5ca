//! Images that keep coming: a bounded queue between what brings them and what scores them, JSON lines out, and a clean
//! end. Where images come from is the commands' business.

mod queue;

use std::{
    fmt,
    io::{self, Write},
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;
use image::RgbImage;
use sparsight_runtime::{detector::Scorer, signals::on_signal};
use sparsight_schemas::ScoreRecord;

pub use self::queue::Queue;
use self::queue::{End, WhenFull};
use super::{
    Exit,
    scoring::{MapFlags, failed},
    session::note,
};

/// The queue between what brings images and what scores them.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct QueueFlags {
    /// Most images that wait to be scored
    #[arg(long, value_name = "N", default_value = "8")]
    queue: NonZeroUsize,
    /// What happens when that many wait and another comes
    #[arg(long, value_enum, default_value_t = WhenFull::Block)]
    when_full: WhenFull,
}

/// How much later than to others a signal may come to this process.
const SIGNAL_ON_ITS_WAY: Duration = Duration::from_secs(1);

/// What was done until the end.
#[derive(Default)]
struct Tally {
    scored: u64,
    anomalous: u64,
    failed: u64,
    first_error: Option<String>,
}

/// Scores what `bring` puts into the queue until it is done or a signal says to stop; `read` gives an image's name and
/// its pixels. What waits at that moment is still scored. `unit` is what the summary counts, in the plural.
pub fn run<T: Send + 'static>(
    unit: &str,
    flags: QueueFlags,
    maps: MapFlags,
    scorer: &mut Scorer,
    bring: impl FnOnce(&Queue<T>) -> anyhow::Result<()> + Send + 'static,
    read: impl Fn(T) -> (String, anyhow::Result<RgbImage>),
) -> anyhow::Result<Exit> {
    let queue = Arc::new(Queue::new(flags.queue, flags.when_full));
    let stopped = queue.clone();
    on_signal(move || stopped.end(End::Signal))?;
    // Not joined: a read that waits for more goes with the process.
    let source = queue.clone();
    thread::spawn(move || {
        let end = match bring(&source) {
            Ok(()) => End::Input,
            Err(error) => End::Failure(error),
        };
        source.end(end);
    });

    let start = Instant::now();
    let mut tally = Tally::default();
    let mut out = io::stdout().lock();
    while let Some(item) = queue.take() {
        let (name, pixels) = read(item);
        let record = match pixels.and_then(|pixels| maps.score(scorer, &pixels, false)) {
            Ok(scored) => scored.into_record(name),
            Err(error) => failed(name, &error),
        };
        tally.count(&record);
        if let Err(error) = writeln!(out, "{}", serde_json::to_string(&record)?) {
            match error.kind() {
                // Ctrl-C ends a whole pipeline, and whoever reads may be the first to go.
                io::ErrorKind::BrokenPipe if queue.is_stopped_within(SIGNAL_ON_ITS_WAY) => break,
                io::ErrorKind::BrokenPipe => {
                    bail!("stdout: {error}; start what reads the records again, then this")
                }
                _ => bail!("stdout: {error}; free some space, or write elsewhere"),
            }
        }
    }

    let (end, brought, dropped) = queue.outcome();
    let reason = match &end {
        End::Input => "end of input",
        End::Signal => "stopped by a signal",
        End::Failure(_) => "the input failed",
    };
    let seconds = start.elapsed().as_secs_f32();
    note(format_args!("{brought} {unit} came, {tally}, {dropped} dropped in {seconds:.1} s; {reason}"));
    match (end, tally.first_error) {
        (End::Failure(error), _) => Err(error),
        (End::Input, Some(first)) => {
            bail!("{} of {brought} {unit} could not be scored, the first: {first}", tally.failed)
        }
        _ => Ok(Exit::Done),
    }
}

impl Tally {
    fn count(&mut self, record: &ScoreRecord) {
        match &record.error {
            Some(error) => {
                self.failed += 1;
                self.first_error.get_or_insert_with(|| error.clone());
            }
            None => self.scored += 1,
        }
        self.anomalous += u64::from(record.anomalous == Some(true));
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} scored, {} of them anomalous, {} failed", self.scored, self.anomalous, self.failed)
    }
}
