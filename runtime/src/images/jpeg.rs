//! What must be known of a JPEG file before it is decoded: whether it is whole, for its decoder paints the missing
//! part grey and says nothing, and its components, for they decide how much memory that takes. Everything else about
//! JPEG is the decoder's.

/// Whether the end-of-image marker follows the last scan. Segments are walked by their length, so that the marker
/// of a thumbnail inside of one doesn't count.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    segments(bytes).any(|(marker, _)| marker == 0xD9)
}

/// The most components that a frame of the file claims to have.
pub(super) fn components(bytes: &[u8]) -> u64 {
    let frames = segments(bytes).filter(|(marker, _)| matches!(marker, 0xC0..=0xC3 | 0xC5..=0xC7));
    // A frame's header: length, precision, height, width, components.
    frames.filter_map(|(_, segment)| segment.get(7)).map(|count| u64::from(*count)).max().unwrap_or(0)
}

/// The markers up to the end of the image, each with its segment from the length on (none for those that stand
/// alone). The walk ends early where a segment does.
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        // Between segments, and in the data of a scan, everything up to a marker is passed over: FF 00 is a data
        // byte, and FF FF is padding before a marker.
        let here = rest.take()?;
        let at = here.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF))?;
        let (marker, after) = (here[at + 1], &here[at + 2..]);
        let segment: &[u8] = match marker {
            0xD9 => return Some((marker, <&[u8]>::default())),
            // Start of image, restarts and TEM stand alone.
            0x01 | 0xD0..=0xD8 => &[],
            _ => after.get(..usize::from(u16::from_be_bytes(*after.first_chunk()?)))?,
        };
        rest = after.get(segment.len()..);
        Some((marker, segment))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};

    fn photograph() -> Vec<u8> {
        let pixels: Vec<u8> =
            (0..3 * 40 * 30_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut bytes = Vec::new();
        JpegEncoder::new(&mut bytes).write_image(&pixels, 40, 30, ExtendedColorType::Rgb8).unwrap();
        bytes
    }

    #[test]
    fn a_whole_file_is_complete_and_no_part_of_it_is() {
        let bytes = photograph();
        assert!(is_complete(&bytes));
        assert!((0..bytes.len()).all(|end| !is_complete(&bytes[..end])));
    }

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end_of_the_image() {
        let bytes = photograph();
        // An application segment that holds an end-of-image marker, right after the start of the image.
        let mut with_thumbnail = bytes[..2].to_vec();
        with_thumbnail.extend([0xFF, 0xE1, 0, 4, 0xFF, 0xD9]);
        with_thumbnail.extend(&bytes[2..]);
        assert!(is_complete(&with_thumbnail));
        assert!(!is_complete(&with_thumbnail[..with_thumbnail.len() - 2]));
    }

    #[test]
    fn components_are_those_of_the_frame() {
        assert_eq!(components(&photograph()), 3);
        let mut grey = Vec::new();
        JpegEncoder::new(&mut grey).write_image(&[9; 64], 8, 8, ExtendedColorType::L8).unwrap();
        assert_eq!(components(&grey), 1);
        assert_eq!(components(b"no frame"), 0);
    }
}
