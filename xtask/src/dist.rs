//! `cargo xtask dist`: what a device gets, as one archive, and the limits that it keeps. How archives are written, whose
//! licences go along and how the result is tried is in the modules below.

mod archive;
mod licences;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use sha2::{Digest, Sha256};

use crate::workspace::Workspace;
use crate::{folders, process, setup};
use archive::Entry;

/// Most bytes of the stripped program.
const MOST_PROGRAM_BYTES: usize = 3_000_000;
/// Most bytes of the program and the ONNX Runtime library together.
const MOST_BYTES: usize = 28_000_000;
/// The first of these that is there goes into the archive.
const BUNDLES: [&str; 2] = ["fixtures/bundles/default", "fixtures/bundles/tiny"];
/// Files of the repository, and where they go.
const FILES: [(&str, &str); 5] = [
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("runtime/packaging/README.md", "README.md"),
    ("runtime/packaging/systemd/sparsight-watch@.service", "systemd/sparsight-watch@.service"),
];
const SUMS: &str = "SHA256SUMS";

/// What to make.
#[derive(Args)]
#[command(after_help = "\
Example:
  cargo xtask dist --test
  cargo xtask dist --bundle runs/bundle --output releases")]
pub struct Dist {
    /// The bundle that goes along [default: the default one of fixtures/]
    #[arg(long, value_name = "BUNDLE")]
    bundle: Option<PathBuf>,
    /// The folder for the archive and its checksum; what else is there stays [default: dist in the target directory]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Unpack it elsewhere, and verify and score there with an empty environment
    #[arg(long)]
    test: bool,
}

/// What CI checks: the archive, tried.
pub fn check(workspace: &Workspace) -> Result<()> {
    run(workspace, &Dist { bundle: None, output: None, test: true })
}

/// Builds what goes in and makes the archive.
pub fn run(workspace: &Workspace, dist: &Dist) -> Result<()> {
    let output = dist.output.clone().unwrap_or_else(|| workspace.target.join("dist"));
    let (library, program) = (setup::library(workspace)?, workspace.build_sparsight()?);
    let pages = workspace.build_sparsight_pages()?;
    let host = host()?;
    let name = format!("sparsight-{}-{host}", env!("CARGO_PKG_VERSION"));
    let bundle = match &dist.bundle {
        Some(bundle) => bundle.clone(),
        None => BUNDLES
            .map(|bundle| workspace.root.join(bundle))
            .into_iter()
            .find(|bundle| bundle.is_dir())
            .with_context(|| format!("there is none of the bundles {}", BUNDLES.join(", ")))?,
    };
    let mut entries = vec![program_entry(&program)?, file(&library, file_name(&library)?)?];
    keep_limits(&entries)?;
    entries.extend(below(&bundle, "bundle/")?);
    for (from, to) in FILES {
        entries.push(file(&workspace.root.join(from), to)?);
    }
    entries.extend(licences::entries(workspace, &library, &host)?);
    entries.extend(folders::with_temporary(&workspace.target, |scratch| {
        process::run(Command::new(&pages).arg(scratch))?;
        below(scratch, "")
    })?);
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries.push(Entry { name: SUMS.into(), bytes: sums(&entries).into_bytes(), executable: false });
    entries.iter_mut().for_each(|entry| entry.name = format!("{name}/{}", entry.name));

    let (extension, bytes) = match host.contains("windows") {
        true => ("zip", archive::zip(&entries)?),
        false => ("tar.gz", archive::tar_gz(&entries)?),
    };
    let archive = format!("{name}.{extension}");
    put(&output, &archive, &bytes)?;
    let archive = output.join(archive);
    eprintln!("bundle: {}", bundle.display());
    println!("{} ({:.1} MB)", archive.display(), bytes.len() as f64 / 1e6);
    if dist.test { trial::run(workspace, &archive, &name) } else { Ok(()) }
}

/// The limits on size, which decide whether this fits a small device.
fn keep_limits(entries: &[Entry]) -> Result<()> {
    let program = entries[0].bytes.len();
    let all: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
    println!("program: {program} bytes (at most {MOST_PROGRAM_BYTES})");
    println!("program and ONNX Runtime: {all} bytes (at most {MOST_BYTES})");
    ensure!(
        program <= MOST_PROGRAM_BYTES,
        "the program has {program} bytes, {} more than the limit; see what grew with `nm --size-sort`",
        program - MOST_PROGRAM_BYTES
    );
    ensure!(
        all <= MOST_BYTES,
        "the program and ONNX Runtime have {all} bytes, {} more than the limit",
        all - MOST_BYTES
    );
    Ok(())
}

/// The target that cargo builds for.
fn host() -> Result<String> {
    let version = process::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

fn program_entry(program: &Path) -> Result<Entry> {
    let mut entry = file(program, file_name(program)?)?;
    entry.executable = true;
    Ok(entry)
}

fn file_name(path: &Path) -> Result<&str> {
    path.file_name().and_then(|name| name.to_str()).with_context(|| format!("{} has no name", path.display()))
}

fn file(path: &Path, name: &str) -> Result<Entry> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Entry { name: name.into(), bytes, executable: false })
}

/// All files below a folder, their names after `prefix`.
fn below(folder: &Path, prefix: &str) -> Result<Vec<Entry>> {
    let files = folders::files(folder)?;
    ensure!(!files.is_empty(), "{}: holds no files", folder.display());
    let entry = |path: &PathBuf| {
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        file(&folder.join(path), &format!("{prefix}{}", parts.join("/")))
    };
    files.iter().map(entry).collect()
}

/// Puts the archive into the folder, and its line into the folder's checksums; what else is there stays.
fn put(output: &Path, archive: &str, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(output).with_context(|| format!("making {}", output.display()))?;
    let known = match fs::read_to_string(output.join(SUMS)) {
        Ok(known) => known,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", output.join(SUMS).display())),
    };
    let others = known.lines().filter(|line| !line.ends_with(&format!("  {archive}")));
    let own = format!("{}  {archive}", sha256(bytes));
    let mut lines: Vec<&str> = others.chain([own.as_str()]).collect();
    lines.sort_by_key(|line| line.split_once("  ").map(|(_, name)| name));
    folders::with_temporary(output, |scratch| {
        for (name, bytes) in [(archive, bytes), (SUMS, (lines.join("\n") + "\n").as_bytes())] {
            let (from, to) = (scratch.join(name), output.join(name));
            fs::write(&from, bytes).with_context(|| format!("writing {}", to.display()))?;
            fs::rename(&from, &to).with_context(|| format!("writing {}", to.display()))?;
        }
        Ok(())
    })
}

/// The lines that `sha256sum --check` reads.
fn sums(entries: &[Entry]) -> String {
    entries.iter().map(|entry| format!("{}  {}\n", sha256(&entry.bytes), entry.name)).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_joins_what_is_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("releases");
        for (archive, bytes) in [("b.tar.gz", "1"), ("a.tar.gz", "2"), ("b.tar.gz", "3")] {
            put(&output, archive, bytes.as_bytes()).unwrap();
            fs::write(output.join("notes.txt"), "mine").unwrap();
        }
        let names = ["SHA256SUMS", "a.tar.gz", "b.tar.gz", "notes.txt"];
        assert_eq!(folders::files(&output).unwrap(), names.map(PathBuf::from));
        let text = |name| fs::read_to_string(output.join(name)).unwrap();
        let line = |name, bytes: &str| format!("{}  {name}\n", sha256(bytes.as_bytes()));
        assert_eq!(text(SUMS), line("a.tar.gz", "2") + &line("b.tar.gz", "3"));
        assert_eq!((text("a.tar.gz").as_str(), text("b.tar.gz").as_str()), ("2", "3"));
    }
}
