//! `cargo xtask setup`: ONNX Runtime from its wheel, pinned by hash, into the target directory; and the onnx package
//! that the tests use. Finding the library at run time is the runtime's business.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use crate::folders;
use crate::python::{Python, WheelTags};
use crate::workspace::Workspace;

const VERSION: &str = "1.28.0";
/// CPython whose wheels are pinned; which one does not matter, as only the library is used.
const WHEEL_PYTHON: &str = "312";

/// One platform's wheel and the library in it.
struct Wheel {
    platform: &'static str,
    library: &'static str,
}

/// Fetches ONNX Runtime unless it is there, and says where the library is.
pub fn run(workspace: &Workspace) -> Result<()> {
    let library = library(workspace)?;
    eprintln!("ONNX Runtime: {}", library.display());
    Ok(())
}

/// The library that `ORT_DYLIB_PATH` names, or the one in the target directory, which is fetched if it is missing.
pub fn library(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from) {
        if !path.is_file() {
            bail!("{}: ORT_DYLIB_PATH names no file: correct it, or unset it and run again", path.display());
        }
        return Ok(path);
    }
    fetched_library(workspace).map_err(|error| {
        anyhow!("ONNX Runtime {VERSION}: {error:#}; or set ORT_DYLIB_PATH to a library of that version that you have")
    })
}

fn fetched_library(workspace: &Workspace) -> Result<PathBuf> {
    let wheel = host_wheel()?;
    let folder = workspace.target.join("onnxruntime");
    let installed = fs::read_to_string(folder.join("VERSION")).is_ok_and(|version| version.trim() == VERSION);
    if !(installed && folder.join(wheel.library).is_file()) {
        eprintln!("Fetching ONNX Runtime {VERSION} into {} (a download of about 19 MB)", folder.display());
        fetch(workspace, &wheel, &folder)?;
    }
    Ok(folder.join(wheel.library))
}

/// The packages that judge exported models, for `PYTHONPATH`; none, with the reason on stderr, where they can't be had.
pub fn python_packages(workspace: &Workspace) -> Option<PathBuf> {
    let requirements = workspace.root.join("xtask/python/requirements.txt");
    let folder = workspace.target.join("python");
    let installed = folder.join("requirements.txt");
    let pinned = fs::read(&requirements).ok()?;
    if fs::read(&installed).is_ok_and(|text| text == pinned) {
        return Some(folder);
    }
    let install = || -> Result<()> {
        let python = Python::find()?;
        if python.version < (3, 11) {
            bail!("Python {}.{} is older than 3.11", python.version.0, python.version.1);
        }
        eprintln!("Installing the onnx package into {} (about 40 MB)", folder.display());
        folders::replace(&folder, |fresh| {
            python.install(&requirements, fresh)?;
            fs::write(fresh.join("requirements.txt"), &pinned).context("noting what was installed")
        })
    };
    match install() {
        Ok(()) => Some(folder),
        Err(error) => {
            eprintln!("Exported models will not be judged by onnx.checker: {error:#}");
            None
        }
    }
}

fn host_wheel() -> Result<Wheel> {
    let (platform, library) = match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => ("manylinux_2_28_x86_64", "libonnxruntime.so.1.28.0"),
        ("linux", "aarch64") => ("manylinux_2_28_aarch64", "libonnxruntime.so.1.28.0"),
        ("macos", "aarch64") => ("macosx_14_0_arm64", "libonnxruntime.1.28.0.dylib"),
        ("windows", "x86_64") => ("win_amd64", "onnxruntime.dll"),
        (os, arch) => bail!("there is no wheel for {os} on {arch}: build it there"),
    };
    Ok(Wheel { platform, library })
}

fn fetch(workspace: &Workspace, wheel: &Wheel, folder: &Path) -> Result<()> {
    let python = Python::find()?;
    let requirements = workspace.root.join("xtask/onnxruntime/requirements.txt");
    let tags = WheelTags { platform: wheel.platform, python: WHEEL_PYTHON };
    folders::with_temporary(&workspace.target, |scratch| {
        python.download(&requirements, &tags, scratch)?;
        let downloaded = folders::entries(scratch)?;
        let [wheel_file] = downloaded.as_slice() else {
            bail!("pip fetched {} files, not one", downloaded.len())
        };
        let unpacked = scratch.join("unpacked");
        python.unpack(wheel_file, &unpacked)?;
        let package = unpacked.join("onnxruntime");
        folders::replace(folder, |fresh| {
            for file in ["LICENSE", "ThirdPartyNotices.txt"] {
                folders::copy(&package.join(file), &fresh.join(file))?;
            }
            folders::copy(&package.join("capi").join(wheel.library), &fresh.join(wheel.library))?;
            fs::write(fresh.join("VERSION"), VERSION).context("noting the version")
        })
    })
}
