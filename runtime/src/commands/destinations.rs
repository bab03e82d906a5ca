//! Where results go. No two results share a file, and none replaces what it was made from.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{anyhow, bail};
use sparsight_runtime::{images::FoundImage, replace::WriteLock};

use super::session::note;

/// The file below `folder` for each image: its name there, with another extension.
///
/// # Errors
/// Two images with one name, or a file that is one of the images; nothing was written.
pub fn destinations(images: &[FoundImage], folder: &Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut taken: HashMap<PathBuf, &Path> = HashMap::new();
    let mut files = Vec::with_capacity(images.len());
    for image in images {
        let file = folder.join(&image.name).with_extension(extension);
        let other = taken.insert(file.clone(), &image.path).filter(|other| *other != image.path);
        if let Some(other) = other {
            bail!(
                "{}: would hold the results of both {} and {}; give the folder above them, or score them apart",
                file.display(),
                other.display(),
                image.path.display()
            );
        }
        refuse_to_replace(images, &file)?;
        files.push(file);
    }
    Ok(files)
}

/// Checks that `file` is none of `images`.
///
/// # Errors
/// It is one of them.
pub fn refuse_to_replace(images: &[FoundImage], file: &Path) -> anyhow::Result<()> {
    // Files that are not there yet are the rule, and can't be one of the images.
    let Ok(real) = file.canonicalize() else { return Ok(()) };
    match images.iter().find(|image| image.path.canonicalize().is_ok_and(|path| path == real)) {
        Some(_) => bail!("{}: is one of the images, and would be replaced; write elsewhere", file.display()),
        None => Ok(()),
    }
}

/// Checks that `file` is none of the files that a command reads besides images, nor one of a folder that it reads.
///
/// # Errors
/// It is one of them.
pub fn refuse_to_replace_what_is_read(read: &[&Path], file: &Path) -> anyhow::Result<()> {
    let Ok(real) = file.canonicalize() else { return Ok(()) };
    match read.iter().find(|path| path.canonicalize().is_ok_and(|path| real.starts_with(path))) {
        Some(path) => bail!(
            "{}: is what this command reads ({}), and would be replaced; write elsewhere",
            file.display(),
            path.display()
        ),
        None => Ok(()),
    }
}

/// The right to replace a dictionary; whoever changes one takes it before they read it.
///
/// # Errors
/// The system's refusal.
pub fn lock(dictionary: &Path) -> anyhow::Result<WriteLock> {
    let waiting = || note(format_args!("{}: waits for another command to change it", dictionary.display()));
    Ok(WriteLock::acquire(dictionary, waiting)?)
}

/// Makes the folder that `file` goes to.
///
/// # Errors
/// The system's refusal.
pub fn make_folder_of(file: &Path) -> anyhow::Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    fs::create_dir_all(folder)
        .map_err(|error| anyhow!("{}: can't be made a folder ({error}); write elsewhere", folder.display()))
}
