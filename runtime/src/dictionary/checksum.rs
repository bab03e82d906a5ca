//! The sha256 of a dictionary's file within the file itself: of all its bytes, with zeros in the checksum's own place. It tells a
//! copy that was damaged on its way, in a threshold as in a feature; it is no signature.

use crate::replace::sha256_hex;

/// What stands in the checksum's place while it is computed.
pub const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What comes before it: the end of its name in JSON within JSON, which no name of a shot can hold.
const BEFORE: &[u8] = br#"checksum\":\""#;

/// Enters the checksum in a file that has [`BLANK`] in its place.
pub fn enter(bytes: &mut [u8]) {
    let checksum = sha256_hex(bytes);
    if let Some(place) = place_in(bytes) {
        place.copy_from_slice(checksum.as_bytes());
    }
}

/// Whether the file is the one that this checksum was entered in.
pub fn holds(bytes: &[u8], written: &str) -> bool {
    let mut blank = bytes.to_vec();
    match place_in(&mut blank) {
        Some(place) => place.copy_from_slice(BLANK.as_bytes()),
        None => return false,
    }
    sha256_hex(&blank) == written
}

fn place_in(bytes: &mut [u8]) -> Option<&mut [u8]> {
    let before = bytes.windows(BEFORE.len()).position(|window| window == BEFORE)?;
    bytes.get_mut(before + BEFORE.len()..)?.get_mut(..BLANK.len())
}
