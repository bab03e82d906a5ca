//! `sparsight-train`: its table of contents. Each command lives in a file of its own under `commands`.

mod commands;
mod memory;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sparsight_runtime::terminal::printable;

/// Meta-train few-shot anomaly detection over many categories, and export it for `sparsight`
#[derive(Parser)]
#[command(
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
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", printable(&in_one_line(&error)));
            ExitCode::FAILURE
        }
    }
}

/// What went wrong and why; a cause that the messages before it quote is not said twice.
fn in_one_line(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |said, cause| {
        if said.contains(&cause) { said } else { format!("{said}: {cause}") }
    })
}
