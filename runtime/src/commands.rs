//! The commands and what they share; each has a file of its own.

mod adapt;
mod bench;
mod calibrate;
mod destinations;
mod dictionary;
mod feed;
mod info;
mod promise;
mod score;
mod scoring;
mod session;
mod stream;
mod support;
mod trust;
mod verify;
mod watch;

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use sparsight_runtime::signals::INTERRUPTED;

/// Few-shot visual anomaly detection: adapts to a category with a few good images, then scores others.
#[derive(Parser)]
#[command(name = "sparsight", version, after_help = EXAMPLE)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say which ONNX Runtime library and provider are used
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

const EXAMPLE: &str = "\
Example:
  sparsight adapt bundle good/ -o leather.dictionary
  sparsight score bundle leather.dictionary new/ --heatmaps heatmaps

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 anomalies found (only score --fail-on-anomaly),
130 interrupted";

#[derive(Subcommand)]
enum Command {
    Adapt(adapt::Adapt),
    Calibrate(calibrate::Calibrate),
    Score(score::Score),
    Watch(watch::Watch),
    Stream(stream::Stream),
    #[command(subcommand)]
    Dictionary(dictionary::Dictionary),
    Verify(verify::Verify),
    Info(info::Info),
    Bench(bench::Bench),
}

/// How a command that did not fail ends; the number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All done.
    Done = 0,
    /// An image is anomalous, and that was to be told.
    Anomalous = 3,
    /// A signal said to stop before the end.
    Interrupted = INTERRUPTED as isize,
}

/// Runs the command.
///
/// # Errors
/// One line that names the file and what to do.
pub fn run(cli: Cli) -> anyhow::Result<Exit> {
    let verbose = cli.verbose;
    if cli.quiet {
        session::be_quiet();
    }
    match cli.command {
        Command::Adapt(command) => command.run(verbose),
        Command::Calibrate(command) => command.run(verbose),
        Command::Score(command) => command.run(verbose),
        Command::Watch(command) => command.run(verbose),
        Command::Stream(command) => command.run(verbose),
        Command::Dictionary(command) => command.run(verbose),
        Command::Verify(command) => command.run(verbose),
        Command::Info(command) => command.run(),
        Command::Bench(command) => command.run(verbose),
    }
}

/// Ends the program as clap does where it sees itself that flags don't go together.
fn wrong_usage(message: &str) -> ! {
    Cli::command().error(ErrorKind::ArgumentConflict, message).exit()
}
