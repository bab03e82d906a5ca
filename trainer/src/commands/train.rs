//! `sparsight-train train`.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use burn::backend::Autodiff;
use burn_flex::Flex;
use sparsight_runtime::signals::on_signal;
use sparsight_schemas::{Config, TrainingConfig, Valid};
use sparsight_trainer::{
    categories::{Category, fingerprint, read_categories, read_validation_categories},
    checkpoint::Checkpoint,
    device::{DeviceChoice, Devices, cpu_workers},
    episodes::EpisodeSampler,
    training::{RunFolder, train, validation::Validator},
};

/// Train on many categories and write a checkpoint
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  sparsight-train train --config trainer/configs/demo.yaml --output runs/demo\n\n\
    The output folder gets checkpoint (the last), best (of the best validation), metrics.jsonl, validation.jsonl\n\
    and curves.svg. Ctrl-C, SIGTERM or SIGHUP (not under nohup) finishes the step and writes a checkpoint that --resume goes on from; a second one ends at once, with\n\
    exit code 130 and what the last checkpoint holds."
)]
pub struct TrainArgs {
    /// Config file; see schemas/json/config.schema.json
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Go on from the checkpoint in the output folder
    #[arg(long)]
    resume: bool,
    /// Start anew although the output folder holds a checkpoint
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Begin with trained weights of the backbone in place of random ones: a checkpoint's folder, or a file of weights by name
    #[arg(long, value_name = "DIR|FILE.safetensors", conflicts_with = "resume")]
    weights: Option<PathBuf>,
    /// Folder for checkpoint and metrics, in place of the config's training.output
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Number of steps, in place of the config's training.steps
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Folder of categories, in place of the config's data.roots; may be repeated
    #[arg(long, value_name = "DIR")]
    data: Vec<String>,
    /// Where to compute: auto, cpu, cuda, or a list of devices that share a step's tasks, such as cuda:0,cuda:1
    #[arg(long, value_name = "DEVICES", default_value_t)]
    device: DeviceChoice,
}

pub fn run(args: TrainArgs) -> Result<()> {
    let mut config = super::read_config(&args.config)?.into_raw();
    if let Some(steps) = args.steps {
        config.training.steps = steps;
    }
    if !args.data.is_empty() {
        config.data.roots = args.data;
    }
    let config = Valid::new(config).with_context(|| args.config.display().to_string())?;
    let output = args.output.unwrap_or_else(|| PathBuf::from(&config.training.output));
    let run = RunFolder(&output);
    let folder = run.checkpoint();
    if !args.resume && !args.overwrite {
        no_older(run)?;
    }
    run.check().map_err(in_the_way)?;
    // Before all images are decoded, which may take long. Nothing is written until then.
    if run.is_taken() {
        bail!("{}: another training is at work there; give --output another folder", output.display());
    }
    ensure!(
        !output.is_file(),
        "{}: is a file; give --output another folder, or make room there",
        output.display()
    );
    let (devices, on_the_cpu) = args.device.choose().map_err(anyhow::Error::msg)?;

    let categories = match config.training.steps {
        0 => Vec::new(),
        _ => super::asked_for(read_categories(&config.data), &args.config)?,
    };
    let validating = match config.training.steps {
        0 => Vec::new(),
        _ => super::asked_for(read_validation_categories(&config.data), &args.config)?,
    };
    let of_some = |categories: &[Category], anomalies| match categories {
        [] => Ok(None),
        _ => fingerprint(categories, anomalies).map(Some),
    };
    let data_fingerprint = of_some(&categories, config.negatives.anomalies > 0.0)?;
    let validation_fingerprint = of_some(&validating, true)?;
    let mut checkpoint = if args.resume {
        let mut checkpoint = Checkpoint::read(&folder)?;
        if checkpoint.progress.step == 0 {
            checkpoint.progress.data_fingerprint = data_fingerprint.clone(); // it has used no images so far
        } else if checkpoint.progress.data_fingerprint.is_none() {
            bail!(
                "{}: does not say what images the run used, so it is damaged; put the run's best in the place of checkpoint, or train anew with --overwrite",
                folder.join("progress.yaml").display()
            );
        }
        if checkpoint.progress.step < config.training.steps
            && checkpoint.progress.data_fingerprint != data_fingerprint
        {
            bail!("{}: the run so far used other images; restore them or train anew", folder.display());
        }
        validates_on(&mut checkpoint, &config, validation_fingerprint.as_ref());
        continued(checkpoint, &config, &folder)?
    } else if let Some(weights) = &args.weights {
        Checkpoint::from_weights(&config, weights, data_fingerprint)?
    } else {
        Checkpoint::random(&config, data_fingerprint)
    };
    checkpoint.progress.validation_fingerprint = validation_fingerprint;

    if args.resume && checkpoint.progress.step >= config.training.steps {
        super::note(format_args!("nothing to do: {} steps are done", checkpoint.progress.step));
    } else if config.training.steps == 0 {
        let _lock = taken(run, &checkpoint, args.resume, args.overwrite)?;
        checkpoint.write(&folder)?;
    } else {
        let interrupted = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&interrupted);
        on_signal(move || {
            heard.store(true, Ordering::Relaxed);
            super::note("ending what is begun; once more to stop at once");
        })?;
        let validator = Validator::new(validating, &config)?;
        let sampler = EpisodeSampler::new(categories, &config)?;
        sampler.decode_for(config.training.steps - checkpoint.progress.step, &interrupted)?;
        if interrupted.load(Ordering::Relaxed) {
            super::note("stopped before the first step; nothing was written");
            return Ok(());
        }
        let _lock = taken(run, &checkpoint, args.resume, args.overwrite)?;
        if let Some(reason) = on_the_cpu {
            super::note(format_args!("training on the CPU: {reason}"));
        }
        super::note(format_args!("{} categories, {} steps", sampler.category_count(), config.training.steps));
        let validator = validator.as_ref();
        let end = match devices {
            Devices::Cpu(named) => {
                let devices = vec![Default::default(); cpu_workers(named, config.episodes.tasks)];
                train::<Autodiff<Flex>>(checkpoint, &sampler, validator, &output, &devices, &interrupted)?
            }
            #[cfg(feature = "cuda")]
            Devices::Cuda(gpus) => {
                let devices: Vec<_> = gpus.into_iter().map(burn::backend::cuda::CudaDevice::new).collect();
                train::<Autodiff<burn::backend::Cuda>>(
                    checkpoint,
                    &sampler,
                    validator,
                    &output,
                    &devices,
                    &interrupted,
                )?
            }
            #[cfg(not(feature = "cuda"))]
            Devices::Cuda(_) => bail!("this sparsight-train was built without CUDA"),
        };
        if end.progress.step < config.training.steps {
            super::note(format_args!("stopped after step {}; go on with --resume", end.progress.step));
        }
    }
    writeln!(io::stdout(), "{}", folder.display())?;
    Ok(())
}

fn no_older(run: RunFolder) -> Result<()> {
    match [run.checkpoint(), run.best()].into_iter().find(|older| older.exists()) {
        Some(older) => bail!(
            "{}: a checkpoint is there; go on with --resume or replace it with --overwrite",
            older.display()
        ),
        None => Ok(()),
    }
}

fn in_the_way((path, error): (PathBuf, io::Error)) -> anyhow::Error {
    anyhow!("{}: {error}; give --output another folder, or make room there", path.display())
}

/// The run's folder, kept from other trainings, without what is to be overwritten. Another one may have been at work there until
/// it was kept.
fn taken(run: RunFolder, checkpoint: &Checkpoint, resume: bool, overwrite: bool) -> Result<File> {
    let Some(lock) = run.lock().map_err(in_the_way)? else {
        bail!("{}: another training is at work there; give --output another folder", run.0.display());
    };
    run.sweep();
    if overwrite {
        run.remove().map_err(in_the_way)?;
    } else if !resume {
        no_older(run)?;
    } else if Checkpoint::read_progress(&run.checkpoint())?.step != checkpoint.progress.step {
        bail!("{}: another training went on from there meanwhile; resume again", run.checkpoint().display());
    }
    Ok(lock)
}

/// Forgets the best so far if it is of other images than those that validate from now on.
fn validates_on(checkpoint: &mut Checkpoint, now: &Config, fingerprint: Option<&String>) {
    let Checkpoint { config, progress, .. } = checkpoint;
    let are_others = progress.validation_fingerprint.as_ref() != fingerprint
        || config.data.validation != now.data.validation;
    if are_others && progress.best.take().is_some() {
        super::note("validates on other images than before; the best so far does not count");
    }
}

/// The checkpoint with the config to go on with: only the length of the run, its folders, checkpoints and validations may
/// differ from before.
fn continued(checkpoint: Checkpoint, now: &Valid<Config>, folder: &Path) -> Result<Checkpoint> {
    let mut expected = checkpoint.config.into_raw();
    expected.data = now.data.clone();
    expected.training =
        TrainingConfig { receptive_field: expected.training.receptive_field, ..now.training.clone() };
    if expected != **now {
        bail!(
            "{}: the checkpoint's config is another one; resume with the config of its run",
            folder.display()
        );
    }
    Ok(Checkpoint { config: now.clone(), ..checkpoint })
}
