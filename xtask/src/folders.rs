//! Folders and files: copied, compared and replaced as a whole. What is in them is not known here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Gives `work` an empty folder within `parent` that is gone afterwards.
pub fn with_temporary<T>(parent: &Path, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    let scratch = tempfile::Builder::new().prefix(".xtask-").tempdir_in(parent);
    let scratch = scratch.with_context(|| format!("making a temporary folder in {}", parent.display()))?;
    work(scratch.path())
}

/// Fills a temporary sibling and puts it in the place of `folder`; after an error the old one is as it was.
pub fn replace(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = folder.parent().with_context(|| format!("{} has no parent", folder.display()))?;
    with_temporary(parent, |scratch| {
        let (fresh, old) = (scratch.join("fresh"), scratch.join("old"));
        fs::create_dir(&fresh).with_context(|| format!("making {}", fresh.display()))?;
        fill(&fresh)?;
        if folder.exists() {
            fs::rename(folder, &old).with_context(|| format!("moving the old {} away", folder.display()))?;
        }
        fs::rename(&fresh, folder).with_context(|| format!("moving the new {} into place", folder.display()))
    })
}

/// The entries of a folder, sorted.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut entries = read().with_context(|| format!("reading {}", folder.display()))?;
    entries.sort();
    Ok(entries)
}

/// Every file below a folder, relative to it, sorted.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in entries(&next)? {
            if entry.is_dir() {
                waiting.push(entry);
            } else {
                files.push(entry.strip_prefix(folder)?.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Copies a file, making the folders that it needs.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let make = || -> std::io::Result<()> {
        fs::create_dir_all(to.parent().unwrap_or(Path::new(".")))?;
        fs::copy(from, to).map(drop)
    };
    make().with_context(|| format!("copying {} to {}", from.display(), to.display()))
}

/// Copies a folder with all that is below it.
pub fn copy_all(from: &Path, to: &Path) -> Result<()> {
    files(from)?.iter().try_for_each(|file| copy(&from.join(file), &to.join(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_replacement_leaves_the_old_folder_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("folder");
        replace(&folder, |fresh| Ok(fs::write(fresh.join("a"), "old")?)).unwrap();
        replace(&folder, |fresh| {
            fs::write(fresh.join("a"), "half")?;
            anyhow::bail!("stopped half-way")
        })
        .unwrap_err();
        assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "old");
        assert_eq!(entries(parent.path()).unwrap(), [folder]);
    }

    #[test]
    fn a_replacement_keeps_no_file_of_the_old_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("folder");
        replace(&folder, |fresh| Ok(fs::write(fresh.join("a"), "old")?)).unwrap();
        replace(&folder, |fresh| Ok(fs::write(fresh.join("b"), "new")?)).unwrap();
        assert_eq!(files(&folder).unwrap(), [PathBuf::from("b")]);
    }
}
