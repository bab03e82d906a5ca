//! A detector with a dictionary: it scores queries. It joins the steps and times them; how each is done is elsewhere.

use std::time::{Duration, Instant};

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis};

use super::{Detector, DetectorError};
use crate::{
    calibration::Calibration,
    dictionary::Dictionary,
    reference::Reference,
    roi::Roi,
    sparse_coding::{Coder, energy, is_energy},
};

/// A detector with the dictionary of one category.
pub struct Scorer<'a> {
    detector: &'a mut Detector,
    coder: Coder,
    reference: Option<Reference>,
    roi: Option<Roi>,
    threshold: Option<f32>,
    false_alarm_rate: Option<f64>,
    guaranteed_rate: Option<f64>,
}

/// What a scorer says of one image.
#[derive(Clone, Debug)]
pub struct Score {
    /// The energy of every feature position, \[h, w\]; 0 outside of the dictionary's region of interest.
    pub energy_map: Array2<f32>,
    /// Its mean over the positions that count.
    pub energy: f32,
    /// What is scored and drawn, \[h, w\]: the energy map, relative to the support's [`Reference`] where the bundle's
    /// scoring asks for it.
    pub scored_map: Array2<f32>,
    /// The mean of its highest values; see [`anomaly_score`].
    pub anomaly_score: f32,
    /// The dictionary's threshold; none if it is not calibrated.
    pub threshold: Option<f32>,
    /// The share of good images above the threshold that was asked for; none without one.
    pub false_alarm_rate: Option<f64>,
    /// The share that the calibration guarantees; see [`crate::calibration::Calibration::guaranteed_rate`].
    pub guaranteed_rate: Option<f64>,
    /// Whether the anomaly score is above the threshold.
    pub anomalous: Option<bool>,
    /// How long it took.
    pub elapsed: Elapsed,
}

/// How long the stages of a score took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Elapsed {
    /// From the image to features.
    pub backbone: Duration,
    /// From features to the energy map.
    pub sparse_coding: Duration,
}

impl<'a> Scorer<'a> {
    /// Packs what scoring with `dictionary` needs, which is one of the detector's bundle.
    pub(super) fn new(detector: &'a mut Detector, dictionary: &Dictionary) -> Self {
        let manifest = &detector.bundle.manifest;
        let calibration = dictionary.calibration.as_ref();
        Self {
            coder: Coder::new(&dictionary.atoms(&manifest.sparse_coding), &manifest.sparse_coding),
            threshold: dictionary.threshold(),
            false_alarm_rate: calibration.map(|calibration| calibration.false_alarm_rate),
            guaranteed_rate: calibration.map(Calibration::guaranteed_rate),
            reference: dictionary.reference(&manifest.scoring),
            roi: dictionary.roi.clone(),
            detector,
        }
    }

    /// The detector that scores.
    pub fn detector(&self) -> &Detector {
        self.detector
    }

    /// The region of interest, outside of which all maps are 0; none if all of an image counts.
    pub fn roi(&self) -> Option<&Roi> {
        self.roi.as_ref()
    }

    /// The anomaly score above which an image is anomalous.
    pub fn threshold(&self) -> Option<f32> {
        self.threshold
    }

    /// The same scorer on another detector of the same bundle, see [`Detector::beside`]; they share the dictionary.
    pub fn on<'b>(&self, detector: &'b mut Detector) -> Scorer<'b> {
        let (coder, reference, roi) = (self.coder.clone(), self.reference.clone(), self.roi.clone());
        let Self { threshold, false_alarm_rate, guaranteed_rate, .. } = *self;
        Scorer { detector, coder, reference, roi, threshold, false_alarm_rate, guaranteed_rate }
    }

    /// The features \[d, h, w\] of an image \[3, H, W\] in \[0, 1\], at the size of the bundle's input.
    ///
    /// # Errors
    /// As [`Scorer::score_input`].
    pub fn features(&mut self, image: ArrayView3<f32>) -> Result<Array3<f32>, DetectorError> {
        let features = self.detector.backbone.features(image.insert_axis(Axis(0)))?;
        Ok(features.index_axis_move(Axis(0), 0))
    }

    /// Scores an image \[3, H, W\] in \[0, 1\], at the size of the bundle's input.
    ///
    /// # Errors
    /// An image of another size, NaN on either side, or the backbone's failure.
    pub fn score_input(&mut self, image: ArrayView3<f32>) -> Result<Score, DetectorError> {
        let start = Instant::now();
        let features = self.features(image)?;
        let backbone = start.elapsed();

        let start = Instant::now();
        let energy_map = self.coder.energy_map(features.view()).to_owned();
        self.judged(energy_map, backbone, start)
    }

    /// Scores an image as [`Scorer::score_input`], and gives its gradient map: |d energy / d image| summed over channels,
    /// \[H, W\], exact through all iterations, with the dictionary held fixed.
    ///
    /// # Errors
    /// As [`Scorer::score_input`].
    pub fn score_and_gradient_map(
        &mut self,
        image: ArrayView3<f32>,
    ) -> Result<(Score, Array2<f32>), DetectorError> {
        let start = Instant::now();
        let features = self.features(image)?;
        let backbone = start.elapsed();

        let start = Instant::now();
        let inside = self.roi.as_ref().map(Roi::inside);
        let (energy_map, gradient) = self.coder.energy_map_and_gradient(features.view(), inside);
        check("gradient of the energy", gradient.iter().all(|value| value.is_finite()))?;
        let energy_map = energy_map.to_owned();
        let score = self.judged(energy_map, backbone, start)?;

        let (image, gradient) = (image.insert_axis(Axis(0)), gradient.insert_axis(Axis(0)));
        let gradient = self.detector.backbone.image_gradient(image, gradient.view())?;
        let map = gradient.index_axis_move(Axis(0), 0).mapv_into(f32::abs).sum_axis(Axis(0));
        check("gradient map", map.iter().all(|value| value.is_finite()))?;
        Ok((score, map))
    }

    /// The gradient map alone, as [`Scorer::score_and_gradient_map`] gives it.
    ///
    /// # Errors
    /// As [`Scorer::score_input`].
    pub fn gradient_map(&mut self, image: ArrayView3<f32>) -> Result<Array2<f32>, DetectorError> {
        Ok(self.score_and_gradient_map(image)?.1)
    }

    /// What an energy map says of its image; sparse coding began at `start`.
    fn judged(
        &self,
        mut energy_map: Array2<f32>,
        backbone: Duration,
        start: Instant,
    ) -> Result<Score, DetectorError> {
        check("energy map", energy_map.iter().all(|energy| is_energy(*energy)))?;
        let energy = match &self.roi {
            Some(roi) => {
                roi.limit(energy_map.view_mut());
                roi.values(energy_map.view()).mean().unwrap_or_default()
            }
            None => energy(energy_map.view().insert_axis(Axis(0)))[0],
        };
        let scored_map = match &self.reference {
            Some(reference) => reference.relative(energy_map.view()),
            None => energy_map.clone(),
        };
        check("map relative to the shots", scored_map.iter().all(|value| is_energy(*value)))?;
        let top_fraction = self.detector.bundle.manifest.scoring.top_fraction;
        let anomaly_score = anomaly_score_within(scored_map.view(), self.roi.as_ref(), top_fraction);
        let elapsed = Elapsed { backbone, sparse_coding: start.elapsed() };
        let anomalous = self.threshold.map(|threshold| anomaly_score > threshold);
        let Self { threshold, false_alarm_rate, guaranteed_rate, .. } = *self;
        Ok(Score {
            energy_map,
            energy,
            scored_map,
            anomaly_score,
            threshold,
            false_alarm_rate,
            guaranteed_rate,
            anomalous,
            elapsed,
        })
    }
}

/// What is not finite is an error and never a result.
fn check(what: &'static str, finite: bool) -> Result<(), DetectorError> {
    if finite { Ok(()) } else { Err(DetectorError::NotFinite(what)) }
}

/// As [`anomaly_score`], of the positions that count.
pub(crate) fn anomaly_score_within(map: ArrayView2<f32>, roi: Option<&Roi>, top_fraction: f32) -> f32 {
    match roi {
        Some(roi) => anomaly_score(roi.values(map).view(), top_fraction),
        None => anomaly_score(map, top_fraction),
    }
}

/// The mean of the highest values of a map: of ceil(`top_fraction` positions) of them.
pub fn anomaly_score(energy_map: ArrayView2<f32>, top_fraction: f32) -> f32 {
    let mut energies: Vec<f32> = energy_map.iter().copied().collect();
    energies.sort_unstable_by(f32::total_cmp);
    // A product like 0.07 * 100 may come out a hair above the whole number that is meant.
    let count = (f64::from(top_fraction) * energies.len() as f64 - 1e-4).ceil() as usize;
    let count = count.clamp(1, energies.len());
    let highest = energies.iter().rev().take(count);
    (highest.map(|&energy| f64::from(energy)).sum::<f64>() / count as f64) as f32
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_anomaly_score_is_the_mean_of_the_highest_energies() {
        let map = array![[1.0, 4.0], [3.0, 2.0]];
        assert_eq!(anomaly_score(map.view(), 1.0), 2.5);
        assert_eq!(anomaly_score(map.view(), 0.5), 3.5);
        assert_eq!(anomaly_score(map.view(), 0.51), 3.0); // three positions
        assert_eq!(anomaly_score(map.view(), 0.001), 4.0);
    }
}
