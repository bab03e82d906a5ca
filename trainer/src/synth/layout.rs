//! Writes categories as folders of PNG files.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use image::{ImageError, ImageFormat};
use sparsight_runtime::replace::{ReplaceError, replace_directory};

use super::{DEFECTS, SynthCategory};

/// Pieces tried with a defect before giving up.
const PIECES: usize = 8;

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Categories.
    pub categories: usize,
    /// Seed of everything.
    pub seed: u64,
    /// Side of the images in pixels.
    pub size: usize,
    /// Good images for training, in each category.
    pub train: usize,
    /// Images to test with, in each category: one half good, the others defective. Kinds of defects take turns, and go
    /// on from one category to the next, so that all kinds are made however few a category has.
    pub test: usize,
}

/// Why categories can't be written.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// The caller wanted no more.
    #[error("interrupted")]
    Interrupted,
    /// The folder to write to holds something.
    #[error("{}: not empty; give a new folder, or remove this one first", .0.display())]
    NotEmpty(PathBuf),
    /// The folder can't be made.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
    /// A file or folder inside it that can't be written.
    #[error("{path}: {source}; free some space, or write elsewhere", path = .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// An image that can't be encoded or written.
    #[error("{path}: {source}; free some space, or write elsewhere", path = .path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// What the encoder says.
        source: ImageError,
    },
    /// A defect that could not be made visible, which only tiny images should cause.
    #[error("{category}: no visible {defect} on {piece}; make the images larger")]
    Invisible {
        /// Name of the category.
        category: String,
        /// The kind of defect.
        defect: &'static str,
        /// The piece.
        piece: String,
    },
}

impl SynthError {
    /// The same, of what was to be below `to` in the end and not below `from`.
    fn moved(mut self, from: &Path, to: &Path) -> Self {
        if let Self::Write { path, .. } | Self::Encode { path, .. } = &mut self
            && let Ok(below) = path.strip_prefix(from)
        {
            *path = to.join(below);
        }
        self
    }
}

/// Writes categories into `out`, which must be new or empty, on all cores, unless `interrupted` is set meanwhile. `done` is
/// called after each category.
///
/// # Errors
/// The first thing that went wrong; `out` is then as it was.
pub fn synthesise(
    out: &Path,
    options: &Options,
    interrupted: &AtomicBool,
    done: impl Fn() + Sync,
) -> Result<(), SynthError> {
    let failed = |source| SynthError::Write { path: out.into(), source };
    if out.is_dir() && fs::read_dir(out).map_err(failed)?.next().is_some() {
        return Err(SynthError::NotEmpty(out.into()));
    }
    replace_directory(out, |folder| {
        let written = write_categories(folder.path(), options, interrupted, &done);
        written.map_err(|error| error.moved(folder.path(), out))
    })
}

fn write_categories(
    folder: &Path,
    options: &Options,
    interrupted: &AtomicBool,
    done: &(impl Fn() + Sync),
) -> Result<(), SynthError> {
    let next = AtomicUsize::new(0);
    let work = || {
        while let number = next.fetch_add(1, Ordering::Relaxed)
            && number < options.categories
        {
            write_category(folder, number, options, interrupted)?;
            done();
        }
        Ok(())
    };
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

fn write_category(
    out: &Path,
    number: usize,
    options: &Options,
    interrupted: &AtomicBool,
) -> Result<(), SynthError> {
    let go_on = || match interrupted.load(Ordering::Relaxed) {
        true => Err(SynthError::Interrupted),
        false => Ok(()),
    };
    let category = SynthCategory::new(number, options.seed, options.size);
    let root = out.join(&category.name);
    let good = options.test.div_ceil(2);
    for (split, count) in [("train", options.train), ("test", good)] {
        let folder = root.join(split).join("good");
        create(&folder)?;
        for i in 0..count {
            go_on()?;
            let image = category.good(&format!("{split}/{i}"));
            write(&folder.join(format!("{i:03}.png")), |path| {
                image.save_with_format(path, ImageFormat::Png)
            })?;
        }
    }
    let defective = options.test - good;
    for i in 0..defective {
        go_on()?;
        let defect = &DEFECTS[(number * defective + i) % DEFECTS.len()];
        let file = format!("{:03}", i / DEFECTS.len());
        let piece = format!("defective/{i}");
        // Once in a thousand times a defect won't show on a piece; on another it will.
        let others = (1..PIECES).map(|again| format!("{piece}/{again}"));
        let anomaly =
            std::iter::once(piece.clone()).chain(others).find_map(|piece| category.anomaly(&piece, defect));
        let anomaly = anomaly.ok_or_else(|| SynthError::Invisible {
            category: category.name.clone(),
            defect: defect.name,
            piece: piece.clone(),
        })?;
        let [images, masks] = ["test", "ground_truth"].map(|part| root.join(part).join(defect.name));
        create(&images)?;
        create(&masks)?;
        let image = images.join(format!("{file}.png"));
        write(&image, |path| anomaly.image.save_with_format(path, ImageFormat::Png))?;
        let mask = masks.join(format!("{file}_mask.png"));
        write(&mask, |path| anomaly.mask.save_with_format(path, ImageFormat::Png))?;
    }
    Ok(())
}

fn create(folder: &Path) -> Result<(), SynthError> {
    fs::create_dir_all(folder).map_err(|source| SynthError::Write { path: folder.into(), source })
}

fn write(path: &Path, save: impl FnOnce(&Path) -> Result<(), ImageError>) -> Result<(), SynthError> {
    save(path).map_err(|source| SynthError::Encode { path: path.into(), source })
}
