//! One writer at a time for a file that is read, changed and replaced. Readers take no lock: what is replaced whole is
//! whole whenever they look.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::{ReplaceError, existing_folder, refused};

/// The right to replace a file, held until this goes; the system takes it back from a process that dies.
///
/// It is a lock on an empty file `.NAME.lock` beside the one that is replaced, whose own lock would go with the old
/// bytes. It binds only those who ask for it. On Unix the empty file goes with the lock; one that a killed process left
/// behind stops nobody. On file systems without locks there is none.
#[must_use]
#[derive(Debug)]
pub struct WriteLock {
    held: Option<(File, PathBuf)>,
}

impl WriteLock {
    /// Waits for the right to replace the file at `path`, which need not be there; `waiting` is called once if another
    /// holds it. A device or a pipe needs none.
    ///
    /// # Errors
    /// The path, the system's reason and what to do.
    pub fn acquire(path: &Path, waiting: impl FnOnce()) -> Result<Self, ReplaceError> {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let Some(name) = target.file_name().filter(|_| !target.exists() || target.is_file()) else {
            return Ok(Self { held: None });
        };
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".lock");
        let lock = existing_folder(path, &target)?.join(hidden);
        let refused = refused(path);
        let mut waiting = Some(waiting);
        loop {
            // Another user's is as good to lock, if it may be read.
            let file = match File::options().write(true).create_new(true).open(&lock) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match File::open(&lock) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue, // gone meanwhile
                    opened => opened,
                },
                made => made.inspect(open_to_others),
            };
            let file = file.map_err(&refused)?;
            let locked = match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    waiting.take().into_iter().for_each(|say| say());
                    file.lock()
                }
                Err(TryLockError::Error(error)) => Err(error),
                Ok(()) => Ok(()),
            };
            match locked {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Self { held: None }),
                Err(error) => return Err(refused(error)),
                // Whoever held it may have removed it meanwhile, and a lock on a removed file keeps nobody out.
                Ok(()) if lies_at(&file, &lock) => return Ok(Self { held: Some((file, lock)) }),
                Ok(()) => {}
            }
        }
    }
}

/// Lets every user lock it: there is nothing in it.
fn open_to_others(lock: &File) {
    #[cfg(unix)]
    let _ = lock.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    #[cfg(not(unix))]
    let _ = lock;
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // While it is locked nobody else removes it or puts another in its place.
        #[cfg(unix)]
        if let Some((_, path)) = &self.held {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(unix)]
fn lies_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if same(&a, &b))
}

/// Elsewhere lock files are not removed.
#[cfg(not(unix))]
fn lies_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn two_holders_never_overlap_and_the_second_is_told_to_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let (inside, waited) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let say = || {
                            waited.fetch_add(1, Ordering::SeqCst);
                        };
                        let lock = WriteLock::acquire(&path, say).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        thread::sleep(Duration::from_micros(20));
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(waited.into_inner() > 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_leaves_nothing_behind_and_one_left_behind_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".a.lock"), "").unwrap();
        drop(WriteLock::acquire(&folder.path().join("a"), || panic!("nobody holds it")).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = WriteLock::acquire(&folder.path().join("nowhere/a"), || ()).unwrap_err().to_string();
        assert!(error.contains("nowhere does not exist"), "{error}");
    }
}
