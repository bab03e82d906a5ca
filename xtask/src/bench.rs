//! `cargo xtask bench`: what scoring costs: time by stage, beside another implementation if one is given, memory and
//! size. How the stages are timed is for the binaries to know.

mod ratios;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::workspace::Workspace;
use crate::{demo, folders, process, setup};

/// What a stage is called here and by the peer.
const STAGES: [(&str, &str); 4] = [
    ("decode_ms", "load_ms"),
    ("backbone_ms", "backbone_ms"),
    ("sparse_coding_ms", "sparse_coding_ms"),
    ("total_ms", "total_ms"),
];

/// What to measure.
#[derive(Args)]
#[command(after_help = "\
A peer is called as `python SCRIPT BUNDLE --support DIR --images DIR --threads N --repeat N --scores FILE`. It prints
one line of JSON with load_ms, backbone_ms, sparse_coding_ms and total_ms, and writes the energy of each image, by its
path below the folder, as JSON to FILE.

Example:
  cargo xtask bench --peer pipeline.py --python venv/bin/python --json")]
pub struct Bench {
    /// The bundle [default: the demo's]
    #[arg(long, value_name = "BUNDLE", requires_all = ["support", "images"])]
    bundle: Option<PathBuf>,
    /// A folder of good images; the first ten are adapted to [default: those of the demo's category]
    #[arg(long, value_name = "DIR", requires = "bundle")]
    support: Option<PathBuf>,
    /// A folder of images to score [default: those of the demo's category]
    #[arg(long, value_name = "DIR", requires = "bundle")]
    images: Option<PathBuf>,
    /// Another implementation to measure in turn with this one
    #[arg(long, value_name = "SCRIPT")]
    peer: Option<PathBuf>,
    /// The Python that runs the peer
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// Threads of the backbone
    #[arg(long, value_name = "N", default_value = "1")]
    threads: String,
    /// Times that the two take turns
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Images scored in each turn
    #[arg(long, value_name = "N", default_value = "50")]
    repeat: String,
    /// Measure the goals of speed too, as ratios of what scoring can't do without; it builds the benchmarks
    #[arg(long)]
    ratios: bool,
    /// Print one line of JSON, or write it to this file beside the table
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    json: Option<Option<PathBuf>>,
}

/// What all measurements share.
struct Case<'a> {
    bench: &'a Bench,
    sparsight: PathBuf,
    library: PathBuf,
    bundle: PathBuf,
    support: PathBuf,
    images: PathBuf,
    dictionary: PathBuf,
}

/// Milliseconds of each stage.
type Times = BTreeMap<&'static str, f64>;

/// Measures, and prints medians over the rounds.
pub fn run(workspace: &Workspace, bench: &Bench) -> Result<()> {
    let (bundle, support, images) = match (&bench.bundle, &bench.support, &bench.images) {
        (Some(bundle), Some(support), Some(images)) => (bundle.clone(), support.clone(), images.clone()),
        _ => demo::held_out(workspace)?,
    };
    let (library, sparsight) = (setup::library(workspace)?, workspace.build_sparsight()?);
    folders::with_temporary(&workspace.target, |scratch| {
        let dictionary = scratch.join("dictionary.safetensors");
        let case = Case { bench, sparsight, library, bundle, support, images, dictionary };
        let shots = demo::shots(&case.support)?;
        process::output(
            case.sparsight("adapt").arg(&case.bundle).args(shots).arg("-o").arg(&case.dictionary),
        )?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..bench.rounds.max(1) {
            ours.push(case.ours()?);
            if let Some(peer) = &bench.peer {
                theirs.push(case.theirs(peer, &scratch.join("peer.json"))?);
            }
        }
        let mut report = json!({
            "sparsight": medians(&ours),
            "binary_bytes": fs::metadata(&case.sparsight).context("reading the binary's size")?.len(),
            "peak_memory_bytes": case.peak_memory()?,
        });
        if bench.peer.is_some() {
            report["peer"] = json!(medians(&theirs));
            report["energy_difference"] = json!(case.energy_difference(&scratch.join("peer.json"))?);
        }
        if bench.ratios {
            report["speed"] = ratios::measure(workspace, &case)?;
        }
        match &bench.json {
            Some(None) => println!("{report}"),
            Some(Some(file)) => {
                print(&report);
                fs::write(file, format!("{report}\n"))
                    .with_context(|| format!("writing {}", file.display()))?;
            }
            None => print(&report),
        }
        Ok(())
    })
}

impl Case<'_> {
    fn sparsight(&self, command: &str) -> Command {
        let mut program = Command::new(&self.sparsight);
        program.env("ORT_DYLIB_PATH", &self.library).arg(command);
        program
    }

    fn ours(&self) -> Result<Times> {
        let mut command = self.sparsight("bench");
        command.arg(&self.bundle).arg(&self.dictionary).arg("--images").arg(&self.images);
        command.args([
            "--json",
            "--provider",
            "cpu",
            "--threads",
            &self.bench.threads,
            "--repeat",
            &self.bench.repeat,
        ]);
        let figures = process::output(&mut command)?;
        times(&figures, |(ours, _)| ours).context("`sparsight bench`")
    }

    fn theirs(&self, peer: &Path, scores: &Path) -> Result<Times> {
        let mut command = Command::new(&self.bench.python);
        command
            .arg(peer)
            .arg(&self.bundle)
            .arg("--support")
            .arg(&self.support)
            .arg("--images")
            .arg(&self.images);
        command
            .args(["--threads", &self.bench.threads, "--repeat", &self.bench.repeat, "--scores"])
            .arg(scores);
        let figures = process::output(&mut command)?;
        times(&figures, |(_, theirs)| theirs).with_context(|| peer.display().to_string())
    }

    /// The largest difference of an energy from the peer's, relative to the peer's.
    fn energy_difference(&self, scores: &Path) -> Result<f64> {
        let text = fs::read_to_string(scores).with_context(|| format!("reading {}", scores.display()))?;
        let theirs: BTreeMap<String, f64> = serde_json::from_str(&text).context("the peer's scores")?;
        let mut command = self.sparsight("score");
        command.arg(&self.bundle).arg(&self.dictionary).arg(&self.images).args([
            "--format",
            "jsonl",
            "--provider",
            "cpu",
        ]);
        let records = process::output(&mut command)?;
        let mut largest = 0.0f64;
        let mut compared = 0;
        for line in records.lines() {
            let record: Value = serde_json::from_str(line).context("a record of `sparsight score`")?;
            let (Some(image), Some(energy)) = (record["image"].as_str(), record["energy"].as_f64()) else {
                bail!("a record of `sparsight score` has no energy: {line}");
            };
            let theirs = theirs.iter().find(|(path, _)| Path::new(image).ends_with(path));
            let (_, theirs) = theirs.with_context(|| format!("the peer did not score {image}"))?;
            largest = largest.max((energy - theirs).abs() / theirs.abs());
            compared += 1;
        }
        ensure!(compared == theirs.len(), "the peer scored {} images, sparsight {compared}", theirs.len());
        Ok(largest)
    }

    /// The largest resident set of scoring one image, in bytes; none where the system does not tell.
    fn peak_memory(&self) -> Result<Option<u64>> {
        let Some(image) = folders::files(&self.images)?.into_iter().next() else {
            bail!("{}: no images", self.images.display());
        };
        let script = "import resource, subprocess, sys\n\
            subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n\
            unit = 1 if sys.platform == 'darwin' else 1024\n\
            print(unit * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
        let mut command = Command::new(&self.bench.python);
        command.env("ORT_DYLIB_PATH", &self.library).args(["-c", script]).arg(&self.sparsight).arg("score");
        command.arg(&self.bundle).arg(&self.dictionary).arg(self.images.join(image));
        command.args(["--provider", "cpu", "--threads", &self.bench.threads]);
        let output = process::silent(&mut command)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok())
    }
}

fn times(line: &str, name: impl Fn((&'static str, &'static str)) -> &'static str) -> Result<Times> {
    let figures: Value = serde_json::from_str(line.trim()).context("prints no JSON")?;
    let time = |stage: (&'static str, &'static str)| {
        let time = figures[name(stage)].as_f64().with_context(|| format!("gives no {}", name(stage)))?;
        Ok((stage.0, time))
    };
    STAGES.into_iter().map(time).collect()
}

fn medians(rounds: &[Times]) -> Times {
    let median = |(stage, _)| {
        let mut times: Vec<f64> = rounds.iter().map(|times| times[stage]).collect();
        times.sort_by(f64::total_cmp);
        (stage, times[times.len() / 2])
    };
    STAGES.into_iter().map(median).collect()
}

fn print(report: &Value) {
    let (ours, peer) = (&report["sparsight"], report.get("peer"));
    println!("{:<18}{:>12}{:>12}{:>12}", "stage", "sparsight", "peer", "peer / ours");
    for (stage, _) in STAGES {
        let time = ours[stage].as_f64().unwrap_or(f64::NAN);
        let theirs = peer.and_then(|peer| peer[stage].as_f64());
        let (theirs, ratio) =
            theirs.map_or_else(Default::default, |t| (format!("{t:.3}"), format!("{:.2}", t / time)));
        println!("{stage:<18}{time:>12.3}{theirs:>12}{ratio:>12}");
    }
    if let Some(difference) = report.get("energy_difference").and_then(Value::as_f64) {
        println!("energies differ by at most {difference:.1e} of the peer's");
    }
    let megabytes =
        |key: &str| report[key].as_f64().map_or("unknown".into(), |bytes| format!("{:.2} MB", bytes / 1e6));
    println!(
        "binary: {}; peak memory of scoring one image: {}",
        megabytes("binary_bytes"),
        megabytes("peak_memory_bytes")
    );
    if let Some(speed) = report.get("speed") {
        println!();
        ratios::print(speed);
    }
}
