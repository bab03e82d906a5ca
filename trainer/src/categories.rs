//! Categories on disk: which images a category has and which mask belongs to which. How a data set lays them out is
//! `layout`'s. No pixel is read here; [`fingerprint`] reads bytes only to hash them.

mod layout;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use sparsight_runtime::replace::sha256_hex;
use sparsight_schemas::DataConfig;

use layout::Layout;

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
    #[error(
        "no data folders given; set data.roots of the config, or give --data, to folders that hold categories"
    )]
    NoRoots,
    #[error("{}: no such folder; give a folder that holds categories, one folder each", .0.display())]
    NoSuchRoot(PathBuf),
    #[error("{}: no categories found; expected NAME/train/good in it, or NAME/ with images", .0.display())]
    NoCategories(PathBuf),
    #[error("{}: this folder is itself a category; give the folder that it is in", .0.display())]
    RootIsCategory(PathBuf),
    #[error("{}: no images; put good ones there (png, jpg, bmp, tif) or exclude the category", .0.display())]
    NoTrainImages(PathBuf),
    #[error("{} and {}: two categories of one name; rename or exclude one", .0.display(), .1.display())]
    SameName(PathBuf, PathBuf),
    #[error("no category is named {name:?}; there are {known}")]
    UnknownName { name: String, known: String },
    #[error("{path}: line {line} is not object,split,label,image,mask (train,normal or test,normal or test,anomaly); get the data set's own file", path = .path.display())]
    Split { path: PathBuf, line: usize },
    #[error("{path}: lists no good training image of {name:?}; add its lines, exclude it, or move the file away", path = .path.display())]
    NotSplit { path: PathBuf, name: String },
    #[error("every category is excluded, or validates; there are {0}")]
    NothingLeft(String),
    #[error("{path}: {source}; make it readable, or leave it out of the categories", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The categories to train on, sorted by name, of all under `data.roots`: those named in `data.include` if it names any,
/// without those named in `data.exclude` and `data.validation`. Folders that hold no category are passed over.
///
/// # Errors
/// A root that is missing or holds no category, a chosen category without good images for training, a name that two
/// categories share, or a name in the config that no category has.
pub fn read_categories(data: &DataConfig) -> Result<Vec<Category>, CategoryError> {
    let folders = known_folders(data)?;
    let is_chosen = |name: &String| {
        (data.include.is_empty() || data.include.contains(name))
            && !data.exclude.contains(name)
            && !data.validation.contains(name)
    };
    let categories = read_chosen(&folders, is_chosen)?;
    if categories.is_empty() { Err(CategoryError::NothingLeft(listed(&folders))) } else { Ok(categories) }
}

/// The categories named in `data.validation`, sorted by name; none if it names none.
///
/// # Errors
/// As [`read_categories`].
pub fn read_validation_categories(data: &DataConfig) -> Result<Vec<Category>, CategoryError> {
    read_chosen(&known_folders(data)?, |name| data.validation.contains(name))
}

type Folders = BTreeMap<String, (Layout, PathBuf)>;

fn known_folders(data: &DataConfig) -> Result<Folders, CategoryError> {
    let folders = category_folders(data)?;
    let mut named = data.include.iter().chain(&data.exclude).chain(&data.validation);
    match named.find(|name| !folders.contains_key(*name)) {
        Some(name) => Err(CategoryError::UnknownName { name: name.clone(), known: listed(&folders) }),
        None => Ok(folders),
    }
}

fn read_chosen(
    folders: &Folders,
    is_chosen: impl Fn(&String) -> bool,
) -> Result<Vec<Category>, CategoryError> {
    let chosen = folders.iter().filter(|(name, _)| is_chosen(name));
    chosen.map(|(name, (layout, folder))| layout.read(name, folder)).collect()
}

fn listed(folders: &Folders) -> String {
    folders.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// What is trained on, as a sha256 in hexadecimal digits: equal for the same names and bytes wherever they lie, different
/// as soon as one image is added, removed, renamed or changed. That is the good training images and, if `anomalies` are
/// trained on, the masked test images with their masks.
///
/// # Errors
/// An image that can't be read.
pub fn fingerprint(categories: &[Category], anomalies: bool) -> Result<String, CategoryError> {
    let mut listing = String::new();
    for category in categories {
        let masked = category.test.iter().filter(|_| anomalies).filter_map(|image| {
            let mask = image.mask.as_ref().filter(|mask| mask.is_file())?;
            Some([&image.path, mask])
        });
        for path in category.train_good.iter().chain(masked.flatten()) {
            let bytes = fs::read(path).map_err(|source| CategoryError::Io { path: path.clone(), source })?;
            listing += &format!("{}/{} {}\n", category.name, file_name(path), sha256_hex(&bytes));
        }
    }
    Ok(sha256_hex(listing.as_bytes()))
}

fn category_folders(data: &DataConfig) -> Result<Folders, CategoryError> {
    let DataConfig { roots, include, exclude, validation } = data;
    if roots.is_empty() {
        return Err(CategoryError::NoRoots);
    }
    let mut folders = Folders::new();
    for root in roots.iter().map(Path::new) {
        if !root.is_dir() {
            return Err(CategoryError::NoSuchRoot(root.into()));
        }
        if Layout::of(root)?.is_some_and(|layout| layout != Layout::Plain) {
            return Err(CategoryError::RootIsCategory(root.into()));
        }
        let mut holds_any = false;
        for folder in entries(root)?.into_iter().filter(|entry| entry.is_dir()) {
            let name = file_name(&folder);
            let is_excluded = exclude.contains(&name);
            let is_asked_for = include.is_empty() || include.contains(&name) || validation.contains(&name);
            let layout = match Layout::of(&folder) {
                Err(_) if is_excluded => Some(Layout::Plain), // nobody wants to know more of it
                Err(_) if !is_asked_for => None,
                layout => layout?,
            };
            let Some(layout) = layout else { continue };
            holds_any = true;
            if let Some((_, other)) = folders.insert(name, (layout, folder.clone()))
                && is_asked_for
                && !is_excluded
            {
                return Err(CategoryError::SameName(other, folder));
            }
        }
        if !holds_any {
            return Err(CategoryError::NoCategories(root.into()));
        }
    }
    Ok(folders)
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
