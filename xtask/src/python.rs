//! The host's Python and its pip: fetches wheels by hash and unpacks them. What is fetched is decided elsewhere.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Result, bail};

use crate::process;

/// Whose wheels are meant: those of another Python are fetched by naming what it is.
pub struct WheelTags {
    /// As in a wheel's name, such as `manylinux_2_28_x86_64`.
    pub platform: &'static str,
    /// CPython's version without the dot, such as `312`.
    pub python: &'static str,
}

/// A Python 3 that can run pip.
pub struct Python {
    program: &'static str,
    /// Its version, as (major, minor).
    pub version: (u32, u32),
}

impl Python {
    /// The first of `python3` and `python` on the path that is a Python 3 with pip.
    pub fn find() -> Result<Self> {
        let print_version = "import sys; print(sys.version_info[0], sys.version_info[1])";
        for program in ["python3", "python"] {
            let Ok(output) = process::silent(Command::new(program).args(["-c", print_version])) else {
                continue;
            };
            let text = String::from_utf8_lossy(&output.stdout);
            let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok());
            let (Some(3), Some(minor)) = (numbers.next(), numbers.next()) else { continue };
            let pip = process::silent(Command::new(program).args(["-m", "pip", "--version"]))?;
            if !pip.status.success() {
                bail!("{program} has no pip: install it (`{program} -m ensurepip`)");
            }
            return Ok(Self { program, version: (3, minor) });
        }
        bail!("no Python 3 on the PATH: install it with pip")
    }

    /// Downloads exactly what `requirements` pins into `folder`, for the platform and Python of `tags`.
    pub fn download(&self, requirements: &Path, tags: &WheelTags, folder: &Path) -> Result<()> {
        let abi = format!("cp{}", tags.python);
        let target = ["--platform", tags.platform, "--python-version", tags.python, "--implementation", "cp"];
        let mut pip = self.pip("download", requirements);
        pip.args(target).args(["--abi", &abi, "--no-deps", "--dest"]).arg(folder);
        judge(&process::silent(&mut pip)?)
    }

    /// Installs exactly what `requirements` pins into `folder`, for this Python.
    pub fn install(&self, requirements: &Path, folder: &Path) -> Result<()> {
        let mut pip = self.pip("install", requirements);
        pip.args(["--no-deps", "--no-user", "--target"]).arg(folder);
        judge(&process::silent(&mut pip)?)
    }

    /// Unpacks a wheel, which is a zip file, into `folder`.
    pub fn unpack(&self, wheel: &Path, folder: &Path) -> Result<()> {
        process::run(Command::new(self.program).args(["-m", "zipfile", "-e"]).arg(wheel).arg(folder))
    }

    fn pip(&self, verb: &str, requirements: &Path) -> Command {
        let mut pip = Command::new(self.program);
        pip.args([
            "-m",
            "pip",
            verb,
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            "--retries",
            "2",
        ]);
        pip.args(["--only-binary=:all:", "--require-hashes", "--requirement"]).arg(requirements);
        pip
    }
}

/// Pip exits alike for everything; what it said tells a wrong hash from a missing network.
fn judge(output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.contains("DO NOT MATCH THE HASHES") {
        bail!("what pip fetched is not what its pinned sha256 says, so it was thrown away");
    }
    let unreachable =
        ["NewConnectionError", "ConnectTimeout", "ReadTimeout", "Name or service", "SSLError", "ProxyError"];
    if unreachable.iter().any(|sign| words.contains(sign)) {
        bail!("pip can't reach the package index");
    }
    let last = said.lines().rfind(|line| line.starts_with("ERROR: ")).unwrap_or("ERROR: it gave no reason");
    bail!("pip failed: {}", last.trim_start_matches("ERROR: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_last_error_of_pip_is_its_reason() {
        use std::os::unix::process::ExitStatusExt;
        let stderr = b"WARNING: slow\nERROR: first\nERROR: No matching distribution found for x\n".to_vec();
        let output = Output { status: std::process::ExitStatus::from_raw(256), stdout: Vec::new(), stderr };
        let error = judge(&output).unwrap_err().to_string();
        assert_eq!(error, "pip failed: No matching distribution found for x");
    }
}
