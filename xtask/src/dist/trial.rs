//! Tries an archive as a device gets it: unpacked elsewhere, run with an empty environment; and what the first score
//! costs there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{SUMS, sha256};
use crate::python::Python;
use crate::workspace::Workspace;
use crate::{folders, process};

/// Milliseconds within which a new process should have scored an image.
const GOAL_MS: f64 = 100.0;
/// Bytes of memory that it should not exceed.
const GOAL_BYTES: f64 = 60e6;
/// Runs a command 15 times, one after the other, each in a new process; prints milliseconds and bytes.
const COLD_STARTS: &str = "\
import json, resource, statistics, subprocess, sys, time
times = []
for _ in range(15):
    start = time.perf_counter()
    subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, env={})
    times.append(1e3 * (time.perf_counter() - start))
unit = 1 if sys.platform == 'darwin' else 1024
memory = unit * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({'median': statistics.median(times), 'least': min(times), 'memory': memory}))";

/// An unpacked archive.
struct Trial {
    /// What the archive unpacked to.
    folder: PathBuf,
    /// Where it is run, which is not where it lies.
    elsewhere: PathBuf,
}

/// Unpacks the archive whose only folder is `name`, and uses what is in it.
pub fn run(workspace: &Workspace, archive: &Path, name: &str) -> Result<()> {
    // Not in the checkout: the library would be found there even if the archive had none.
    folders::with_temporary(&std::env::temp_dir(), |scratch| {
        unpack(archive, scratch)?;
        let (folder, elsewhere) = (scratch.join(name), scratch.join("elsewhere"));
        fs::create_dir(&elsewhere).context("making a folder to work in")?;
        let trial = Trial { folder, elsewhere };
        trial.check_sums()?;
        trial.check_pages()?;
        let library =
            trial.sparsight(&["verify", "-v", "--provider", "cpu"], &[&trial.folder.join("bundle")])?.1;
        ensure!(library.contains("beside the executable"), "the archive's library was not used: {library}");
        let images = workspace.root.join("fixtures/regress");
        let (bundle, dictionary) = (trial.folder.join("bundle"), trial.elsewhere.join("dictionary"));
        trial.sparsight(
            &["adapt", "--provider", "cpu"],
            &[&bundle, &images.join("support"), Path::new("-o"), &dictionary],
        )?;
        let queries = images.join("queries");
        let (records, _) = trial.sparsight(
            &["score", "--format", "json", "--provider", "cpu"],
            &[&bundle, &dictionary, &queries],
        )?;
        let records: Vec<Value> = serde_json::from_str(&records).context("reading the records")?;
        ensure!(
            records.len() == folders::files(&queries)?.len(),
            "not every image has a record: {records:?}"
        );
        ensure!(records.iter().all(|record| record["anomaly_score"].is_f64()), "not every image has a score");
        println!("unpacked elsewhere, it verifies its bundle and scores {} images", records.len());
        let query = folders::files(&queries)?.into_iter().next().context("there is no image to score")?;
        trial.tell_cold_start(&[&bundle, &dictionary, &queries.join(query)])
    })
}

fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    match archive.extension().is_some_and(|extension| extension == "zip") {
        true => Python::find()?.unpack(archive, folder),
        false => process::run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder)),
    }
}

impl Trial {
    /// Every file is listed and as its checksum says.
    fn check_sums(&self) -> Result<()> {
        let path = self.folder.join(SUMS);
        let sums = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let files = folders::files(&self.folder)?;
        ensure!(files.len() == sums.lines().count() + 1, "{SUMS} does not list every file");
        for line in sums.lines() {
            let (sum, name) = line.split_once("  ").with_context(|| format!("{SUMS}: {line}"))?;
            let bytes = fs::read(self.folder.join(name)).with_context(|| format!("reading {name}"))?;
            ensure!(sha256(&bytes) == sum, "{name} is not as {SUMS} says");
        }
        Ok(())
    }

    /// Every command that the help lists has a manual page and completions.
    fn check_pages(&self) -> Result<()> {
        let help = self.sparsight(&["--help"], &[])?.0;
        let after_heading = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let words = after_heading.map_while(|line| line.split_whitespace().next());
        let commands: Vec<&str> = words.filter(|command| *command != "help").collect();
        ensure!(!commands.is_empty(), "`sparsight --help` lists no commands: {help}");
        let path = self.folder.join("completions/sparsight.bash");
        let completions = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        for command in commands {
            let page = self.folder.join(format!("man/man1/sparsight-{command}.1"));
            ensure!(page.is_file(), "{command} has no manual page");
            ensure!(completions.contains(&format!("sparsight,{command})")), "{command} is not completed");
        }
        Ok(())
    }

    fn program(&self) -> PathBuf {
        self.folder.join("sparsight").with_extension(std::env::consts::EXE_EXTENSION)
    }

    /// What the program says on stdout and on stderr, in an empty environment.
    fn sparsight(&self, arguments: &[&str], paths: &[&Path]) -> Result<(String, String)> {
        let mut command = Command::new(self.program());
        command.current_dir(&self.elsewhere).env_clear();
        if let (true, Some(root)) = (cfg!(windows), std::env::var_os("SystemRoot")) {
            command.env("SystemRoot", root); // without it Windows loads no library
        }
        command.args(arguments).args(paths);
        let output = process::silent(&mut command)?;
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        ensure!(output.status.success(), "`{}` failed: {stderr}", process::line(&command));
        Ok((stdout, stderr))
    }

    /// Times and memory depend on the machine and what else it does, so they are told and not judged.
    fn tell_cold_start(&self, paths: &[&Path]) -> Result<()> {
        if cfg!(windows) {
            return Ok(());
        }
        let mut command = Command::new("python3");
        command
            .arg("-c")
            .arg(COLD_STARTS)
            .arg(self.program())
            .args(["score", "--provider", "cpu"])
            .args(paths);
        let Ok(output) = process::silent(&mut command) else {
            eprintln!("cold start not measured: there is no python3");
            return Ok(());
        };
        let figures: Value = serde_json::from_slice(&output.stdout).with_context(|| {
            format!("measuring the cold start: {}", String::from_utf8_lossy(&output.stderr).trim())
        })?;
        let figure = |name: &str| figures[name].as_f64().unwrap_or(f64::NAN);
        println!(
            "first score of a new process: median {:.0} ms, least {:.0} ms (goal {GOAL_MS:.0} ms); peak memory {:.1} MB (goal {:.0} MB)",
            figure("median"),
            figure("least"),
            figure("memory") / 1e6,
            GOAL_BYTES / 1e6
        );
        Ok(())
    }
}
