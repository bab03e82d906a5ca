//! A folder that is replaced whole, with all its files. Whether it may be replaced, its owner knows.

use std::{fs, path::Path};

use super::{ReplaceError, TEMPORARY, behind_links, existing_folder, open_to_others, refused, replace_file};

/// A folder before it takes its place.
#[derive(Clone, Copy, Debug)]
pub struct NewFolder<'a> {
    path: &'a Path,
    place: &'a Path,
}

impl NewFolder<'_> {
    /// Where it is until then.
    pub fn path(&self) -> &Path {
        self.path
    }

    /// Writes a file into it.
    ///
    /// # Errors
    /// As [`replace_file`], naming the file's later place.
    pub fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<(), ReplaceError> {
        replace_file(&self.path.join(&name), bytes).map_err(|error| error.of(self.place.join(name)))
    }
}

/// Lets `fill` write a temporary folder beside `path`, then swaps it in. If `fill` or the swap fails, what stood at
/// `path` still stands there. Whether an existing folder may be replaced is for the caller to check.
///
/// # Errors
/// Those of `fill`; a path that is not a folder; the system's refusal.
pub fn replace_directory<E: From<ReplaceError>>(
    path: &Path,
    fill: impl FnOnce(NewFolder) -> Result<(), E>,
) -> Result<(), E> {
    let target = behind_links(path);
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
    let builder = builder.prefix(TEMPORARY);
    let filled = builder.tempdir_in(&folder).map_err(&refused)?;
    fill(NewFolder { path: filled.path(), place: path })?;
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

#[cfg(test)]
mod tests {
    use super::{super::tests::entries, *};

    #[test]
    fn a_folder_is_replaced_with_all_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle");
        for names in [["a", "b"], ["c", "d"]] {
            replace_directory(&path, |new| names.iter().try_for_each(|name| new.write(name, b"x"))).unwrap();
        }
        assert_eq!(entries(&path), ["c", "d"]);
        assert_eq!(entries(folder.path()), ["bundle"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_is_replaced_is_there_all_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        let replace = || replace_directory(&path, |new| new.write("a", b"x"));
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

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_folder_that_is_not_there_yet_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let [link, bundle] = ["link", "bundle"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink("bundle", &link).unwrap();
        for _ in 0..2 {
            replace_directory(&link, |new| new.write("a", b"x")).unwrap();
            assert!(link.is_symlink() && entries(&bundle) == ["a"]);
        }
    }

    #[test]
    fn a_failed_fill_leaves_the_old_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a"), b"old").unwrap();
        let failed: Result<(), ReplaceError> = replace_directory(&path, |new| {
            new.write("a", b"new")?;
            new.write("nowhere/b", b"new")
        });
        let named = path.join("nowhere/b").display().to_string();
        assert!(failed.unwrap_err().to_string().starts_with(&named));
        assert_eq!(fs::read(path.join("a")).unwrap(), b"old");
        assert_eq!(entries(folder.path()), ["bundle"]);
    }
}
