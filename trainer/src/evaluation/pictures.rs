//! The worst and the best cases of a category as pictures: the image, and its heat map with the outline of the mask.

use std::path::PathBuf;

use image::{Rgb, RgbImage};
use ndarray::Array2;
use sparsight_runtime::{
    heatmap::{colour_scale, draw_heatmap},
    images::{fit, read_image},
};
use sparsight_schemas::Manifest;

use super::{
    EvaluationError,
    category::{LoadedImage, TestSet, nearest},
    run::MethodRun,
};
use crate::categories::Category;

/// How many cases are the worst, and how many the best.
const CASES: usize = 3;
/// Most pixels of a picture along its longer side.
const LARGEST_SIDE: u32 = 256;
/// Colour of the outline; the heat map has no such one.
const OUTLINE: Rgb<u8> = Rgb([0, 255, 255]);

/// Cases of one category, by one map of its first run.
#[derive(Clone, Debug)]
pub struct CategoryPictures {
    /// Name of the category.
    pub category: String,
    /// Name of the map.
    pub map: &'static str,
    /// The value of a pixel that is in the middle of the heat map's colours; none if each has its own scale.
    pub threshold: Option<f32>,
    /// Defective images that score low and good ones that score high, the worst first.
    pub worst: Vec<Case>,
    /// Defective images that score high and good ones that score low, the best first.
    pub best: Vec<Case>,
}

/// One test image.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its file.
    pub path: PathBuf,
    /// Kind of defect; none for a good image.
    pub defect: Option<String>,
    /// Its score.
    pub score: f32,
    /// Its place among the scores of all test images, from 1, the highest.
    pub rank: usize,
    /// How many test images there are.
    pub images: usize,
    /// The image, scaled down to a picture.
    pub image: RgbImage,
    /// The same with its heat map, and the outline of the mask if it has one.
    pub heatmap: RgbImage,
}

/// Draws the cases of a category by what one method made of it.
pub fn draw(
    category: &Category,
    test: &TestSet,
    run: &MethodRun,
    manifest: &Manifest,
) -> Result<CategoryPictures, EvaluationError> {
    let labelled: Vec<(f32, bool)> =
        run.scored.iter().zip(&test.images).map(|(s, image)| (s.score, image.defect.is_some())).collect();
    let cases = worst_first(&labelled);
    let case = |place: &Place| -> Result<Case, EvaluationError> {
        let (scored, loaded) = (&run.scored[place.image], &test.images[place.image]);
        let image = picture(loaded)?;
        let map = scored.map.on_image(manifest, image.height() as usize, image.width() as usize);
        let mut heatmap = draw_heatmap(image.clone(), map.view(), colour_scale(map.view(), run.threshold));
        if let Some(mask) = &loaded.mask {
            draw_outline(&mut heatmap, mask);
        }
        let (path, defect) = (loaded.path.clone(), loaded.defect.clone());
        Ok(Case { path, defect, score: scored.score, rank: place.rank, images: cases.len(), image, heatmap })
    };
    let worst = cases.len().div_ceil(2).min(CASES);
    let best = (cases.len() - worst).min(CASES);
    Ok(CategoryPictures {
        category: category.name.clone(),
        map: run.method.name(),
        threshold: run.threshold,
        worst: cases[..worst].iter().map(case).collect::<Result<_, _>>()?,
        best: cases.iter().rev().take(best).map(case).collect::<Result<_, _>>()?,
    })
}

/// Where an image stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Index of the image.
    image: usize,
    /// From 1, the highest score.
    rank: usize,
}

/// All images by how many others are on the wrong side of them: above a defective one, below a good one.
fn worst_first(labelled: &[(f32, bool)]) -> Vec<Place> {
    let mut by_score: Vec<usize> = (0..labelled.len()).collect();
    by_score.sort_by(|a, b| labelled[*b].0.total_cmp(&labelled[*a].0));
    let mut places: Vec<Place> =
        by_score.into_iter().enumerate().map(|(above, image)| Place { image, rank: above + 1 }).collect();
    let right = |place: &Place| {
        if labelled[place.image].1 { labelled.len() - place.rank } else { place.rank - 1 }
    };
    places.sort_by_key(right);
    places
}

/// The image, no larger than a picture may be.
fn picture(loaded: &LoadedImage) -> Result<RgbImage, EvaluationError> {
    Ok(fit(&read_image(&loaded.path)?, LARGEST_SIDE))
}

/// Marks the pixels on both sides of the mask's border.
fn draw_outline(picture: &mut RgbImage, mask: &Array2<bool>) {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let marked =
        |y: usize, x: usize| mask[(nearest(y, height, mask.nrows()), nearest(x, width, mask.ncols()))];
    for (y, x) in ndarray::indices((height, width)) {
        let (above, left) = (y.saturating_sub(1), x.saturating_sub(1));
        let (below, right) = ((y + 1).min(height - 1), (x + 1).min(width - 1));
        let neighbours = [(above, x), (below, x), (y, left), (y, right)];
        if neighbours.iter().any(|neighbour| marked(neighbour.0, neighbour.1) != marked(y, x)) {
            picture.put_pixel(x as u32, y as u32, OUTLINE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_a_defect_below_all_or_a_good_one_above_all() {
        let labelled = [(0.9, false), (0.8, true), (0.5, true), (0.4, false), (0.3, false), (0.1, true)];
        let order: Vec<usize> = worst_first(&labelled).iter().map(|place| place.image).collect();
        // Wrong by 5, 1, 3, 2, 1 and 5 others.
        assert_eq!(order, [0, 5, 2, 3, 1, 4]);
        assert_eq!(worst_first(&labelled)[1], Place { image: 5, rank: 6 });
    }

    fn outlined(mask: &Array2<bool>, side: u32) -> Vec<String> {
        let mut picture = RgbImage::new(side, side);
        draw_outline(&mut picture, mask);
        let symbol = |pixel: &Rgb<u8>| if *pixel == OUTLINE { '#' } else { '.' };
        picture.rows().map(|row| row.map(symbol).collect()).collect()
    }

    #[test]
    fn the_outline_is_on_both_sides_of_the_border() {
        let mask = Array2::from_shape_fn((7, 7), |(y, x)| (1..6).contains(&y) && (3..7).contains(&x));
        let expected = ["...####", "..#####", "..##...", "..##...", "..##...", "..#####", "...####"];
        assert_eq!(outlined(&mask, 7), expected);
        assert!(outlined(&Array2::from_elem((4, 4), true), 4).concat().chars().all(|pixel| pixel == '.'));
    }

    #[test]
    fn the_outline_of_a_larger_mask_is_scaled_with_the_picture() {
        let mask = Array2::from_shape_fn((12, 12), |(y, x)| y < 6 && x < 6);
        assert_eq!(outlined(&mask, 6), ["..##..", "..##..", "####..", "###...", "......", "......"]);
    }
}
