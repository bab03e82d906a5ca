//! `cargo xtask picture`: the picture of the README. It calls `sparsight` as a user would and puts its heat maps together.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use crate::workspace::Workspace;
use crate::{demo, folders, process, setup};

/// Defects in the picture.
const DEFECTS: usize = 6;
/// Pixels of a tile's side.
const TILE: u32 = 128;
/// Pixels between two tiles.
const GAP: u32 = 4;
/// Quality of the picture, of 100.
const QUALITY: u8 = 90;

/// What the picture shows.
#[derive(Args)]
#[command(after_help = "\
Of each category, the first ten good images are adapted to, and the first images of its kinds of defects are shown in
turn, as many as it takes to show six in all.

Example:
  cargo xtask picture --bundle bundle --data data --categories leather_00,cloth_03")]
pub struct Picture {
    /// The bundle
    #[arg(long, value_name = "BUNDLE")]
    bundle: PathBuf,
    /// A folder of categories in the MVTec-AD layout
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The categories, which training should not have seen
    #[arg(long, value_name = "A,B", value_delimiter = ',', required = true)]
    categories: Vec<String>,
    /// The picture [default: fixtures/readme/result.jpg]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Makes the picture.
pub fn run(workspace: &Workspace, picture: &Picture) -> Result<()> {
    let library = setup::library(workspace)?;
    let sparsight = workspace.build_sparsight()?;
    let edge = |command: &str| {
        let mut program = Command::new(&sparsight);
        program.env("ORT_DYLIB_PATH", &library).args([command, "--provider", "cpu"]).arg(&picture.bundle);
        program
    };
    folders::with_temporary(&workspace.target, |scratch| {
        let mut columns = Vec::new();
        for (i, category) in picture.categories.iter().enumerate() {
            let source = picture.data.join(category);
            let dictionary = scratch.join(format!("{i}.dictionary"));
            let shots = demo::shots(&source.join("train/good"))?;
            process::run(edge("adapt").args(&shots).arg("-o").arg(&dictionary))?;
            // The first categories show one more where the defects can't be shared out evenly.
            let share = (DEFECTS + picture.categories.len() - 1 - i) / picture.categories.len();
            for defect in defects(&source.join("test"), share)? {
                let heatmaps = scratch.join(columns.len().to_string());
                let mut score = edge("score");
                score.arg(&dictionary).arg(&defect).arg("--heatmaps").arg(&heatmaps);
                process::run(&mut score)?;
                let heatmap = heatmaps.join(defect.file_name().unwrap_or_default()).with_extension("png");
                columns.push((open(&defect)?, open(&heatmap)?));
            }
        }
        let output =
            picture.output.clone().unwrap_or_else(|| workspace.root.join("fixtures/readme/result.jpg"));
        write(&tiled(&columns), &output)
    })
}

/// The first images of the kinds of defects, in turn.
fn defects(test: &Path, count: usize) -> Result<Vec<PathBuf>> {
    let kinds: Vec<PathBuf> =
        folders::entries(test)?.into_iter().filter(|kind| kind.is_dir() && !kind.ends_with("good")).collect();
    let images = kinds.iter().map(|kind| folders::entries(kind)).collect::<Result<Vec<_>>>()?;
    let longest = images.iter().map(Vec::len).max().unwrap_or(0);
    let in_turn = (0..longest).flat_map(|i| images.iter().filter_map(move |kind| kind.get(i).cloned()));
    let defects: Vec<PathBuf> = in_turn.take(count).collect();
    ensure!(
        defects.len() == count,
        "{}: has {} images of defects, not {count}",
        test.display(),
        defects.len()
    );
    Ok(defects)
}

fn open(path: &Path) -> Result<RgbImage> {
    Ok(image::open(path).with_context(|| format!("reading {}", path.display()))?.into_rgb8())
}

/// The images, each above its heat map, which may have a colour bar to its right.
fn tiled(columns: &[(RgbImage, RgbImage)]) -> RgbImage {
    let width = columns.len() as u32 * (TILE + GAP) - GAP;
    let mut tiled = RgbImage::from_pixel(width, 2 * TILE + GAP, Rgb([0xFF; 3]));
    for (i, (image, heatmap)) in (0..).zip(columns) {
        let heatmap = imageops::crop_imm(heatmap, 0, 0, image.width(), image.height()).to_image();
        for (row, picture) in [(0, image), (1, &heatmap)] {
            let tile = match picture.dimensions() {
                (TILE, TILE) => picture.clone(),
                _ => imageops::resize(picture, TILE, TILE, FilterType::Triangle),
            };
            imageops::replace(&mut tiled, &tile, i * i64::from(TILE + GAP), row * i64::from(TILE + GAP));
        }
    }
    tiled
}

fn write(picture: &RgbImage, path: &Path) -> Result<()> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    picture.write_with_encoder(encoder).with_context(|| format!("encoding {}", path.display()))?;
    std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn defects_are_taken_from_every_kind_in_turn_and_never_from_the_good() {
        let test = tempfile::tempdir().unwrap();
        for file in ["cut/0.png", "cut/1.png", "good/0.png", "hole/0.png", "hole/1.png", "hole/2.png"] {
            fs::create_dir_all(test.path().join(file).parent().unwrap()).unwrap();
            fs::write(test.path().join(file), b"").unwrap();
        }
        let names = |count| {
            let defects = defects(test.path(), count)?;
            let name = |path: &PathBuf| path.strip_prefix(test.path()).unwrap().display().to_string();
            Ok::<_, anyhow::Error>(defects.iter().map(name).collect::<Vec<_>>())
        };
        assert_eq!(names(3).unwrap(), ["cut/0.png", "hole/0.png", "cut/1.png"]);
        assert_eq!(names(5).unwrap().last().unwrap(), "hole/2.png");
        assert!(names(6).is_err());
    }

    #[test]
    fn a_heat_map_is_below_its_image_and_its_colour_bar_is_left_out() {
        let image = RgbImage::from_pixel(TILE, TILE, Rgb([10, 20, 30]));
        let mut heatmap = RgbImage::from_pixel(TILE + 40, TILE, Rgb([1, 1, 1]));
        imageops::replace(&mut heatmap, &RgbImage::from_pixel(TILE, TILE, Rgb([200, 0, 0])), 0, 0);
        let tiled = tiled(&[(image.clone(), heatmap.clone()), (image, heatmap)]);
        assert_eq!(tiled.dimensions(), (2 * TILE + GAP, 2 * TILE + GAP));
        let colours: std::collections::BTreeSet<[u8; 3]> = tiled.pixels().map(|pixel| pixel.0).collect();
        assert_eq!(colours, [[10, 20, 30], [200, 0, 0], [255, 255, 255]].into());
        assert_eq!(tiled[(TILE + GAP, TILE + GAP)].0, [200, 0, 0]);
    }
}
