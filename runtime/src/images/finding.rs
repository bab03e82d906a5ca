//! Which image files a command is given: those that are named, and all in folders. No pixel is read here.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{ImageError, unreadable};

/// Extensions of the files that a folder is searched for, in lower case.
const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "bmp", "tif", "tiff"];

/// An image file and what to call it in results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundImage {
    /// Where it is.
    pub path: PathBuf,
    /// Its path below the folder that was searched, or its file name if it was named itself.
    pub name: PathBuf,
}

/// The image files that `paths` stand for: files as they are named, whether they exist or not, and of folders every
/// image in them and below, sorted by path. Hidden files and folders are passed over; a folder below that can't be searched stands for
/// what is in it, so that whoever reads it says why.
///
/// # Errors
/// No paths; a folder that can't be read or holds no images.
pub fn find_images<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<FoundImage>, ImageError> {
    if paths.is_empty() {
        return Err(ImageError::NothingGiven);
    }
    let mut found = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        if path.is_dir() {
            let mut inside = Vec::new();
            let unsearched = visit_images(path, &mut |file| inside.push(file))?;
            inside.extend(unsearched);
            if inside.is_empty() {
                return Err(ImageError::NoImages(path.to_path_buf()));
            }
            inside.sort_unstable();
            found.extend(inside.into_iter().map(|file| FoundImage {
                name: file.strip_prefix(path).unwrap_or(&file).to_path_buf(),
                path: file,
            }));
        } else {
            let name = path.file_name().map_or_else(|| path.to_path_buf(), PathBuf::from);
            found.push(FoundImage { path: path.to_path_buf(), name });
        }
    }
    Ok(found)
}

/// Visits the image files in `folder` and below, in no order. Hidden files and folders are passed over. What comes back are the
/// folders below that are there and can't be searched: what is in them was not visited, all else was.
///
/// # Errors
/// `folder` itself can't be read.
pub fn visit_images(folder: &Path, visit: &mut dyn FnMut(PathBuf)) -> Result<Vec<PathBuf>, ImageError> {
    let mut unsearched = Vec::new();
    search(folder, &mut vec![], visit, &mut unsearched).map_err(|error| unreadable(folder, error))?;
    Ok(unsearched)
}

/// `above` are the folders on the way here, so that links can't lead in circles.
fn search(
    folder: &Path,
    above: &mut Vec<PathBuf>,
    visit: &mut dyn FnMut(PathBuf),
    unsearched: &mut Vec<PathBuf>,
) -> io::Result<()> {
    let real = folder.canonicalize()?;
    if above.contains(&real) {
        return Ok(());
    }
    let entries = folder.read_dir()?.collect::<io::Result<Vec<_>>>()?;
    above.push(real);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        // The folder says what is in it, also where a look at the entry itself is refused.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) || path.is_dir() {
            match search(&path, above, visit, unsearched) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {} // gone since
                Err(_) => unsearched.push(path),
            }
        } else if extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
            // Reading a pipe may never end; a link that leads nowhere is reported when it is read.
            && (path.is_file() || !path.exists())
        {
            visit(path);
        }
    }
    above.pop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn folders_are_searched_to_the_bottom_and_sorted() {
        let root = tempfile::tempdir().unwrap();
        for file in ["b/2.PNG", "b/10.jpeg", "a/x/1.tif", "c.bmp", "notes.txt", ".hidden.png", ".git/z.png"] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        let found = find_images(&[root.path(), Path::new("elsewhere/one.dat")]).unwrap();
        let names: Vec<_> = found.iter().map(|image| image.name.to_str().unwrap()).collect();
        assert_eq!(names, ["a/x/1.tif", "b/10.jpeg", "b/2.PNG", "c.bmp", "one.dat"]);
        assert_eq!(found[3].path, root.path().join("c.bmp"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_a_circle_is_followed_once() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("1.png"), b"").unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("again")).unwrap();
        assert_eq!(find_images(&[root.path()]).unwrap().len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_a_folder_is_passed_over_and_a_link_that_leads_nowhere_is_not() {
        let root = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(root.path().join("a.png")).status().unwrap();
        assert!(made.success());
        std::os::unix::fs::symlink("nowhere", root.path().join("b.png")).unwrap();
        let found = find_images(&[root.path()]).unwrap();
        assert_eq!(found.iter().map(|image| image.name.to_str().unwrap()).collect::<Vec<_>>(), ["b.png"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_cant_be_searched_stands_for_what_is_in_it_and_hides_nothing_else() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        for file in ["1.png", "shut/unseen.png", "z/2.png"] {
            fs::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
            fs::write(root.path().join(file), b"").unwrap();
        }
        let shut = root.path().join("shut");
        fs::set_permissions(&shut, fs::Permissions::from_mode(0o000)).unwrap();
        let within = match shut.read_dir() {
            Ok(_) => "shut/unseen.png", // nothing is shut to root
            Err(_) => "shut",
        };
        let found = find_images(&[root.path()]).unwrap();
        let names: Vec<_> = found.iter().map(|image| image.name.to_str().unwrap()).collect();
        assert_eq!(names, ["1.png", within, "z/2.png"]);
        let error = crate::images::read_image(&found[1].path).unwrap_err().to_string();
        assert!(within != "shut" || error.contains("can't be read"), "{error}");
        fs::set_permissions(&shut, fs::Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn nothing_to_look_at_is_an_error() {
        assert!(matches!(find_images::<&Path>(&[]), Err(ImageError::NothingGiven)));
        let empty = tempfile::tempdir().unwrap();
        let error = find_images(&[empty.path()]).unwrap_err().to_string();
        assert!(error.contains("no images in this folder"), "{error}");
    }
}
