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

use anyhow::{Context, Error, Result};
use sparsight_schemas::{Config, Valid};
use sparsight_trainer::categories::CategoryError;

/// A line on stderr; where that is closed or full, none, and the work goes on.
fn note(words: impl Display) {
    let _ = writeln!(io::stderr(), "{words}");
}

/// Reads and checks a config file.
fn read_config(path: &Path) -> Result<Valid<Config>> {
    let text = std::fs::read_to_string(path).with_context(|| match std::fs::read(path) {
        Ok(_) => format!(
            "{}: is no text of UTF-8; save it as such, or give the path of a config file",
            path.display()
        ),
        Err(_) => format!("{}: can't be read; give the path of a config file", path.display()),
    })?;
    Valid::parse(&text).with_context(|| path.display().to_string())
}

/// The categories that a config asks for. What is wrong with its names is its file's fault, what is wrong with a folder
/// that folder's.
fn asked_for<T>(read: Result<T, CategoryError>, config: &Path) -> Result<T> {
    read.map_err(|error| match error {
        CategoryError::NoRoots | CategoryError::UnknownName { .. } | CategoryError::NothingLeft(_) => {
            Error::new(error).context(format!("{}: data", config.display()))
        }
        error => error.into(),
    })
}
