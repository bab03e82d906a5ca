//! Finds the ONNX Runtime library and loads it, once for the whole process. What is computed with it is for
//! [`crate::backbone`] to know.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ort::{environment::Environment, logging::LogLevel};

/// The environment variable that names the library.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Where `cargo xtask setup` puts the library, below the repository.
const SETUP_FOLDER: &str = "target/onnxruntime";

/// A library that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Its file, as an absolute path.
    pub path: PathBuf,
    /// Who named it.
    pub found: Found,
}

/// Who named the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The caller: a flag of the command line.
    ByCaller,
    /// The environment variable.
    ByVariable,
    /// It lies beside the executable.
    BesideExecutable,
    /// `cargo xtask setup` put it there.
    BySetup,
}

impl fmt::Display for Found {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Self::ByCaller => "named by the command line",
            Self::ByVariable => "named by ORT_DYLIB_PATH",
            Self::BesideExecutable => "beside the executable",
            Self::BySetup => "from cargo xtask setup",
        })
    }
}

/// Why there is no ONNX Runtime.
#[derive(Debug, thiserror::Error)]
pub enum OnnxRuntimeError {
    /// A library was named that is not there.
    #[error("{}: no such ONNX Runtime library ({named}); run `cargo xtask setup`, or set ORT_DYLIB_PATH to the library's file", path.display())]
    Missing {
        /// The path that was named.
        path: PathBuf,
        /// Who named it.
        named: Found,
    },
    /// No library was named, and there is none where it is looked for.
    #[error("no ONNX Runtime library in {}; run `cargo xtask setup`, or set ORT_DYLIB_PATH to the library's file", list(.0))]
    NotFound(Vec<PathBuf>),
    /// The file can't be loaded as ONNX Runtime.
    #[error("{}: can't be used as the ONNX Runtime library ({reason}); run `cargo xtask setup`, or set ORT_DYLIB_PATH to the file of ONNX Runtime 1.17 or later", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The loader's reason.
        reason: String,
    },
    /// The process has already loaded another one.
    #[error("{}: ONNX Runtime is already loaded from {}; a process can use only one library", wanted.display(), loaded.display())]
    AnotherLoaded {
        /// The one that was asked for.
        wanted: PathBuf,
        /// The one in use.
        loaded: PathBuf,
    },
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The library in use and ort's handle to it; ort allows one environment in the life of a process.
static LOADED: Mutex<Option<(Library, Environment)>> = Mutex::new(None);

/// Finds the library: `named` (a flag), `ORT_DYLIB_PATH`, the executable's folder, then `target/onnxruntime` in any
/// ancestor of the executable's folder or of the working directory.
///
/// # Errors
/// A named library that is not there, or every place that was searched.
pub fn find(named: Option<&Path>) -> Result<Library, OnnxRuntimeError> {
    let variable = env::var_os(LIBRARY_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let executable = env::current_exe().ok().map(|file| file.canonicalize().unwrap_or(file));
    let executable = executable.and_then(|file| Some(file.parent()?.to_path_buf()));
    search(named, variable.as_deref(), executable.as_deref(), env::current_dir().ok().as_deref())
}

/// Finds the library and loads it. Later calls give the one already loaded.
///
/// # Errors
/// As [`find`]; a file that is not a library, not ONNX Runtime or too old; a second library in one process.
pub fn load(named: Option<&Path>) -> Result<Library, OnnxRuntimeError> {
    environment(named).map(|(library, _)| library)
}

/// As [`load`], with the handle that sessions are made with.
pub(crate) fn environment(named: Option<&Path>) -> Result<(Library, Environment), OnnxRuntimeError> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((library, environment)) = &*loaded {
        let wanted = named.map(absolute).filter(|wanted| *wanted != library.path);
        return match wanted {
            Some(wanted) => Err(OnnxRuntimeError::AnotherLoaded { wanted, loaded: library.path.clone() }),
            None => Ok((library.clone(), environment.clone())),
        };
    }
    let library = find(named)?;
    let unusable =
        |reason: String| OnnxRuntimeError::Unusable { path: library.path.clone(), reason: one_line(&reason) };
    let environment = ort::init_from(&library.path)
        .map_err(|error| unusable(error.to_string()))?
        .with_name("sparsight")
        .with_telemetry(false)
        .build()
        .map_err(|error| unusable(error.to_string()))?;
    // Whatever fails is returned as an error and said once; ONNX Runtime would say it a second time on stderr.
    if env::var_os("ORT_LOG").is_none() {
        environment.set_log_level(LogLevel::Fatal);
    }
    *loaded = Some((library.clone(), environment.clone()));
    Ok((library, environment))
}

fn search(
    named: Option<&Path>,
    variable: Option<&Path>,
    executable: Option<&Path>,
    working: Option<&Path>,
) -> Result<Library, OnnxRuntimeError> {
    for (path, found) in [(named, Found::ByCaller), (variable, Found::ByVariable)] {
        if let Some(path) = path {
            return match path.is_file() {
                true => Ok(Library { path: absolute(path), found }),
                false => Err(OnnxRuntimeError::Missing { path: path.to_path_buf(), named: found }),
            };
        }
    }
    let mut folders: Vec<_> =
        executable.iter().map(|folder| (folder.to_path_buf(), Found::BesideExecutable)).collect();
    let starts = executable.into_iter().chain(working);
    for folder in starts.flat_map(Path::ancestors).map(|ancestor| ancestor.join(SETUP_FOLDER)) {
        if folder.is_dir() && !folders.iter().any(|(known, _)| *known == folder) {
            folders.push((folder, Found::BySetup));
        }
    }
    for (folder, found) in &folders {
        if let Some(path) = library_in(folder) {
            return Ok(Library { path: absolute(&path), found: *found });
        }
    }
    let mut searched: Vec<_> = folders.into_iter().map(|(folder, _)| folder).collect();
    if let Some(working) = working {
        let setup = working.join(SETUP_FOLDER);
        if !searched.contains(&setup) {
            searched.push(setup);
        }
    }
    Err(OnnxRuntimeError::NotFound(searched))
}

/// The library in a folder: by its plain name, or the last of those that carry a version.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let mut files: Vec<_> = folder.read_dir().ok()?.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_library = match env::consts::OS {
            "windows" => name == "onnxruntime.dll",
            "macos" => name.starts_with("libonnxruntime.") && name.ends_with(".dylib"),
            _ => name == "libonnxruntime.so" || name.starts_with("libonnxruntime.so."),
        };
        is_library && file.is_file()
    });
    files.into_iter().max()
}

/// ort takes a relative path from the executable's folder; a user means the working directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Messages of ONNX Runtime hold line breaks; ours are one line.
pub(crate) fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn library_name() -> &'static str {
        match env::consts::OS {
            "windows" => "onnxruntime.dll",
            "macos" => "libonnxruntime.1.28.0.dylib",
            _ => "libonnxruntime.so.1.28.0",
        }
    }

    #[test]
    fn a_flag_goes_before_the_variable_and_that_before_the_folders() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, b"").unwrap();
            path
        };
        let (flag, variable) = (file("flag.so"), file("variable.so"));
        let beside = file(&format!("target/release/{}", library_name()));
        let setup = file(&format!("target/onnxruntime/{}", library_name()));
        let executable = folder.path().join("target/release");
        let elsewhere = tempfile::tempdir().unwrap();
        let working = Some(elsewhere.path());

        let found = |named, variable, working| search(named, variable, Some(&executable), working).unwrap();
        assert_eq!(
            found(Some(&flag), Some(&variable), working),
            Library { path: flag.clone(), found: Found::ByCaller }
        );
        assert_eq!(
            found(None, Some(&variable), working),
            Library { path: variable.clone(), found: Found::ByVariable }
        );
        assert_eq!(
            found(None, None, working),
            Library { path: beside.clone(), found: Found::BesideExecutable }
        );
        fs::remove_file(&beside).unwrap();
        assert_eq!(found(None, None, working), Library { path: setup.clone(), found: Found::BySetup });
        let from_the_working_directory = search(None, None, None, Some(&executable)).unwrap();
        assert_eq!(from_the_working_directory, Library { path: setup, found: Found::BySetup });
    }

    #[test]
    fn a_named_library_that_is_missing_is_an_error_even_if_another_is_there() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(library_name()), b"").unwrap();
        let missing = folder.path().join("missing.so");
        let error = search(Some(&missing), None, Some(folder.path()), None).unwrap_err().to_string();
        assert!(error.contains("missing.so") && error.contains("cargo xtask setup"), "{error}");
    }

    #[test]
    fn without_a_library_every_place_and_the_remedy_are_named() {
        let (executable, working) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let error =
            search(None, None, Some(executable.path()), Some(working.path())).unwrap_err().to_string();
        for part in [executable.path(), &working.path().join(SETUP_FOLDER)] {
            assert!(error.contains(&*part.to_string_lossy()), "{error}");
        }
        assert!(error.contains("cargo xtask setup") && error.contains("ORT_DYLIB_PATH"), "{error}");
    }
}
