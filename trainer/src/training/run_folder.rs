//! What the folder of a run holds, by name. What is in the files is for the modules that write them to say.

use std::{
    fs::{File, TryLockError, remove_dir_all, remove_file},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sparsight_runtime::replace::TEMPORARY;

use crate::{checkpoint::FILES, replaceable::would_be_lost};

/// Nobody takes as long as this to write a checkpoint or a bundle.
const LONGEST_WRITE: Duration = Duration::from_secs(3600);

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

    /// Whether another training has the folder, as far as can be told without writing there.
    pub fn is_taken(self) -> bool {
        let file = File::open(self.0.join(".lock"));
        file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Removes what a killed process left half written: what is too old to be written still, by whomever. What can't be removed does
    /// no harm.
    pub fn sweep(self) {
        for entry in self.0.read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            let written = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            let is_old = written.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > LONGEST_WRITE);
            if is_old && entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                let _ = if path.is_dir() { remove_dir_all(path) } else { remove_file(path) };
            }
        }
    }

    /// Checks that its checkpoints, which are replaced whole, hold nothing else.
    ///
    /// # Errors
    /// What is no checkpoint and in the place of one, or no part of one and in its folder.
    pub fn check(self) -> Result<(), (PathBuf, io::Error)> {
        match [self.checkpoint(), self.best()].iter().find_map(|folder| would_be_lost(folder, &FILES)) {
            Some(other) => Err((other, io::Error::other("is no part of a checkpoint, and would be lost"))),
            None => Ok(()),
        }
    }

    /// Removes a run, so that nothing of it is taken for a new one's; other files stay.
    ///
    /// # Errors
    /// What can't be removed, and why; as [`RunFolder::check`], before anything is removed.
    pub fn remove(self) -> Result<(), (PathBuf, io::Error)> {
        self.check()?;
        for folder in [self.checkpoint(), self.best()].into_iter().filter(|path| path.is_dir()) {
            remove_dir_all(&folder).map_err(|error| (folder, error))?;
        }
        for file in
            [self.metrics(), self.validations(), self.curves()].into_iter().filter(|path| path.is_file())
        {
            remove_file(&file).map_err(|error| (file, error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_training_had_half_written_goes_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder(folder.path());
        let [old, new] = [".sparsight-a1b2c3", ".sparsight-d4e5f6"].map(|name| folder.path().join(name));
        for path in [&old, &new, &run.metrics()] {
            std::fs::write(path, "").unwrap();
        }
        let long_ago = std::time::SystemTime::now() - 2 * LONGEST_WRITE;
        for path in [&old, &run.metrics()] {
            File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
        }
        run.sweep();
        assert!(run.metrics().is_file() && new.is_file() && !old.exists());
    }

    #[test]
    fn a_folder_is_taken_while_a_training_has_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder(folder.path());
        assert!(!run.is_taken());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "asking writes nothing");
        let lock = run.lock().unwrap();
        assert!(lock.is_some() && run.is_taken());
        drop(lock);
        assert!(!run.is_taken());
    }

    #[test]
    fn what_is_no_part_of_a_run_is_not_removed_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder(folder.path());
        let write = |path: PathBuf| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        FILES.iter().for_each(|file| write(run.checkpoint().join(file)));
        write(run.metrics());
        write(folder.path().join("notes.txt"));
        write(run.best().join("photographs.txt"));
        let (path, error) = run.remove().unwrap_err();
        assert_eq!(path, run.best().join("photographs.txt"));
        assert!(error.to_string().contains("would be lost"));
        assert!(
            run.checkpoint().is_dir() && run.metrics().is_file(),
            "nothing is removed before all is looked at"
        );

        remove_dir_all(run.best()).unwrap();
        write(run.best());
        assert_eq!(run.remove().unwrap_err().0, run.best());
        remove_file(run.best()).unwrap();
        run.remove().unwrap();
        let left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["notes.txt"]);
    }
}
