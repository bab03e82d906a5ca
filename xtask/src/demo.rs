//! `cargo xtask demo`: the whole way from nothing to heat maps, on categories made for it, or its last part on a
//! user's category. It only calls the two binaries, each as a user would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use sparsight_schemas::{Config, Valid};

use crate::workspace::Workspace;
use crate::{folders, process, setup};

/// What the demo trains on; its `data.exclude` are the categories to adapt to.
const CONFIG: &str = "trainer/configs/demo.yaml";
/// The bundle that ships, relative to the workspace.
pub const DEFAULT_BUNDLE: &str = "fixtures/bundles/default";
/// Categories made, and images of each.
const SYNTH: [&str; 6] = ["--categories", "8", "--seed", "1", "--size", "128"];
/// Good images to adapt with.
const SHOTS: usize = 10;

/// What to adapt to.
#[derive(Args)]
#[command(after_help = "Example:\n  cargo xtask demo\n  cargo xtask demo --data mvtec --category leather")]
pub struct Demo {
    /// A folder of categories in the MVTec-AD layout, in place of the procedural ones
    #[arg(long, value_name = "DIR", requires = "category")]
    data: Option<PathBuf>,
    /// The category of that folder to adapt to
    #[arg(long, value_name = "NAME", requires = "data")]
    category: Option<String>,
    /// Adapt a bundle that is trained already, by default the one that ships, in place of training one
    #[arg(long, value_name = "BUNDLE", num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_BUNDLE)]
    pretrained: Option<PathBuf>,
}

impl Demo {
    /// The bundle to use in place of training, if any.
    fn pretrained(&self, workspace: &Workspace) -> Result<Option<PathBuf>> {
        let Some(named) = &self.pretrained else { return Ok(None) };
        let bundle = match named == Path::new(DEFAULT_BUNDLE) {
            true => workspace.root.join(DEFAULT_BUNDLE),
            false => std::path::absolute(named)?,
        };
        ensure!(bundle.join("manifest.yaml").is_file(), "{}: is not a bundle; name one", bundle.display());
        Ok(Some(bundle))
    }
}

/// One run of the demo.
struct Stage<'a> {
    workspace: &'a Workspace,
    start: Instant,
    /// Everything that the demo makes.
    folder: PathBuf,
    bundle: PathBuf,
    library: PathBuf,
    sparsight: PathBuf,
    sparsight_train: PathBuf,
}

/// Runs the demo.
pub fn run(workspace: &Workspace, demo: &Demo) -> Result<()> {
    let pretrained = demo.pretrained(workspace)?;
    let folder = workspace.target.join("demo");
    eprintln!("Setting up ONNX Runtime and building (the first time takes minutes)");
    let stage = Stage {
        library: setup::library(workspace)?,
        sparsight: workspace.build_sparsight()?,
        sparsight_train: workspace.build_sparsight_train()?,
        bundle: pretrained.clone().unwrap_or_else(|| folder.join("bundle")),
        folder,
        workspace,
        // Fields are made in this order: what is timed begins after the compilation.
        start: Instant::now(),
    };
    match (&demo.data, &demo.category) {
        (Some(data), Some(category)) => {
            let data = std::path::absolute(data)?;
            if !stage.bundle.is_dir() {
                stage.make_categories()?;
                stage.train_bundle()?;
            }
            stage.use_bundle(&data, category)
        }
        _ => {
            let held_out = stage.make_categories()?;
            if pretrained.is_none() {
                stage.train_bundle()?;
            }
            stage.use_bundle(&stage.folder.join("data"), &held_out)
        }
    }
}

impl Stage<'_> {
    /// Makes categories anew and returns the one to adapt to, which training leaves out.
    fn make_categories(&self) -> Result<String> {
        let held_out = held_out_category(self.workspace)?;
        fs::create_dir_all(&self.folder).with_context(|| format!("making {}", self.folder.display()))?;
        self.remove("data")?;
        self.remove("results")?;
        self.say("making procedural categories");
        process::run(self.train("synth").arg("data").args(SYNTH))?;
        let made = self.folder.join("data").join(&held_out);
        ensure!(made.is_dir(), "{CONFIG}: data.exclude names {held_out}, which was not made");
        Ok(held_out)
    }

    /// Trains on all categories but those that the config excludes, and exports.
    fn train_bundle(&self) -> Result<()> {
        self.remove("run")?;
        self.say("training on the CPU; the category to adapt to is held out");
        let config = self.workspace.root.join(CONFIG);
        let folders = ["--data", "data", "--output", "run", "--device", "cpu"];
        process::run(self.train("train").arg("--config").arg(config).args(folders))?;

        self.say("exporting the bundle");
        process::run(self.train("export").args(["--checkpoint", "run/checkpoint", "-o", "bundle"]))
    }

    /// Removes what an earlier demo left under that name.
    fn remove(&self, name: &str) -> Result<()> {
        let path = self.folder.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        Ok(())
    }

    /// Adapts to a category that training never saw, scores its test images and evaluates.
    fn use_bundle(&self, data: &Path, category: &str) -> Result<()> {
        let (bundle, source) = (&self.bundle, data.join(category));
        fs::create_dir_all(&self.folder).with_context(|| format!("making {}", self.folder.display()))?;
        let results = self.folder.join("results").join(category);
        let shots = shots(&source.join("train/good"))?;
        fs::create_dir_all(&results).with_context(|| format!("making {}", results.display()))?;
        let dictionary = results.join("dictionary.safetensors");
        let (heatmaps, maps, scores) =
            (results.join("heatmaps"), results.join("maps"), results.join("scores.csv"));

        self.say(&format!("adapting to {category} with {} good images", shots.len()));
        process::run(self.edge("adapt").arg(bundle).args(&shots).arg("-o").arg(&dictionary))?;

        self.say("scoring its test images, with heat maps");
        let mut score = self.edge("score");
        score
            .arg(bundle)
            .arg(&dictionary)
            .arg(source.join("test"))
            .args(["--format", "csv", "-o"])
            .arg(&scores);
        process::run(score.arg("--heatmaps").arg(&heatmaps).arg("--save-maps").arg(&maps))?;

        self.say("evaluating");
        let (report, page) = (results.join("report.json"), results.join("report.html"));
        let protocol = "--runs 1 --seed 0 --provider cpu -o".split(' ');
        let mut evaluate = self.train("evaluate");
        evaluate.arg(bundle).arg("--data").arg(data).args(["--categories", category]);
        evaluate.arg("--shots").arg(shots.len().to_string()).args(protocol).arg(&report);
        process::run(evaluate.arg("--html").arg(&page))?;

        self.say("done");
        for (what, path) in [
            ("bundle", bundle),
            ("dictionary", &dictionary),
            ("scores", &scores),
            ("heat maps", &heatmaps),
            ("maps", &maps),
            ("report", &report),
            ("page", &page),
        ] {
            println!("{what:<11} {}", path.display());
        }
        Ok(())
    }

    fn train(&self, command: &str) -> Command {
        self.command(&self.sparsight_train, command)
    }

    fn edge(&self, command: &str) -> Command {
        let mut program = self.command(&self.sparsight, command);
        program.args(["--provider", "cpu"]);
        program
    }

    fn command(&self, binary: &Path, command: &str) -> Command {
        let mut program = Command::new(binary);
        program.current_dir(&self.folder).env("ORT_DYLIB_PATH", &self.library).arg(command);
        program
    }

    fn say(&self, what: &str) {
        eprintln!("[{:>5.1} s] {what}", self.start.elapsed().as_secs_f32());
    }
}

/// The demo's bundle, and the good and the test images of the category that it was not trained on.
pub fn held_out(workspace: &Workspace) -> Result<(PathBuf, PathBuf, PathBuf)> {
    let folder = workspace.target.join("demo");
    let (bundle, category) = (folder.join("bundle"), folder.join("data").join(held_out_category(workspace)?));
    ensure!(
        bundle.is_dir(),
        "{}: no such bundle; run `cargo xtask demo` first, or name one",
        bundle.display()
    );
    Ok((bundle, category.join("train/good"), category.join("test")))
}

/// The first category that the demo's config excludes from training.
fn held_out_category(workspace: &Workspace) -> Result<String> {
    let path = workspace.root.join(CONFIG);
    let yaml = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let config = Valid::<Config>::parse(&yaml).with_context(|| path.display().to_string())?;
    config.data.exclude.first().cloned().with_context(|| format!("{CONFIG}: data.exclude is empty"))
}

/// The first good images of a category.
pub fn shots(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut shots = folders::entries(folder)?;
    shots.truncate(SHOTS);
    if shots.is_empty() {
        bail!("{}: no good images to adapt with", folder.display());
    }
    Ok(shots)
}
