//! What must hold for any bytes that are read from outside, one function for each kind. Each says whether the bytes
//! were accepted, and panics where a promise is broken. Where bytes come from is the callers' business.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};

use sparsight_runtime::{
    bundle::{Bundle, BundleError},
    dictionary::Dictionary,
    images::{LARGEST_IMAGE, decode_image, to_input},
    signature::PublicKey,
    verify::Probe,
};
use sparsight_schemas::{
    BUNDLE_FILES, Config, InputConfig, Manifest, ResizeFilter, SparseCodingConfig, Valid, Validate,
};

/// `manifest.yaml`: what is accepted keeps the rules, and is the same when it is written and read again.
pub fn manifest(bytes: &[u8]) -> bool {
    yaml::<Manifest>(bytes)
}

/// A training config: as [`manifest`].
pub fn config(bytes: &[u8]) -> bool {
    yaml::<Config>(bytes)
}

fn yaml<T>(bytes: &[u8]) -> bool
where
    T: Validate + PartialEq + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Some(valid) = accepted(Valid::<T>::parse(text)) else { return false };
    let again = serde_yaml::to_string(&*valid).expect("an accepted value can be written");
    assert_eq!(Valid::<T>::parse(&again).expect("and read again"), valid);
    true
}

/// A dictionary file: what is accepted is finite, makes finite atoms, and is the same when it is written and read
/// again.
pub fn dictionary(bytes: &[u8]) -> bool {
    let Some(dictionary) = accepted(Dictionary::from_bytes(bytes)) else { return false };
    assert!(dictionary.support_features.iter().all(|value| value.is_finite()));
    assert!(dictionary.threshold().is_none_or(f32::is_finite));
    let again = dictionary.to_bytes().expect("an accepted dictionary can be written");
    assert_eq!(Dictionary::from_bytes(&again).expect("and read again"), dictionary);
    let coding = SparseCodingConfig { receptive_field: 3, ..SparseCodingConfig::default() };
    let atoms = dictionary.atoms(&coding);
    assert_eq!(atoms.count(), dictionary.atom_count());
    assert!(atoms.dictionary().iter().all(|value| value.is_finite()));
    true
}

/// A bundle with one file replaced: the first byte says which, the others are its content. It opens only if the file
/// is the one that the manifest lists, or if it is another manifest that lists the same files.
pub fn bundle(bytes: &[u8]) -> bool {
    let Some((which, content)) = bytes.split_first() else { return false };
    let names: Vec<&str> = BUNDLE_FILES.into_iter().chain(["manifest.yaml"]).collect();
    let name = names[usize::from(*which) % names.len()];
    if name == "probe.safetensors" {
        accepted(Probe::from_bytes(content));
    }
    TINY.with(|folder| {
        let (file, original) =
            (folder.path().join(name), fs::read(tiny().join(name)).expect("the tiny bundle"));
        fs::write(&file, content).expect("a temporary file");
        let opened = accepted(Bundle::open(folder.path()));
        if let Some(bundle) = &opened {
            let files = &TINY_MANIFEST.with(|manifest| manifest.files.clone());
            assert_eq!(&bundle.manifest.files, files, "other files than those that are there");
            assert!(name == "manifest.yaml" || content == original, "{name} is another file");
        }
        fs::write(&file, original).expect("a temporary file");
        opened.is_some()
    })
}

/// A signed bundle and the pinned key. The first byte says what is replaced: the manifest, which opens only as it was
/// signed; its signature; or the key, which is the same if any opens it.
pub fn signature(bytes: &[u8]) -> bool {
    let Some((which, content)) = bytes.split_first() else { return false };
    let fixture = |name: &str| fixtures().join("signatures").join(name);
    let read = |name: &str| fs::read(fixture(name)).expect("the signed manifest");
    SIGNED.with(|folder| {
        let path = |name: &str| folder.path().join(name);
        let (manifest, signature) = (read("manifest.yaml"), read("prehashed.minisig"));
        let mut key = String::from_utf8(read("signer.pub")).expect("a key is text");
        key = key.lines().nth(1).expect("a key below a comment").into();
        let pinned = key.clone();
        let (mut used_manifest, mut used_signature) = (&manifest[..], &signature[..]);
        match which % 3 {
            0 => used_manifest = content,
            1 => used_signature = content,
            _ => key = String::from_utf8_lossy(content).into_owned(),
        }
        fs::write(path("manifest.yaml"), used_manifest).expect("a temporary file");
        fs::write(path("manifest.yaml.minisig"), used_signature).expect("a temporary file");
        let Some(key) = accepted(PublicKey::new(&key)) else { return false };
        match Bundle::open_signed(folder.path(), Some(&key)) {
            Ok(_) => {
                assert!(used_manifest == manifest, "another manifest is taken for the signed one");
                assert_eq!(key.to_string(), pinned);
                true
            }
            Err(error) => {
                one_line(&error);
                assert!(
                    matches!(error, BundleError::Signature(_)),
                    "it came further than its signature: {error}"
                );
                false
            }
        }
    })
}

/// An image file: what is accepted has pixels, not too many, and makes an input from 0 to 1.
pub fn image(bytes: &[u8]) -> bool {
    let Some(image) = accepted(decode_image(bytes, Path::new("image"))) else { return false };
    let pixels = u64::from(image.width()) * u64::from(image.height());
    assert!((1..=LARGEST_IMAGE).contains(&pixels));
    let input = to_input(&image, &InputConfig { height: 16, width: 16, resize: ResizeFilter::Lanczos });
    assert!(input.iter().all(|value| (0.0..=1.0).contains(value)));
    true
}

/// The value; of an error, that it can be told.
fn accepted<T, E: Display>(result: Result<T, E>) -> Option<T> {
    result.map_err(|error| one_line(&error)).ok()
}

fn one_line(error: &impl Display) {
    let line = error.to_string();
    assert!(!line.is_empty() && !line.contains('\n'), "not one line: {line:?}");
}

thread_local! {
    /// A copy of the tiny bundle.
    static TINY: tempfile::TempDir = {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in BUNDLE_FILES.into_iter().chain(["manifest.yaml"]) {
            fs::copy(tiny().join(name), folder.path().join(name)).expect("the tiny bundle");
        }
        folder
    };
    static TINY_MANIFEST: Manifest = {
        serde_yaml::from_slice(&fs::read(tiny().join("manifest.yaml")).expect("the tiny bundle")).expect("valid")
    };
    /// The files that the signed manifest lists.
    static SIGNED: tempfile::TempDir = {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in BUNDLE_FILES {
            fs::write(folder.path().join(name), name).expect("a temporary file");
        }
        folder
    };
}

fn fixtures() -> PathBuf {
    // From this crate or, where a test of the runtime takes this file in, from the runtime.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().map(|folder| folder.join("fixtures")).find(|folder| folder.is_dir()).expect("fixtures/")
}

fn tiny() -> PathBuf {
    fixtures().join("bundles/tiny")
}
