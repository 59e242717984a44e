//! From a device name to a device: the one file that knows which backends are compiled in.

use std::path::Path;

use burn::tensor::Device;
use serde::Serialize;
use thiserror::Error;

/// A device that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeviceError {
    /// No backend has this name.
    #[error("unknown device `{name}`\nhint: this binary has {available}")]
    Unknown {
        /// As given.
        name: String,
        /// What can be asked for instead.
        available: String,
    },
    /// The backend exists, but this binary was built without it.
    #[error(
        "device `{name}` is not compiled in\nhint: build with `--features {feature}`, or use {available}"
    )]
    NotCompiledIn {
        /// As given.
        name: String,
        /// The cargo feature that adds it.
        feature: &'static str,
        /// What can be asked for instead.
        available: String,
    },
    /// The backend is compiled in, but the machine lacks the hardware or its driver.
    #[error("device `{name}` is not present: {reason}\nhint: use {available}")]
    NotPresent {
        /// As given.
        name: String,
        /// What is missing.
        reason: String,
        /// What can be asked for instead.
        available: String,
    },
}

/// One backend, as `cei devices` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceStatus {
    /// Name for `--device`, without an index.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// Whether this binary contains it.
    pub compiled_in: bool,
    /// Indices that can be asked for; `[0]` for a processor.
    pub indices: Vec<usize>,
    /// What each of them calls itself, where [`devices_with_adapters`] could ask.
    pub adapters: Vec<String>,
    /// Why it is missing, if it is.
    pub missing: Option<String>,
}

/// Everything that is known of one backend.
struct Backend {
    name: &'static str,
    description: &'static str,
    compiled_in: bool,
    /// Indices present on this machine, or what is missing.
    present: fn() -> Result<Vec<usize>, String>,
    open: fn(usize) -> Option<Device>,
    /// What a device calls itself; opens it.
    name_of: fn(&Device) -> Option<String>,
}

const BACKENDS: [Backend; 4] = [
    Backend {
        name: "cpu",
        description: "processor (burn-flex)",
        compiled_in: cfg!(feature = "cpu"),
        present: processor,
        open: open_cpu,
        name_of: nameless,
    },
    Backend {
        name: "ndarray",
        description: "processor (burn-ndarray)",
        compiled_in: cfg!(feature = "ndarray"),
        present: processor,
        open: open_ndarray,
        name_of: nameless,
    },
    Backend {
        name: "cuda",
        description: "NVIDIA graphics processor",
        compiled_in: cfg!(feature = "cuda"),
        present: nvidia_processors,
        open: open_cuda,
        name_of: adapter,
    },
    Backend {
        name: "vulkan",
        description: "graphics processor through Vulkan",
        compiled_in: cfg!(feature = "vulkan"),
        present: vulkan_processors,
        open: open_vulkan,
        name_of: adapter,
    },
];

/// [`devices`] with their adapters: the devices of this binary are opened, for what they call themselves.
pub fn devices_with_adapters() -> Vec<DeviceStatus> {
    let mut all = devices();
    for (status, backend) in all.iter_mut().zip(&BACKENDS) {
        if status.missing.is_none() {
            let open = |index: &usize| (backend.name_of)(&(backend.open)(*index)?);
            status.adapters = status.indices.iter().filter_map(open).collect();
        }
    }
    all
}

/// The state of every known backend.
pub fn devices() -> Vec<DeviceStatus> {
    BACKENDS
        .iter()
        .map(|backend| {
            let present = (backend.present)();
            DeviceStatus {
                name: backend.name,
                description: backend.description,
                compiled_in: backend.compiled_in,
                missing: match (&present, backend.compiled_in) {
                    (_, false) => Some(format!("build with `--features {}`", backend.name)),
                    (Err(reason), true) => Some(reason.clone()),
                    (Ok(_), true) => None,
                },
                indices: present.unwrap_or_default(),
                adapters: Vec::new(),
            }
        })
        .collect()
}

/// Whether this is the device `cpu`, which the fused kernels serve.
pub fn is_cpu(device: &Device) -> bool {
    open_cpu(0).is_some_and(|cpu| cpu == *device)
}

/// Opens a device by name: `cpu`, `ndarray`, `cuda`, `cuda:1`, `vulkan:0`.
///
/// # Errors
/// A name that is unknown, not compiled in or not present; the error says what is available.
///
/// ```
/// let device = cei_model::open_device("cpu")?;
/// assert!(cei_model::is_cpu(&device));
/// # Ok::<(), cei_model::DeviceError>(())
/// ```
pub fn open_device(name: &str) -> Result<Device, DeviceError> {
    let (kind, index) = match name.split_once(':') {
        None => (name, Some(0)),
        Some((kind, index)) => (kind, index.parse().ok()),
    };
    let unknown = || DeviceError::Unknown { name: name.to_owned(), available: available() };
    let backend = BACKENDS.iter().find(|b| b.name == kind).ok_or_else(unknown)?;
    let index: usize = index.ok_or_else(unknown)?;
    if !backend.compiled_in {
        return Err(DeviceError::NotCompiledIn {
            name: name.to_owned(),
            feature: backend.name,
            available: available(),
        });
    }
    let not_present = |reason: String| DeviceError::NotPresent {
        name: name.to_owned(),
        reason,
        available: available(),
    };
    let indices = (backend.present)().map_err(not_present)?;
    if !indices.contains(&index) {
        return Err(not_present(format!("there are {} of this kind here", indices.len())));
    }
    (backend.open)(index).ok_or_else(unknown)
}

/// What can be asked for on this machine, in words.
fn available() -> String {
    let names: Vec<String> = devices()
        .into_iter()
        .filter(|device| device.missing.is_none())
        .flat_map(|device| {
            let single = device.indices.len() == 1;
            device.indices.into_iter().map(move |index| {
                if single {
                    format!("`{}`", device.name)
                } else {
                    format!("`{}:{index}`", device.name)
                }
            })
        })
        .collect();
    if names.is_empty() { "no device at all".to_owned() } else { names.join(", ") }
}

fn processor() -> Result<Vec<usize>, String> {
    Ok(vec![0])
}

/// Counts NVIDIA processors by their device files: asking a missing driver would panic.
fn nvidia_processors() -> Result<Vec<usize>, String> {
    if !has_library("libcuda.so.1") {
        return Err("the NVIDIA driver library `libcuda.so.1` was not found".to_owned());
    }
    let count = (0..64).take_while(|i| Path::new(&format!("/dev/nvidia{i}")).exists()).count();
    // The Linux subsystem of Windows has one shared device file instead.
    let count = if count == 0 && Path::new("/dev/dxg").exists() { 1 } else { count };
    if count == 0 {
        return Err("the NVIDIA driver is installed, but there is no `/dev/nvidia0`".to_owned());
    }
    Ok((0..count).collect())
}

fn vulkan_processors() -> Result<Vec<usize>, String> {
    if !has_library("libvulkan.so.1") {
        return Err("the Vulkan loader `libvulkan.so.1` was not found".to_owned());
    }
    let folders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let named = std::env::var_os("VK_DRIVER_FILES").or(std::env::var_os("VK_ICD_FILENAMES"));
    let drivers = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .flatten()
        .count();
    if drivers == 0 && named.is_none() {
        return Err("the Vulkan loader is installed, but no driver for it".to_owned());
    }
    match vulkan_devices().len() {
        0 => Err("the Vulkan loader and a driver are installed, but no device for them".to_owned()),
        count => Ok((0..count).collect()),
    }
}

/// Whether a shared library lies where the loader looks.
fn has_library(name: &str) -> bool {
    let folders = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    let usual = [
        "/usr/lib",
        "/usr/lib64",
        "/lib/x86_64-linux-gnu",
        "/usr/lib/x86_64-linux-gnu",
        "/lib/aarch64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/local/lib",
        "/usr/local/nvidia/lib64",
        "/usr/lib/wsl/lib",
    ];
    folders
        .split(':')
        .filter(|folder| !folder.is_empty())
        .chain(usual)
        .any(|folder| Path::new(folder).join(name).exists())
}

#[cfg(feature = "cpu")]
fn open_cpu(_index: usize) -> Option<Device> {
    Some(Device::flex())
}

#[cfg(not(feature = "cpu"))]
fn open_cpu(_index: usize) -> Option<Device> {
    None
}

#[cfg(feature = "ndarray")]
#[allow(deprecated)] // kept because the project's owner asked for this backend by name
fn open_ndarray(_index: usize) -> Option<Device> {
    Some(Device::ndarray())
}

#[cfg(not(feature = "ndarray"))]
fn open_ndarray(_index: usize) -> Option<Device> {
    None
}

#[cfg(feature = "cuda")]
fn open_cuda(index: usize) -> Option<Device> {
    Some(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_index: usize) -> Option<Device> {
    None
}

#[cfg(feature = "vulkan")]
fn open_vulkan(index: usize) -> Option<Device> {
    vulkan_devices().into_iter().nth(index)
}

#[cfg(not(feature = "vulkan"))]
fn open_vulkan(_index: usize) -> Option<Device> {
    None
}

/// Graphics processors first, the cards before those in a processor; last software that computes in their place.
#[cfg(feature = "vulkan")]
fn vulkan_devices() -> Vec<Device> {
    Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec()
}

/// Without the backend nothing can be asked; one is assumed.
#[cfg(not(feature = "vulkan"))]
fn vulkan_devices() -> [(); 1] {
    [()]
}

#[cfg(any(feature = "cuda", feature = "vulkan"))]
fn adapter(device: &Device) -> Option<String> {
    device.identity().map(|identity| identity.name)
}

#[cfg(not(any(feature = "cuda", feature = "vulkan")))]
fn adapter(_device: &Device) -> Option<String> {
    None
}

fn nameless(_device: &Device) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_says_what_there_is() {
        let error = open_device("gpu").map(|_| ()).unwrap_err();
        assert!(matches!(error, DeviceError::Unknown { .. }));
        assert!(error.to_string().contains("`cpu`"), "{error}");
        assert!(open_device("cpu:x").is_err());
        assert!(open_device("cpu:7").is_err());
    }

    #[test]
    fn the_processor_is_there() {
        assert!(open_device("cpu").is_ok());
        assert!(open_device("cpu:0").is_ok());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_that_is_not_compiled_in_names_the_feature() {
        let error = open_device("cuda:0").map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("`--features cuda`"), "{error}");
    }
}
