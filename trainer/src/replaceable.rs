//! Whether a folder may be replaced whole: nobody keeps anything else there. What its own files are called, its writer says.

use std::path::{Path, PathBuf};

/// What file managers and network drives leave in folders, and nobody misses.
const LEFT_BY_TOOLS: [&str; 3] = [".DS_Store", "Thumbs.db", "desktop.ini"];

/// The first thing at `folder`, or within it, that is none of its `own` files and would be lost with it; none where nothing is there.
pub fn would_be_lost(folder: &Path, own: &[&str]) -> Option<PathBuf> {
    if folder.is_file() {
        return Some(folder.to_owned());
    }
    let is_other = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_known = own.iter().chain(&LEFT_BY_TOOLS).any(|known| *known == name);
        !(is_known || name.starts_with(".nfs"))
    };
    let mut others: Vec<PathBuf> = folder
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(is_other)
        .collect();
    others.sort();
    others.into_iter().next()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_somebody_else_put_there_would_be_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        assert_eq!(would_be_lost(&path, &["a"]), None);
        fs::create_dir(&path).unwrap();
        for name in ["a", ".DS_Store", ".nfs00012"] {
            fs::write(path.join(name), "").unwrap();
        }
        assert_eq!(would_be_lost(&path, &["a", "b"]), None);
        fs::create_dir(path.join("photographs")).unwrap();
        fs::write(path.join("zebra.png"), "").unwrap();
        assert_eq!(would_be_lost(&path, &["a", "b"]), Some(path.join("photographs")));
        assert_eq!(
            would_be_lost(&path.join("a"), &["a"]),
            Some(path.join("a")),
            "a file where a folder should be"
        );
    }
}
