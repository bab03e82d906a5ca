//! The records as one HTML page with small pictures. It holds its style, its script and its pictures, asks for nothing
//! else, and is written row by row, so that it takes no memory for the rows that are done.

use std::path::Path;

use image::{ImageError, RgbImage};
use sparsight_runtime::{
    html::{data_uri, text},
    replace::{ReplaceError, Replacement},
};
use sparsight_schemas::ScoreRecord;

use super::records::significant;

/// Most pixels of a picture along its longer side.
pub const LARGEST_SIDE: u32 = 224;
/// Quality of the pictures, of 100.
const QUALITY: u8 = 82;

/// A page in the making.
pub struct Page {
    file: Replacement,
}

/// An image and its heat map, small and encoded.
pub struct Pictures {
    width: u32,
    height: u32,
    image: String,
    heatmap: String,
}

impl Page {
    /// Begins the page at `path`; `title` says what was scored with what.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn begin(path: &Path, title: &str, threshold: Option<f32>) -> Result<Self, ReplaceError> {
        let mut file = Replacement::begin(path)?;
        let title = text(title);
        let threshold = threshold.map(|threshold| threshold.to_string()).unwrap_or_default();
        let head = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
            <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
            <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{}\
            <table data-threshold=\"{threshold}\">\n{}<tbody>\n",
            include_str!("page/style.css"),
            include_str!("page/controls.html"),
            include_str!("page/columns.html"),
        );
        file.write(head.as_bytes())?;
        Ok(Self { file })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn row(&mut self, record: &ScoreRecord, pictures: Option<&Pictures>) -> Result<(), ReplaceError> {
        self.file.write(row(record, pictures).as_bytes())
    }

    /// Ends the page and puts it in its place.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn finish(mut self) -> Result<(), ReplaceError> {
        let script = include_str!("page/script.js");
        self.file.write(
            format!("</tbody>\n</table>\n<script>\n{script}</script>\n</body>\n</html>\n").as_bytes(),
        )?;
        self.file.finish()
    }
}

impl Pictures {
    /// Of an image and its heat map, both of one size.
    ///
    /// # Errors
    /// A picture that can't be encoded.
    pub fn new(image: &RgbImage, heatmap: &RgbImage) -> Result<Self, ImageError> {
        let (width, height) = image.dimensions();
        Ok(Self { width, height, image: data_uri(image, QUALITY)?, heatmap: data_uri(heatmap, QUALITY)? })
    }
}

fn row(record: &ScoreRecord, pictures: Option<&Pictures>) -> String {
    let name = text(&record.image);
    let figure = |value: Option<f32>| value.map(|value| value.to_string()).unwrap_or_default();
    let (score, energy) = (figure(record.anomaly_score), figure(record.energy));
    let [short_score, short_energy] =
        [record.anomaly_score, record.energy].map(|value| value.map(significant).unwrap_or_default());
    let regions = record.regions.as_ref().map(|regions| regions.len().to_string()).unwrap_or_default();
    let pair = pictures.map_or(String::new(), |Pictures { width, height, image, heatmap }| {
        let size = format!("width=\"{width}\" height=\"{height}\" loading=\"lazy\" decoding=\"async\"");
        format!(
            "<button class=\"pair\" title=\"larger\"><img {size} alt=\"{name}\" src=\"{image}\">\
            <img class=\"heat\" {size} alt=\"heat map\" src=\"{heatmap}\"></button>"
        )
    });
    let verdict = match (&record.error, record.anomalous) {
        (Some(error), _) => text(error),
        (None, Some(true)) => "anomalous".into(),
        (None, Some(false)) => "good".into(),
        (None, None) => "no threshold".into(),
    };
    let class = match (&record.error, record.anomalous) {
        (Some(_), _) => "failed",
        (None, Some(true)) => "anomalous",
        (None, _) => "good",
    };
    format!(
        "<tr class=\"{class}\" data-image=\"{name}\" data-score=\"{score}\" data-energy=\"{energy}\" \
        data-regions=\"{regions}\"><td>{pair}</td><th scope=\"row\">{name}</th><td>{short_score}</td><td>{short_energy}</td>\
        <td>{regions}</td><td class=\"verdict\">{verdict}</td></tr>\n"
    )
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn record(image: &str, error: Option<&str>) -> ScoreRecord {
        let scored = error.is_none();
        ScoreRecord {
            image: image.into(),
            anomaly_score: scored.then_some(0.25),
            anomalous: scored.then_some(true),
            error: error.map(String::from),
            ..ScoreRecord::default()
        }
    }

    fn page(rows: &[(ScoreRecord, Option<Pictures>)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.html");
        let mut page = Page::begin(&path, "a <b> \"c\"", Some(0.5)).unwrap();
        rows.iter().for_each(|(record, pictures)| page.row(record, pictures.as_ref()).unwrap());
        assert!(!path.exists(), "a page is there when it is whole");
        page.finish().unwrap();
        std::fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn names_and_errors_are_text_and_never_markup() {
        let page = page(&[(record("<script>x</script>&\".png", Some("is <i>broken</i>")), None)]);
        assert!(!page.contains("<script>x") && !page.contains("<i>") && !page.contains("a <b>"));
        assert!(page.contains("&lt;script&gt;x&lt;/script&gt;&amp;&quot;.png"));
    }

    #[test]
    fn every_picture_is_in_the_page_and_nothing_is_fetched() {
        let image = RgbImage::from_pixel(8, 6, Rgb([200, 30, 40]));
        let pictures = || Some(Pictures::new(&image, &image).unwrap());
        let page = page(&[(record("a.png", None), pictures()), (record("b.png", None), pictures())]);
        let sources: Vec<&str> =
            page.split("src=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(sources.len(), 4);
        assert!(sources.iter().all(|source| source.starts_with("data:image/jpeg;base64,/9j/")));
        for fetched in ["http:", "https:", "url(", "import", "fetch("] {
            assert!(!page.contains(fetched), "{fetched}");
        }
    }

    #[test]
    fn a_row_says_what_its_record_says() {
        let page = page(&[(record("a.png", None), None), (record("b.png", Some("b.png: is broken")), None)]);
        assert!(page.contains("data-threshold=\"0.5\""));
        assert!(page.contains("<tr class=\"anomalous\" data-image=\"a.png\" data-score=\"0.25\""));
        assert!(page.contains("<td class=\"verdict\">b.png: is broken</td>"));
        assert_eq!(page.matches("<tr class=").count(), 2);
    }
}
