//! Where results go. No two results share a file, and none replaces what it was made from.

use std::{
    cell::OnceCell,
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{anyhow, bail};
use sparsight_runtime::{
    bundle::{MANIFEST_FILE, SIGNATURE_FILE},
    images::FoundImage,
    replace::WriteLock,
};
use sparsight_schemas::BUNDLE_FILES;

use super::session::note;

/// The file below `folder` for each image: its name there, with another extension, which comes behind its own where images differ
/// in nothing else.
///
/// # Errors
/// Two images with one name, or a file that is one of the images; nothing was written.
pub fn destinations(images: &[FoundImage], folder: &Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let sources = Sources::new(images);
    let mut names: HashMap<PathBuf, HashSet<&Path>> = HashMap::new();
    for image in images {
        names.entry(image.name.with_extension("")).or_default().insert(&image.name);
    }
    let mut taken: HashMap<PathBuf, &Path> = HashMap::new();
    let mut files = Vec::with_capacity(images.len());
    for image in images {
        let file = match names[&image.name.with_extension("")].len() {
            1 => folder.join(&image.name).with_extension(extension),
            _ => folder.join(&image.name).with_added_extension(extension),
        };
        let other = taken.insert(file.clone(), &image.path).filter(|other| *other != image.path);
        if let Some(other) = other {
            bail!(
                "{}: would hold the results of both {} and {}; give the folder above them, or score them apart",
                file.display(),
                other.display(),
                image.path.display()
            );
        }
        sources.refuse_to_replace(&file)?;
        files.push(file);
    }
    Ok(files)
}

/// Where images really are, behind all links.
pub struct Sources<'a> {
    images: &'a [FoundImage],
    real: OnceCell<HashSet<PathBuf>>,
}

impl<'a> Sources<'a> {
    pub fn new(images: &'a [FoundImage]) -> Self {
        Self { images, real: OnceCell::new() }
    }

    /// Checks that `file` is none of them.
    ///
    /// # Errors
    /// It is one of them.
    pub fn refuse_to_replace(&self, file: &Path) -> anyhow::Result<()> {
        // Files that are not there yet are the rule, and can't be one of the images.
        let Ok(file_itself) = file.canonicalize() else { return Ok(()) };
        let real = || self.images.iter().filter_map(|image| image.path.canonicalize().ok()).collect();
        match self.real.get_or_init(real).contains(&file_itself) {
            true => {
                bail!("{}: is one of the images, and would be replaced; write elsewhere", file.display())
            }
            false => Ok(()),
        }
    }
}

/// Checks that `file` is none of the files that a command reads besides images, nor one of the files of a bundle that it reads.
///
/// # Errors
/// It is one of them.
pub fn refuse_to_replace_what_is_read(read: &[&Path], file: &Path) -> anyhow::Result<()> {
    let Ok(real) = file.canonicalize() else { return Ok(()) };
    let of_bundle = || BUNDLE_FILES.into_iter().chain([MANIFEST_FILE, SIGNATURE_FILE]);
    let is_read = |path: PathBuf| path == real || of_bundle().any(|name| path.join(name) == real);
    match read.iter().find(|path| path.canonicalize().is_ok_and(is_read)) {
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
