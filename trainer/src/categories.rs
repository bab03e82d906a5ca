//! Categories on disk: which images a category has and which mask belongs to which. How a data set lays them out is
//! `layout`'s. No pixel is read here; [`fingerprint`] reads bytes only to hash them.

mod layout;

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
    #[error("no data folders given; set data.roots to folders that hold categories")]
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
    #[error("no category is named {name:?} ({key}); there are {known}")]
    UnknownName { key: &'static str, name: String, known: String },
    #[error("{path}: line {line} is not object,split,label,image,mask; get the data set's own file", path = .path.display())]
    Split { path: PathBuf, line: usize },
    #[error("every category is excluded; there are {0}")]
    NothingLeft(String),
    #[error("{path}: {source}", path = .path.display())]
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
    let folders = category_folders(&data.roots)?;
    let keys = [
        ("data.include", &data.include),
        ("data.exclude", &data.exclude),
        ("data.validation", &data.validation),
    ];
    let mut named = keys.into_iter().flat_map(|(key, names)| names.iter().map(move |name| (key, name)));
    match named.find(|(_, name)| !folders.contains_key(*name)) {
        Some((key, name)) => {
            Err(CategoryError::UnknownName { key, name: name.clone(), known: listed(&folders) })
        }
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

fn category_folders(roots: &[String]) -> Result<Folders, CategoryError> {
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
        let before = folders.len();
        for folder in entries(root)?.into_iter().filter(|entry| entry.is_dir()) {
            let Some(layout) = Layout::of(&folder)? else { continue };
            if let Some((_, other)) = folders.insert(file_name(&folder), (layout, folder.clone())) {
                return Err(CategoryError::SameName(other, folder));
            }
        }
        if folders.len() == before {
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
            ..DataConfig::default()
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
    fn the_folders_of_btad_are_understood() {
        let root = tree(&[
            "01/train/ok/0.bmp",
            "01/test/ok/1.bmp",
            "01/test/ko/2.bmp",
            "01/ground_truth/ko/2.png",
            "01/ground_truth/ko/2.bmp",
        ]);
        let read = read_categories(&data(root.path(), &[], &[])).unwrap().remove(0);
        assert_eq!(read.train_good, [root.path().join("01/train/ok/0.bmp")]);
        let labels: Vec<_> = read.test.iter().map(|image| image.defect.as_deref()).collect();
        assert_eq!(labels, [Some("ko"), None]);
        assert_eq!(read.test[0].mask, Some(root.path().join("01/ground_truth/ko/2.png")));
    }

    const VISA: [&str; 5] = [
        "pcb/Data/Images/Normal/000.JPG",
        "pcb/Data/Images/Normal/001.JPG",
        "pcb/Data/Images/Anomaly/000.JPG",
        "pcb/Data/Masks/Anomaly/000.png",
        "notes/readme.txt",
    ];

    #[test]
    fn the_folders_of_visa_are_split_as_its_file_says() {
        let root = tree(&VISA);
        let split = root.path().join("split_csv/1cls.csv");
        fs::create_dir_all(split.parent().unwrap()).unwrap();
        let lines = "object,split,label,image,mask\n\
            pcb,train,normal,pcb/Data/Images/Normal/001.JPG,\n\
            pcb,test,normal,pcb/Data/Images/Normal/000.JPG,\n\
            other,train,normal,other/Data/Images/Normal/000.JPG,\n\
            pcb,test,anomaly,pcb/Data/Images/Anomaly/000.JPG,pcb/Data/Masks/Anomaly/000.png\n";
        fs::write(&split, lines).unwrap();
        let pcb = read_categories(&data(root.path(), &[], &[])).unwrap().remove(0);
        let at = |path: &str| root.path().join(path);
        assert_eq!(pcb.train_good, [at(VISA[1])]);
        assert_eq!(
            pcb.test,
            [
                TestImage { path: at(VISA[2]), defect: Some("anomaly".into()), mask: Some(at(VISA[3])) },
                TestImage { path: at(VISA[0]), defect: None, mask: None },
            ]
        );
        fs::write(&split, "object,split\npcb,train\n").unwrap();
        let error = read_categories(&data(root.path(), &[], &[])).unwrap_err().to_string();
        assert!(error.contains("1cls.csv: line 2 is not"), "{error}");
    }

    #[test]
    fn without_that_file_every_tenth_good_image_is_to_test_with() {
        let mut files: Vec<String> = (0..21).map(|i| format!("pcb/Data/Images/Normal/{i:03}.JPG")).collect();
        files.push(VISA[2].into());
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let root = tree(&files);
        let pcb = read_categories(&data(root.path(), &[], &[])).unwrap().remove(0);
        assert_eq!(pcb.train_good.len(), 19);
        let described: Vec<_> = pcb
            .test
            .iter()
            .map(|image| (file_name(&image.path), image.defect.is_some(), image.mask.is_some()))
            .collect();
        let expected = [("000.JPG", true, false), ("009.JPG", false, false), ("019.JPG", false, false)];
        assert_eq!(described, expected.map(|(name, bad, mask)| (name.to_string(), bad, mask)));
    }

    #[test]
    fn a_plain_folder_of_folders_holds_good_images() {
        let root = tree(&["cup/b.png", "cup/a.png", "plate/0.jpg", "empty/notes.txt"]);
        let read = read_categories(&data(root.path(), &[], &[])).unwrap();
        let counts: Vec<_> =
            read.iter().map(|c| (c.name.as_str(), c.train_good.len(), c.test.len())).collect();
        assert_eq!(counts, [("cup", 2, 0), ("plate", 1, 0)]);
    }

    #[test]
    fn categories_that_validate_are_not_trained_on() {
        let root = tree(&TWO);
        let data = DataConfig { validation: vec!["nut".into()], ..data(root.path(), &[], &[]) };
        let names = |categories: Vec<Category>| categories.into_iter().map(|c| c.name).collect::<Vec<_>>();
        assert_eq!(names(read_categories(&data).unwrap()), ["bolt"]);
        assert_eq!(names(read_validation_categories(&data).unwrap()), ["nut"]);
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
            (data(root.path(), &["b"], &[]), "no category is named \"b\" (data.include); there are a, empty"),
            (data(root.path(), &["a"], &["c"]), "no category is named \"c\" (data.exclude)"),
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
        let print =
            |root: &Path| fingerprint(&read_categories(&data(root, &[], &[])).unwrap(), false).unwrap();
        let first = print(here.path());
        assert_eq!(first, print(tree(&TWO).path()));
        fs::write(here.path().join("nut/test/crack/0.jpg"), "not training data").unwrap();
        assert_eq!(first, print(here.path()));
        fs::write(here.path().join("bolt/train/good/0.png"), "changed").unwrap();
        let changed = print(here.path());
        assert_ne!(first, changed);
        let with_anomalies =
            || fingerprint(&read_categories(&data(here.path(), &[], &[])).unwrap(), true).unwrap();
        let trained_on = with_anomalies();
        assert_ne!(trained_on, changed);
        fs::write(here.path().join("nut/ground_truth/crack/1.png"), "another mask").unwrap();
        assert_ne!(with_anomalies(), trained_on);
        assert_eq!(print(here.path()), changed);
        fs::rename(here.path().join("bolt/train/good/0.png"), here.path().join("bolt/train/good/1.png"))
            .unwrap();
        assert_ne!(changed, print(here.path()));
    }
}
