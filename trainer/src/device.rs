//! Where training runs: the choice of `--device`, and what the machine can do of it.

use std::{fmt, num::NonZero, str::FromStr, thread};

/// What a person asks for: `auto`, `cpu` or `cuda`, or a list of devices that share the tasks of a step, such as
/// `cuda:0,cuda:1`. `cpu,cpu` is two workers on the CPU; `cpu` alone takes as many as it has cores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU where CUDA works, the CPU otherwise.
    #[default]
    Auto,
    /// So many workers on the CPU.
    Cpu(usize),
    /// The NVIDIA GPUs of these numbers.
    Cuda(Vec<usize>),
}

/// What was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Devices {
    /// So many workers on the CPU.
    Cpu(usize),
    /// The NVIDIA GPUs of these numbers.
    Cuda(Vec<usize>),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<&str> = text.split(',').collect();
        let gpu = |name: &&str| match *name {
            "cuda" => Some(0),
            name => name.strip_prefix("cuda:")?.parse().ok(),
        };
        if text == "auto" {
            return Ok(Self::Auto);
        }
        if names.iter().all(|name| *name == "cpu") {
            return Ok(Self::Cpu(names.len()));
        }
        match names.iter().map(gpu).collect::<Option<Vec<usize>>>() {
            Some(gpus) if (1..gpus.len()).all(|i| !gpus[..i].contains(&gpus[i])) => Ok(Self::Cuda(gpus)),
            Some(_) => Err("names a GPU twice".into()),
            None => {
                Err("must be auto, cpu, cuda, or a list of one kind such as cuda:0,cuda:1 or cpu,cpu".into())
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu(workers) => f.write_str(&vec!["cpu"; *workers].join(",")),
            Self::Cuda(gpus) => {
                f.write_str(&gpus.iter().map(|gpu| format!("cuda:{gpu}")).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl DeviceChoice {
    /// The devices, and why they are not GPUs where that is worth saying.
    ///
    /// # Errors
    /// CUDA was demanded and can't work here; the reason, in one line.
    pub fn choose(self) -> Result<(Devices, Option<String>), String> {
        match self {
            Self::Cpu(workers) => Ok((Devices::Cpu(workers), None)),
            Self::Cuda(gpus) => {
                let most = gpus.iter().max().copied().unwrap_or_default();
                match cuda_obstacle(most) {
                    None => Ok((Devices::Cuda(gpus), None)),
                    Some(obstacle) => Err(format!("--device cuda: {obstacle}; use --device cpu or auto")),
                }
            }
            Self::Auto => match cuda_obstacle(0) {
                None => Ok((Devices::Cuda(vec![0]), None)),
                // A build without CUDA has nothing to fall back from.
                Some(obstacle) => Ok((Devices::Cpu(1), cfg!(feature = "cuda").then_some(obstacle))),
            },
        }
    }
}

/// Workers on the CPU that share a step of so many tasks: as many as are `named`, and where that is one, as many as there
/// are cores. How many there are changes no result.
pub fn cpu_workers(named: usize, tasks: usize) -> usize {
    match named {
        1 => thread::available_parallelism().map_or(1, NonZero::get).min(tasks),
        named => named,
    }
}

/// Why CUDA can't work with the GPU of this number, if it can't. Burn panics at the first tensor without a driver, so this asks before.
#[cfg(feature = "cuda")]
fn cuda_obstacle(gpu: usize) -> Option<String> {
    use std::path::{Path, PathBuf};

    // SAFETY: looks for the driver's library by name and loads it; the driver has no unsound initialisers.
    if !unsafe { cudarc::driver::sys::is_culib_present() } {
        return Some("no NVIDIA driver was found (libcuda)".into());
    }
    // SAFETY: as above, for the run-time compiler.
    if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        return Some("the CUDA run-time compiler was not found (libnvrtc); install the CUDA toolkit".into());
    }
    match cudarc::driver::CudaContext::device_count() {
        Ok(0) => return Some("the NVIDIA driver sees no GPU".into()),
        Ok(count) if gpu >= count as usize => {
            return Some(format!("there is no GPU {gpu}: the NVIDIA driver counts {count} from 0"));
        }
        Ok(_) => {}
        Err(error) => return Some(format!("the NVIDIA driver does not start ({error:?})")),
    }
    // Kernels are compiled where they run, against the toolkit's headers, which Burn looks for in these places.
    let named = std::env::var_os("CUDA_PATH").map(PathBuf::from);
    let usual: &[&str] = match cfg!(windows) {
        true => &["C:/Program Files/NVIDIA GPU Computing Toolkit/CUDA"],
        false => &["/usr/local/cuda", "/opt/cuda"],
    };
    let usual = usual.iter().map(PathBuf::from).find(|folder| folder.exists());
    let of_distribution = || Path::new("/usr/bin/nvcc").exists().then(|| PathBuf::from("/usr"));
    let header = |toolkit: PathBuf| toolkit.join("include/cuda_runtime.h");
    match named.or(usual).or_else(of_distribution).map(header) {
        Some(header) if header.is_file() => None,
        Some(header) => Some(format!(
            "{} was not found; install the CUDA toolkit, or set CUDA_PATH to its folder",
            header.display()
        )),
        None => Some("the CUDA toolkit was not found; install it, or set CUDA_PATH to its folder".into()),
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda_obstacle(_gpu: usize) -> Option<String> {
    Some("this sparsight-train was built without CUDA (cargo build --features cuda)".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_as_it_is_shown() {
        for text in ["auto", "cpu", "cpu,cpu", "cuda:0", "cuda:0,cuda:2"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(vec![0])));
        for text in ["", "gpu", "cpu,cuda", "cuda:x", "cuda:0,cuda", "auto,cpu"] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_cpu_is_always_there() {
        assert_eq!(DeviceChoice::Cpu(2).choose(), Ok((Devices::Cpu(2), None)));
    }

    #[test]
    fn one_cpu_stands_for_its_cores_but_no_more_than_there_are_tasks() {
        assert_eq!(cpu_workers(1, 1), 1);
        assert!(cpu_workers(1, usize::MAX) >= 1);
        assert_eq!(cpu_workers(3, 1), 3);
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_without_cuda_is_an_error_and_auto_falls_back() {
        let error = DeviceChoice::Cuda(vec![0]).choose().unwrap_err();
        assert!(error.contains("built without CUDA"), "{error}");
        assert_eq!(DeviceChoice::Auto.choose(), Ok((Devices::Cpu(1), None)));
    }
}
