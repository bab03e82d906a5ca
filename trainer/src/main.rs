//! `sparsight-train`: its table of contents. Each command lives in a file of its own under `commands`.

mod commands;
mod memory;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use sparsight_runtime::terminal::printable;

/// Meta-train few-shot anomaly detection over many categories, and export it for `sparsight`
#[derive(Parser)]
#[command(
    name = "sparsight-train",
    version,
    max_term_width = 100,
    after_help = "Example:\n  sparsight-train train --config trainer/configs/demo.yaml\n  \
    sparsight-train export --checkpoint runs/demo/checkpoint -o bundle"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Synth(commands::synth::SynthArgs),
    Plan(commands::plan::PlanArgs),
    Preview(commands::preview::PreviewArgs),
    Train(commands::train::TrainArgs),
    Export(commands::export::ExportArgs),
    Evaluate(commands::evaluate::EvaluateArgs),
    Bench(commands::bench::BenchArgs),
}

fn main() -> ExitCode {
    memory::keep();
    let result = match Cli::parse().command {
        Command::Synth(args) => commands::synth::run(args),
        Command::Plan(args) => commands::plan::run(args),
        Command::Preview(args) => commands::preview::run(args),
        Command::Train(args) => commands::train::run(args),
        Command::Export(args) => commands::export::run(args),
        Command::Evaluate(args) => commands::evaluate::run(args),
        Command::Bench(args) => commands::bench::run(args),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Every other error of the system names its file, so a bare one is of standard output.
    let line = match error.downcast_ref::<io::Error>().filter(|_| error.chain().len() == 1) {
        // Whoever read it has seen enough, as `head` does.
        Some(bare) if bare.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Some(bare) => format!("standard output: {bare}; make room where it goes"),
        None => in_one_line(&error),
    };
    let _ = writeln!(io::stderr(), "error: {}", printable(&line));
    ExitCode::FAILURE
}

/// What went wrong and why; a cause that the messages before it quote is not said twice.
fn in_one_line(error: &anyhow::Error) -> String {
    let causes =
        error.chain().map(|cause| cause.to_string().split_whitespace().collect::<Vec<_>>().join(" "));
    let whole =
        causes.reduce(|said, cause| if said.contains(&cause) { said } else { format!("{said}: {cause}") });
    whole.unwrap_or_default()
}
