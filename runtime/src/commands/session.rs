//! Flags that choose how the backbone is run, and talk about what came of them. stdout is for data; this is stderr.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use sparsight_runtime::{
    backbone::{CudaFault, MOST_THREADS, Options, Provider},
    detector::Detector,
    terminal::printable,
};

use super::trust::Trust;

/// Sessions on one GPU, at most: enough that it computes while images are decoded.
const MOST_ON_CUDA: usize = 4;

/// How the backbone is run.
#[derive(clap::Args)]
pub struct BackboneFlags {
    /// What computes the backbone; auto takes CUDA if it starts, and says so if it should and does not
    #[arg(long, value_name = "auto|cpu|cuda", default_value_t = Provider::Auto)]
    provider: Provider,
    /// Threads in all; score shares them among images [default: one for each core; bench: 1]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZeroUsize>,
    /// Which GPU computes, as CUDA counts them [default: 0]
    #[arg(long, value_name = "N")]
    device_id: Option<u16>,
    /// Memory that ONNX Runtime may take of the GPU for arrays: bytes, or a number of MB, GB, MiB or GiB
    /// [default: what it wants]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    gpu_memory_limit: Option<usize>,
    /// The ONNX Runtime library [default: $ORT_DYLIB_PATH, else beside this program, else target/onnxruntime]
    #[arg(long, value_name = "PATH")]
    onnxruntime: Option<PathBuf>,
    #[command(flatten)]
    trust: Trust,
}

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse::<NonZeroUsize>() {
        Ok(threads) if threads.get() <= MOST_THREADS => Ok(threads),
        _ => Err(format!("must be a number from 1 to {MOST_THREADS}")),
    }
}

/// A number of bytes from text such as 512MiB.
fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = match text[digits..].trim_start() {
        "" | "B" => Some(1),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let bytes = unit.and_then(|unit| text[..digits].parse::<usize>().ok()?.checked_mul(unit));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "must be a size like 512MiB or 2GB".into())
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
        let for_a_gpu = self.device_id.is_some() || self.gpu_memory_limit.is_some();
        if self.provider == Provider::Cpu && for_a_gpu {
            let message = "--device-id and --gpu-memory-limit are for a GPU, and --provider cpu uses none";
            super::wrong_usage(message);
        }
        let options = Options {
            provider: self.provider,
            threads,
            device_id: self.device_id.unwrap_or(0),
            gpu_memory_limit: self.gpu_memory_limit,
            library: self.onnxruntime.clone(),
            public_key: self.trust.public_key()?,
        };
        let detector = Detector::open_with(bundle, &options)?;
        let backbone = detector.backbone();
        if verbose {
            let library = backbone.library();
            note(format_args!("ONNX Runtime: {} ({})", library.path.display(), library.found));
            note(format_args!("provider: {}", backbone.provider()));
        }
        // That a library for CPUs computes on the CPU is no news, unless a GPU was spoken of.
        match backbone.provider_note() {
            Some(fault) if verbose => note(format_args!("CUDA does not start: {fault}")),
            Some(CudaFault::NotBuiltIn) if !for_a_gpu => {}
            Some(_) => note(format_args!("CUDA does not start, the CPU computes (-v says why)")),
            None => {}
        }
        Ok(detector)
    }
}

/// Whether stderr is for errors alone, for the rest of the process.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Keeps notes and counters from stderr from now on.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Says something on stderr, unless it should be quiet. That nobody listens is no reason to stop.
pub fn note(message: fmt::Arguments) {
    if !QUIET.load(Ordering::Relaxed) {
        let _ = writeln!(io::stderr(), "{}", printable(&message.to_string()));
    }
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
        let quiet = QUIET.load(Ordering::Relaxed);
        Self { total, shown: !quiet && io::stderr().is_terminal() && !results_on_terminal }
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
