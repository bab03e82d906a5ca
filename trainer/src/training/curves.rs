//! Pictures of a run while it lasts: the loss of each step and the validation, as one SVG file. It draws what the metrics
//! say and computes nothing but a moving average.

use std::path::{Path, PathBuf};

use plotters::{
    chart::ChartBuilder,
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea},
    prelude::{Circle, LineSeries, PathElement, RGBColor, SVGBackend, WHITE},
    style::Color,
};
use sparsight_runtime::replace::{ReplaceError, replace_file};

use super::{StepMetrics, validation::Validation};

const SIZE: (u32, u32) = (800, 640);
const PALE: RGBColor = RGBColor(176, 196, 222);
const BLUE: RGBColor = RGBColor(31, 119, 180);
const ORANGE: RGBColor = RGBColor(255, 127, 14);
/// Steps that the moving average of the loss remembers.
const REMEMBERED: f64 = 20.0;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum CurvesError {
    /// It could not be drawn.
    #[error("{}: {message}; report this", path.display())]
    Draw {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        message: String,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] ReplaceError),
}

/// Draws the loss of every step, above, and the validations, below, into an SVG file.
///
/// # Errors
/// A file that can't be written.
pub fn draw(path: &Path, steps: &[StepMetrics], validations: &[Validation]) -> Result<(), CurvesError> {
    let mut svg = String::new();
    picture(&mut svg, steps, validations)
        .map_err(|error| CurvesError::Draw { path: path.to_owned(), message: error.to_string() })?;
    Ok(replace_file(path, svg.as_bytes())?)
}

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;
type Figure = fn(&Validation) -> f64;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn picture(svg: &mut String, steps: &[StepMetrics], validations: &[Validation]) -> Drawn {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let last = steps.last().map_or(1, |metrics| metrics.step).max(1);
    if validations.is_empty() {
        losses(&area, steps, last)?;
    } else {
        let (above, below) = area.split_vertically(SIZE.1 / 2);
        losses(&above, steps, last)?;
        aurocs(&below, validations, last)?;
    }
    area.present()
}

fn losses(area: &Area, steps: &[StepMetrics], last: usize) -> Drawn {
    let points: Vec<(f64, f64)> = steps.iter().map(|m| (m.step as f64, m.loss)).collect();
    let mut average = None;
    let smooth: Vec<(f64, f64)> = points
        .iter()
        .map(|(step, loss)| {
            let before = average.unwrap_or(*loss);
            let now = before + (loss - before) / REMEMBERED;
            average = Some(now);
            (*step, now)
        })
        .collect();
    let low = points.iter().map(|point| point.1).fold(f64::MAX, f64::min);
    let high = points.iter().map(|point| point.1).fold(f64::MIN, f64::max);
    let margin = (0.05 * (high - low)).max(1e-6);
    let mut chart = ChartBuilder::on(area)
        .caption("loss", ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..last as f64, (low - margin)..(high + margin))?;
    chart.configure_mesh().light_line_style(WHITE).x_desc("step").draw()?;
    chart.draw_series(LineSeries::new(points, PALE))?;
    chart.draw_series(LineSeries::new(smooth, BLUE.stroke_width(2)))?;
    Ok(())
}

fn aurocs(area: &Area, validations: &[Validation], last: usize) -> Drawn {
    let lowest = validations.iter().map(|v| v.position_auroc.min(v.image_auroc)).fold(0.5, f64::min);
    let mut chart = ChartBuilder::on(area)
        .caption("validation AUROC", ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..last as f64, (lowest - 0.02)..1.0)?;
    chart.configure_mesh().light_line_style(WHITE).x_desc("step").draw()?;
    let curves: [(&str, RGBColor, Figure); 2] =
        [("positions", BLUE, |v| v.position_auroc), ("images", ORANGE, |v| v.image_auroc)];
    for (name, colour, figure) in curves {
        let points = || validations.iter().map(|v| (v.step as f64, figure(v)));
        chart
            .draw_series(LineSeries::new(points(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        chart.draw_series(points().map(|point| Circle::new(point, 2, colour.filled())))?;
    }
    chart.configure_series_labels().background_style(WHITE).border_style(PALE).draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_has_a_curve_for_each_figure() {
        let steps: Vec<StepMetrics> = (1..=50)
            .map(|step| StepMetrics { step, loss: 1.0 / step as f64, ..StepMetrics::default() })
            .collect();
        let validation =
            |step| Validation { step, position_auroc: 0.8, image_auroc: 0.7, ..Validation::default() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.svg");
        let curves = |validations: &[Validation]| {
            draw(&path, &steps, validations).unwrap();
            std::fs::read_to_string(&path).unwrap().matches("<polyline").count()
        };
        let alone = curves(&[]);
        let both = curves(&[validation(10), validation(20)]);
        assert!(both >= alone + 2, "{alone} lines without validations, {both} with");
    }

    #[test]
    fn a_single_step_is_a_picture_too() {
        let folder = tempfile::tempdir().unwrap();
        let step = StepMetrics { step: 1, loss: 2.0, ..StepMetrics::default() };
        draw(&folder.path().join("curves.svg"), &[step], &[]).unwrap();
    }
}
