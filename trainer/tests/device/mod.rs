//! The device that tests of f32 run on: the one that the environment variable SPARSIGHT_DEVICE names (auto, cpu, cuda,
//! cuda:1, or a list), by default the CPU. No test is here.

use sparsight_trainer::device::{DeviceChoice, Devices};

/// The devices that SPARSIGHT_DEVICE names.
pub fn chosen_devices() -> Devices {
    let name = std::env::var("SPARSIGHT_DEVICE").unwrap_or_else(|_| "cpu".into());
    let chosen = name.parse().and_then(DeviceChoice::choose);
    let (devices, note) = chosen.unwrap_or_else(|error| panic!("SPARSIGHT_DEVICE={name}: {error}"));
    if let Some(note) = note {
        eprintln!("SPARSIGHT_DEVICE={name}: on the CPU, because {note}");
    }
    devices
}

/// Runs a check of f32, generic in its backend, over the chosen devices.
macro_rules! on_the_devices {
    ($check:ident) => {
        match device::chosen_devices() {
            sparsight_trainer::device::Devices::Cpu(named) => {
                $check::<burn::backend::Autodiff<burn_flex::Flex>>(&vec![Default::default(); named])
            }
            #[cfg(feature = "cuda")]
            sparsight_trainer::device::Devices::Cuda(gpus) => {
                let gpus: Vec<_> = gpus.into_iter().map(burn::backend::cuda::CudaDevice::new).collect();
                $check::<burn::backend::Autodiff<burn::backend::Cuda>>(&gpus)
            }
            #[cfg(not(feature = "cuda"))]
            sparsight_trainer::device::Devices::Cuda(_) => unreachable!("chosen without CUDA"),
        }
    };
}
pub(crate) use on_the_devices;
