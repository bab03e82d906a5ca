//! A bundle on disk: its manifest, and proof that its files are the ones that the manifest lists. What the files
//! mean is for others to know.

use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};

use sparsight_schemas::{Manifest, ParseError, Valid};

use crate::{
    replace::{sha256_hex, sha256_of_file},
    signature::{PublicKey, SignatureError},
};

/// The manifest's file name in a bundle.
pub const MANIFEST_FILE: &str = "manifest.yaml";

/// The file name of the manifest's signature, if a bundle is signed.
pub const SIGNATURE_FILE: &str = "manifest.yaml.minisig";

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
    /// The pinned key that signed it; none if no key was pinned.
    pub signer: Option<PublicKey>,
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
    /// Something lies in a file's place that is none, and reading it may never end.
    #[error("{}: is not a regular file; copy or export the bundle again", .0.display())]
    NotAFile(PathBuf),
    /// A public key is pinned, and it did not sign the manifest.
    #[error(transparent)]
    Signature(#[from] SignatureError),
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
        Self::open_signed(path, None)
    }

    /// As [`Bundle::open`], but before anything is parsed, `public_key` must have signed the manifest: its
    /// [`SIGNATURE_FILE`] is checked, and as the manifest lists the sha256 of every other file, all are covered.
    /// Without a key no signature is looked for.
    ///
    /// # Errors
    /// As [`Bundle::open`]; a signature that is missing, of another key, or not of this manifest.
    pub fn open_signed(path: &Path, public_key: Option<&PublicKey>) -> Result<Self, BundleError> {
        if !path.exists() {
            return Err(BundleError::NoFolder(path.to_path_buf()));
        }
        if !path.is_dir() {
            return Err(BundleError::NotAFolder(path.to_path_buf()));
        }
        let manifest_path = path.join(MANIFEST_FILE);
        let bytes = read_manifest(&manifest_path)?;
        if let Some(public_key) = public_key {
            public_key.check(&bytes, &path.join(SIGNATURE_FILE))?;
        }
        let sha256 = sha256_hex(&bytes);
        let manifest = parse_manifest(bytes, &manifest_path)?;
        for (name, expected) in &manifest.files {
            let file = path.join(name);
            check_regular(&file)?;
            let found = sha256_of_file(&file).map_err(|source| unreadable(&file, source))?;
            matches(&file, expected, found)?;
        }
        Ok(Self { path: path.to_path_buf(), manifest, sha256, signer: public_key.cloned() })
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

fn read_manifest(path: &Path) -> Result<Vec<u8>, BundleError> {
    check_regular(path)?;
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(LARGEST_MANIFEST + 1).read_to_end(&mut bytes))
        .map_err(|source| unreadable(path, source))?;
    match bytes.len() as u64 > LARGEST_MANIFEST {
        true => Err(BundleError::NotAManifest { path: path.to_path_buf(), reason: "larger than 1 MiB" }),
        false => Ok(bytes),
    }
}

fn parse_manifest(bytes: Vec<u8>, path: &Path) -> Result<Valid<Manifest>, BundleError> {
    let text = String::from_utf8(bytes)
        .map_err(|_| BundleError::NotAManifest { path: path.to_path_buf(), reason: "not UTF-8 text" })?;
    Valid::parse(&text).map_err(|source| BundleError::Manifest { path: path.to_path_buf(), source })
}

/// Pipes and devices may have no end.
fn check_regular(path: &Path) -> Result<(), BundleError> {
    match fs::metadata(path).map_err(|source| unreadable(path, source))?.is_file() {
        true => Ok(()),
        false => Err(BundleError::NotAFile(path.to_path_buf())),
    }
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
