//! Files and folders are replaced whole or not at all, and known by their sha256. Nothing else in the runtime
//! writes to the file system.

mod lock;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub use lock::WriteLock;
use sha2::{Digest, Sha256};

/// Why something could not be written; nothing was left behind.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// The folder that the file should go to is not there.
    #[error("{}: the folder {} does not exist; create it or write elsewhere", path.display(), folder.display())]
    NoFolder {
        /// What should have been written.
        path: PathBuf,
        /// The folder that is missing.
        folder: PathBuf,
    },
    /// A file should go where a folder is, or a folder where a file is.
    #[error("{}: is {found}, not {expected}; write elsewhere or remove it", path.display())]
    OtherKind {
        /// What should have been written.
        path: PathBuf,
        /// What is there.
        found: &'static str,
        /// What would have been replaced.
        expected: &'static str,
    },
    /// The system refuses.
    #[error("{}: can't be written ({source}); {}", path.display(), remedy(source))]
    Refused {
        /// What should have been written.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The error of `path` that a refusal of the system is. Some of the system's reasons come with the name of a temporary file, which
/// is gone and would mislead.
fn refused(path: &Path) -> impl Fn(io::Error) -> ReplaceError {
    move |source| {
        let within = source.get_ref().and_then(|error| error.source()?.downcast_ref::<io::Error>());
        let code = within.unwrap_or(&source).raw_os_error();
        let source = code.map_or_else(|| source.kind().into(), io::Error::from_raw_os_error);
        ReplaceError::Refused { path: path.to_path_buf(), source }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "allow writing to its folder, or write elsewhere",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space, or write elsewhere",
        io::ErrorKind::ReadOnlyFilesystem => "write to another file system",
        _ => "write elsewhere",
    }
}

/// Writes `bytes` to a temporary file beside `path`, then renames it: whoever reads `path` meets the old bytes or
/// the new ones. A link is followed; a device or a pipe is written to as it is.
///
/// # Errors
/// The path, the system's reason and what to do; the old file is untouched.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), ReplaceError> {
    let mut replacement = Replacement::begin(path)?;
    replacement.write(bytes)?;
    replacement.finish()
}

/// A file that is replaced as [`replace_file`] does it, with bytes that come bit by bit. If it is dropped unfinished, the
/// old file stays and nothing is left behind.
pub struct Replacement {
    path: PathBuf,
    target: PathBuf,
    file: Destination,
}

/// Where the bytes go until they are all there.
enum Destination {
    Sibling(tempfile::NamedTempFile),
    Device(fs::File),
}

impl Replacement {
    /// Makes the temporary file.
    ///
    /// # Errors
    /// As [`replace_file`].
    pub fn begin(path: &Path) -> Result<Self, ReplaceError> {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let file = match sibling(path, &target)? {
            Some(sibling) => Destination::Sibling(sibling),
            None => {
                let opened = fs::OpenOptions::new().write(true).open(&target);
                Destination::Device(opened.map_err(refused(path))?)
            }
        };
        Ok(Self { path: path.to_path_buf(), target, file })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// As [`replace_file`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ReplaceError> {
        let written = match &mut self.file {
            Destination::Sibling(sibling) => io::Write::write_all(sibling, bytes),
            Destination::Device(device) => io::Write::write_all(device, bytes),
        };
        written.map_err(refused(&self.path))
    }

    /// Renames the temporary file.
    ///
    /// # Errors
    /// As [`replace_file`].
    pub fn finish(self) -> Result<(), ReplaceError> {
        let refused = refused(&self.path);
        if let Destination::Sibling(sibling) = self.file {
            sibling.as_file().sync_all().map_err(&refused)?;
            sibling.persist(&self.target).map_err(|error| refused(error.error))?;
        }
        Ok(())
    }
}

/// Whether [`replace_file`] would get as far as writing, for those who work long before they know the bytes.
///
/// # Errors
/// As [`replace_file`].
pub fn check_replaceable(path: &Path) -> Result<(), ReplaceError> {
    sibling(path, &fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())).map(drop)
}

/// An empty temporary file beside `target`, to which `path` leads; none if that is a device or a pipe.
fn sibling(path: &Path, target: &Path) -> Result<Option<tempfile::NamedTempFile>, ReplaceError> {
    if target.is_dir() {
        let (found, expected) = ("a folder", "a file");
        return Err(ReplaceError::OtherKind { path: path.to_path_buf(), found, expected });
    }
    if target.exists() && !target.is_file() {
        return Ok(None);
    }
    let folder = existing_folder(path, target)?;
    let mut builder = tempfile::Builder::new();
    open_to_others(&mut builder, 0o666);
    let sibling = builder.prefix(".sparsight-").tempfile_in(&folder).map_err(refused(path))?;
    if let Ok(old) = target.metadata() {
        sibling.as_file().set_permissions(old.permissions()).map_err(refused(path))?;
    }
    Ok(Some(sibling))
}

/// Lets `fill` write a temporary folder beside `path`, then swaps it in. If `fill` or the swap fails, what stood at
/// `path` still stands there. Whether an existing folder may be replaced is for the caller to check.
///
/// # Errors
/// Those of `fill`; a path that is not a folder; the system's refusal.
pub fn replace_directory<E: From<ReplaceError>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let refused = refused(path);
    if target.exists() && !target.is_dir() {
        return Err(ReplaceError::OtherKind {
            path: path.to_path_buf(),
            found: "a file",
            expected: "a folder",
        }
        .into());
    }
    let folder = existing_folder(path, &target)?;
    let mut builder = tempfile::Builder::new();
    open_to_others(&mut builder, 0o777);
    let builder = builder.prefix(".sparsight-");
    let filled = builder.tempdir_in(&folder).map_err(&refused)?;
    fill(filled.path())?;
    if exchanged(filled.path(), &target) {
        return Ok(()); // the old folder goes with the temporary one, whose place it has
    }
    // The old folder steps aside into `retired`, which goes when this function ends, and comes back if the new one
    // can't take its place.
    let retired = builder.tempdir_in(&folder).map_err(&refused)?;
    let old = retired.path().join("old");
    let replaces = target.exists();
    if replaces {
        fs::rename(&target, &old).map_err(&refused)?;
    }
    if let Err(error) = fs::rename(filled.path(), &target) {
        if replaces {
            fs::rename(&old, &target).map_err(&refused)?;
        }
        return Err(refused(error).into());
    }
    Ok(())
}

/// Whether two folders changed places, in one step: whoever looks finds a whole one, and so does who comes after a loss of power.
/// False where there is no second one, or a system or file system that can't.
#[cfg(target_os = "linux")]
fn exchanged(one: &Path, other: &Path) -> bool {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn exchanged(_: &Path, _: &Path) -> bool {
    false
}

/// The sha256 of `bytes` in lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    sha256_of_parts(&[bytes])
}

/// The sha256 of bytes that lie in several places, one behind the other, in lower-case hexadecimal digits.
pub(crate) fn sha256_of_parts(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hex(&hasher.finalize())
}

/// The sha256 of a file in lower-case hexadecimal digits, without holding the file in memory.
///
/// # Errors
/// The system's reason why the file can't be read.
pub fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder that `target` lies in.
fn existing_folder(path: &Path, target: &Path) -> Result<PathBuf, ReplaceError> {
    let folder = match target.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_path_buf(),
        None => PathBuf::from("/"),
    };
    match folder.is_dir() {
        true => Ok(folder),
        false => Err(ReplaceError::NoFolder { path: path.to_path_buf(), folder }),
    }
}

/// Temporary files are private by default; these become results, which the umask alone should restrict.
fn open_to_others(builder: &mut tempfile::Builder, mode: u32) {
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = (builder, mode);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace_file(&path, b"old").unwrap();
        replace_file(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(entries(folder.path()), ["a"]);
    }

    #[test]
    fn a_file_that_is_never_finished_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace_file(&path, b"old").unwrap();
        let mut replacement = Replacement::begin(&path).unwrap();
        replacement.write(b"ne").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(replacement);
        assert_eq!(entries(folder.path()), ["a"]);
        let mut replacement = Replacement::begin(&path).unwrap();
        [&b"ne"[..], b"w"].iter().for_each(|bytes| replacement.write(bytes).unwrap());
        replacement.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(entries(folder.path()), ["a"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = replace_file(&folder.path().join("nowhere/a"), b"").unwrap_err().to_string();
        assert!(error.contains("nowhere does not exist"), "{error}");
    }

    #[test]
    fn a_check_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        check_replaceable(&folder.path().join("a")).unwrap();
        assert!(check_replaceable(&folder.path().join("nowhere/a")).is_err());
        assert_eq!(entries(folder.path()), [""; 0]);
    }

    #[test]
    fn a_folder_is_not_replaced_by_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = replace_file(folder.path(), b"").unwrap_err().to_string();
        assert!(error.contains("is a folder, not a file"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_its_target_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, b"old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        replace_file(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }

    #[test]
    fn a_folder_is_replaced_with_all_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle");
        for names in [["a", "b"], ["c", "d"]] {
            replace_directory(&path, |temporary| {
                names.iter().try_for_each(|name| replace_file(&temporary.join(name), b"x"))
            })
            .unwrap();
        }
        assert_eq!(entries(&path), ["c", "d"]);
        assert_eq!(entries(folder.path()), ["bundle"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_is_replaced_is_there_all_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        let replace = || replace_directory(&path, |temporary| replace_file(&temporary.join("a"), b"x"));
        replace().unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..200 {
                    replace().unwrap();
                }
                done.store(true, std::sync::atomic::Ordering::Relaxed);
            });
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                assert!(path.is_dir());
            }
        });
        assert_eq!(entries(folder.path()), ["checkpoint"]);
    }

    #[test]
    fn a_failed_fill_leaves_the_old_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a"), b"old").unwrap();
        let failed: Result<(), ReplaceError> = replace_directory(&path, |temporary| {
            replace_file(&temporary.join("a"), b"new")?;
            replace_file(&temporary.join("nowhere/b"), b"new")
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(path.join("a")).unwrap(), b"old");
        assert_eq!(entries(folder.path()), ["bundle"]);
    }

    #[test]
    fn the_sha256_of_a_file_is_that_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"abc").unwrap();
        assert_eq!(sha256_of_file(&path).unwrap(), sha256_hex(b"abc"));
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
