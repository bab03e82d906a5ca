//! `sparsight-pages DIR`: the manual pages and the completions of `sparsight`, from the same definition of the command
//! line as the command itself. It ships as files, not as code.

#[allow(dead_code)] // the commands are described here, not run
mod commands;

use std::{env, fs, path::PathBuf};

use anyhow::{Context, bail};
use clap::CommandFactory;
use clap_complete::{Shell, generate_to};

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        bail!("usage: sparsight-pages DIR");
    };
    let (manual, completions) = (folder.join("man/man1"), folder.join("completions"));
    for folder in [&manual, &completions] {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let command = commands::Cli::command().bin_name("sparsight");
    clap_mangen::generate_to(command.clone(), &manual)
        .with_context(|| format!("writing {}", manual.display()))?;
    for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
        generate_to(shell, &mut command.clone(), "sparsight", &completions)
            .with_context(|| format!("writing {}", completions.display()))?;
    }
    Ok(())
}
