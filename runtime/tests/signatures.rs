//! Bundles and pinned keys: what minisign signed is taken, and nothing else. The manifests, keys and signatures are
//! minisign's own work (`fixtures/signatures`).

#![allow(clippy::unwrap_used)] // a test may

use std::{
    fs,
    path::{Path, PathBuf},
};

use sparsight_runtime::{
    bundle::{Bundle, BundleError},
    signature::{PublicKey, SignatureError},
};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/signatures").join(name)
}

fn key(name: &str) -> PublicKey {
    PublicKey::new(fixture(name).to_str().unwrap()).unwrap()
}

/// The signed manifest with the files that it lists, and a signature.
fn bundle(signature: Option<&str>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["backbone.onnx", "backbone_vjp.onnx", "probe.safetensors"] {
        fs::write(folder.path().join(file), file).unwrap();
    }
    fs::copy(fixture("manifest.yaml"), folder.path().join("manifest.yaml")).unwrap();
    if let Some(signature) = signature {
        fs::copy(fixture(signature), folder.path().join("manifest.yaml.minisig")).unwrap();
    }
    folder
}

fn refusal(folder: &TempDir, key: &PublicKey) -> SignatureError {
    match Bundle::open_signed(folder.path(), Some(key)) {
        Err(BundleError::Signature(error)) => {
            let line = error.to_string();
            assert!(!line.contains('\n') && line.contains("manifest.yaml.minisig: is "), "{line}");
            error
        }
        other => panic!("{other:?}"),
    }
}

/// Replaces `from` by `to` in a file of the bundle; both have the same length.
fn alter(folder: &TempDir, file: &str, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let path = folder.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
    fs::write(&path, text.replace(from, to)).unwrap();
}

#[test]
fn both_forms_of_a_signature_by_the_pinned_key_are_taken() {
    for signature in ["prehashed.minisig", "legacy.minisig"] {
        let folder = bundle(Some(signature));
        let opened = Bundle::open_signed(folder.path(), Some(&key("signer.pub"))).unwrap();
        assert_eq!(opened.manifest.name, "signed");
        assert_eq!(opened.signer.unwrap().to_string(), key("signer.pub").to_string());
    }
}

#[test]
fn a_key_is_given_as_its_file_or_as_its_line() {
    let text = fs::read_to_string(fixture("signer.pub")).unwrap();
    let line = text.lines().nth(1).unwrap();
    let keys = tempfile::tempdir().unwrap();
    let file = keys.path().join("bare.pub");
    fs::write(&file, format!("{line}\r\n\n")).unwrap();
    let folder = bundle(Some("prehashed.minisig"));
    for given in [line, &format!(" {line}\n"), file.to_str().unwrap()] {
        Bundle::open_signed(folder.path(), Some(&PublicKey::new(given).unwrap())).unwrap();
    }
}

#[test]
fn what_is_no_key_is_refused_with_the_way_to_one() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(fixture("signer.pub")).unwrap();
    let line = text.lines().nth(1).unwrap();
    let files = ["", "no key", &line[1..], "untrusted comment: minisign public key\n"].map(|content| {
        let path = folder.path().join(format!("{}.pub", content.len()));
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_string()
    });
    let signature = fixture("prehashed.minisig");
    let other = [&line[..50], "", "nowhere.pub", signature.to_str().unwrap(), "."];
    for given in files.iter().map(String::as_str).chain(other) {
        let error = PublicKey::new(given).unwrap_err().to_string();
        assert!(error.starts_with(given) && error.contains("starts with RW"), "{error}");
    }
}

#[test]
fn without_a_signature_a_bundle_is_taken_only_where_no_key_is_pinned() {
    let folder = bundle(None);
    assert!(Bundle::open(folder.path()).unwrap().signer.is_none());
    assert!(matches!(refusal(&folder, &key("signer.pub")), SignatureError::Unsigned(_)));
}

#[test]
fn the_signature_of_another_key_is_refused() {
    let error = refusal(&bundle(Some("other.minisig")), &key("signer.pub"));
    assert!(matches!(error, SignatureError::OtherKey { .. }), "{error}");
    let error = refusal(&bundle(Some("prehashed.minisig")), &key("other.pub"));
    assert!(error.to_string().contains(&key("other.pub").to_string()), "{error}");
}

#[test]
fn a_key_that_only_has_the_id_of_the_signer_is_not_the_signer() {
    let line = |name| fs::read_to_string(fixture(name)).unwrap().lines().nth(1).unwrap().to_string();
    // The first 14 characters hold the id, the rest belongs to the key.
    let forged = format!("{}{}", &line("signer.pub")[..14], &line("other.pub")[14..]);
    for signature in ["prehashed.minisig", "legacy.minisig"] {
        let error = refusal(&bundle(Some(signature)), &PublicKey::new(&forged).unwrap());
        assert!(matches!(error, SignatureError::Altered(_)), "{error}");
    }
}

#[test]
fn an_altered_manifest_signature_or_trusted_comment_is_refused() {
    for signature in ["prehashed.minisig", "legacy.minisig"] {
        for (file, from, to) in [
            ("manifest.yaml", "name: signed", "name: forged"),
            ("manifest.yaml", "steps: 8", "steps: 9"),
            ("manifest.yaml.minisig", "file:manifest.yaml", "file:manifesto.yml"),
        ] {
            let folder = bundle(Some(signature));
            alter(&folder, file, from, to);
            let error = refusal(&folder, &key("signer.pub"));
            assert!(matches!(error, SignatureError::Altered(_)), "{signature} {file}: {error}");
        }
    }
}

#[test]
fn a_signed_manifest_does_not_cover_for_an_altered_file() {
    let folder = bundle(Some("prehashed.minisig"));
    fs::write(folder.path().join("backbone.onnx"), "other").unwrap();
    let error = Bundle::open_signed(folder.path(), Some(&key("signer.pub"))).unwrap_err();
    assert!(matches!(error, BundleError::Altered { .. }), "{error}");
}

#[test]
fn nothing_is_parsed_before_the_signature_holds() {
    let folder = bundle(Some("prehashed.minisig"));
    fs::write(folder.path().join("manifest.yaml"), [0xFF, b'{', 0]).unwrap();
    assert!(matches!(refusal(&folder, &key("signer.pub")), SignatureError::Altered(_)));
    // Without a key the same manifest comes as far as its text.
    let error = Bundle::open(folder.path()).unwrap_err();
    assert!(matches!(error, BundleError::NotAManifest { .. }), "{error}");
}

#[test]
fn a_file_that_is_no_signature_is_refused() {
    let whole = fs::read(fixture("prehashed.minisig")).unwrap();
    let folder = bundle(None);
    let path = folder.path().join("manifest.yaml.minisig");
    // The last signature takes 88 characters; without one of them nothing is left to verify.
    for content in [&b""[..], b"text", &[0xFF; 300], &whole[..whole.len() - 2], &whole[..100]] {
        fs::write(&path, content).unwrap();
        let error = refusal(&folder, &key("signer.pub"));
        assert!(matches!(error, SignatureError::NotASignature(_)), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_or_a_device_in_the_place_of_a_file_is_refused_and_not_waited_for() {
    for file in ["manifest.yaml", "backbone.onnx", "manifest.yaml.minisig"] {
        let folder = bundle(Some("prehashed.minisig"));
        let path = folder.path().join(file);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        let error = Bundle::open_signed(folder.path(), Some(&key("signer.pub"))).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("not a regular file"), "{error}");
    }
}
