//! The `sparsight` command: exit codes and the last line on stderr. What the commands do is in `commands`.

mod commands;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use sparsight_runtime::terminal::printable;

fn main() -> ExitCode {
    let error = match commands::run(commands::Cli::parse()) {
        Ok(exit) => return ExitCode::from(exit as u8),
        Err(error) => error,
    };
    // Every other error of the system names its file, so a bare one is of standard output.
    let line = match error.downcast_ref::<io::Error>() {
        // Whoever read it has seen enough, as `head` does.
        Some(bare) if bare.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Some(bare) => format!("standard output: {bare}; make room where it goes"),
        None => error.to_string(),
    };
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let _ = writeln!(io::stderr(), "error: {}", printable(&line));
    ExitCode::from(1)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::commands::Cli;

    /// The commands below `command` and itself, but for the help that clap adds.
    fn visit(command: &clap::Command, check: &mut impl FnMut(&clap::Command)) {
        check(command);
        command
            .get_subcommands()
            .filter(|below| below.get_name() != "help")
            .for_each(|below| visit(below, check));
    }

    #[test]
    fn every_command_and_group_of_commands_has_an_example() {
        let command = Cli::command();
        command.clone().debug_assert();
        let mut visited = 0;
        visit(&command, &mut |command| {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(text.contains("Example:\n  sparsight "), "{} has no example", command.get_name());
            visited += 1;
        });
        assert!(visited > 5, "there are only {visited} commands");
    }

    #[test]
    fn every_argument_is_explained() {
        visit(&Cli::command(), &mut |command| {
            for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
                let explained = argument.get_help().is_some();
                assert!(explained, "{} of {} is not explained", argument.get_id(), command.get_name());
            }
        });
    }
}
