//! The licences of what ships: of ONNX Runtime and of every crate that the program is linked from, as their packages
//! hold them. Which licences are allowed is for `deny.toml` to say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::archive::Entry;
use crate::workspace::Workspace;
use crate::{folders, process};

const PROGRAM: &str = "sparsight-runtime";
/// How the files are called that hold a licence or a notice.
const BEGINNINGS: [&str; 6] = ["license", "licence", "copying", "copyright", "notice", "unlicense"];
/// Licences of which the archive holds the text, for packages that come without one.
const AT_HAND: [(&str, &str); 2] = [("Apache-2.0", "LICENSE-APACHE"), ("MIT", "LICENSE-MIT")];

/// The licence files of the archive; `library` is ONNX Runtime's, with its licences beside it.
pub fn entries(workspace: &Workspace, library: &Path, host: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for name in ["LICENSE", "ThirdPartyNotices.txt"] {
        let path = library.with_file_name(name);
        let bytes = fs::read(&path).with_context(|| {
            format!(
                "{}: ONNX Runtime's {name} must lie beside its library, as `cargo xtask setup` puts it",
                path.display()
            )
        })?;
        entries.push(Entry { name: format!("licences/onnxruntime/{name}"), bytes, executable: false });
    }
    // Metadata knows where packages are, but has the features of the whole workspace; the tree has the program's.
    let tree =
        ["tree", "--locked", "--package", PROGRAM, "--edges", "normal,no-proc-macro", "--target", host];
    let tree = process::output(workspace.cargo(tree).args(["--prefix", "none", "--format", "{p}"]))?;
    let metadata = ["metadata", "--format-version=1", "--locked", "--filter-platform", host];
    let metadata = process::output(&mut workspace.cargo(metadata))?;
    let metadata = serde_json::from_str(&metadata).context("reading `cargo metadata`")?;
    let bytes = crates(&linked(&tree), &metadata)?.into_bytes();
    entries.push(Entry { name: "licences/crates.txt".into(), bytes, executable: false });
    Ok(entries)
}

/// Every linked crate with its licence; each text once, with whom it is of.
fn crates(linked: &BTreeSet<String>, metadata: &Value) -> Result<String> {
    let packages = metadata["packages"].as_array().context("`cargo metadata` lists no packages")?;
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut list = String::from(
        "The program is linked from the crates below and from the standard library of Rust (MIT OR Apache-2.0).\n\n",
    );
    for package in packages {
        let field = |name: &str| package[name].as_str().unwrap_or_default();
        let (name, licence) = (format!("{} {}", field("name"), field("version")), field("license"));
        if !linked.contains(&name) || package["source"].is_null() {
            continue;
        }
        let folder = Path::new(field("manifest_path")).parent().context("a manifest lies in no folder")?;
        let found = texts_in(folder)?;
        let remark = match found.is_empty() {
            true => format!(" (no text in its package; {})", at_hand(licence).with_context(|| name.clone())?),
            false => String::new(),
        };
        writeln!(list, "{name}: {licence}{remark}, {}", field("repository"))?;
        found.into_iter().for_each(|text| texts.entry(text).or_default().push(name.clone()));
    }
    for (text, names) in texts {
        write!(list, "\n{}\n{}\n\n{}\n", "-".repeat(80), names.join(", "), text.trim_end())?;
    }
    Ok(list)
}

/// Names and versions in what `cargo tree` prints: a line such as `name v1.2.3 (where from)` for each, some repeated.
fn linked(tree: &str) -> BTreeSet<String> {
    let line = |line: &str| {
        let (name, rest) = line.split_once(" v")?;
        Some(format!("{name} {}", rest.split_whitespace().next()?))
    };
    tree.lines().filter_map(line).collect()
}

/// The licences and notices in a package's folder.
fn texts_in(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for path in folders::entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_code = [".rs", ".toml", ".json"].iter().any(|end| name.ends_with(end));
        if path.is_file() && !is_code && BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) {
            let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            texts.push(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"));
        }
    }
    Ok(texts)
}

/// Where the text of a licence is that a package names and does not hold.
fn at_hand(licence: &str) -> Result<String> {
    ensure!(!licence.contains(" AND "), "asks for {licence} and holds no text; add one");
    let named = |id: &str| licence.split([' ', '/', '(', ')']).any(|word| word == id);
    let found = AT_HAND.iter().find(|(id, _)| named(id));
    let (id, file) = found.with_context(|| format!("asks for {licence} and holds no text; add one"))?;
    Ok(format!("taken under {id}, whose text is in {file}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_is_given_once_for_every_linked_crate_that_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let package = |name: &str, text: &str| {
            let package = folder.path().join(name);
            fs::create_dir(&package).unwrap();
            fs::write(package.join("LICENSE"), text).unwrap();
            json!({
                "name": name, "version": "1.0.0", "license": "Zlib", "repository": "somewhere", "source": "registry",
                "manifest_path": package.join("Cargo.toml"),
            })
        };
        let packages = [
            package("one", "same"),
            package("two", "same"),
            package("three", "other"),
            package("four", "none"),
        ];
        let tree =
            "ours v0.1.0 (/home/ours)\none v1.0.0\ntwo v1.0.0\nthree v1.0.0\none v1.0.0 (*)\nfour v2.0.0\n";
        let text = crates(&linked(tree), &json!({ "packages": packages })).unwrap();
        assert_eq!(text.matches("same").count(), 1, "{text}");
        assert!(text.contains("one 1.0.0, two 1.0.0\n\nsame"), "{text}");
        assert!(text.contains("three 1.0.0: Zlib, somewhere") && text.contains("other"), "{text}");
        assert!(!text.contains("four") && !text.contains("ours 0.1.0"), "{text}");
    }

    #[test]
    fn a_package_without_a_text_is_taken_under_a_licence_that_is_at_hand_or_refused() {
        assert!(at_hand("MIT/Apache-2.0").unwrap().contains("LICENSE-APACHE"));
        assert!(at_hand("Zlib OR MIT").unwrap().contains("LICENSE-MIT"));
        assert!(at_hand("Zlib").unwrap_err().to_string().contains("Zlib"));
        assert!(at_hand("MIT AND Zlib").unwrap_err().to_string().contains("MIT AND Zlib"));
    }

    #[test]
    fn licences_are_found_however_they_are_called() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["LICENSE-MIT", "COPYING", "Notice.md", "license.rs", "README.md", "licenses.toml"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        assert_eq!(texts_in(folder.path()).unwrap(), ["COPYING", "LICENSE-MIT", "Notice.md"]);
    }
}
