//! Support images from files: all of them or none. A dictionary is only as good as every image in it.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use anyhow::bail;
use sparsight_runtime::{
    detector::SupportImage,
    dictionary::Shot,
    images::{FoundImage, ImageError, decode_image, read_image_file, to_input},
    replace::sha256_hex,
};
use sparsight_schemas::InputConfig;

use super::session::note;

/// Reads every image, each content once; of an image that is there twice or is among `known`, stderr is told.
pub fn read_support(
    found: &[FoundImage],
    input: &InputConfig,
    known: &[Shot],
) -> anyhow::Result<Vec<SupportImage>> {
    let mut support = Vec::new();
    read_each(found, input, known, |image| {
        support.push(image);
        Ok(())
    })?;
    Ok(support)
}

/// As [`read_support`], one image at a time. What `take` did is to be forgotten if this fails.
pub fn read_each(
    found: &[FoundImage],
    input: &InputConfig,
    known: &[Shot],
    mut take: impl FnMut(SupportImage) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let names = shot_names(found, known);
    let mut contents: HashMap<String, String> =
        known.iter().map(|shot| (shot.sha256.clone(), shot.name.clone())).collect();
    let mut errors = Vec::new();
    for (image, name) in found.iter().zip(names) {
        match read(&image.path, input) {
            Ok((sha256, input)) => match contents.get(&sha256) {
                Some(same) => note(format_args!(
                    "{}: is the same image as {same}; it counts once",
                    image.path.display()
                )),
                None => {
                    contents.insert(sha256.clone(), name.clone());
                    take(SupportImage { shot: Shot { name, sha256 }, input })?;
                }
            },
            Err(error) => errors.push(error),
        }
    }
    match errors.as_slice() {
        [] => Ok(()),
        [error] => bail!("{error}; nothing was written"),
        [first, others @ ..] => {
            others.iter().for_each(|error| note(format_args!("{error}")));
            let (bad, all) = (errors.len(), found.len());
            bail!("{bad} of {all} images can't be used, the first: {first}; nothing was written")
        }
    }
}

fn read(path: &Path, input: &InputConfig) -> Result<(String, ndarray::Array3<f32>), ImageError> {
    let bytes = read_image_file(path)?;
    let image = decode_image(&bytes, path)?;
    Ok((sha256_hex(&bytes), to_input(&image, input)))
}

/// The images' names below the folders they were found in, or their paths where a name is not the only one; a number comes behind
/// a path that a shot is called after already, because another image may be there now.
fn shot_names(found: &[FoundImage], known: &[Shot]) -> Vec<String> {
    let short: Vec<String> = found.iter().map(|image| image.name.display().to_string()).collect();
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for name in short.iter().chain(known.iter().map(|shot| &shot.name)) {
        *uses.entry(name).or_default() += 1;
    }
    let mut taken: HashSet<String> = known.iter().map(|shot| shot.name.clone()).collect();
    let name = |(image, short): (&FoundImage, &String)| {
        let name = match uses[short.as_str()] {
            1 => short.clone(),
            _ => image.path.display().to_string(),
        };
        let mut numbered = std::iter::once(name.clone()).chain((2..).map(|i| format!("{name} ({i})")));
        let free = numbered.find(|name| taken.insert(name.clone()));
        free.unwrap_or(name)
    };
    found.iter().zip(&short).map(name).collect()
}
