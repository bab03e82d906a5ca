//! `cargo xtask`: the tasks of the project, one module each. It drives cargo, Python and the two binaries, and links
//! neither Burn nor ONNX Runtime, so that it builds in seconds.

mod bench;
mod demo;
mod dist;
mod fixtures;
mod folders;
mod json_schemas;
mod picture;
mod probe;
mod process;
mod python;
mod regress;
mod setup;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tasks of Sparsight's workspace.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Example:\n  cargo xtask demo\n  cargo xtask test"
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch ONNX Runtime into the target directory, unless ORT_DYLIB_PATH names one
    #[command(after_help = "Example:\n  cargo xtask setup")]
    Setup,
    /// Run everything that CI runs
    #[command(after_help = "Example:\n  cargo xtask test --quick")]
    Test {
        /// Leave out the lints, the documentation and the check of the dependencies
        #[arg(long)]
        quick: bool,
    },
    /// Train briefly, adapt to an unseen category, score it and evaluate: all the steps, in minutes
    Demo(demo::Demo),
    /// Measure what scoring costs: time, memory, size
    Bench(bench::Bench),
    /// Make the archive that ships: program, ONNX Runtime, bundle, licences, manual pages, completions
    Dist(dist::Dist),
    /// Make the README's picture: defects and their heat maps
    Picture(picture::Picture),
    /// Compare the released binary's report with the committed snapshot
    #[command(after_help = "Example:\n  cargo xtask regress")]
    Regress,
    /// Remake the generated files under fixtures/ and schemas/json/
    #[command(after_help = "Example:\n  cargo xtask fixtures --check")]
    Fixtures {
        /// Change nothing; fail if a committed file is stale
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let workspace = workspace::Workspace::locate()?;
    match task {
        Task::Setup => setup::run(&workspace),
        Task::Test { quick } => test::run(&workspace, quick),
        Task::Demo(demo) => demo::run(&workspace, &demo),
        Task::Bench(bench) => bench::run(&workspace, &bench),
        Task::Dist(dist) => dist::run(&workspace, &dist),
        Task::Picture(picture) => picture::run(&workspace, &picture),
        Task::Regress => regress::run(&workspace),
        Task::Fixtures { check } => fixtures::run(&workspace, &workspace.build_sparsight_train()?, check),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_help_has_an_example() {
        let command = Arguments::command();
        for task in command.get_subcommands().chain([&command]) {
            let text = task.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(text.contains("Example:\n  cargo xtask "), "{} has no example", task.get_name());
        }
    }
}
