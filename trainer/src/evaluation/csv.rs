//! An evaluation report as CSV.

use sparsight_schemas::EvaluationReport;

use super::rows::{Kind, columns, rows};

/// A header, then a row for each category with each map, each baseline and what the paper says; each figure as two
/// columns, mean and standard deviation over the runs, empty where there is none. Cells are quoted as RFC 4180 has it.
pub fn csv(report: &EvaluationReport) -> String {
    let figures = columns().flat_map(|column| ["mean", "std"].map(|part| format!("{}_{part}", column.name)));
    let header = ["category", "images", "kind", "map"].map(String::from);
    let mut text = line(header.into_iter().chain(figures));
    for category in &report.categories {
        for row in rows(category) {
            let kind = match row.kind {
                Kind::Map => "map",
                Kind::Baseline => "baseline",
                Kind::Paper => "paper",
            };
            let names =
                [category.category.clone(), category.images.to_string(), kind.into(), row.name.into()];
            let figures = columns().flat_map(|column| {
                let cell = row.cell(column);
                [cell.map(|cell| cell.mean), cell.and_then(|cell| cell.std)]
            });
            let figures = figures.map(|value| value.map_or(String::new(), |value| value.to_string()));
            text += &line(names.into_iter().chain(figures));
        }
    }
    text
}

fn line(cells: impl Iterator<Item = String>) -> String {
    cells.map(|cell| quoted(&cell)).collect::<Vec<_>>().join(",") + "\n"
}

fn quoted(cell: &str) -> String {
    match cell.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.into(),
    }
}

#[cfg(test)]
mod tests {
    use sparsight_schemas::{CategoryFigures, MapFigures, PaperFigures, Poses, Protocol, Spread};

    use super::*;

    #[test]
    fn there_is_a_row_for_each_method_and_a_cell_for_each_mean_and_deviation() {
        let taken = |mean| MapFigures {
            image_auroc: Some(Spread { mean, std: 0.125 }),
            miou_f1_max: Some(Spread { mean: 0.5, std: 0.0 }),
            ..MapFigures::default()
        };
        let category = CategoryFigures {
            category: "a,\"b\"".into(),
            images: 7,
            maps: [("energy".to_string(), taken(0.75)), ("product".to_string(), MapFigures::default())]
                .into(),
            baselines: [("random".to_string(), taken(1.0))].into(),
            paper: Some(PaperFigures { source: String::new(), pixel_auroc: 0.98 }),
        };
        let report = EvaluationReport {
            bundle: String::new(),
            bundle_sha256: String::new(),
            protocol: Protocol { shots: 1, runs: 1, seed: 0, false_alarm_rate: 0.1, poses: Poses::AsTaken },
            categories: vec![category],
        };
        let text = csv(&report);
        let lines: Vec<&str> = text.lines().collect();
        let header = "category,images,kind,map,image_auroc_mean,image_auroc_std,image_ap_mean,image_ap_std,\
            image_f1_max_mean,image_f1_max_std,pixel_auroc_mean,pixel_auroc_std,pixel_ap_mean,pixel_ap_std,\
            aupro_30_mean,aupro_30_std,aupro_05_mean,aupro_05_std,pixel_f1_max_mean,pixel_f1_max_std,\
            miou_calibrated_mean,miou_calibrated_std,miou_f1_max_mean,miou_f1_max_std";
        let expected = [
            header,
            "\"a,\"\"b\"\"\",7,map,energy,0.75,0.125,,,,,,,,,,,,,,,,,0.5,0",
            "\"a,\"\"b\"\"\",7,map,product,,,,,,,,,,,,,,,,,,,,",
            "\"a,\"\"b\"\"\",7,baseline,random,1,0.125,,,,,,,,,,,,,,,,,0.5,0",
            "\"a,\"\"b\"\"\",7,paper,paper,,,,,,,0.98,,,,,,,,,,,,,",
        ];
        assert_eq!(lines, expected);
    }
}
