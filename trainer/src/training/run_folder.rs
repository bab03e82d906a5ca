//! What the folder of a run holds, by name. What is in the files is for the modules that write them to say.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The folder of a run.
#[derive(Clone, Copy, Debug)]
pub struct RunFolder<'a>(pub &'a Path);

impl RunFolder<'_> {
    /// The last checkpoint, a folder.
    pub fn checkpoint(self) -> PathBuf {
        self.0.join("checkpoint")
    }

    /// The checkpoint of the best validation, a folder.
    pub fn best(self) -> PathBuf {
        self.0.join("best")
    }

    /// A line a step.
    pub fn metrics(self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// A line a validation.
    pub fn validations(self) -> PathBuf {
        self.0.join("validation.jsonl")
    }

    /// A picture of both.
    pub fn curves(self) -> PathBuf {
        self.0.join("curves.svg")
    }

    /// Removes a run, so that nothing of it is taken for a new one's; other files stay.
    ///
    /// # Errors
    /// What can't be removed, and why.
    pub fn remove(self) -> Result<(), (PathBuf, io::Error)> {
        for folder in [self.checkpoint(), self.best()].into_iter().filter(|path| path.is_dir()) {
            std::fs::remove_dir_all(&folder).map_err(|error| (folder, error))?;
        }
        for file in
            [self.metrics(), self.validations(), self.curves()].into_iter().filter(|path| path.is_file())
        {
            std::fs::remove_file(&file).map_err(|error| (file, error))?;
        }
        Ok(())
    }
}
