//! Whether a JPEG file is whole. Its decoder paints the missing part grey and says nothing; everything else about
//! JPEG is the decoder's.

/// Whether the end-of-image marker follows the last scan. Segments are walked by their length, so that the marker
/// of a thumbnail inside of one doesn't count.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        // Between segments, and in the data of a scan, everything up to a marker is passed over: FF 00 is a data
        // byte, and FF FF is padding before a marker.
        let Some(at) = rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF))
        else {
            return false;
        };
        let marker = rest[at + 1];
        rest = &rest[at + 2..];
        match marker {
            0xD9 => return true,
            // Start of image, restarts and TEM stand alone.
            0x01 | 0xD0..=0xD8 => {}
            _ => {
                let Some(&[high, low]) = rest.first_chunk::<2>() else { return false };
                let Some(next) = rest.get(usize::from(u16::from_be_bytes([high, low]))..) else {
                    return false;
                };
                rest = next;
            }
        }
    }
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
}
