//! `cargo xtask fixtures`: remakes every generated file that is committed, or says which is stale. The golden cases,
//! which come from another implementation, are not among them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sparsight_schemas::{Manifest, Valid};

use crate::workspace::Workspace;
use crate::{folders, json_schemas, probe, process, setup};

/// Folders that are made as a whole, relative to the workspace.
const FOLDERS: [&str; 4] =
    ["schemas/json", "fixtures/bundles/tiny", "fixtures/regress/support", "fixtures/regress/queries"];
/// Small images of one category: twice the size of the bundle's input, so that they are resized.
const SYNTH: [&str; 10] = ["--categories", "1", "--seed", "1", "--size", "64", "--train", "4", "--test", "6"];
const TINY_CONFIG: &str = "fixtures/bundles/tiny.yaml";

/// Remakes the fixtures with a built `sparsight-train`, or with `check` compares the committed ones with what it makes.
pub fn run(workspace: &Workspace, sparsight_train: &Path, check: bool) -> Result<()> {
    folders::with_temporary(&workspace.target, |fresh| {
        make(workspace, sparsight_train, fresh)?;
        let mut stale = Vec::new();
        for folder in FOLDERS {
            let (committed, fresh) = (workspace.root.join(folder), fresh.join(folder));
            if check {
                stale.extend(
                    differences(&committed, &fresh)?.into_iter().map(|file| format!("{folder}/{file}")),
                );
            } else {
                folders::replace(&committed, |place| folders::copy_all(&fresh, place))?;
                eprintln!("remade {folder}");
            }
        }
        if !stale.is_empty() {
            bail!("stale, run `cargo xtask fixtures` and commit what changed: {}", stale.join("; "));
        }
        Ok(())
    })
}

/// Makes every folder anew below `fresh`, under the same names.
fn make(workspace: &Workspace, binary: &Path, fresh: &Path) -> Result<()> {
    json_schemas::write(&fresh.join("schemas/json"))?;
    let library = setup::library(workspace)?;
    let sparsight_train = || {
        let mut command = Command::new(binary);
        command.current_dir(&workspace.root).env("ORT_DYLIB_PATH", &library);
        command
    };
    let (run, bundle) = (fresh.join("run"), fresh.join("fixtures/bundles/tiny"));
    fs::create_dir_all(fresh.join("fixtures/bundles")).context("making a folder for the bundle")?;
    let train = ["train", "--config", TINY_CONFIG, "--device", "cpu", "--output"];
    process::output(sparsight_train().args(train).arg(&run))?;
    process::output(
        sparsight_train().args(["export", "--checkpoint"]).arg(run.join("checkpoint")).arg("-o").arg(bundle),
    )?;

    let synthetic = fresh.join("synthetic");
    process::output(sparsight_train().arg("synth").arg(&synthetic).args(SYNTH))?;
    let categories = folders::entries(&synthetic)?;
    let [category] = categories.as_slice() else {
        bail!("one category was asked for, {} made", categories.len())
    };
    folders::copy_all(&category.join("train/good"), &fresh.join("fixtures/regress/support"))?;
    folders::copy_all(&category.join("test"), &fresh.join("fixtures/regress/queries"))
}

/// The files that differ, each with how.
fn differences(committed: &Path, fresh: &Path) -> Result<Vec<String>> {
    if !committed.is_dir() {
        return Ok(vec!["(missing)".into()]);
    }
    let mut differences = Vec::new();
    let (old, new) = (folders::files(committed)?, folders::files(fresh)?);
    differences.extend(
        old.iter()
            .filter(|file| !new.contains(file))
            .map(|file| format!("{} (not made any more)", file.display())),
    );
    for file in &new {
        let same = match old.contains(file) {
            true => compare(&committed.join(file), &fresh.join(file), committed),
            false => Err(anyhow::anyhow!("missing")),
        };
        differences.extend(same.err().map(|error| format!("{} ({error:#})", file.display())));
    }
    Ok(differences)
}

fn compare(committed: &Path, fresh: &Path, bundle: &Path) -> Result<()> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("reading {}", path.display()));
    let (old, new) = (read(committed)?, read(fresh)?);
    match committed.file_name().and_then(|name| name.to_str()) {
        Some("probe.safetensors") => {
            let manifest = manifest(&read(&bundle.join("manifest.yaml"))?)?;
            probe::compare(&old, &new, &manifest.tolerances)
        }
        Some("manifest.yaml") => compare_manifests(manifest(&old)?, manifest(&new)?),
        _ => {
            ensure!(old == new, "differs");
            Ok(())
        }
    }
}

fn manifest(yaml: &[u8]) -> Result<Manifest> {
    Ok(Valid::<Manifest>::parse(std::str::from_utf8(yaml)?)?.into_raw())
}

/// The probe has its own comparison, so its hash may differ.
fn compare_manifests(old: Manifest, mut new: Manifest) -> Result<()> {
    let probe = "probe.safetensors";
    new.files.insert(probe.into(), old.files[probe].clone());
    ensure!(old == new, "differs");
    Ok(())
}
