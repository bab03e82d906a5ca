//! Which files of a folder are new and whole. Files are remembered by hashes, and only as long as they are there, so that
//! a folder that is emptied now and then costs the same memory for ever.

use std::{
    collections::{HashMap, HashSet},
    fs::Metadata,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use sparsight_runtime::images::{ImageError, visit_images};

/// What a folder showed so far.
pub struct Arrivals {
    folder: PathBuf,
    settle: Duration,
    hasher: RandomState,
    /// By the hash of the path: the state of each file that was given, or passed over. The lowest bit is the look that
    /// saw it.
    known: HashMap<u64, u64>,
    /// By the hash of the path: the state of each file that may still change, and since when it has not.
    waiting: HashMap<u64, (u64, Instant)>,
    /// Changes with each look.
    look: u64,
    /// Folders within that could never be searched, so that nothing in them is known; none before the first look.
    shut: Option<HashSet<PathBuf>>,
}

impl Arrivals {
    /// Of `folder`; a file must not have changed for `settle` to be whole.
    pub fn new(folder: PathBuf, settle: Duration) -> Self {
        let (known, waiting) = (HashMap::new(), HashMap::new());
        Self { folder, settle, hasher: RandomState::new(), known, waiting, look: 0, shut: None }
    }

    /// Takes every file that is there for known.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn pass_over(&mut self) -> Result<(), ImageError> {
        let mut pass_over = |path: PathBuf| {
            if let Some((state, _)) = state_of(&self.hasher, &path) {
                self.known.insert(self.hasher.hash_one(&path), state & !1 | self.look);
            }
        };
        let unsearched = visit_images(&self.folder, &mut pass_over)?;
        self.shut = Some(unsearched.iter().cloned().collect());
        unsearched.into_iter().for_each(pass_over);
        Ok(())
    }

    /// The files that became whole since the last look, the oldest first; and, as if it were one, each folder within that can't be
    /// searched, so that its reader says so.
    ///
    /// # Errors
    /// The folder is gone or can't be read.
    pub fn look(&mut self, now: Instant) -> Result<Vec<PathBuf>, ImageError> {
        self.look ^= 1;
        let mut whole: Vec<(SystemTime, PathBuf)> = Vec::new();
        let mut waiting = HashMap::new();
        let mut arrived = |path: PathBuf| {
            let Some((state, time)) = state_of(&self.hasher, &path) else { return };
            let (key, state) = (self.hasher.hash_one(&path), state & !1);
            if let Some(known) = self.known.get_mut(&key).filter(|known| **known & !1 == state) {
                *known = state | self.look;
                return;
            }
            let since = match self.waiting.get(&key) {
                Some((before, since)) if *before == state => *since,
                _ => now,
            };
            if now - since >= self.settle {
                self.known.insert(key, state | self.look);
                whole.push((time, path));
            } else {
                waiting.insert(key, (state, since));
            }
        };
        let unsearched = visit_images(&self.folder, &mut arrived)?;
        let shut = self.shut.get_or_insert_with(|| unsearched.iter().cloned().collect());
        shut.retain(|folder| unsearched.contains(folder));
        let hides_known = unsearched.iter().any(|folder| !shut.contains(folder));
        unsearched.into_iter().for_each(arrived);
        self.waiting = waiting;
        if hides_known {
            // What was seen in such a folder may still be there, and is not new when it can be searched again.
            self.known.values_mut().for_each(|known| *known = *known & !1 | self.look);
        } else {
            self.known.retain(|_, known| *known & 1 == self.look);
        }
        whole.sort_unstable();
        Ok(whole.into_iter().map(|(_, path)| path).collect())
    }
}

/// What changes with every write, in one number, and the time of the last one. None for a file that has nothing in it
/// yet, or is gone again.
fn state_of(hasher: &RandomState, path: &Path) -> Option<(u64, SystemTime)> {
    let metadata = path.metadata().ok().filter(|metadata| metadata.len() > 0)?;
    let time = metadata.modified().ok()?;
    Some((hasher.hash_one((metadata.len(), time, identity(&metadata))), time))
}

/// Tells a file from another one that was renamed into its place.
#[cfg(unix)]
fn identity(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn identity(metadata: &Metadata) -> Option<SystemTime> {
    metadata.created().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SETTLE: Duration = Duration::from_secs(1);

    /// A folder, looked at a second after each other without waiting for it.
    struct Camera {
        folder: tempfile::TempDir,
        arrivals: Arrivals,
        now: Instant,
    }

    impl Camera {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let arrivals = Arrivals::new(folder.path().into(), SETTLE);
            Self { folder, arrivals, now: Instant::now() }
        }

        fn write(&self, name: &str, bytes: &[u8]) {
            fs::write(self.folder.path().join(name), bytes).unwrap();
        }

        fn look(&mut self) -> Vec<String> {
            self.now += SETTLE;
            let found = self.arrivals.look(self.now).unwrap();
            found.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        }
    }

    #[test]
    fn a_file_is_given_once_and_only_after_it_kept_still() {
        let mut camera = Camera::new();
        camera.write("a.png", b"half");
        assert_eq!(camera.look(), [""; 0]);
        camera.write("a.png", b"half and half");
        assert_eq!(camera.look(), [""; 0], "it has just changed");
        assert_eq!(camera.look(), ["a.png"]);
        assert_eq!(camera.look(), [""; 0]);
    }

    #[test]
    fn an_empty_file_is_waited_for_however_long_it_takes() {
        let mut camera = Camera::new();
        camera.write("a.png", b"");
        assert!((0..5).all(|_| camera.look().is_empty()));
        camera.write("a.png", b"whole");
        assert_eq!([camera.look(), camera.look()].concat(), ["a.png"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_renamed_into_the_place_of_another_is_given_again() {
        let mut camera = Camera::new();
        camera.write("a.png", b"first");
        assert_eq!([camera.look(), camera.look()].concat(), ["a.png"]);
        // The same size and the same time: only the file is another one.
        let (old, new) = (camera.folder.path().join("a.png"), camera.folder.path().join(".a.png.part"));
        fs::write(&new, b"other").unwrap();
        let time = fs::metadata(&old).unwrap().modified().unwrap();
        fs::File::options().write(true).open(&new).unwrap().set_modified(time).unwrap();
        assert_eq!([camera.look(), camera.look()].concat(), [""; 0], "hidden files are passed over");
        fs::rename(&new, &old).unwrap();
        assert_eq!([camera.look(), camera.look(), camera.look()].concat(), ["a.png"]);
    }

    #[test]
    fn what_was_there_is_passed_over_until_it_changes() {
        let mut camera = Camera::new();
        camera.write("old.png", b"old");
        camera.arrivals.pass_over().unwrap();
        camera.write("new.png", b"new");
        assert_eq!([camera.look(), camera.look()].concat(), ["new.png"]);
        camera.write("old.png", b"longer");
        assert_eq!([camera.look(), camera.look()].concat(), ["old.png"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_was_shut_for_a_while_brings_nothing_again() {
        use std::os::unix::fs::PermissionsExt;
        let mut camera = Camera::new();
        for folder in ["first", "second"] {
            fs::create_dir(camera.folder.path().join(folder)).unwrap();
            camera.write(&format!("{folder}/{folder}.png"), b"x");
        }
        let [first, second] = ["first", "second"].map(|folder| camera.folder.path().join(folder));
        let mode = |folder: &Path, mode| {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&first, 0o000);
        if first.read_dir().is_ok() {
            eprintln!("skipped: nothing is shut to root");
            return;
        }
        assert_eq!([camera.look(), camera.look()].concat().len(), 2, "an image, and the folder that is shut");
        mode(&second, 0o000);
        assert_eq!([camera.look(), camera.look()].concat(), ["second"], "said once");
        camera.write("new.png", b"x");
        assert_eq!([camera.look(), camera.look()].concat(), ["new.png"]);
        mode(&second, 0o700);
        assert_eq!([camera.look(), camera.look()].concat(), [""; 0]);
        mode(&first, 0o700);
        assert_eq!([camera.look(), camera.look()].concat(), ["first.png"], "this one is new");
        assert_eq!(camera.arrivals.shut.as_ref().map(HashSet::len), Some(0));
    }

    #[test]
    fn files_that_are_gone_are_forgotten() {
        let mut camera = Camera::new();
        for round in 0..3 {
            (0..20).for_each(|i| camera.write(&format!("{round}-{i}.png"), b"x"));
            camera.look();
            assert_eq!(camera.look().len(), 20);
            fs::read_dir(camera.folder.path())
                .unwrap()
                .for_each(|e| fs::remove_file(e.unwrap().path()).unwrap());
            camera.look();
            assert!(camera.arrivals.known.is_empty() && camera.arrivals.waiting.is_empty());
        }
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error() {
        let mut camera = Camera::new();
        fs::remove_dir(camera.folder.path()).unwrap();
        assert!(camera.arrivals.look(camera.now).is_err());
    }
}
