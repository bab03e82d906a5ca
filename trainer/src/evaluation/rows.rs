//! The rows and columns of a report, which the table, the CSV file and the page share.

use sparsight_schemas::{CategoryFigures, EvaluationReport, MapFigures, Poses, Spread};

/// A figure, as a column.
pub struct Column {
    /// Its name in the report.
    pub name: &'static str,
    /// Its name for people, below that of its block.
    pub title: &'static str,
    /// Where the report has it.
    pub of: fn(&MapFigures) -> Option<Spread>,
}

/// Columns that belong together.
pub struct Block {
    /// What the figures are of.
    pub title: &'static str,
    /// The figures.
    pub columns: &'static [Column],
}

/// All figures.
pub const BLOCKS: [Block; 3] = [
    Block {
        title: "images",
        columns: &[
            Column { name: "image_auroc", title: "AUROC", of: |figures| figures.image_auroc },
            Column { name: "image_ap", title: "AP", of: |figures| figures.image_ap },
            Column { name: "image_f1_max", title: "F1-max", of: |figures| figures.image_f1_max },
        ],
    },
    Block {
        title: "pixels",
        columns: &[
            Column { name: "pixel_auroc", title: "AUROC", of: |figures| figures.pixel_auroc },
            Column { name: "pixel_ap", title: "AP", of: |figures| figures.pixel_ap },
            Column { name: "aupro_30", title: "AUPRO 0.3", of: |figures| figures.aupro_30 },
            Column { name: "aupro_05", title: "AUPRO 0.05", of: |figures| figures.aupro_05 },
        ],
    },
    Block {
        title: "pixels at a threshold",
        columns: &[
            Column { name: "pixel_f1_max", title: "F1-max", of: |figures| figures.pixel_f1_max },
            Column {
                name: "miou_calibrated",
                title: "mIoU calibrated",
                of: |figures| figures.miou_calibrated,
            },
            Column { name: "miou_f1_max", title: "mIoU at F1-max", of: |figures| figures.miou_f1_max },
        ],
    },
];

/// What the figures of a row are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A map of the bundle.
    Map,
    /// A baseline.
    Baseline,
    /// The paper.
    Paper,
}

/// The figures of one method.
pub struct Row<'a> {
    /// Name of the map or the baseline, or `paper`.
    pub name: &'a str,
    /// Which of these it is.
    pub kind: Kind,
    figures: Figures<'a>,
}

enum Figures<'a> {
    /// Taken here.
    Taken(&'a MapFigures),
    /// A pixel AUROC from elsewhere.
    PixelAuroc(f64),
    /// Means over categories, by the columns of all blocks.
    Means(Vec<Option<f64>>),
}

/// A figure of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Mean over the runs.
    pub mean: f64,
    /// Standard deviation over the runs; none where there are none.
    pub std: Option<f64>,
}

impl Row<'_> {
    /// The row's figure in a column of [`BLOCKS`]; none if it has none.
    pub fn cell(&self, column: &Column) -> Option<Cell> {
        match &self.figures {
            Figures::Taken(figures) => {
                (column.of)(figures).map(|Spread { mean, std }| Cell { mean, std: Some(std) })
            }
            Figures::PixelAuroc(mean) => {
                (column.name == "pixel_auroc").then_some(Cell { mean: *mean, std: None })
            }
            Figures::Means(means) => {
                let place = columns().position(|other| other.name == column.name);
                let mean = place.and_then(|place| means[place]);
                mean.map(|mean| Cell { mean, std: None })
            }
        }
    }
}

/// The columns of all blocks.
pub fn columns() -> impl Iterator<Item = &'static Column> {
    BLOCKS.iter().flat_map(|block| block.columns)
}

/// The rows of a category: the maps, the baselines, the paper.
pub fn rows(category: &CategoryFigures) -> Vec<Row<'_>> {
    let taken = |kind| move |(name, figures)| Row { name, kind, figures: Figures::Taken(figures) };
    let maps = category.maps.iter().map(|(name, figures)| (name.as_str(), figures));
    let baselines = category.baselines.iter().map(|(name, figures)| (name.as_str(), figures));
    let paper = category.paper.as_ref().map(|paper| Row {
        name: "paper",
        kind: Kind::Paper,
        figures: Figures::PixelAuroc(paper.pixel_auroc),
    });
    maps.map(taken(Kind::Map)).chain(baselines.map(taken(Kind::Baseline))).chain(paper).collect()
}

/// For each map and baseline the means over the categories that have the figure; none for a single category.
pub fn mean_rows(report: &EvaluationReport) -> Vec<Row<'_>> {
    let [first, _, ..] = report.categories.as_slice() else { return Vec::new() };
    rows(first)
        .into_iter()
        .filter(|row| row.kind != Kind::Paper)
        .map(|row| {
            let all: Vec<Row> = report
                .categories
                .iter()
                .flat_map(rows)
                .filter(|other| (other.name, other.kind) == (row.name, row.kind))
                .collect();
            let mean = |column: &Column| {
                let means: Vec<f64> =
                    all.iter().filter_map(|row| row.cell(column)).map(|cell| cell.mean).collect();
                (!means.is_empty()).then(|| means.iter().sum::<f64>() / means.len() as f64)
            };
            Row { figures: Figures::Means(columns().map(mean).collect()), ..row }
        })
        .collect()
}

/// Why figures are missing, and of which categories.
pub fn missing(report: &EvaluationReport) -> Vec<(Vec<&str>, &'static str)> {
    let has = |category: &CategoryFigures, figure: fn(&MapFigures) -> Option<Spread>| {
        category.maps.values().any(|map| figure(map).is_some())
    };
    let reason = |category: &CategoryFigures| {
        let [image, pixel] =
            [has(category, |figures| figures.image_auroc), has(category, |figures| figures.pixel_auroc)];
        let calibrated = has(category, |figures| figures.miou_calibrated);
        [
            (!image && !pixel, "no figures, because test needs good and defective images"),
            (!image && pixel, "no image figures, because test has no good images"),
            (
                image && !pixel,
                "no pixel figures, because not every defective image has a mask, or none of them marks a pixel",
            ),
            (pixel && !calibrated, "no calibrated mIoU, because a single shot can't be left out"),
        ]
    };
    let mut reasons: Vec<(Vec<&str>, &'static str)> = Vec::new();
    for category in &report.categories {
        for (_, reason) in reason(category).into_iter().filter(|(holds, _)| *holds) {
            match reasons.iter_mut().find(|(_, other)| *other == reason) {
                Some((names, _)) => names.push(&category.category),
                None => reasons.push((vec![&category.category], reason)),
            }
        }
    }
    reasons
}

/// Where the paper's figures come from, if the report has any.
pub fn paper_source(report: &EvaluationReport) -> Option<&str> {
    report.categories.iter().find_map(|category| category.paper.as_ref()).map(|paper| paper.source.as_str())
}

/// What was evaluated and how, in one line.
pub fn protocol(report: &EvaluationReport) -> String {
    let protocol = report.protocol;
    let poses = match protocol.poses {
        Poses::AsTaken => "",
        Poses::Flips => ", each flipped too",
        Poses::Rotations => ", each rotated too",
        Poses::All => ", each flipped and rotated too",
    };
    format!(
        "bundle {} ({}), {}{poses}, {}, seed {}, false alarm rate {}",
        report.bundle,
        report.bundle_sha256.get(..12).unwrap_or(&report.bundle_sha256),
        counted(protocol.shots, "shot"),
        counted(protocol.runs, "run"),
        protocol.seed,
        protocol.false_alarm_rate
    )
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
