//! Where training runs: the choice of `--device`, and what the machine can do of it.

/// What a person asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DeviceChoice {
    /// CUDA where it works, the CPU otherwise.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The first NVIDIA GPU.
    Cuda,
}

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The CPU.
    Cpu,
    /// The first NVIDIA GPU.
    Cuda,
}

impl DeviceChoice {
    /// The device, and why it is not the GPU where that is worth saying.
    ///
    /// # Errors
    /// CUDA was demanded and can't work here; the reason, in one line.
    pub fn choose(self) -> Result<(Device, Option<String>), String> {
        match (self, cuda_obstacle()) {
            (Self::Cpu, _) => Ok((Device::Cpu, None)),
            (_, None) => Ok((Device::Cuda, None)),
            // A build without CUDA has nothing to fall back from.
            (Self::Auto, Some(obstacle)) => Ok((Device::Cpu, cfg!(feature = "cuda").then_some(obstacle))),
            (Self::Cuda, Some(obstacle)) => {
                Err(format!("--device cuda: {obstacle}; use --device cpu or auto"))
            }
        }
    }
}

/// Why CUDA can't work, if it can't. Burn panics at the first tensor without a driver, so this asks before.
#[cfg(feature = "cuda")]
fn cuda_obstacle() -> Option<String> {
    // SAFETY: looks for the driver's library by name and loads it; the driver has no unsound initialisers.
    if !unsafe { cudarc::driver::sys::is_culib_present() } {
        return Some("no NVIDIA driver was found (libcuda)".into());
    }
    // SAFETY: as above, for the run-time compiler.
    if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        return Some("the CUDA run-time compiler was not found (libnvrtc); install the CUDA toolkit".into());
    }
    match cudarc::driver::CudaContext::device_count() {
        Ok(0) => Some("the NVIDIA driver sees no GPU".into()),
        Ok(_) => None,
        Err(error) => Some(format!("the NVIDIA driver does not start ({error:?})")),
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda_obstacle() -> Option<String> {
    Some("this sparsight-train was built without CUDA (cargo build --features cuda)".into())
}
