//! A stream of bytes cut into frames. What is in a frame is for its decoder to say.

use std::io::{self, BufRead, Read};

/// Most bytes of a frame; a stream that is damaged must not fill the memory.
const LARGEST_FRAME: u64 = 1 << 28;
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xFF\xD8";

/// How frames follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// This many bytes each.
    Raw(usize),
    /// PNG and JPEG files, which say themselves where they end.
    Encoded,
}

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream can't be read.
    #[error("can't be read ({0})")]
    Unreadable(io::Error),
    /// The stream ends too early.
    #[error("the stream ends after {0} bytes of it; let the sender finish its last frame")]
    Cut(usize),
    /// The bytes are of no known format.
    #[error("is neither PNG nor JPEG; for raw RGB give --size WIDTHxHEIGHT")]
    Unknown,
    /// A frame that does not end.
    #[error("does not end within 256 MiB; check what is sent")]
    Endless,
}

/// The frames of a stream.
pub struct Frames<R> {
    input: R,
    layout: Layout,
}

impl<R: BufRead> Frames<R> {
    /// Of the stream `input`.
    pub fn new(input: R, layout: Layout) -> Self {
        Self { input, layout }
    }

    /// The bytes of the next frame; none at the end of the stream.
    ///
    /// # Errors
    /// The stream can't be read, or can't be cut any further.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if self.input.fill_buf().map_err(FrameError::Unreadable)?.is_empty() {
            return Ok(None);
        }
        let mut frame = Vec::new();
        match self.layout {
            Layout::Raw(length) => self.read(&mut frame, length as u64)?,
            Layout::Encoded => {
                self.read(&mut frame, JPEG.len() as u64)?;
                match frame == JPEG {
                    true => self.read_jpeg(&mut frame)?,
                    false => self.read_png(&mut frame)?,
                }
            }
        }
        Ok(Some(frame))
    }

    /// The rest of a PNG file: chunks of length, name, data and checksum, up to the one that ends it.
    fn read_png(&mut self, frame: &mut Vec<u8>) -> Result<(), FrameError> {
        if !PNG.starts_with(frame) {
            return Err(FrameError::Unknown);
        }
        self.read(frame, (PNG.len() - frame.len()) as u64)?;
        if frame != PNG {
            return Err(FrameError::Unknown);
        }
        loop {
            let at = frame.len();
            self.read(frame, 8)?;
            let length = frame[at..at + 4].iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
            let is_last = &frame[at + 4..] == b"IEND";
            self.read(frame, length + 4)?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// The rest of a JPEG file: segments are passed over by their length and scans up to a marker, so that the end of a
    /// thumbnail inside of a segment doesn't count.
    fn read_jpeg(&mut self, frame: &mut Vec<u8>) -> Result<(), FrameError> {
        loop {
            self.read_until_ff(frame)?;
            let marker = loop {
                self.read(frame, 1)?;
                match frame[frame.len() - 1] {
                    0xFF => {} // padding before a marker
                    marker => break marker,
                }
            };
            match marker {
                0xD9 => return Ok(()),
                // A data byte, restarts, start of image and TEM stand alone.
                0x00 | 0x01 | 0xD0..=0xD8 => {}
                _ => {
                    self.read(frame, 2)?;
                    let end = frame.len();
                    let length = u64::from(u16::from_be_bytes([frame[end - 2], frame[end - 1]]));
                    self.read(frame, length.saturating_sub(2))?;
                }
            }
        }
    }

    fn read_until_ff(&mut self, frame: &mut Vec<u8>) -> Result<(), FrameError> {
        let room = room(frame, 1)?;
        self.input.by_ref().take(room).read_until(0xFF, frame).map_err(FrameError::Unreadable)?;
        match frame.last() {
            Some(0xFF) => Ok(()),
            _ if frame.len() as u64 == LARGEST_FRAME => Err(FrameError::Endless),
            _ => Err(FrameError::Cut(frame.len())),
        }
    }

    /// Adds `length` bytes.
    fn read(&mut self, frame: &mut Vec<u8>, length: u64) -> Result<(), FrameError> {
        if self.layout == Layout::Encoded {
            room(frame, length)?;
        }
        let read = self.input.by_ref().take(length).read_to_end(frame).map_err(FrameError::Unreadable)?;
        if read as u64 == length { Ok(()) } else { Err(FrameError::Cut(frame.len())) }
    }
}

/// How many bytes still fit, which must be `length` at least.
fn room(frame: &[u8], length: u64) -> Result<u64, FrameError> {
    let room = LARGEST_FRAME.saturating_sub(frame.len() as u64);
    if room >= length { Ok(room) } else { Err(FrameError::Endless) }
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder};

    use super::*;

    fn samples(seed: u32) -> Vec<u8> {
        (0..3 * 40 * 30_u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 24) as u8).collect()
    }

    fn encoded() -> Vec<Vec<u8>> {
        let (mut png, mut jpeg) = (Vec::new(), Vec::new());
        PngEncoder::new(&mut png).write_image(&samples(1), 40, 30, ExtendedColorType::Rgb8).unwrap();
        JpegEncoder::new(&mut jpeg).write_image(&samples(2), 40, 30, ExtendedColorType::Rgb8).unwrap();
        // An application segment with the end of a thumbnail in it, and padding before the last marker.
        let mut nested = jpeg[..2].to_vec();
        nested.extend([0xFF, 0xE1, 0, 4, 0xFF, 0xD9]);
        nested.extend(&jpeg[2..jpeg.len() - 2]);
        nested.extend([0xFF, 0xFF, 0xFF, 0xD9]);
        vec![png.clone(), jpeg.clone(), nested, jpeg, png]
    }

    /// The frames, and the error that ends them; the stream comes in pieces of `piece` bytes.
    fn cut(stream: &[u8], layout: Layout, piece: usize) -> (Vec<Vec<u8>>, Option<FrameError>) {
        let mut frames = Frames::new(io::BufReader::with_capacity(piece, stream), layout);
        let mut found = Vec::new();
        loop {
            match frames.next() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error)),
            }
        }
    }

    #[test]
    fn files_one_after_the_other_are_cut_where_they_end_however_they_come() {
        let files = encoded();
        for piece in [1, 7, 1 << 16] {
            let (found, error) = cut(&files.concat(), Layout::Encoded, piece);
            assert!(error.is_none(), "{error:?}");
            assert_eq!(found, files, "pieces of {piece}");
        }
    }

    #[test]
    fn a_stream_that_ends_within_a_frame_is_an_error_after_the_whole_ones() {
        for file in encoded() {
            for end in 1..file.len() {
                let (found, error) = cut(&[&file[..], &file[..end]].concat(), Layout::Encoded, 64);
                assert_eq!(found.len(), 1);
                assert!(matches!(error, Some(FrameError::Cut(length)) if length == end), "{end}: {error:?}");
            }
        }
        let (found, error) = cut(&[7; 25], Layout::Raw(10), 4);
        assert_eq!(found, [[7; 10]; 2]);
        assert!(matches!(error, Some(FrameError::Cut(5))));
    }

    #[test]
    fn raw_frames_are_cut_by_their_length_and_an_empty_stream_has_none() {
        let stream: Vec<u8> = (0..60).collect();
        let (found, error) = cut(&stream, Layout::Raw(12), 5);
        assert!(error.is_none());
        assert_eq!(found.concat(), stream);
        assert_eq!(found.len(), 5);
        for layout in [Layout::Raw(12), Layout::Encoded] {
            assert_eq!(cut(&[], layout, 5).0.len(), 0);
        }
    }

    #[test]
    fn bytes_of_another_format_are_refused() {
        for stream in [&b"GIF89a..............."[..], b"\x89PNX\r\n\x1a\n........", &[0; 64]] {
            let (found, error) = cut(stream, Layout::Encoded, 16);
            assert!(found.is_empty() && matches!(error, Some(FrameError::Unknown)), "{error:?}");
        }
    }

    #[test]
    fn a_chunk_that_claims_to_be_huge_is_refused_before_it_is_read() {
        let stream = [PNG, &[0xFF; 4], b"IDAT", &[0; 100]].concat();
        assert!(matches!(cut(&stream, Layout::Encoded, 16).1, Some(FrameError::Endless)));
    }
}
