//! An evaluation as one HTML page, which holds its pictures and its style and asks for nothing else.

use std::fmt::Write;

use image::ImageError;
use sparsight_runtime::html::{data_uri, text};

use super::{
    Evaluation,
    pictures::{Case, CategoryPictures},
    rows::{BLOCKS, Cell, Kind, Row, columns, mean_rows, missing, paper_source, protocol, rows},
};

/// Quality of the pictures, of 100.
const QUALITY: u8 = 88;

const STYLE: &str = "\
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --faint: #777; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; } h3 { font-size: 1rem; }
.scroll { overflow-x: auto; font-size: .84rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: .15rem .35rem; text-align: right; }
thead th { border-bottom: 1px solid var(--line); font-weight: 600; }
th[scope=row], th[scope=rowgroup], thead tr:last-child th:first-child { text-align: left; }
th[scope=row] { font-weight: 400; text-align: left; } th[scope=rowgroup] { vertical-align: top; }
th[scope=colgroup] { text-align: center; }
tbody { border-bottom: 1px solid var(--line); }
.baseline, .paper { color: var(--faint); } .paper { font-style: italic; }
small { color: var(--faint); } td small { margin-left: .25rem; }
.cases { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; padding: .6rem; background: var(--soft); border-radius: .4rem; }
figure img { display: inline-block; width: 11rem; height: auto; vertical-align: top; }
figcaption { max-width: 22.5rem; margin-top: .4rem; overflow-wrap: anywhere; }
";

/// Why a page can't be written.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A picture can't be encoded.
    #[error("a picture of the page can't be encoded ({0}); leave out --html")]
    Picture(#[from] ImageError),
    /// The page can't be put together.
    #[error("the page can't be put together; leave out --html")]
    Text(#[from] std::fmt::Error),
}

/// The page: the figures of every category, then its worst and its best cases.
///
/// # Errors
/// A picture that can't be encoded.
pub fn page(evaluation: &Evaluation) -> Result<String, PageError> {
    let report = &evaluation.report;
    let mut page = String::new();
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
        <title>Evaluation of {name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
        <h1>Evaluation of {name}</h1>\n<p>{}</p>\n",
        text(&protocol(report)),
        name = text(&report.bundle),
    )?;
    write_figures(&mut page, evaluation)?;
    for pictures in &evaluation.pictures {
        write_pictures(&mut page, pictures)?;
    }
    page += "</body>\n</html>\n";
    Ok(page)
}

fn write_figures(page: &mut String, evaluation: &Evaluation) -> Result<(), PageError> {
    let report = &evaluation.report;
    *page += "<div class=\"scroll\">\n<table>\n<thead>\n<tr><th colspan=\"2\"></th>";
    for block in &BLOCKS {
        write!(page, "<th colspan=\"{}\" scope=\"colgroup\">{}</th>", block.columns.len(), block.title)?;
    }
    *page += "</tr>\n<tr><th>category</th><th></th>";
    for column in columns() {
        write!(page, "<th scope=\"col\">{}</th>", column.title)?;
    }
    *page += "</tr>\n</thead>\n";
    for category in &report.categories {
        let images = format!("{} images", category.images);
        write_group(page, &category.category, &images, &rows(category))?;
    }
    let means = mean_rows(report);
    if !means.is_empty() {
        write_group(page, "mean", "over categories", &means)?;
    }
    *page += "</table>\n</div>\n";
    *page += "<p><small>Mean and standard deviation over the runs. AUPRO is integrated up to the false positive rate \
        in its title. mIoU is of the anomalous pixels, calibrated: at the threshold that the support alone gives.\
        </small></p>\n";
    let notes = paper_source(report).map(|source| format!("paper: {source}")).into_iter();
    let missing = missing(report).into_iter().map(|(names, why)| format!("{}: {why}", names.join(", ")));
    for note in notes.chain(missing) {
        writeln!(page, "<p><small>{}</small></p>", text(&note))?;
    }
    Ok(())
}

fn write_group(page: &mut String, name: &str, under: &str, rows: &[Row]) -> Result<(), PageError> {
    *page += "<tbody>\n";
    for (i, row) in rows.iter().enumerate() {
        let class = match row.kind {
            Kind::Map => "map",
            Kind::Baseline => "baseline",
            Kind::Paper => "paper",
        };
        write!(page, "<tr class=\"{class}\">")?;
        if i == 0 {
            let (span, name, under) = (rows.len(), text(name), text(under));
            write!(page, "<th scope=\"rowgroup\" rowspan=\"{span}\">{name}<br><small>{under}</small></th>")?;
        }
        write!(page, "<th scope=\"row\">{}</th>", text(row.name))?;
        for column in columns() {
            match row.cell(column) {
                Some(Cell { mean, std: Some(std) }) => {
                    write!(page, "<td>{mean:.3}<small>±{std:.3}</small></td>")?;
                }
                Some(Cell { mean, std: None }) => write!(page, "<td>{mean:.3}</td>")?,
                None => *page += "<td></td>",
            }
        }
        *page += "</tr>\n";
    }
    *page += "</tbody>\n";
    Ok(())
}

fn write_pictures(page: &mut String, pictures: &CategoryPictures) -> Result<(), PageError> {
    let scale = match pictures.threshold {
        Some(threshold) => format!("the middle of the colours is the calibrated threshold, {threshold:.4e}"),
        None => "every picture has its own scale, because a single shot calibrates no threshold".into(),
    };
    write!(
        page,
        "<h2>{}</h2>\n<p><small>First run, {} map; {scale}. The outline is the mask's.</small></p>\n",
        text(&pictures.category),
        pictures.map
    )?;
    for (title, cases) in [("Worst", &pictures.worst), ("Best", &pictures.best)] {
        write!(page, "<h3>{title}</h3>\n<div class=\"cases\">\n")?;
        for case in cases {
            write_case(page, case)?;
        }
        *page += "</div>\n";
    }
    Ok(())
}

fn write_case(page: &mut String, case: &Case) -> Result<(), PageError> {
    let kind = case.defect.as_deref().unwrap_or("good");
    let file = case.path.file_name().unwrap_or_default().to_string_lossy();
    let name = text(&format!("{kind}/{file}"));
    writeln!(
        page,
        "<figure><img alt=\"{name}\" src=\"{}\"> <img alt=\"heat map of {name}\" src=\"{}\">\
        <figcaption>{name}<br>score {:.4e}, {} of {} from the highest</figcaption></figure>",
        data_uri(&case.image, QUALITY)?,
        data_uri(&case.heatmap, QUALITY)?,
        case.score,
        case.rank,
        case.images,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use image::{Rgb, RgbImage};
    use sparsight_schemas::{CategoryFigures, EvaluationReport, MapFigures, Poses, Protocol, Spread};

    use super::*;

    fn case(defect: Option<&str>) -> Case {
        let picture = RgbImage::from_pixel(8, 6, Rgb([200, 30, 40]));
        Case {
            path: "test/a <b>&.png".into(),
            defect: defect.map(String::from),
            score: 0.25,
            rank: 2,
            images: 9,
            image: picture.clone(),
            heatmap: picture,
        }
    }

    fn evaluation() -> Evaluation {
        let figures =
            MapFigures { image_auroc: Some(Spread { mean: 0.75, std: 0.125 }), ..MapFigures::default() };
        let category = CategoryFigures {
            category: "<script>alert(1)</script>".into(),
            images: 9,
            maps: [("energy".to_string(), figures)].into(),
            baselines: Default::default(),
            paper: None,
        };
        let pictures = CategoryPictures {
            category: category.category.clone(),
            map: "energy",
            threshold: Some(0.5),
            worst: vec![case(Some("hole"))],
            best: vec![case(None)],
        };
        let report = EvaluationReport {
            bundle: "demo \"x\"".into(),
            bundle_sha256: "0".repeat(64),
            protocol: Protocol { shots: 2, runs: 3, seed: 0, false_alarm_rate: 0.1, poses: Poses::AsTaken },
            categories: vec![category],
        };
        Evaluation { report, pictures: vec![pictures], copies: vec![], unmarked: vec![] }
    }

    #[test]
    fn names_are_text_and_never_markup() {
        let page = page(&evaluation()).unwrap();
        assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains("demo \"x\""));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.contains("alt=\"hole/a &lt;b&gt;&amp;.png\"") && page.contains("alt=\"good/"));
    }

    #[test]
    fn every_picture_is_in_the_page_and_can_be_decoded() {
        let page = page(&evaluation()).unwrap();
        let uris: Vec<&str> =
            page.split("src=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(uris.len(), 4);
        for uri in uris {
            let bytes = STANDARD.decode(uri.strip_prefix("data:image/jpeg;base64,").unwrap()).unwrap();
            let picture = image::load_from_memory(&bytes).unwrap().into_rgb8();
            let near = |(a, b): (&u8, &u8)| a.abs_diff(*b) < 8;
            assert_eq!(picture.dimensions(), (8, 6));
            assert!(picture.get_pixel(3, 3).0.iter().zip(&[200, 30, 40]).all(near));
        }
    }

    #[test]
    fn the_figures_stand_in_the_table() {
        let page = page(&evaluation()).unwrap();
        assert!(page.contains("<td>0.750<small>±0.125</small></td><td></td>"));
        assert_eq!(page.matches("<td>").count(), columns().count());
    }
}
