//! The threshold of a dictionary, from good images alone: its own shots, or others held out. No anomaly is needed, and
//! none is looked at.

use ndarray::{Array3, ArrayView3, ArrayView4, Axis};
use serde::{Deserialize, Serialize};
use sparsight_schemas::{ScoringConfig, SparseCodingConfig};

use crate::{
    detector::anomaly_score_within,
    reference::Reference,
    roi::Roi,
    sparse_coding::{Atoms, Coder},
};

/// The share of good images that may be called anomalous, if the caller does not say.
pub const DEFAULT_FALSE_ALARM_RATE: f64 = 0.1;

/// The smallest false alarm rate that `count` good images can guarantee, 1 / (count + 1): the next good image is as likely
/// as any of them to be the highest.
pub fn smallest_rate(count: usize) -> f64 {
    1.0 / (count + 1) as f64
}

/// The good images that it takes to guarantee `rate`.
pub fn images_needed(rate: f64) -> usize {
    (1.0 / rate - 1.0 - 1e-9).ceil().max(1.0) as usize
}

/// How good images score, and the threshold that follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// How the scores were taken.
    pub method: Method,
    /// The anomaly score of each shot, in the order of the shots, or of each image held out.
    pub scores: Vec<f32>,
    /// The share of good images that may be called anomalous, between 0 and 1.
    pub false_alarm_rate: f64,
}

/// How the scores were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Each shot by the dictionary of all others. A new image has one shot more to explain it, so it scores no higher on
    /// average, and the threshold errs on the high side.
    LeaveOneShotOut,
    /// Good images that are no shots, by the whole dictionary, as new images are: the guarantee is exact.
    HeldOut,
}

/// Why a calibration can't be.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The rate is no rate.
    #[error("false alarm rate {0}; must be above 0 and below 1")]
    Rate(f64),
    /// A score is NaN, infinite or negative, or there are none.
    #[error("calibration scores must be finite, not negative and at least {0}")]
    Scores(usize),
}

impl Calibration {
    /// Scores each shot by the others, from the maps of [`leave_one_shot_out`], where positions that do not count are 0. None if there are fewer than two shots.
    ///
    /// # Errors
    /// A false alarm rate outside of (0, 1).
    pub fn new(
        shot_maps: ArrayView3<f32>,
        roi: Option<&Roi>,
        scoring: &ScoringConfig,
        false_alarm_rate: f64,
    ) -> Result<Option<Self>, CalibrationError> {
        let calibration = Self { method: Method::LeaveOneShotOut, scores: vec![], false_alarm_rate };
        check_rate(false_alarm_rate)?;
        let shots = shot_maps.dim().0;
        if shots < 2 {
            return Ok(None);
        }
        let scores = (0..shots).map(|shot| {
            let map = shot_maps.index_axis(Axis(0), shot);
            let reference = if scoring.reference {
                let others: Vec<usize> = (0..shots).filter(|other| *other != shot).collect();
                Reference::new(shot_maps.select(Axis(0), &others).view(), roi, scoring.reference_floor)
            } else {
                None
            };
            match reference {
                Some(reference) => {
                    anomaly_score_within(reference.relative(map).view(), roi, scoring.top_fraction)
                }
                None => anomaly_score_within(map, roi, scoring.top_fraction),
            }
        });
        Ok(Some(Self { scores: scores.collect(), ..calibration }))
    }

    /// The calibration of the `scores` of good images that are no shots.
    ///
    /// # Errors
    /// A false alarm rate outside of (0, 1), no score, or one that is NaN, infinite or negative.
    pub fn held_out(scores: Vec<f32>, false_alarm_rate: f64) -> Result<Self, CalibrationError> {
        let calibration = Self { method: Method::HeldOut, scores, false_alarm_rate };
        calibration.check()?;
        Ok(calibration)
    }

    /// The conformal quantile: the ceil((k + 1) (1 - R))-th smallest of the k scores, or the largest if there are too
    /// few for the rate R. Another good image, drawn like those, scores higher with a probability of at most
    /// [`Calibration::guaranteed_rate`].
    pub fn threshold(&self) -> f32 {
        let mut scores = self.scores.clone();
        scores.sort_unstable_by(f32::total_cmp);
        scores.get(self.rank() - 1).copied().unwrap_or(f32::INFINITY)
    }

    /// The false alarm rate that the threshold keeps: at most the one asked for, but never below
    /// [`smallest_rate`]`(k)`. It is an average over the draws of the images calibrated with; see
    /// [`Calibration::rate_of_nine_in_ten`] for a single draw.
    pub fn guaranteed_rate(&self) -> f64 {
        (self.scores.len() + 1 - self.rank()) as f64 / (self.scores.len() + 1) as f64
    }

    /// The false alarm rate that nine draws of the images in ten stay below. With continuous scores the rate of the
    /// rank-th of k is distributed as Beta(k + 1 - rank, rank); this is its 0.9 quantile.
    pub fn rate_of_nine_in_ten(&self) -> f64 {
        let (count, above) = (self.scores.len(), self.scores.len() - self.rank());
        // The rate exceeds x if at most `above` of the k scores lie in the highest share x.
        let exceeds = |x: f64| {
            let mut term = count as f64 * (1.0 - x).ln(); // logarithms, because of many scores a share is below all floats
            let mut sum = term.exp();
            for i in 0..above {
                term += ((count - i) as f64 / (i + 1) as f64 * x / (1.0 - x)).ln();
                sum += term.exp();
            }
            sum
        };
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if exceeds(middle) > 0.1 { low = middle } else { high = middle }
        }
        high
    }

    /// The scores of the shots, where they were scored.
    pub fn shot_scores(&self) -> Option<&[f32]> {
        (self.method == Method::LeaveOneShotOut).then_some(&self.scores)
    }

    /// Checks what was read from a file.
    ///
    /// # Errors
    /// A rate or a score that no calibration gives.
    pub fn check(&self) -> Result<(), CalibrationError> {
        check_rate(self.false_alarm_rate)?;
        let fewest = match self.method {
            Method::LeaveOneShotOut => 2,
            Method::HeldOut => 1,
        };
        let valid =
            self.scores.len() >= fewest && self.scores.iter().all(|score| score.is_finite() && *score >= 0.0);
        if valid { Ok(()) } else { Err(CalibrationError::Scores(fewest)) }
    }

    /// The rank of the threshold among the scores, from 1 to k.
    fn rank(&self) -> usize {
        let count = self.scores.len();
        // A product like 10 * 0.9 may come out a hair above the whole number that is meant.
        let rank = ((count + 1) as f64 * (1.0 - self.false_alarm_rate) - 1e-9).ceil() as usize;
        rank.clamp(1, count.max(1))
    }
}

/// Whether a false alarm rate can be asked for.
///
/// # Errors
/// It is outside of (0, 1).
pub fn check_rate(false_alarm_rate: f64) -> Result<(), CalibrationError> {
    let valid = false_alarm_rate > 0.0 && false_alarm_rate < 1.0;
    if valid { Ok(()) } else { Err(CalibrationError::Rate(false_alarm_rate)) }
}

/// The energy map of each shot of `support_features` \[k, d, h, w\] by the atoms of the others, which `atoms_without`
/// that shot gives: \[k, h, w\].
pub fn leave_one_shot_out(
    support_features: ArrayView4<f32>,
    atoms_without: impl Fn(usize) -> Atoms,
    sparse_coding: &SparseCodingConfig,
) -> Array3<f32> {
    let (shots, _, h, w) = support_features.dim();
    let mut maps = Array3::zeros((shots, h, w));
    for (shot, mut slot) in maps.outer_iter_mut().enumerate() {
        let mut coder = Coder::new(&atoms_without(shot), sparse_coding);
        slot.assign(&coder.energy_map(support_features.index_axis(Axis(0), shot)));
    }
    maps
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, array, s};

    use super::*;
    use crate::sparse_coding::dictionary;

    fn calibration(scores: &[f32], false_alarm_rate: f64) -> Calibration {
        Calibration { method: Method::LeaveOneShotOut, scores: scores.to_vec(), false_alarm_rate }
    }

    #[test]
    fn the_threshold_is_the_conformal_quantile() {
        let nine = [0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4, 0.5];
        assert_eq!(calibration(&nine, 0.1).threshold(), 0.9); // the ninth of nine
        assert_eq!(calibration(&nine, 0.3).threshold(), 0.7); // the seventh
        assert!((calibration(&nine, 0.3).guaranteed_rate() - 0.3).abs() < 1e-9);
    }

    #[test]
    fn with_too_few_shots_the_largest_score_keeps_the_rate_it_can() {
        let two = calibration(&[0.2, 0.1], 0.1);
        assert_eq!(two.threshold(), 0.2);
        assert!((two.guaranteed_rate() - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn nine_draws_in_ten_keep_the_rate_that_the_beta_distribution_says() {
        // Of the highest of k it is 1 - 0.1^(1/k).
        for (count, rate, expected) in [(10, 0.05, 0.205_672), (1, 0.5, 0.9), (99, 0.01, 0.022_990)] {
            let scores: Vec<f32> = (0..count).map(|i| i as f32).collect();
            let computed = calibration(&scores, rate).rate_of_nine_in_ten();
            assert!((computed - expected).abs() < 1e-5, "{count}: {computed}");
        }
        // Of very many, nearly normal about the rate: 1.2816 deviations above it.
        let many: Vec<f32> = (0..100_000).map(|i| i as f32).collect();
        let computed = calibration(&many, 0.1).rate_of_nine_in_ten();
        assert!((computed - 0.1 - 1.2816 * (0.09f64 / 1e5).sqrt()).abs() < 1e-5, "{computed}");
        let twenty: Vec<f32> = (0..20).map(|i| i as f32).collect();
        let second = calibration(&twenty, 0.1); // rank 19: Beta(2, 19)
        let x = second.rate_of_nine_in_ten();
        let exceeds = (1.0 - x).powi(20) + 20.0 * x * (1.0 - x).powi(19);
        assert!((exceeds - 0.1).abs() < 1e-9, "{x}");
    }

    #[test]
    fn as_many_images_as_needed_keep_the_rate_and_one_fewer_does_not() {
        for rate in [0.5, 0.3, 0.1, 0.05, 1.0 / 11.0, 0.001] {
            let needed = images_needed(rate);
            assert!(smallest_rate(needed) <= rate + 1e-9, "{rate}");
            assert!(needed == 1 || smallest_rate(needed - 1) > rate, "{rate}");
        }
    }

    #[test]
    fn one_image_held_out_is_enough_and_none_is_not() {
        let one = Calibration::held_out(vec![0.5], 0.1).unwrap();
        assert_eq!((one.threshold(), one.guaranteed_rate(), one.shot_scores()), (0.5, 0.5, None));
        for scores in [vec![], vec![f32::NAN], vec![-1.0]] {
            assert!(Calibration::held_out(scores, 0.1).is_err());
        }
    }

    #[test]
    fn rates_outside_of_zero_to_one_are_refused() {
        for rate in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(calibration(&[0.1, 0.2], rate).check().is_err());
        }
    }

    #[test]
    fn one_shot_has_no_threshold() {
        let none =
            Calibration::new(Array3::zeros((1, 2, 2)).view(), None, &ScoringConfig::default(), 0.1).unwrap();
        assert_eq!(none, None);
    }

    #[test]
    fn a_shot_like_the_others_scores_below_one_unlike_them() {
        let features = Array4::from_shape_fn((3, 4, 2, 2), |(shot, c, y, x)| {
            let same = ((c + y + x) as f32).sin();
            if shot == 2 { (1.0 + 7.0 * c as f32).cos() } else { same }
        });
        let coding = SparseCodingConfig { receptive_field: 1, ..SparseCodingConfig::default() };
        let others = |shot: usize| {
            let others: Vec<usize> = (0..3).filter(|other| *other != shot).collect();
            dictionary(features.select(Axis(0), &others).view(), 1)
        };
        let maps = leave_one_shot_out(features.view(), others, &coding);
        for reference in [false, true] {
            let scoring = ScoringConfig { reference, ..ScoringConfig::default() };
            let calibration = Calibration::new(maps.view(), None, &scoring, 0.1).unwrap().unwrap();
            assert!(calibration.scores[0] < calibration.scores[2], "{calibration:?}");
            calibration.check().unwrap();
        }
    }

    #[test]
    fn relative_to_the_others_a_shot_that_is_twice_as_hard_scores_twice_as_high() {
        let maps = Array3::from_shape_fn((3, 2, 2), |(shot, y, x)| {
            (1.0 + y as f32 + 2.0 * x as f32) * if shot == 2 { 2.0 } else { 1.0 }
        });
        let scoring = ScoringConfig { reference: true, top_fraction: 1.0, ..ScoringConfig::default() };
        let scores = Calibration::new(maps.view(), None, &scoring, 0.1).unwrap().unwrap().scores;
        // The first is divided by 1.5 of itself, the last by its half.
        assert!((scores[2] / scores[0] - 3.0).abs() < 1e-5, "{scores:?}");
    }

    #[test]
    fn a_shot_is_calibrated_with_the_floor_that_it_would_be_scored_with() {
        let maps = array![[[1.0, 3.0]], [[1.0, 3.0]], [[2.0, 2.0]]];
        let of_last = |maps: &Array3<f32>, roi: Option<&Roi>, reference_floor| {
            let scoring = ScoringConfig {
                reference: true,
                reference_floor,
                top_fraction: 1.0,
                ..ScoringConfig::default()
            };
            Calibration::new(maps.view(), roi, &scoring, 0.1).unwrap().unwrap().scores[2]
        };
        // The others have 1 and 3, 2 in the mean, of which 0.3 is added.
        let (own, floor) = ((2.0 / 1.6 + 2.0 / 3.6) / 2.0, (2.0 / 2.6 + 2.0 / 3.6) / 2.0);
        assert!((of_last(&maps, None, 0.0) - own).abs() < 1e-6);
        assert!((of_last(&maps, None, 1.0) - floor).abs() < 1e-6);
        let roi = Roi::from_inside(array![[1.0, 1.0, 0.0, 0.0]]).unwrap();
        let mut wider = Array3::zeros((3, 1, 4)); // elsewhere maps are 0
        wider.slice_mut(s![.., .., ..2]).assign(&maps);
        assert!((of_last(&wider, Some(&roi), 1.0) - floor).abs() < 1e-6);
    }
}
