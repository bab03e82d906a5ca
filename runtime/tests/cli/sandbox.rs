//! What the black-box tests of the command share: a folder of its own for each test, images to fill it with, the
//! tiny bundle. The tests know nothing of the bundle's weights.

use std::{
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::Command;
use image::{DynamicImage, RgbImage};
use sparsight_schemas::ScoreRecord;

/// A temporary folder with a dictionary of five shots once asked for.
pub struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Names of everything in the folder and below, sorted.
    pub fn entries(&self) -> Vec<String> {
        fn visit(root: &Path, folder: &Path, names: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    visit(root, &path, names);
                } else {
                    names.push(path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"));
                }
            }
        }
        let mut names = Vec::new();
        visit(self.folder.path(), self.folder.path(), &mut names);
        names.sort();
        names
    }

    /// Writes a file and the folders above it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes an image; the extension decides the format.
    pub fn image(&self, name: &str, image: impl Into<DynamicImage>) -> PathBuf {
        let path = self.write(name, b"");
        image.into().save(&path).unwrap();
        path
    }

    /// Writes five textures to `good/`.
    pub fn good_images(&self) -> PathBuf {
        for seed in 0..5 {
            self.image(&format!("good/{seed:03}.png"), texture(40, 30, seed));
        }
        self.path("good")
    }

    /// Adapts to the good images, once.
    pub fn dictionary(&self) -> PathBuf {
        let path = self.path("good.dictionary");
        if !path.exists() {
            let good = self.good_images();
            sparsight("adapt").arg(bundle()).arg(good).arg("-o").arg(&path).assert().success();
        }
        path
    }

    /// A copy of the bundle that can be spoilt.
    pub fn bundle(&self) -> PathBuf {
        for entry in fs::read_dir(bundle()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            self.write(&format!("bundle/{name}"), &fs::read(&path).unwrap());
        }
        self.path("bundle")
    }

    /// `sparsight score` with the tiny bundle and the dictionary.
    pub fn score(&self) -> Command {
        let mut command = sparsight("score");
        command.arg(bundle()).arg(self.dictionary());
        command
    }

    /// The records of the images, which must all be scored.
    pub fn records(&self, images: &[&Path]) -> Vec<ScoreRecord> {
        let assert = self.score().args(images).args(["--format", "json"]).assert().success();
        serde_json::from_slice(&assert.get_output().stdout).unwrap()
    }

    /// The anomaly score of one image.
    pub fn anomaly_score(&self, image: &Path) -> f32 {
        self.records(&[image])[0].anomaly_score.unwrap()
    }
}

/// The tiny bundle.
pub fn bundle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/bundles/tiny")
}

/// The command, on the CPU where it has a choice.
pub fn sparsight(command: &str) -> Command {
    let mut sparsight = Command::cargo_bin("sparsight").unwrap();
    sparsight.arg(command).env_remove("SPARSIGHT_PUBLIC_KEY");
    if !matches!(command, "info" | "dictionary") {
        sparsight.args(["--provider", "cpu"]);
    }
    sparsight
}

/// Starts it with signals as a terminal has them: whoever runs the tests in the background may ignore SIGINT, and so would it.
#[cfg(unix)]
pub fn with_default_signals(command: &mut std::process::Command) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt;
    let reset = || {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
            // SAFETY: signal() may be called between fork and exec, and every signal of these has a default.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: see above; nothing else happens there.
    unsafe { command.pre_exec(reset) }
}

/// Runs a command that must fail with `code` and nothing on stdout, and gives its one line on stderr.
pub fn failure(command: &mut Command, code: i32) -> String {
    let assert = command.assert().code(code);
    let output = assert.get_output();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    one_line(&output.stderr)
}

/// The one line of stderr.
pub fn one_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr).into_owned();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("error: "), "{text}");
    text
}

/// Checks that `line` holds each of `parts`.
#[track_caller]
pub fn names(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
}

/// Stripes and noise, another one for each seed.
pub fn texture(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let noise = (x + 641 * y + 7919 * seed).wrapping_mul(2_654_435_761) >> 27;
        let stripes = 90 + 40 * ((x + y) / 4 % 2);
        image::Rgb([stripes + noise, stripes, 200 - stripes + noise].map(|value| value as u8))
    })
}
