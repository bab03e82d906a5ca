//! The commands of `sparsight-train`, a file each: arguments, and what joins the library's parts for them.

pub mod bench;
pub mod evaluate;
pub mod export;
pub mod plan;
pub mod preview;
pub mod synth;
pub mod train;

use std::{
    fmt::Display,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, Result};
use sparsight_schemas::{Config, Valid};

/// A line on stderr; where that is closed or full, none, and the work goes on.
fn note(words: impl Display) {
    let _ = writeln!(io::stderr(), "{words}");
}

/// Reads and checks a config file.
fn read_config(path: &Path) -> Result<Valid<Config>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: can't be read; give the path of a config file", path.display()))?;
    Valid::parse(&text).with_context(|| path.display().to_string())
}
