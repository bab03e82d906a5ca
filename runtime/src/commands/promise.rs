//! What a dictionary is and what its threshold promises, in plain words for stderr and `info`.

use sparsight_runtime::{
    calibration::{Calibration, Method, images_needed, smallest_rate},
    dictionary::Dictionary,
};

/// More images than anyone calibrates with.
const LARGEST_COUNT: usize = 100_000_000;

/// Size of a dictionary in words.
pub fn summary(dictionary: &Dictionary) -> String {
    let (_, _, h, w) = dictionary.support_features.dim();
    let roi = match dictionary.positions() {
        positions if dictionary.roi.is_some() => format!(", {positions} of {} positions count", h * w),
        _ => String::new(),
    };
    let poses = match dictionary.poses.count() {
        1 => String::new(),
        poses => format!(" in {poses} poses"),
    };
    format!("{}{poses}, {} atoms{roi}", count(dictionary.shots.len(), "shot"), dictionary.atom_count())
}

/// What the threshold promises and what it can't, one line each.
pub fn promise(dictionary: &Dictionary) -> Vec<String> {
    match &dictionary.calibration {
        Some(calibration) => kept(calibration),
        None => vec![format!(
            "no threshold for the {} asked for: a single shot has no others to compare with; add shots, or give other \
             good images to sparsight calibrate",
            percent(dictionary.false_alarm_rate)
        )],
    }
}

/// What a calibration keeps and what it can't.
fn kept(calibration: &Calibration) -> Vec<String> {
    let images = calibration.scores.len();
    let (noun, taken, fewest) = match calibration.method {
        Method::LeaveOneShotOut => ("shot", "each scored by the others", 2),
        Method::HeldOut => ("held-out image", "each scored by the dictionary", 1),
    };
    let (kept, wanted) = (calibration.guaranteed_rate(), calibration.false_alarm_rate);
    let nine_in_ten = calibration.rate_of_nine_in_ten();
    let threshold = format!(
        "threshold {} from {}, {taken}: {} of good images like them score above it on average, and less than {} in \
         nine cases of ten",
        calibration.threshold(),
        count(images, noun),
        percent(kept),
        percent(nine_in_ten),
    );
    let mut limit = format!(
        "with {} the smallest rate that can be guaranteed is 1/{} ({})",
        count(images, noun),
        images + 1,
        percent(smallest_rate(images))
    );
    if kept > wanted + 1e-9 {
        let needed = images_needed(wanted).max(fewest);
        limit += &match needed {
            ..=LARGEST_COUNT => format!(
                "; the {} asked for take {needed}: add shots, or give other good images to sparsight calibrate",
                percent(wanted)
            ),
            _ => format!("; the rate of {wanted:e} asked for is out of reach of any number of images"),
        };
    }
    let silent = "it promises nothing for images taken in another way, nor how many anomalies are found";
    vec![threshold, limit, silent.into()]
}

fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A share in percent, to a tenth or where it is small to a thousandth.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let digits = format!("{percent:.*}", if percent < 0.95 { 3 } else { 1 });
    format!("{} %", digits.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promised(method: Method, images: usize, false_alarm_rate: f64) -> Vec<String> {
        let scores = (0..images).map(|i| i as f32).collect();
        kept(&Calibration { method, scores, false_alarm_rate })
    }

    #[test]
    fn ten_shots_say_that_one_in_eleven_is_the_least_they_guarantee() {
        let lines = promised(Method::LeaveOneShotOut, 10, 0.1);
        assert_eq!(
            lines[0],
            "threshold 9 from 10 shots, each scored by the others: 9.1 % of good images like them score above it on \
             average, and less than 20.6 % in nine cases of ten"
        );
        assert_eq!(lines[1], "with 10 shots the smallest rate that can be guaranteed is 1/11 (9.1 %)");
    }

    #[test]
    fn a_rate_that_is_out_of_reach_comes_with_what_it_takes() {
        let lines = promised(Method::HeldOut, 50, 0.001);
        assert!(lines[1].contains("with 50 held-out images"), "{lines:?}");
        assert!(lines[1].contains("1/51 (2 %); the 0.1 % asked for take 999: "), "{lines:?}");
    }

    #[test]
    fn a_rate_that_no_number_of_images_keeps_is_out_of_reach() {
        let lines = promised(Method::HeldOut, 50, 1e-300);
        assert!(
            lines[1].ends_with("the rate of 1e-300 asked for is out of reach of any number of images"),
            "{lines:?}"
        );
    }
}
