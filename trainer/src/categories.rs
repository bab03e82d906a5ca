//! Categories on disk, in the MVTec-AD layout: which images a category has and which mask belongs to which. No pixel
//! is read here; [`fingerprint`] reads bytes only to hash them.
//!
//! ```text
//! ROOT/NAME/train/good/000.png           good images
//! ROOT/NAME/test/good/000.png            more of them, to test with
//! ROOT/NAME/test/DEFECT/000.png          anomalies
//! ROOT/NAME/ground_truth/DEFECT/000_mask.png or 000.png
//! ```

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use sparsight_runtime::replace::sha256_hex;
use sparsight_schemas::DataConfig;

const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "bmp", "tif", "tiff"];

/// One category: a product, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// Name of its folder.
    pub name: String,
    /// Good images for training and for supports, sorted; never empty.
    pub train_good: Vec<PathBuf>,
    /// Labelled images, sorted by path; may be empty.
    pub test: Vec<TestImage>,
}

/// A labelled image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestImage {
    /// The image.
    pub path: PathBuf,
    /// Kind of defect; none for a good image.
    pub defect: Option<String>,
    /// Where its mask is, or should be: none for good images and in categories without a `ground_truth` folder.
    pub mask: Option<PathBuf>,
}

/// Why categories can't be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum CategoryError {
    #[error("no data folders given; set data.roots to folders that hold categories")]
    NoRoots,
    #[error("{}: no such folder; give a folder that holds categories in the MVTec-AD layout", .0.display())]
    NoSuchRoot(PathBuf),
    #[error("{}: no categories found; expected NAME/train/good in it", .0.display())]
    NoCategories(PathBuf),
    #[error("{}: this folder is itself a category; give the folder that it is in", .0.display())]
    RootIsCategory(PathBuf),
    #[error("{}: no images; put good ones there (png, jpg, bmp, tif) or exclude the category", .0.display())]
    NoTrainImages(PathBuf),
    #[error("{} and {}: two categories of one name; rename or exclude one", .0.display(), .1.display())]
    SameName(PathBuf, PathBuf),
    #[error("no category is named {name:?}; there are {known}")]
    UnknownName { name: String, known: String },
    #[error("every category is excluded; there are {0}")]
    NothingLeft(String),
    #[error("{path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The categories under all of `data.roots`, sorted by name: those named in `data.include` if it names any, without
/// those named in `data.exclude`. Folders without `train` are no categories and are passed over.
///
/// # Errors
/// A root that is missing or holds no category, a chosen category without good images for training, a name that two
/// categories share, or a name in `include` or `exclude` that no category has.
pub fn read_categories(data: &DataConfig) -> Result<Vec<Category>, CategoryError> {
    let folders = category_folders(&data.roots)?;
    let known = || folders.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    for name in data.include.iter().chain(&data.exclude) {
        if !folders.contains_key(name) {
            return Err(CategoryError::UnknownName { name: name.clone(), known: known() });
        }
    }
    let categories: Vec<Category> = folders
        .iter()
        .filter(|(name, _)| data.include.is_empty() || data.include.contains(name))
        .filter(|(name, _)| !data.exclude.contains(name))
        .map(|(name, folder)| read_category(name, folder))
        .collect::<Result<_, _>>()?;
    if categories.is_empty() { Err(CategoryError::NothingLeft(known())) } else { Ok(categories) }
}

/// What the good training images are, as a sha256 in hexadecimal digits: equal for the same names and bytes wherever
/// they lie, different as soon as one image is added, removed, renamed or changed.
///
/// # Errors
/// An image that can't be read.
pub fn fingerprint(categories: &[Category]) -> Result<String, CategoryError> {
    let mut listing = String::new();
    for category in categories {
        for path in &category.train_good {
            let bytes = fs::read(path).map_err(|source| CategoryError::Io { path: path.clone(), source })?;
            listing += &format!("{}/{} {}\n", category.name, file_name(path), sha256_hex(&bytes));
        }
    }
    Ok(sha256_hex(listing.as_bytes()))
}

fn category_folders(roots: &[String]) -> Result<BTreeMap<String, PathBuf>, CategoryError> {
    if roots.is_empty() {
        return Err(CategoryError::NoRoots);
    }
    let mut folders = BTreeMap::new();
    for root in roots.iter().map(Path::new) {
        if !root.is_dir() {
            return Err(CategoryError::NoSuchRoot(root.into()));
        }
        if root.join("train").is_dir() {
            return Err(CategoryError::RootIsCategory(root.into()));
        }
        let found: Vec<PathBuf> =
            entries(root)?.into_iter().filter(|folder| folder.join("train").is_dir()).collect();
        if found.is_empty() {
            return Err(CategoryError::NoCategories(root.into()));
        }
        for folder in found {
            if let Some(other) = folders.insert(file_name(&folder), folder.clone()) {
                return Err(CategoryError::SameName(other, folder));
            }
        }
    }
    Ok(folders)
}

fn read_category(name: &str, folder: &Path) -> Result<Category, CategoryError> {
    let good = folder.join("train").join("good");
    let train_good = if good.is_dir() { images(&good)? } else { Vec::new() };
    if train_good.is_empty() {
        return Err(CategoryError::NoTrainImages(good));
    }
    Ok(Category { name: name.into(), train_good, test: test_images(folder)? })
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
        let defect = Some(file_name(&kind)).filter(|name| name != "good");
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

/// `NAME_mask.png`, unless only `NAME.png` is there. A missing file is for those to report who need it.
fn mask_of(masks: &Path, image: &Path) -> PathBuf {
    let stem = image.file_stem().unwrap_or_default().to_string_lossy();
    let plain = masks.join(format!("{stem}.png"));
    let suffixed = masks.join(format!("{stem}_mask.png"));
    if plain.is_file() && !suffixed.is_file() { plain } else { suffixed }
}

fn images(folder: &Path) -> Result<Vec<PathBuf>, CategoryError> {
    let is_image = |path: &PathBuf| {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        path.is_file() && EXTENSIONS.contains(&extension.as_str())
    };
    Ok(entries(folder)?.into_iter().filter(is_image).collect())
}

/// What a folder holds, sorted, without hidden entries.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, CategoryError> {
    let failed = |source| CategoryError::Io { path: folder.into(), source };
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !file_name(&path).starts_with('.') {
            entries.push(path);
        }
    }
    entries.sort();
    Ok(entries)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        root
    }

    fn data(root: &Path, include: &[&str], exclude: &[&str]) -> DataConfig {
        let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        DataConfig {
            roots: vec![root.display().to_string()],
            include: owned(include),
            exclude: owned(exclude),
        }
    }

    const TWO: [&str; 8] = [
        "nut/train/good/1.png",
        "nut/train/good/0.PNG",
        "nut/train/good/notes.txt",
        "nut/test/good/0.png",
        "nut/test/crack/0.jpg",
        "nut/test/crack/1.jpg",
        "nut/ground_truth/crack/1.png",
        "bolt/train/good/0.png",
    ];

    #[test]
    fn labels_and_masks_follow_from_the_folders() {
        let root = tree(&TWO);
        let nut = read_categories(&data(root.path(), &["nut"], &[])).unwrap().remove(0);
        assert_eq!(
            nut.train_good,
            ["0.PNG", "1.png"].map(|name| root.path().join("nut/train/good").join(name))
        );
        let masks = root.path().join("nut/ground_truth/crack");
        let described: Vec<_> =
            nut.test.iter().map(|image| (image.defect.as_deref(), image.mask.clone())).collect();
        assert_eq!(
            described,
            [
                (Some("crack"), Some(masks.join("0_mask.png"))), // where it should be
                (Some("crack"), Some(masks.join("1.png"))),
                (None, None)
            ]
        );
    }

    #[test]
    fn without_a_ground_truth_folder_no_image_has_a_mask() {
        let root = tree(&["nut/train/good/0.png", "nut/test/crack/0.png"]);
        let nut = read_categories(&data(root.path(), &[], &[])).unwrap().remove(0);
        assert_eq!((nut.test[0].defect.as_deref(), &nut.test[0].mask), (Some("crack"), &None));
    }

    #[test]
    fn include_and_exclude_choose_by_name() {
        let root = tree(&TWO);
        let names = |include: &[&str], exclude: &[&str]| {
            let categories = read_categories(&data(root.path(), include, exclude)).unwrap();
            categories.into_iter().map(|category| category.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[], &[]), ["bolt", "nut"]);
        assert_eq!(names(&["nut"], &[]), ["nut"]);
        assert_eq!(names(&[], &["nut"]), ["bolt"]);
    }

    #[test]
    fn every_mistake_is_one_line_that_names_it() {
        let root = tree(&["a/train/good/0.png", "empty/train/good/notes.txt", "nothing/file"]);
        let at = |path: &str| root.path().join(path);
        let message = |data: DataConfig| read_categories(&data).unwrap_err().to_string();
        let two_roots =
            DataConfig { roots: vec![root.path().display().to_string(); 2], ..DataConfig::default() };
        let cases = [
            (DataConfig::default(), "data.roots"),
            (data(&at("missing"), &[], &[]), "missing: no such folder"),
            (data(&at("nothing"), &[], &[]), "nothing: no categories found"),
            (data(&at("a"), &[], &[]), "itself a category"),
            (data(root.path(), &[], &[]), "good: no images"),
            (data(root.path(), &["b"], &[]), "no category is named \"b\"; there are a, empty"),
            (data(root.path(), &["a"], &["c"]), "no category is named \"c\""),
            (data(root.path(), &["a"], &["a"]), "every category is excluded"),
            (two_roots, "two categories of one name"),
        ];
        for (data, expected) in cases {
            let message = message(data);
            assert!(message.contains(expected) && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn the_fingerprint_depends_on_names_and_bytes_alone() {
        let here = tree(&TWO);
        let print = |root: &Path| fingerprint(&read_categories(&data(root, &[], &[])).unwrap()).unwrap();
        let first = print(here.path());
        assert_eq!(first, print(tree(&TWO).path()));
        fs::write(here.path().join("nut/test/crack/0.jpg"), "not training data").unwrap();
        assert_eq!(first, print(here.path()));
        fs::write(here.path().join("bolt/train/good/0.png"), "changed").unwrap();
        let changed = print(here.path());
        assert_ne!(first, changed);
        fs::rename(here.path().join("bolt/train/good/0.png"), here.path().join("bolt/train/good/1.png"))
            .unwrap();
        assert_ne!(changed, print(here.path()));
    }
}
