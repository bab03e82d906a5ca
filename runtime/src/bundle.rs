//! A bundle on disk: its manifest, and proof that its files are the ones that the manifest lists. What the files
//! mean is for others to know.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sparsight_schemas::{Manifest, ParseError, Valid};

use crate::replace::{sha256_hex, sha256_of_file};

/// The manifest's file name in a bundle.
pub const MANIFEST_FILE: &str = "manifest.yaml";

/// A manifest is a page of text; more is something else.
const LARGEST_MANIFEST: u64 = 1 << 20;

/// A bundle whose files were whole when it was opened.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Its folder.
    pub path: PathBuf,
    /// What it says of itself.
    pub manifest: Valid<Manifest>,
    /// The sha256 of `manifest.yaml`; as that lists the sha256 of every other file, it stands for the bundle.
    pub sha256: String,
}

/// Why a folder is not a whole bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// There is no such folder.
    #[error("{}: no such folder; give the folder that sparsight-train export wrote", .0.display())]
    NoFolder(PathBuf),
    /// The path is a file.
    #[error("{}: is not a folder; a bundle is the folder that sparsight-train export wrote", .0.display())]
    NotAFolder(PathBuf),
    /// The manifest or a file that it lists is not there.
    #[error("{}: is missing; copy or export the bundle again", .0.display())]
    Missing(PathBuf),
    /// A file can't be read.
    #[error("{}: can't be read ({source}); copy or export the bundle again", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The manifest is too large or not UTF-8.
    #[error("{}: is not a manifest ({reason}); copy or export the bundle again", path.display())]
    NotAManifest {
        /// The manifest.
        path: PathBuf,
        /// What it is instead.
        reason: &'static str,
    },
    /// The manifest breaks a rule.
    #[error("{}: {source}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The field, its line and the rule.
        source: ParseError,
    },
    /// A file is not the one that the manifest lists.
    #[error("{}: is not the file that the manifest lists (its sha256 is {found}, not {expected}); copy or export the bundle again", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// The manifest's sha256.
        expected: String,
        /// The file's sha256.
        found: String,
    },
}

impl Bundle {
    /// Reads the manifest and checks the sha256 of every file.
    ///
    /// # Errors
    /// The file that is missing, altered or breaks a rule, and what to do.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        if !path.exists() {
            return Err(BundleError::NoFolder(path.to_path_buf()));
        }
        if !path.is_dir() {
            return Err(BundleError::NotAFolder(path.to_path_buf()));
        }
        let manifest_path = path.join(MANIFEST_FILE);
        let (manifest, sha256) = read_manifest(&manifest_path)?;
        for (name, expected) in &manifest.files {
            let file = path.join(name);
            let found = sha256_of_file(&file).map_err(|source| unreadable(&file, source))?;
            matches(&file, expected, found)?;
        }
        Ok(Self { path: path.to_path_buf(), manifest, sha256 })
    }

    /// The bytes of a file of the bundle (`name` is one of `BUNDLE_FILES`), checked once more: they may have
    /// changed since the bundle was opened, and these are the ones that will be used.
    ///
    /// # Errors
    /// The file is missing or altered.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, BundleError> {
        let file = self.path.join(name);
        let Some(expected) = self.manifest.files.get(name) else { return Err(BundleError::Missing(file)) };
        let bytes = fs::read(&file).map_err(|source| unreadable(&file, source))?;
        matches(&file, expected, sha256_hex(&bytes))?;
        Ok(bytes)
    }
}

fn read_manifest(path: &Path) -> Result<(Valid<Manifest>, String), BundleError> {
    let not_a_manifest = |reason| BundleError::NotAManifest { path: path.to_path_buf(), reason };
    let size = fs::metadata(path).map_err(|source| unreadable(path, source))?.len();
    if size > LARGEST_MANIFEST {
        return Err(not_a_manifest("larger than 1 MiB"));
    }
    let bytes = fs::read(path).map_err(|source| unreadable(path, source))?;
    let sha256 = sha256_hex(&bytes);
    let text = String::from_utf8(bytes).map_err(|_| not_a_manifest("not UTF-8 text"))?;
    let manifest =
        Valid::parse(&text).map_err(|source| BundleError::Manifest { path: path.to_path_buf(), source })?;
    Ok((manifest, sha256))
}

fn unreadable(path: &Path, source: io::Error) -> BundleError {
    match source.kind() {
        io::ErrorKind::NotFound => BundleError::Missing(path.to_path_buf()),
        _ => BundleError::Unreadable { path: path.to_path_buf(), source },
    }
}

fn matches(path: &Path, expected: &str, found: String) -> Result<(), BundleError> {
    match found == expected {
        true => Ok(()),
        false => Err(BundleError::Altered { path: path.to_path_buf(), expected: expected.into(), found }),
    }
}
