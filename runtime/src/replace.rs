//! Files are replaced whole or not at all; so are folders, in `folder`, and `sha256` says what both hold. Nothing else in the
//! runtime writes to the file system.

mod folder;
mod lock;
mod sha256;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub use folder::{NewFolder, replace_directory};
pub use lock::WriteLock;
pub(crate) use sha256::sha256_of_parts;
pub use sha256::{sha256_hex, sha256_of_file};

/// How the names of temporary files and folders begin, which are there for good only where the process was killed.
pub const TEMPORARY: &str = ".sparsight-";

/// Links behind one another that are followed, as Linux does.
const MOST_LINKS: usize = 40;

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

impl ReplaceError {
    /// The same of another path: where what could not be written was to be in the end.
    fn of(mut self, place: PathBuf) -> Self {
        let (Self::NoFolder { path, .. } | Self::OtherKind { path, .. } | Self::Refused { path, .. }) =
            &mut self;
        *path = place;
        self
    }
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
        let target = behind_links(path);
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
    sibling(path, &behind_links(path)).map(drop)
}

/// What is written at `path`: behind all links, also where nothing is there yet. What has no path of its own, as a pipe, stays
/// as it is called.
fn behind_links(path: &Path) -> PathBuf {
    let mut target = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        if target.exists() {
            return target.canonicalize().unwrap_or(target);
        }
        let Ok(next) = target.read_link() else { return target };
        target = target.parent().unwrap_or(Path::new("")).join(next);
    }
    path.to_path_buf() // it leads in circles
}

/// Where a result at `path` lies, behind all links; what is not there yet, as far as its folders are. Two results with the same are
/// one.
pub fn real_path(path: &Path) -> PathBuf {
    real_folder(&behind_links(path))
}

fn real_folder(path: &Path) -> PathBuf {
    let real = path.canonicalize();
    real.unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) if folder.as_os_str().is_empty() => real_folder(Path::new(".")).join(name),
        (Some(folder), Some(name)) => real_folder(folder).join(name),
        _ => path.to_path_buf(),
    })
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
    let sibling = builder.prefix(TEMPORARY).tempfile_in(&folder).map_err(refused(path))?;
    if let Ok(old) = target.metadata() {
        sibling.as_file().set_permissions(old.permissions()).map_err(refused(path))?;
    }
    Ok(Some(sibling))
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

    pub fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_also_where_nothing_is_yet() {
        let folder = tempfile::tempdir().unwrap();
        let [link, other, target] = ["link", "other", "sub/target"].map(|name| folder.path().join(name));
        fs::create_dir(folder.path().join("sub")).unwrap();
        std::os::unix::fs::symlink("sub/../other", &link).unwrap();
        std::os::unix::fs::symlink(&target, &other).unwrap();
        for bytes in [b"1", b"2"] {
            replace_file(&link, bytes).unwrap();
            assert_eq!(fs::read(&target).unwrap(), bytes);
            assert!(link.is_symlink() && other.is_symlink());
        }
        assert_eq!(real_path(&link), target.canonicalize().unwrap());
        let circle = folder.path().join("circle");
        std::os::unix::fs::symlink("circle", &circle).unwrap();
        assert_eq!(real_path(&circle).file_name(), circle.file_name());
        let within = folder.path().join("within");
        std::os::unix::fs::symlink("within/x", &within).unwrap();
        assert!(real_path(&within).ends_with("within/x"));
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
}
