//! The sha256 of a dictionary's file within the file itself: of all its bytes, with zeros in the checksum's own place. It tells a
//! copy that was damaged on its way, in a threshold as in a feature; it is no signature.

use crate::replace::sha256_of_parts;

/// What stands in the checksum's place while it is computed.
pub const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What comes before it: the end of its name in JSON within JSON, which no name of a shot can hold.
const BEFORE: &[u8] = br#"checksum\":\""#;

/// Enters the checksum in a file that has [`BLANK`] in its place.
pub fn enter(bytes: &mut [u8]) {
    if let Some((before, after)) = around(bytes) {
        let (place, checksum) = (before.len(), of(before, after));
        bytes[place..place + BLANK.len()].copy_from_slice(checksum.as_bytes());
    }
}

/// Whether the file is the one that this checksum was entered in.
pub fn holds(bytes: &[u8], written: &str) -> bool {
    around(bytes).is_some_and(|(before, after)| of(before, after) == written)
}

fn of(before: &[u8], after: &[u8]) -> String {
    sha256_of_parts(&[before, BLANK.as_bytes(), after])
}

/// The bytes before and after the checksum's place.
fn around(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let name = bytes.windows(BEFORE.len()).position(|window| window == BEFORE)?;
    let (before, rest) = bytes.split_at(name + BEFORE.len());
    Some((before, rest.get(BLANK.len()..)?))
}
