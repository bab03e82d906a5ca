//! What the folder of a run holds, by name. What is in the files is for the modules that write them to say.

use std::{
    fs::{File, TryLockError},
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

    /// Makes the folder if need be, and keeps it from other trainings while what is returned lives: the system frees it, however
    /// this process ends. None if another training has it.
    ///
    /// # Errors
    /// A folder or file that can't be made.
    pub fn lock(self) -> Result<Option<File>, (PathBuf, io::Error)> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| (path, error)
        };
        std::fs::create_dir_all(self.0).map_err(failed(self.0))?;
        let path = self.0.join(".lock");
        let file = File::create(&path).map_err(failed(&path))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(None),
            // Some file systems know no locks.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(file)),
        }
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
