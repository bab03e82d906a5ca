//! Layouts as they lie on disk, what a config chooses of them, and every mistake in them.

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
    assert_eq!(nut.train_good, ["0.PNG", "1.png"].map(|name| root.path().join("nut/train/good").join(name)));
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
        "01/test/ko/3.bmp",
        "01/ground_truth/ko/3.PNG",
        "01/ground_truth/ko/2.png",
        "01/ground_truth/ko/2.bmp",
    ]);
    let read = read_categories(&data(root.path(), &[], &[])).unwrap().remove(0);
    assert_eq!(read.train_good, [root.path().join("01/train/ok/0.bmp")]);
    let labels: Vec<_> = read.test.iter().map(|image| image.defect.as_deref()).collect();
    assert_eq!(labels, [Some("ko"), Some("ko"), None]);
    for (image, mask) in [(0, "2.png"), (1, "3.PNG")] {
        assert_eq!(read.test[image].mask, Some(root.path().join("01/ground_truth/ko").join(mask)));
    }
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
    fs::write(&split, lines.replace("pcb,", "PCB,")).unwrap();
    let error = read_categories(&data(root.path(), &[], &[])).unwrap_err().to_string();
    assert!(error.contains("1cls.csv: lists no good training image of \"pcb\""), "{error}");
    fs::write(&split, "object,split\npcb,train\n").unwrap();
    let error = read_categories(&data(root.path(), &[], &[])).unwrap_err().to_string();
    assert!(error.contains("1cls.csv: line 2 is not"), "{error}");
    let without_header = lines.split_once('\n').unwrap().1;
    for (wrong, line) in [
        (without_header.to_owned(), 1),
        (lines.replace("test,normal", "test,Normal"), 3),
        (lines.replace("pcb,test,anomaly", "pcb,held,anomaly"), 5),
    ] {
        fs::write(&split, wrong).unwrap();
        let error = read_categories(&data(root.path(), &[], &[])).unwrap_err().to_string();
        assert!(error.contains(&format!("1cls.csv: line {line} is not")), "{error}");
    }
    fs::write(&split, format!("\u{feff}{lines}")).unwrap();
    assert_eq!(read_categories(&data(root.path(), &[], &[])).unwrap(), [pcb]);
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
    let counts: Vec<_> = read.iter().map(|c| (c.name.as_str(), c.train_good.len(), c.test.len())).collect();
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
    let two_roots = DataConfig { roots: vec![root.path().display().to_string(); 2], ..DataConfig::default() };
    let cases = [
        (DataConfig::default(), "data.roots"),
        (data(&at("missing"), &[], &[]), "missing: no such folder"),
        (data(&at("nothing"), &[], &[]), "nothing: no categories found"),
        (data(&at("a"), &[], &[]), "itself a category"),
        (data(root.path(), &[], &[]), "good: no images"),
        (data(root.path(), &["b"], &[]), "no category is named \"b\"; there are a, empty"),
        (data(root.path(), &["a"], &["c"]), "no category is named \"c\""),
        (data(root.path(), &["a"], &["a"]), "every category is excluded"),
        (
            DataConfig { exclude: vec!["a".into(), "empty".into()], ..two_roots.clone() },
            "every category is excluded",
        ),
        (two_roots.clone(), "two categories of one name"),
        (DataConfig { include: vec!["a".into()], ..two_roots.clone() }, "two categories of one name"),
    ];
    for (data, expected) in cases {
        let message = message(data);
        assert!(message.contains(expected) && !message.contains('\n'), "{message}");
    }
    // Nobody asks which of two is meant that are not chosen.
    let other = tree(&["b/0.png", "empty/0.png", "nothing/file"]);
    let roots = [&root, &other].map(|root| root.path().display().to_string()).to_vec();
    let chosen = read_categories(&DataConfig { roots, include: vec!["b".into()], ..two_roots }).unwrap();
    assert_eq!(chosen[0].train_good, [other.path().join("b/0.png")]);
}

#[test]
fn the_fingerprint_depends_on_names_and_bytes_alone() {
    let here = tree(&TWO);
    let print = |root: &Path| fingerprint(&read_categories(&data(root, &[], &[])).unwrap(), false).unwrap();
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
    fs::rename(here.path().join("bolt/train/good/0.png"), here.path().join("bolt/train/good/1.png")).unwrap();
    assert_ne!(changed, print(here.path()));
}
