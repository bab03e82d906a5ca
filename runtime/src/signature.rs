//! Who made a bundle: a public key that the user pins, and its signature of the manifest, both in minisign's format.
//! Signing is minisign's; what the manifest says is for others to know.

use std::{
    env, fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use minisign_verify::{Error, Signature};

/// The environment variable that pins a key, as the key itself or as its file.
pub const PUBLIC_KEY_VARIABLE: &str = "SPARSIGHT_PUBLIC_KEY";
/// The file beside the executable that pins a key.
pub const PUBLIC_KEY_FILE: &str = "sparsight.pub";

/// Keys and signatures are a few lines of text.
const LARGEST_FILE: u64 = 1 << 16;

/// A public key in minisign's format (Ed25519).
#[derive(Clone, Debug)]
pub struct PublicKey {
    /// Its one line of Base64.
    text: String,
    key: minisign_verify::PublicKey,
}

/// Why a bundle is not trusted, or a key can't be pinned.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum SignatureError {
    #[error(
        "{0}: is neither a public key of minisign nor the file of one; give the line of its .pub file that starts with RW"
    )]
    NotAKey(String),
    #[error("{PUBLIC_KEY_VARIABLE}: is set and empty; set it to a key, or to none at all")]
    EmptyVariable,
    #[error(
        "{PUBLIC_KEY_FILE}: it can't be told whether it is beside this program, as the system does not say where that is ({0}); pin a key by {PUBLIC_KEY_VARIABLE}, or make /proc available"
    )]
    NoExecutable(io::Error),
    #[error("{}: can't be read ({source}); check its permissions", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "{}: is missing, and only bundles signed with the pinned public key are taken; get the signed bundle, or sign it with minisign -Sm manifest.yaml",
        .0.display()
    )]
    Unsigned(PathBuf),
    #[error("{}: is not a signature of minisign; get the bundle again", .0.display())]
    NotASignature(PathBuf),
    #[error(
        "{}: is the signature of another key than the pinned one, {pinned}; get the bundle from its maker, or pin the maker's key",
        path.display()
    )]
    OtherKey { path: PathBuf, pinned: String },
    #[error(
        "{}: is not the signature of the manifest beside it, so the bundle was altered; get it again from its maker",
        .0.display()
    )]
    Altered(PathBuf),
}

impl PublicKey {
    /// The key that `text` is, or that the file at this path holds.
    ///
    /// # Errors
    /// Neither of them.
    pub fn new(text: &str) -> Result<Self, SignatureError> {
        if let Some(key) = Self::from_line(text.trim()) {
            return Ok(key);
        }
        let path = Path::new(text);
        match path.is_file() {
            true => Self::from_file(path),
            false => Err(SignatureError::NotAKey(one_line(text))),
        }
    }

    /// The key that is pinned: `named` (a flag), [`PUBLIC_KEY_VARIABLE`], or [`PUBLIC_KEY_FILE`] beside the
    /// executable; none if there is none of them.
    ///
    /// # Errors
    /// One that is there and holds no key: it never counts as none.
    pub fn pinned(named: Option<&str>) -> Result<Option<Self>, SignatureError> {
        if let Some(named) = named {
            return Self::new(named).map(Some);
        }
        // An empty one is a mistake, such as an unset variable of a service's; taking it for none would trust any bundle.
        match env::var_os(PUBLIC_KEY_VARIABLE) {
            Some(variable) if variable.is_empty() => return Err(SignatureError::EmptyVariable),
            Some(variable) => return Self::new(&variable.to_string_lossy()).map(Some),
            None => {}
        }
        Self::beside(env::current_exe())
    }

    /// The key beside the executable: where it is called, which may be a link, or where it is.
    fn beside(executable: io::Result<PathBuf>) -> Result<Option<Self>, SignatureError> {
        let executable = executable.map_err(SignatureError::NoExecutable)?;
        let real = executable.canonicalize().unwrap_or_else(|_| executable.clone());
        // A link that leads nowhere is there, too.
        let is_there = |file: &PathBuf| match file.symlink_metadata() {
            Err(error) => error.kind() != io::ErrorKind::NotFound,
            Ok(_) => true,
        };
        let mut beside = [executable, real].into_iter().map(|file| file.with_file_name(PUBLIC_KEY_FILE));
        beside.find(is_there).map(|file| Self::from_file(&file)).transpose()
    }

    /// Checks that the file `signature` holds this key's signature of `content`.
    ///
    /// # Errors
    /// There is no signature, it is none, or it is of another key or another content.
    pub fn check(&self, content: &[u8], signature: &Path) -> Result<(), SignatureError> {
        let path = || signature.to_path_buf();
        let text = match read(signature) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SignatureError::Unsigned(path()));
            }
            read => read.map_err(|source| SignatureError::Unreadable { path: path(), source })?,
        };
        let decoded = Signature::decode(&text).map_err(|_| SignatureError::NotASignature(path()))?;
        // minisign's older form signs the content itself and not its hash; that is as good, only slower.
        self.key.verify(content, &decoded, true).map_err(|error| match error {
            Error::UnexpectedKeyId => SignatureError::OtherKey { path: path(), pinned: self.text.clone() },
            _ => SignatureError::Altered(path()),
        })
    }

    /// The key in a `.pub` file: its last line, below a comment.
    fn from_file(path: &Path) -> Result<Self, SignatureError> {
        let text =
            read(path).map_err(|source| SignatureError::Unreadable { path: path.to_path_buf(), source })?;
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        Self::from_line(line).ok_or_else(|| SignatureError::NotAKey(path.display().to_string()))
    }

    fn from_line(line: &str) -> Option<Self> {
        let key = minisign_verify::PublicKey::from_base64(line).ok()?;
        Some(Self { text: line.into(), key })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// What was given in a message, which is one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text of a small file. What is no UTF-8 becomes something that is neither key nor signature.
fn read(path: &Path) -> io::Result<String> {
    // Opening a pipe may never end.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST_FILE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public key of minisign's own documentation.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[test]
    fn a_key_beside_the_program_is_pinned_also_where_a_link_calls_the_program() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("lib/sparsight");
        std::fs::create_dir(root.path().join("lib")).unwrap();
        std::fs::write(&program, b"").unwrap();
        assert!(PublicKey::beside(Ok(program.clone())).unwrap().is_none());
        std::fs::write(program.with_file_name(PUBLIC_KEY_FILE), KEY).unwrap();
        assert_eq!(PublicKey::beside(Ok(program.clone())).unwrap().unwrap().to_string(), KEY);
        #[cfg(unix)]
        {
            let link = root.path().join("bin/sparsight");
            std::fs::create_dir(root.path().join("bin")).unwrap();
            std::os::unix::fs::symlink(&program, &link).unwrap();
            assert_eq!(PublicKey::beside(Ok(link.clone())).unwrap().unwrap().to_string(), KEY);
            let key = program.with_file_name(PUBLIC_KEY_FILE);
            std::fs::rename(key, link.with_file_name(PUBLIC_KEY_FILE)).unwrap();
            assert_eq!(PublicKey::beside(Ok(link)).unwrap().unwrap().to_string(), KEY);
            assert!(PublicKey::beside(Ok(program)).unwrap().is_none());
        }
    }

    #[test]
    fn a_program_that_cant_tell_where_it_is_does_not_take_every_bundle() {
        let error = PublicKey::beside(Err(io::ErrorKind::NotFound.into())).unwrap_err().to_string();
        assert!(error.starts_with("sparsight.pub: it can't be told"), "{error}");
    }
}
