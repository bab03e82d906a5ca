//! An evaluation report as plain text.

use std::fmt::Write;

use sparsight_runtime::terminal::printable;
use sparsight_schemas::EvaluationReport;

use super::rows::{BLOCKS, Block, Cell, Row, mean_rows, missing, paper_source, protocol, rows};

const NONE: &str = "-";

/// A block of columns for each kind of figure. In each, a row for every category with each map, baseline and what the
/// paper says, and one for the means over the categories that have the figure; cells hold mean and standard deviation
/// over the runs. What is missing is explained below.
pub fn table(report: &EvaluationReport) -> String {
    let mut text = printable(&protocol(report)) + "\n";
    let mut groups: Vec<(String, String, Vec<Row>)> = report
        .categories
        .iter()
        .map(|category| (printable(&category.category), category.images.to_string(), rows(category)))
        .collect();
    let means = mean_rows(report);
    if !means.is_empty() {
        groups.push(("mean".into(), String::new(), means));
    }
    for block in &BLOCKS {
        let has_any = |row: &Row| block.columns.iter().any(|column| row.cell(column).is_some());
        if groups.iter().any(|(_, _, rows)| rows.iter().any(has_any)) {
            text += &format!("\n{}\n", block.title);
            write_aligned(&mut text, &lines(block, &groups));
        }
    }
    let notes = paper_source(report).map(|source| format!("paper: {source}")).into_iter().chain(
        missing(report).into_iter().map(|(names, reason)| format!("{NONE} {}: {reason}", names.join(", "))),
    );
    for note in notes {
        // Writing to a string can't fail.
        let _ = writeln!(text, "\n{}", printable(&note));
    }
    text
}

/// The cells of a block, below its header. Rows without any figure of the block are left out where the category has
/// others.
fn lines(block: &Block, groups: &[(String, String, Vec<Row>)]) -> Vec<Vec<String>> {
    let header = ["category", "images", "map"].into_iter();
    let mut lines: Vec<Vec<String>> =
        vec![header.chain(block.columns.iter().map(|column| column.title)).map(String::from).collect()];
    for (category, images, rows) in groups {
        let cells = |row: &Row| -> Vec<Option<Cell>> {
            block.columns.iter().map(|column| row.cell(column)).collect()
        };
        let all: Vec<(&str, Vec<Option<Cell>>)> = rows.iter().map(|row| (row.name, cells(row))).collect();
        let any = all.iter().any(|(_, cells)| cells.iter().any(Option::is_some));
        let shown = all.iter().filter(|(_, cells)| !any || cells.iter().any(Option::is_some));
        for (i, (name, cells)) in shown.take(if any { usize::MAX } else { 1 }).enumerate() {
            let name = if any { name } else { NONE };
            let first = if i == 0 { [category, images, name] } else { ["", "", name] };
            lines.push(first.into_iter().map(String::from).chain(cells.iter().map(cell)).collect());
        }
    }
    lines
}

fn cell(cell: &Option<Cell>) -> String {
    match cell {
        Some(Cell { mean, std: Some(std) }) => format!("{mean:.4} ±{std:.4}"),
        // As wide as the others, so that the digits stand below each other.
        Some(Cell { mean, std: None }) => format!("{mean:.4}        "),
        None => NONE.into(),
    }
}

/// The names to the left, the figures to the right.
fn write_aligned(text: &mut String, rows: &[Vec<String>]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    for row in rows {
        let mut line = format!("{:<1$}", row[0], width(0));
        for (column, cell) in row.iter().enumerate().skip(1) {
            line += &match column {
                2 => format!("  {cell:<0$}", width(column)),
                _ => format!("  {cell:>0$}", width(column)),
            };
        }
        *text += line.trim_end();
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use sparsight_schemas::{CategoryFigures, MapFigures, PaperFigures, Poses, Protocol, Spread};

    use super::*;

    fn figures(category: &str, image: Option<f64>, pixel: Option<f64>) -> CategoryFigures {
        let spread = |mean: Option<f64>| mean.map(|mean| Spread { mean, std: 0.01 });
        let map = |shift: f64| MapFigures {
            image_auroc: spread(image.map(|value| value - shift)),
            pixel_auroc: spread(pixel.map(|value| value - shift)),
            miou_calibrated: spread(pixel.map(|value| value / 2.0)),
            ..MapFigures::default()
        };
        CategoryFigures {
            category: category.into(),
            images: 20,
            maps: [("energy".to_string(), map(0.0)), ("gradient".to_string(), map(0.25))].into(),
            baselines: [("knn".to_string(), map(0.125))].into(),
            paper: (category == "leather")
                .then(|| PaperFigures { source: "a journal".into(), pixel_auroc: 0.98 }),
        }
    }

    #[test]
    fn means_leave_out_what_is_missing_and_the_table_says_why() {
        let report = EvaluationReport {
            bundle: "demo".into(),
            bundle_sha256: "0123456789abcdef".repeat(4),
            protocol: Protocol { shots: 10, runs: 1, seed: 3, false_alarm_rate: 0.1, poses: Poses::AsTaken },
            categories: vec![
                figures("casting", Some(0.9), None),
                figures("fab\nic", None, None),
                figures("leather", Some(0.8), Some(0.75)),
            ],
        };
        assert_eq!(
            table(&report),
            "\
bundle demo (0123456789ab), 10 shots, 1 run, seed 3, false alarm rate 0.1

images
category  images  map                AUROC  AP  F1-max
casting       20  energy    0.9000 ±0.0100   -       -
                  gradient  0.6500 ±0.0100   -       -
                  knn       0.7750 ±0.0100   -       -
fab�ic        20  -                      -   -       -
leather       20  energy    0.8000 ±0.0100   -       -
                  gradient  0.5500 ±0.0100   -       -
                  knn       0.6750 ±0.0100   -       -
mean              energy    0.8500           -       -
                  gradient  0.6000           -       -
                  knn       0.7250           -       -

pixels
category  images  map                AUROC  AP  AUPRO 0.3  AUPRO 0.05
casting       20  -                      -   -          -           -
fab�ic        20  -                      -   -          -           -
leather       20  energy    0.7500 ±0.0100   -          -           -
                  gradient  0.5000 ±0.0100   -          -           -
                  knn       0.6250 ±0.0100   -          -           -
                  paper     0.9800           -          -           -
mean              energy    0.7500           -          -           -
                  gradient  0.5000           -          -           -
                  knn       0.6250           -          -           -

pixels at a threshold
category  images  map       F1-max  mIoU calibrated  mIoU at F1-max
casting       20  -              -                -               -
fab�ic        20  -              -                -               -
leather       20  energy         -   0.3750 ±0.0100               -
                  gradient       -   0.3750 ±0.0100               -
                  knn            -   0.3750 ±0.0100               -
mean              energy         -   0.3750                       -
                  gradient       -   0.3750                       -
                  knn            -   0.3750                       -

paper: a journal

- casting: no pixel figures, because not every defective image has a mask, or none of them marks a pixel

- fab�ic: no figures, because test needs good and defective images
"
        );
    }
}
