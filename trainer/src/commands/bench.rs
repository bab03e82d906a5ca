//! `sparsight-train bench`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Error, Result};
use burn::backend::Autodiff;
use burn_flex::Flex;
use sparsight_trainer::{
    bench::{Figures, bench},
    device::{DeviceChoice, Devices, cpu_workers},
};

/// Time training steps on random images; needs no data
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sparsight-train bench --config trainer/configs/paper.yaml --steps 5\n\n\
    A first step warms up and is not counted. What the config says of data does not matter, sizes and objective do.")]
pub struct BenchArgs {
    /// Config file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Steps to time
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    steps: usize,
    /// Where to compute: auto, cpu, cuda, or a list of devices that share a step's tasks, such as cuda:0,cuda:1
    #[arg(long, value_name = "DEVICES", default_value_t)]
    device: DeviceChoice,
    /// Print a JSON object instead of lines to read
    #[arg(long)]
    json: bool,
}

pub fn run(args: BenchArgs) -> Result<()> {
    let config = super::read_config(&args.config)?;
    let (devices, note) = args.device.choose().map_err(Error::msg)?;
    if let Some(note) = note {
        super::note(format_args!("training on the CPU: {note}"));
    }
    let figures = match devices {
        Devices::Cpu(named) => {
            let devices = vec![Default::default(); cpu_workers(named, config.episodes.tasks)];
            bench::<Autodiff<Flex>>(&config, args.steps, &devices)?
        }
        #[cfg(feature = "cuda")]
        Devices::Cuda(gpus) => {
            let devices: Vec<_> = gpus.into_iter().map(burn::backend::cuda::CudaDevice::new).collect();
            bench::<Autodiff<burn::backend::Cuda>>(&config, args.steps, &devices)?
        }
        #[cfg(not(feature = "cuda"))]
        Devices::Cuda(_) => anyhow::bail!("this sparsight-train was built without CUDA"),
    };
    if args.json {
        writeln!(io::stdout(), "{}", serde_json::to_string(&figures)?)?;
    } else {
        print(&figures)?;
    }
    Ok(())
}

fn print(figures: &Figures) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Figures { steps, devices, tasks, shots, queries, .. } = figures;
    writeln!(out, "{steps} steps of {tasks} tasks ({shots} shots, {queries} queries) on {devices} devices")?;
    writeln!(out, "step           {:.1} ms", figures.step_ms)?;
    if let Some(cpu) = figures.step_cpu_ms {
        writeln!(out, "processor      {cpu:.1} ms a step, all cores together")?;
    }
    writeln!(out, "query images   {:.2} a second", figures.query_images_per_second)?;
    if let Some(bytes) = figures.peak_memory_bytes {
        writeln!(out, "peak memory    {:.1} MB", bytes as f64 / 1e6)?;
    }
    Ok(())
}
