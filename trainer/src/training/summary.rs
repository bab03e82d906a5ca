//! What a manifest tells of a training: a few figures of its log. The log itself stays with the run.

use std::path::Path;

use sparsight_schemas::TrainingSummary;

use super::{RunFolder, StepMetrics, TrainingError, metrics_file::Log, validation::Validation};

/// The summary of the run in `folder` up to `step`; none if its log is not there or lacks a step, because sums over the
/// others would be taken for the run's.
///
/// # Errors
/// A log that is there and is not one.
pub fn summarise(folder: &Path, step: usize) -> Result<Option<TrainingSummary>, TrainingError> {
    let run = RunFolder(folder);
    let log: Log<StepMetrics> = Log::read(run.metrics(), step)?;
    let validations: Log<Validation> = Log::read(run.validations(), step)?;
    let whole = log.lines.iter().map(|line| line.step).eq(1..=step);
    Ok(if whole { summary(&log.lines, validations.lines.last()) } else { None })
}

fn summary(lines: &[StepMetrics], validation: Option<&Validation>) -> Option<TrainingSummary> {
    let tenth = lines.len().div_ceil(10);
    let mean = |part: &[StepMetrics]| part.iter().map(|line| line.loss).sum::<f64>() / part.len() as f64;
    (!lines.is_empty()).then(|| TrainingSummary {
        seconds: lines.iter().map(|line| line.seconds).sum(),
        first_loss: mean(&lines[..tenth]),
        last_loss: mean(&lines[lines.len() - tenth..]),
        position_auroc: validation.map(|validation| validation.position_auroc),
        image_auroc: validation.map(|validation| validation.image_auroc),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_tells_the_first_and_the_last_tenth_and_the_last_validation() {
        let line =
            |step: usize| StepMetrics { step, loss: step as f64, seconds: 0.5, ..StepMetrics::default() };
        let lines: Vec<StepMetrics> = (1..=20).map(line).collect();
        let validation =
            Validation { step: 20, position_auroc: 0.9, image_auroc: 0.8, ..Validation::default() };
        let summary = summary(&lines, Some(&validation)).unwrap();
        assert_eq!((summary.seconds, summary.first_loss, summary.last_loss), (10.0, 1.5, 19.5));
        assert_eq!((summary.position_auroc, summary.image_auroc), (Some(0.9), Some(0.8)));
    }

    #[test]
    fn a_run_whose_log_is_not_whole_has_no_summary() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(summarise(folder.path(), 3).unwrap(), None);
        let of_steps = |steps: &[usize]| {
            let line =
                |&step| serde_json::to_string(&StepMetrics { step, ..StepMetrics::default() }).unwrap();
            let lines: String = steps.iter().map(|step| line(step) + "\n").collect();
            std::fs::write(folder.path().join("metrics.jsonl"), lines).unwrap();
            summarise(folder.path(), 3).unwrap()
        };
        for cut in [&[] as &[usize], &[1, 2], &[2, 3], &[1, 3]] {
            assert_eq!(of_steps(cut), None, "{cut:?}");
        }
        assert!(of_steps(&[1, 2, 3, 4]).is_some(), "what follows the checkpoint does not count");
    }
}
