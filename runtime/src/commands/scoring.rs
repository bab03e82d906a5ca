//! Scores one image as a command is asked to: its figures, its map, what is above the threshold. Which images there are,
//! and where results go, is the commands' business.

use image::RgbImage;
use ndarray::Array2;
use sparsight_runtime::{
    detector::{Score as Figures, Scorer},
    heatmap::{colour_scale, draw_boxes, draw_contour, draw_heatmap},
    images::{fit, to_input},
    maps::{energy_map_on_image, gradient_map_on_image, limit_to_roi, map_threshold, product_map_on_image},
    regions::regions_above,
};
use sparsight_schemas::{Region, ScoreRecord};

/// What is made of an image besides its scores.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct MapFlags {
    /// The map that is drawn, stored and searched for boxes; scores are always of the energy map
    #[arg(long, value_enum, default_value_t = Map::Energy, requires = "drawn")]
    map: Map,
    /// List the connected regions above the map's threshold in the records, with box, area and peak; heat maps show them
    #[arg(long)]
    pub boxes: bool,
}

/// The maps that an image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Map {
    /// Energy at each feature position
    Energy,
    /// |d energy / d image|: it needs good weights, and about two and a half times the work
    Gradient,
    /// Energy times gradient
    Product,
}

/// What was made of an image.
pub struct Scored {
    figures: Figures,
    provider: String,
    /// The map at the image's size, if it was asked for.
    pub map: Option<Array2<f32>>,
    map_threshold: Option<f32>,
    regions: Option<Vec<Region>>,
}

impl MapFlags {
    /// Scores an image; `wants_map` says whether its map is needed for more than its regions.
    pub fn score(&self, scorer: &mut Scorer, pixels: &RgbImage, wants_map: bool) -> anyhow::Result<Scored> {
        let manifest = scorer.detector().bundle().manifest.clone();
        let input = to_input(pixels, &manifest.input);
        let wants_map = wants_map || self.boxes;
        let (figures, gradient) = match self.map {
            Map::Gradient | Map::Product if wants_map => {
                let (figures, gradient) = scorer.score_and_gradient_map(input.view())?;
                (figures, Some(gradient))
            }
            _ => (scorer.score_input(input.view())?, None),
        };
        let provider = scorer.detector().backbone().provider().to_string();
        let mut scored = Scored { figures, provider, map: None, map_threshold: None, regions: None };
        if !wants_map {
            return Ok(scored);
        }
        let (width, height) = (pixels.width() as usize, pixels.height() as usize);
        let energy = scored.figures.scored_map.view();
        let map = match &gradient {
            None => energy_map_on_image(energy, &manifest, height, width),
            Some(gradient) if self.map == Map::Product => {
                product_map_on_image(energy, gradient.view(), &manifest, height, width)
            }
            Some(gradient) => gradient_map_on_image(gradient.view(), &manifest, height, width),
        };
        // A product is of energies, too: it has their share of the positions that count.
        let map = match scorer.roi() {
            Some(roi) => limit_to_roi(map, roi, &manifest, self.map != Map::Gradient),
            None => map,
        };
        scored.map_threshold =
            map_threshold(map.view(), scored.figures.anomaly_score, scored.figures.threshold);
        if self.boxes {
            scored.regions = scored.map_threshold.map(|threshold| regions_above(map.view(), threshold));
        }
        scored.map = Some(map);
        Ok(scored)
    }
}

impl Scored {
    /// What the colours of its heat map refer to, and the value that is marked among them.
    pub fn scale(&self) -> (f32, Option<f32>) {
        let scale = self.map.as_ref().map_or(0.0, |map| colour_scale(map.view(), self.map_threshold));
        (scale, self.map_threshold)
    }

    /// The image below its map, the threshold's contour and the boxes.
    pub fn draw(&self, pixels: RgbImage) -> RgbImage {
        let Some(map) = &self.map else { return pixels };
        let mut drawn = draw_heatmap(pixels, map.view(), self.scale().0);
        if let Some(threshold) = self.map_threshold {
            draw_contour(&mut drawn, map.view(), threshold);
        }
        draw_boxes(&mut drawn, self.regions.as_deref().unwrap_or_default());
        drawn
    }

    /// The image and its heat map, no larger than `longest` pixels a side; lines are drawn at that size.
    pub fn small(&self, pixels: &RgbImage, longest: u32) -> (RgbImage, RgbImage) {
        let image = fit(pixels, longest);
        let Some(map) = &self.map else { return (image.clone(), image) };
        let (width, height) = image.dimensions();
        let place = |i: usize, count: u32, of: usize| (2 * i + 1) * of / (2 * count as usize);
        let map = Array2::from_shape_fn((height as usize, width as usize), |(y, x)| {
            map[(place(y, height, map.nrows()), place(x, width, map.ncols()))]
        });
        let mut heatmap = draw_heatmap(image.clone(), map.view(), self.scale().0);
        if let Some(threshold) = self.map_threshold {
            draw_contour(&mut heatmap, map.view(), threshold);
        }
        (image, heatmap)
    }

    /// The record of the image called `image`.
    pub fn into_record(self, image: String) -> ScoreRecord {
        ScoreRecord {
            image,
            anomaly_score: Some(self.figures.anomaly_score),
            energy: Some(self.figures.energy),
            threshold: self.figures.threshold,
            false_alarm_rate: self.figures.false_alarm_rate,
            guaranteed_rate: self.figures.guaranteed_rate,
            anomalous: self.figures.anomalous,
            provider: Some(self.provider),
            map_threshold: self.map_threshold,
            regions: self.regions,
            ..ScoreRecord::default()
        }
    }
}

/// The record of an image that could not be scored.
pub fn failed(image: String, error: &anyhow::Error) -> ScoreRecord {
    ScoreRecord { image, error: Some(error.to_string()), ..ScoreRecord::default() }
}
