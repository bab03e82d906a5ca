//! How data sets lay out a category's folder. What a category is, and which are chosen, is `categories`' business.
//!
//! ```text
//! MVTec-AD  NAME/train/good/000.png             good images
//!           NAME/test/good/000.png              more of them, to test with
//!           NAME/test/DEFECT/000.png            anomalies
//!           NAME/ground_truth/DEFECT/000_mask.png or 000.png
//! BTAD      the same with `ok` for `good`; its masks are called as their images
//! VisA      NAME/Data/Images/{Normal,Anomaly}/000.JPG, NAME/Data/Masks/Anomaly/000.png;
//!           split_csv/1cls.csv beside NAME says what is for training, else every tenth good image is to test with
//! plain     NAME/000.png                        good images, nothing to test with
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Category, CategoryError, EXTENSIONS, TestImage, entries, file_name, images};

/// One of every so many good images is to test with where nothing says which.
const HELD_OUT: usize = 10;
/// What data sets call folders of good images.
const GOOD: [&str; 2] = ["good", "ok"];

/// How a category's folder is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Of MVTec-AD and BTAD: `train`, `test`, `ground_truth`.
    Splits,
    /// Of VisA: `Data/Images`, `Data/Masks`.
    Visa,
    /// Nothing but good images.
    Plain,
}

impl Layout {
    /// The layout of a folder; none if it is no category.
    pub fn of(folder: &Path) -> Result<Option<Self>, CategoryError> {
        Ok(if folder.join("train").is_dir() {
            Some(Self::Splits)
        } else if folder.join("Data").join("Images").is_dir() {
            Some(Self::Visa)
        } else if images(folder)?.is_empty() {
            None
        } else {
            Some(Self::Plain)
        })
    }

    /// Reads what the category in `folder` has.
    pub fn read(self, name: &str, folder: &Path) -> Result<Category, CategoryError> {
        let (looked_in, train_good, test) = match self {
            Self::Splits => {
                let train = folder.join("train");
                let good = GOOD.map(|good| train.join(good)).into_iter().find(|good| good.is_dir());
                let good = good.unwrap_or_else(|| train.join("good"));
                let found = if good.is_dir() { images(&good)? } else { Vec::new() };
                (good, found, test_images(folder)?)
            }
            Self::Visa => {
                let (train_good, test) = visa(name, folder)?;
                (folder.join("Data").join("Images").join("Normal"), train_good, test)
            }
            Self::Plain => (folder.to_owned(), images(folder)?, Vec::new()),
        };
        if train_good.is_empty() {
            return Err(CategoryError::NoTrainImages(looked_in));
        }
        Ok(Category { name: name.into(), train_good, test })
    }
}

fn test_images(folder: &Path) -> Result<Vec<TestImage>, CategoryError> {
    let test = folder.join("test");
    if !test.is_dir() {
        return Ok(Vec::new());
    }
    let masks = folder.join("ground_truth");
    let masks = masks.is_dir().then_some(masks);
    let mut found = Vec::new();
    for kind in entries(&test)?.into_iter().filter(|entry| entry.is_dir()) {
        let defect = Some(file_name(&kind)).filter(|name| !GOOD.contains(&name.as_str()));
        for path in images(&kind)? {
            let mask = match (&masks, &defect) {
                (Some(masks), Some(defect)) => Some(mask_of(&masks.join(defect), &path)),
                _ => None,
            };
            found.push(TestImage { path, defect: defect.clone(), mask });
        }
    }
    Ok(found)
}

/// `NAME_mask` with the extension of an image, or NAME, in small or in capital letters. A missing file is for those to report who
/// need it, as `NAME_mask.png`.
fn mask_of(masks: &Path, image: &Path) -> PathBuf {
    let stem = image.file_stem().unwrap_or_default().to_string_lossy();
    let named = |suffix: &str, extension: &str| masks.join(format!("{stem}{suffix}.{extension}"));
    let candidates = ["_mask", ""].into_iter().flat_map(|suffix| {
        let both = |extension: &'static str| [extension.to_owned(), extension.to_uppercase()];
        EXTENSIONS.into_iter().flat_map(both).map(move |extension| named(suffix, &extension))
    });
    candidates.into_iter().find(|path| path.is_file()).unwrap_or_else(|| named("_mask", "png"))
}

/// Good images for training, and labelled images.
fn visa(name: &str, folder: &Path) -> Result<(Vec<PathBuf>, Vec<TestImage>), CategoryError> {
    let root = folder.parent().unwrap_or(folder);
    let split = root.join("split_csv").join("1cls.csv");
    if split.is_file() {
        return visa_split(name, root, &split);
    }
    let data = folder.join("Data");
    let (mut train_good, mut test) = (Vec::new(), Vec::new());
    for (i, path) in images(&data.join("Images").join("Normal"))?.into_iter().enumerate() {
        if (i + 1) % HELD_OUT == 0 {
            test.push(TestImage { path, defect: None, mask: None });
        } else {
            train_good.push(path);
        }
    }
    let anomalies = data.join("Images").join("Anomaly");
    let masks = data.join("Masks").join("Anomaly");
    for path in if anomalies.is_dir() { images(&anomalies)? } else { Vec::new() } {
        let mask = masks.is_dir().then(|| mask_of(&masks, &path));
        test.push(TestImage { path, defect: Some("anomaly".into()), mask });
    }
    test.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((train_good, test))
}

/// How the first line of VisA's lists begins.
const SPLIT_HEADER: &str = "object,split";

/// The lines `object,split,label,image,mask` of this object; paths start at the root.
fn visa_split(
    name: &str,
    root: &Path,
    split: &Path,
) -> Result<(Vec<PathBuf>, Vec<TestImage>), CategoryError> {
    let text =
        fs::read_to_string(split).map_err(|source| CategoryError::Io { path: split.into(), source })?;
    let wrong = |line: usize| CategoryError::Split { path: split.into(), line: line + 1 };
    if !text.trim_start_matches('\u{feff}').starts_with(SPLIT_HEADER) {
        return Err(wrong(0)); // an image's line in its place would be lost
    }
    let (mut train_good, mut test) = (Vec::new(), Vec::new());
    for (i, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.trim().split(',').collect();
        let [object, part, label, image, mask] = fields[..] else {
            return Err(wrong(i));
        };
        let path = root.join(image);
        match (part, label) {
            _ if object != name => {}
            ("train", "normal") => train_good.push(path),
            ("test", "normal") => test.push(TestImage { path, defect: None, mask: None }),
            ("test", "anomaly") => {
                let mask = (!mask.is_empty()).then(|| root.join(mask));
                test.push(TestImage { path, defect: Some("anomaly".into()), mask });
            }
            _ => return Err(wrong(i)),
        }
    }
    if train_good.is_empty() {
        return Err(CategoryError::NotSplit { path: split.into(), name: name.into() });
    }
    train_good.sort();
    test.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((train_good, test))
}
