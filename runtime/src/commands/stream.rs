//! `sparsight stream`: frames on stdin, JSON lines on stdout.

mod frames;

use std::{
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::ArgGroup;
use image::RgbImage;
use sparsight_runtime::{dictionary::Dictionary, images::LARGEST_IMAGE, images::decode_image};

use self::frames::{Frames, Layout};
use super::{
    Exit,
    feed::{self, QueueFlags},
    scoring::MapFlags,
    session::BackboneFlags,
};

/// Score frames from stdin as they come, one JSON line each
#[derive(clap::Args)]
#[command(after_help = EXAMPLE, group(ArgGroup::new("drawn").args(["boxes"])))]
pub struct Stream {
    /// The bundle, a folder
    bundle: PathBuf,
    /// A dictionary of that bundle
    dictionary: PathBuf,
    /// The frames are raw RGB, 8 bit, of this size [default: PNG and JPEG files, one after the other]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    size: Option<[u32; 2]>,
    #[command(flatten)]
    queue: QueueFlags,
    #[command(flatten)]
    maps: MapFlags,
    #[command(flatten)]
    backbone: BackboneFlags,
}

const EXAMPLE: &str = "\
Frames are numbered from 0; those that are dropped keep their numbers. It ends with stdin, or on SIGINT or SIGTERM once
what waits is scored; a summary is on stderr. Memory stays the same however long it runs.

Example:
  sparsight stream bundle leather.dictionary < frames.mjpeg
  ffmpeg -i line.mp4 -f rawvideo -pix_fmt rgb24 - | sparsight stream bundle leather.dictionary --size 640x480";

fn size(text: &str) -> Result<[u32; 2], String> {
    let side = |text: &str| text.parse().ok().filter(|side| *side > 0);
    let sides = text.split_once(['x', 'X']).and_then(|(w, h)| Some([side(w)?, side(h)?]));
    match sides {
        Some([w, h]) if u64::from(w) * u64::from(h) <= LARGEST_IMAGE => Ok([w, h]),
        Some(_) => Err("must be at most 100 megapixels".into()),
        None => Err("must be like 640x480".into()),
    }
}

impl Stream {
    pub fn run(&self, verbose: bool) -> anyhow::Result<Exit> {
        let mut detector = self.backbone.open(&self.bundle, verbose)?;
        let dictionary = Dictionary::read_to_score(&self.dictionary, detector.bundle())?;
        let mut scorer = detector.with_dictionary(&dictionary)?;
        let size = self.size;
        let layout = match size {
            Some([width, height]) => Layout::Raw(3 * width as usize * height as usize),
            None => Layout::Encoded,
        };
        let bring = move |queue: &feed::Queue<(u64, Vec<u8>)>| {
            let mut frames = Frames::new(BufReader::with_capacity(1 << 16, io::stdin()), layout);
            for number in 0.. {
                let frame = frames.next().map_err(|error| anyhow!("stdin, frame {number}: {error}"))?;
                let Some(frame) = frame else { break };
                if !queue.bring((number, frame)) {
                    break;
                }
            }
            Ok(())
        };
        let read = move |(number, bytes): (u64, Vec<u8>)| {
            let name = format!("frame {number}");
            let pixels = match size {
                Some([width, height]) => {
                    RgbImage::from_raw(width, height, bytes).context("has too few bytes")
                }
                None => decode_image(&bytes, Path::new(&name)).map_err(anyhow::Error::from),
            };
            (name, pixels)
        };
        feed::run("frames", self.queue, self.maps, &mut scorer, bring, read)
    }
}
