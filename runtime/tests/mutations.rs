//! Thousands of damaged inputs for everything that reads bytes from outside: none may panic, abort, take a gigabyte, or
//! be accepted in place of what its hash or signature says. What is asked of each is in `fuzz/src/lib.rs`; cargo-fuzz
//! asks the same, with more patience.

#![allow(clippy::unwrap_used)] // a test may

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use ndarray::Array4;
use sparsight_runtime::{
    bundle::Bundle,
    dictionary::{AtomSelection, Dictionary, Shot},
    replace::sha256_hex,
    tensors,
};
use sparsight_schemas::{AtomSampling, Poses};

#[path = "../fuzz/src/lib.rs"]
mod promises;

/// Most bytes in use at any time.
const MOST_MEMORY: usize = 1_000_000_000;

/// The system's allocator, and how much it has given out.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn count(bytes: usize) {
    PEAK.fetch_max(IN_USE.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        IN_USE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Memory is counted for the whole process, so one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Pseudo-random numbers, the same on every machine (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `end`, exclusive; 0 if that is 0.
    fn below(&mut self, end: usize) -> usize {
        self.next().checked_rem(end as u64).unwrap_or(0) as usize
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// Numbers at the edges of types and rules.
const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    0x7F,
    0xFF,
    0x7FFF,
    0xFFFF,
    10_000,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    0x7F80_0000, // infinity as f32
    0x7FC0_0000, // NaN as f32
    0x7FFF_FFFF_FFFF_FFFF,
    0xFFFF_FFFF_FFFF_FFFF,
];

/// The same for texts, and what YAML and JSON make of a line.
const WORDS: [&str; 18] = [
    "18446744073709551615",
    "-1",
    "0",
    "1e309",
    "4294967296",
    ".nan",
    ".inf",
    "-.inf",
    "~",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    "&a",
    "*a",
    "!!binary",
    "\u{2028}",
];

/// One to four changes to `input`, some with parts of `other`.
fn mutate(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + 1 + dice.below(24)).min(bytes.len());
        match dice.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.next() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            5 => {
                let from = dice.below(other.len() + 1);
                let to = (from + dice.below(64)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            // A length or a side in either order of bytes.
            6 => {
                let (number, width) = (dice.one_of(&NUMBERS), dice.one_of(&[2, 4, 8]));
                let little = number.to_le_bytes();
                let mut number = little[..width].to_vec();
                if dice.below(2) == 1 {
                    number.reverse();
                }
                // Headers stand at the front.
                let at = if dice.below(2) == 1 { dice.below(at.min(64) + 1) } else { at };
                let end = (at + width).min(bytes.len());
                bytes.splice(at..end, number);
            }
            // A number in a text.
            7 => {
                let digit = |byte: &u8| byte.is_ascii_digit();
                let Some(start) = bytes[at..].iter().position(digit).map(|start| at + start) else {
                    continue;
                };
                let length = bytes[start..].iter().take_while(|byte| digit(byte)).count();
                bytes.splice(start..start + length, dice.one_of(&WORDS).bytes());
            }
            _ => drop(bytes.splice(at..at, dice.one_of(&WORDS).bytes())),
        }
    }
    bytes
}

/// Calls `promise` with every seed and with `count` mutations of them; bombs, which are slow to refuse, stay as they are.
/// At least one seed must be accepted, or nothing but first lines of defence would be tried.
fn hold(name: &str, promise: fn(&[u8]) -> bool, mut seeds: Vec<Vec<u8>>, count: usize) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> = corpus.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    // Bombs last, behind those that are mutated.
    let bomb = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().starts_with("bomb-");
    files.sort_by_key(|file| (bomb(file), file.clone()));
    let mutable = seeds.len() + files.iter().filter(|file| !bomb(file)).count();
    seeds.extend(files.iter().map(|file| fs::read(file).unwrap()));
    let mut dice = Dice(1);
    let (mut accepted, mut refused, whole) = (0, 0, seeds.len());
    for i in 0..whole + count {
        let input = match seeds.get(i) {
            Some(seed) => seed.clone(),
            None => {
                let (seed, other) = (dice.below(mutable), dice.below(mutable));
                mutate(&seeds[seed], &seeds[other], &mut dice)
            }
        };
        let before = IN_USE.load(Relaxed);
        PEAK.store(before, Relaxed);
        let outcome = catch_unwind(AssertUnwindSafe(|| promise(&input)));
        let peak = PEAK.load(Relaxed) - before;
        let whole_input = || {
            let path = std::env::temp_dir().join(format!("sparsight-{name}-{i}"));
            fs::write(&path, &input).unwrap();
            format!("{name}, input {i}, kept as {}", path.display())
        };
        match outcome {
            Ok(true) => accepted += 1,
            Ok(false) => refused += 1,
            Err(_) => panic!("{}: panicked", whole_input()),
        }
        assert!(peak < MOST_MEMORY, "{}: took {peak} bytes", whole_input());
        assert!(accepted > 0 || i + 1 < whole, "{name}: no seed is accepted");
    }
    assert!(refused > count / 4, "{name}: only {refused} of {count} were damaged enough to be refused");
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// An input that names the part that it replaces.
fn part(which: u8, content: &[u8]) -> Vec<u8> {
    [&[which], content].concat()
}

#[test]
fn no_manifest_breaks_a_promise() {
    let seeds =
        vec![fixture("fixtures/bundles/tiny/manifest.yaml"), fixture("fixtures/signatures/manifest.yaml")];
    hold("manifest", promises::manifest, seeds, 2500);
}

#[test]
fn no_config_breaks_a_promise() {
    let names = ["default", "demo", "paper", "quick"];
    let seeds = names.map(|name| fixture(&format!("trainer/configs/{name}.yaml")));
    hold("config", promises::config, seeds.to_vec(), 2500);
}

#[test]
fn no_dictionary_breaks_a_promise() {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/bundles/tiny");
    let bundle = Bundle::open(&bundle).unwrap();
    let shot = |name: &str| Shot { name: name.into(), sha256: sha256_hex(name.as_bytes()) };
    let mut whole = Dictionary {
        bundle_sha256: bundle.sha256.clone(),
        shots: vec![shot("a.png"), shot("b.png")],
        poses: Poses::AsTaken,
        support_features: Array4::from_shape_fn((2, 16, 4, 4), |(n, c, y, x)| {
            ((n * 256 + c * 16 + y * 4 + x) as f32).sin()
        }),
        selection: Some(AtomSelection { max_atoms: 7, seed: 3, sampling: AtomSampling::InverseDensity }),
        shot_maps: None,
        roi: None,
        false_alarm_rate: 0.1,
        calibration: None,
    };
    let mut seeds = vec![whole.to_bytes().unwrap(), older(&whole)];
    whole.selection = None;
    whole.calibrate(&bundle).unwrap();
    seeds.extend([whole.to_bytes().unwrap(), older(&whole)]);
    hold("dictionary", promises::dictionary, seeds, 2500);
}

/// The file without its checksum, as older ones were: so that changed ones get past it.
fn older(dictionary: &Dictionary) -> Vec<u8> {
    let metadata = tensors::metadata(&dictionary.to_bytes().unwrap()).unwrap().unwrap();
    let mut metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    metadata.as_object_mut().unwrap().remove("checksum").unwrap();
    let mut arrays = vec![("support_features", dictionary.support_features.clone().into_dyn())];
    arrays.extend(dictionary.shot_maps.clone().map(|maps| ("shot_maps", maps.into_dyn())));
    let bytes = tensors::to_bytes(&arrays, Some(metadata.to_string())).unwrap();
    assert_eq!(&Dictionary::from_bytes(&bytes).unwrap(), dictionary);
    bytes
}

#[test]
fn no_file_of_a_bundle_is_taken_for_another() {
    let files = ["backbone.onnx", "backbone_vjp.onnx", "probe.safetensors", "manifest.yaml"];
    let content = |file: &str| fixture(&format!("fixtures/bundles/tiny/{file}"));
    let seeds = (0..).zip(files).map(|(which, file)| part(which, &content(file))).collect();
    hold("bundle", promises::bundle, seeds, 1000);
}

#[test]
fn no_manifest_signature_or_key_is_taken_for_another() {
    let content = |file: &str| fixture(&format!("fixtures/signatures/{file}"));
    let seeds = vec![
        part(0, &content("manifest.yaml")),
        part(1, &content("prehashed.minisig")),
        part(1, &content("legacy.minisig")),
        part(1, &content("other.minisig")),
        part(2, content("signer.pub").split(|byte| *byte == b'\n').nth(1).unwrap()),
    ];
    hold("signature", promises::signature, seeds, 1500);
}

#[test]
fn no_image_breaks_a_promise() {
    hold("image", promises::image, vec![fixture("fixtures/resize/wide.png")], 3000);
}
