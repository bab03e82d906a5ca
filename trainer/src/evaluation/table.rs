//! An evaluation report as plain text.

use std::{collections::BTreeSet, fmt::Write};

use sparsight_schemas::{CategoryFigures, EvaluationReport, MapFigures, Spread};

const NONE: &str = "-";

/// A row for each category and one for the means over those that have the figure; a column for each map and figure, as
/// mean and standard deviation over the runs. What is missing is explained below.
pub fn table(report: &EvaluationReport) -> String {
    let maps: BTreeSet<&str> =
        report.categories.iter().flat_map(|category| category.maps.keys().map(String::as_str)).collect();
    let columns: Vec<(&str, &str, Figure)> = FIGURES
        .iter()
        .flat_map(|(name, figure)| maps.iter().map(move |map| (*map, *name, *figure)))
        .collect();

    let mut rows = vec![vec![String::new(), String::new()], vec!["category".into(), "images".into()]];
    for (map, name, _) in &columns {
        rows[0].push((*name).into());
        rows[1].push((*map).into());
    }
    for category in &report.categories {
        let figures = columns.iter().map(|(map, _, figure)| cell(category.maps.get(*map).and_then(figure)));
        rows.push(
            [category.category.clone(), category.images.to_string()].into_iter().chain(figures).collect(),
        );
    }
    if report.categories.len() > 1 {
        let mean = |(map, _, figure): &(&str, &str, Figure)| {
            let of_map = |category: &CategoryFigures| category.maps.get(*map).and_then(figure);
            let means: Vec<f64> =
                report.categories.iter().filter_map(of_map).map(|spread| spread.mean).collect();
            if means.is_empty() {
                NONE.into()
            } else {
                format!("{:.4}", means.iter().sum::<f64>() / means.len() as f64)
            }
        };
        rows.push(["mean".into(), String::new()].into_iter().chain(columns.iter().map(mean)).collect());
    }

    let protocol = report.protocol;
    let mut text = format!(
        "bundle {} ({}), {}, {}, seed {}\n\n",
        report.bundle,
        report.bundle_sha256.get(..12).unwrap_or(&report.bundle_sha256),
        counted(protocol.shots, "shot"),
        counted(protocol.runs, "run"),
        protocol.seed
    );
    write_aligned(&mut text, &rows);
    for (names, reason) in missing(report) {
        // Writing to a string can't fail.
        let _ = writeln!(text, "\n{NONE} {}: {reason}", names.join(", "));
    }
    text
}

type Figure = fn(&MapFigures) -> Option<Spread>;

const FIGURES: [(&str, Figure); 2] =
    [("image AUROC", |figures| figures.image_auroc), ("pixel AUROC", |figures| figures.pixel_auroc)];

fn cell(spread: Option<Spread>) -> String {
    spread.map_or(NONE.into(), |spread| format!("{:.4} ±{:.4}", spread.mean, spread.std))
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The first column to the left, the others to the right.
fn write_aligned(text: &mut String, rows: &[Vec<String>]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    for row in rows {
        let mut line = format!("{:<1$}", row[0], width(0));
        for (column, cell) in row.iter().enumerate().skip(1) {
            line += &format!("  {cell:>0$}", width(column));
        }
        *text += line.trim_end();
        text.push('\n');
    }
}

/// Names of the categories without some figure, and why.
fn missing(report: &EvaluationReport) -> Vec<(Vec<&str>, &'static str)> {
    let lacks =
        |category: &CategoryFigures, figure: Figure| category.maps.values().all(|map| figure(map).is_none());
    let [(_, image), (_, pixel)] = FIGURES;
    let reasons: [(&'static str, [bool; 2]); 3] = [
        ("no figures, because test needs good and defective images", [true, true]),
        ("no image figures, because test has no good images", [true, false]),
        ("no pixel figures, because there is no ground_truth", [false, true]),
    ];
    let of = |pattern: [bool; 2]| {
        let fits = |category: &&CategoryFigures| [lacks(category, image), lacks(category, pixel)] == pattern;
        report.categories.iter().filter(fits).map(|category| category.category.as_str()).collect::<Vec<_>>()
    };
    reasons
        .into_iter()
        .map(|(reason, pattern)| (of(pattern), reason))
        .filter(|(names, _)| !names.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sparsight_schemas::Protocol;

    use super::*;

    fn figures(category: &str, image: Option<f64>, pixel: Option<f64>) -> CategoryFigures {
        let spread = |mean: Option<f64>| mean.map(|mean| Spread { mean, std: 0.01 });
        let map = |shift: f64| MapFigures {
            image_auroc: spread(image.map(|value| value - shift)),
            pixel_auroc: spread(pixel.map(|value| value - shift)),
        };
        let maps = BTreeMap::from([("energy".to_string(), map(0.0)), ("gradient".to_string(), map(0.25))]);
        CategoryFigures { category: category.into(), images: 20, maps }
    }

    #[test]
    fn means_leave_out_what_is_missing_and_the_table_says_why() {
        let report = EvaluationReport {
            bundle: "demo".into(),
            bundle_sha256: "0123456789abcdef".repeat(4),
            protocol: Protocol { shots: 10, runs: 1, seed: 3 },
            categories: vec![
                figures("casting", Some(0.9), None),
                figures("fabric", None, None),
                figures("leather", Some(0.8), Some(0.75)),
            ],
        };
        assert_eq!(
            table(&report),
            "\
bundle demo (0123456789ab), 10 shots, 1 run, seed 3

                     image AUROC     image AUROC     pixel AUROC     pixel AUROC
category  images          energy        gradient          energy        gradient
casting       20  0.9000 ±0.0100  0.6500 ±0.0100               -               -
fabric        20               -               -               -               -
leather       20  0.8000 ±0.0100  0.5500 ±0.0100  0.7500 ±0.0100  0.5000 ±0.0100
mean                      0.8500          0.6000          0.7500          0.5000

- fabric: no figures, because test needs good and defective images

- casting: no pixel figures, because there is no ground_truth
"
        );
    }
}
