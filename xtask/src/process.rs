//! Running other programs: one clear line when one is missing or fails. Nothing here knows which programs there are.

use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a command that talks to the user itself.
///
/// # Errors
/// If it can't start or exits with anything but 0.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// Runs a command for what it prints; what it says on stderr is shown as it comes.
///
/// # Errors
/// If it can't start, exits with anything but 0, or prints something that isn't UTF-8.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting `{}`", line(command)))?;
    if !output.status.success() {
        bail!("`{}` failed ({})", line(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no UTF-8", line(command)))
}

/// Runs a command silently; whether it succeeded, and all that it said, is for the caller to judge.
///
/// # Errors
/// If it can't start.
pub fn silent(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("starting `{}`", line(command)))
}

/// The command as one would type it, without its environment.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
