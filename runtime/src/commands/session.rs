//! Flags that choose how the backbone is run, and talk about what came of them. stdout is for data; this is stderr.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use sparsight_runtime::{
    backbone::{MOST_THREADS, Options, Provider},
    detector::Detector,
};

/// Sessions on one GPU, at most: enough that it computes while images are decoded.
const MOST_ON_CUDA: usize = 4;

/// How the backbone is run.
#[derive(clap::Args)]
pub struct BackboneFlags {
    /// What computes the backbone; auto takes CUDA if it starts and says so if it does not
    #[arg(long, value_name = "auto|cpu|cuda", default_value_t = Provider::Auto)]
    provider: Provider,
    /// Threads in all; score shares them among images [default: one for each core; bench: 1]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZeroUsize>,
    /// The ONNX Runtime library [default: $ORT_DYLIB_PATH, else beside this program, else target/onnxruntime]
    #[arg(long, value_name = "PATH")]
    onnxruntime: Option<PathBuf>,
}

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse::<NonZeroUsize>() {
        Ok(threads) if threads.get() <= MOST_THREADS => Ok(threads),
        _ => Err(format!("must be a number from 1 to {MOST_THREADS}")),
    }
}

impl BackboneFlags {
    /// Opens the bundle and loads its backbone.
    pub fn open(&self, bundle: &Path, verbose: bool) -> anyhow::Result<Detector> {
        self.open_on(self.threads.map_or(0, NonZeroUsize::get), bundle, verbose)
    }

    /// Opens the bundle once for each of the threads that score `images` images side by side. On the CPU that is a
    /// thread for each, or where there are fewer images than threads, several.
    pub fn open_for(&self, images: usize, bundle: &Path, verbose: bool) -> anyhow::Result<Vec<Detector>> {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS);
        let threads = self.threads.map_or_else(cores, NonZeroUsize::get);
        let side_by_side = threads.min(images).max(1);
        let threads = threads / side_by_side;
        let mut detectors = vec![self.open_on(threads, bundle, verbose)?];
        let side_by_side = match detectors[0].backbone().provider() {
            Provider::Cuda => side_by_side.min(MOST_ON_CUDA),
            _ => side_by_side,
        };
        let others = std::thread::scope(|scope| {
            let open = || detectors[0].beside(threads);
            let opening: Vec<_> = (1..side_by_side).map(|_| scope.spawn(open)).collect();
            opening
                .into_iter()
                .map(|opening| opening.join().expect("no panic"))
                .collect::<Result<Vec<_>, _>>()
        })?;
        detectors.extend(others);
        Ok(detectors)
    }

    fn open_on(&self, threads: usize, bundle: &Path, verbose: bool) -> anyhow::Result<Detector> {
        let options = Options { provider: self.provider, threads, library: self.onnxruntime.clone() };
        let detector = Detector::open_with(bundle, &options)?;
        let backbone = detector.backbone();
        if verbose {
            let library = backbone.library();
            note(format_args!("ONNX Runtime: {} ({})", library.path.display(), library.found));
            note(format_args!("provider: {}", backbone.provider()));
        }
        match backbone.provider_note() {
            Some(reason) if verbose => note(format_args!("CUDA does not start: {reason}")),
            Some(_) => note(format_args!("CUDA does not start, the CPU computes (-v says why)")),
            None => {}
        }
        Ok(detector)
    }
}

/// Says something on stderr. That nobody listens is no reason to stop.
pub fn note(message: fmt::Arguments) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// A counter on stderr, in place; nothing if stderr is not a terminal or the results appear on one anyway.
pub struct Progress {
    total: usize,
    shown: bool,
}

impl Progress {
    /// Of `total` images; `results_on_stdout` says whether each shows itself there.
    pub fn new(total: usize, results_on_stdout: bool) -> Self {
        let results_on_terminal = results_on_stdout && io::stdout().is_terminal();
        Self { total, shown: io::stderr().is_terminal() && !results_on_terminal }
    }

    /// Shows that `done` images are done.
    pub fn show(&self, done: usize) {
        if self.shown {
            let _ = write!(io::stderr(), "\r{done}/{} images", self.total);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r{:width$}\r", "", width = 2 * self.total.to_string().len() + 8);
        }
    }
}
