//! The `sparsight` command: exit codes and the last line on stderr. What the commands do is in `commands`.

mod commands;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

fn main() -> ExitCode {
    let error = match commands::run(commands::Cli::parse()) {
        Ok(exit) => return ExitCode::from(exit as u8),
        Err(error) => error,
    };
    // Whoever read stdout has seen enough, as `head` does.
    let broken_pipe = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if error.downcast_ref().is_some_and(broken_pipe) {
        return ExitCode::SUCCESS;
    }
    let line = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    let _ = writeln!(io::stderr(), "error: {line}");
    ExitCode::from(1)
}
