//! Score records as a table for people, or as JSON, JSON lines or CSV for programs. Where they go is the caller's
//! business.

use std::io::{self, Write};

use sparsight_runtime::terminal::printable;
use sparsight_schemas::ScoreRecord;

/// The form of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns for people
    Table,
    /// An array of records
    Json,
    /// One record a line
    Jsonl,
    /// One record a row, below a header
    Csv,
}

/// Writes records one by one; what was written is complete after [`RecordWriter::finish`].
pub struct RecordWriter<W> {
    format: Format,
    out: W,
    written: usize,
    image_width: usize,
    colour: bool,
}

impl<W: Write> RecordWriter<W> {
    /// `image_width` is the width of the table's first column; `colour` marks its anomalies red.
    pub fn new(format: Format, out: W, image_width: usize, colour: bool) -> Self {
        Self { format, out, written: 0, image_width: image_width.max("image".len()), colour }
    }

    pub fn write(&mut self, record: &ScoreRecord) -> io::Result<()> {
        let first = self.written == 0;
        self.written += 1;
        match self.format {
            Format::Json => {
                write!(self.out, "{}{}", if first { "[\n" } else { ",\n" }, serde_json::to_string(record)?)
            }
            Format::Jsonl => writeln!(self.out, "{}", serde_json::to_string(record)?),
            Format::Csv => {
                if first {
                    self.csv_row(COLUMNS)?;
                }
                self.csv_row(cells(record))
            }
            Format::Table => self.table_row(record, first),
        }
    }

    pub fn finish(mut self) -> io::Result<()> {
        if self.format == Format::Json {
            writeln!(self.out, "{}", if self.written == 0 { "[]" } else { "\n]" })?;
        }
        self.out.flush()
    }

    fn csv_row<const N: usize>(&mut self, cells: [impl AsRef<str>; N]) -> io::Result<()> {
        writeln!(self.out, "{}", cells.map(|cell| quoted(cell.as_ref())).join(","))
    }

    fn table_row(&mut self, record: &ScoreRecord, first: bool) -> io::Result<()> {
        let width = self.image_width;
        if first {
            writeln!(self.out, "{:width$}  {:>10}  {:>10}  verdict", "image", "score", "threshold")?;
        }
        let [score, threshold] =
            [record.anomaly_score, record.threshold].map(|f| f.map_or("-".into(), significant));
        let verdict = match (&record.error, record.anomalous) {
            (Some(error), _) => {
                let reason = error.trim_start_matches(&format!("{}: ", record.image));
                format!("failed: {}", printable(reason))
            }
            (None, Some(true)) if self.colour => "\x1b[31manomalous\x1b[0m".into(),
            (None, Some(true)) => "anomalous".into(),
            (None, Some(false)) => "good".into(),
            (None, None) => "no threshold".into(),
        };
        let image = printable(&record.image);
        writeln!(self.out, "{image:width$}  {score:>10}  {threshold:>10}  {verdict}")
    }
}

const COLUMNS: [&str; 13] = [
    "image",
    "anomaly_score",
    "energy",
    "threshold",
    "false_alarm_rate",
    "guaranteed_rate",
    "anomalous",
    "provider",
    "heatmap",
    "map",
    "map_threshold",
    "regions",
    "error",
];

/// The cells of a record in the order of [`COLUMNS`]; what is not there is empty, and regions are as in JSON.
fn cells(record: &ScoreRecord) -> [String; 13] {
    fn cell<T: ToString>(value: &Option<T>) -> String {
        value.as_ref().map(T::to_string).unwrap_or_default()
    }
    let regions = record.regions.as_ref().and_then(|regions| serde_json::to_string(regions).ok());
    [
        record.image.clone(),
        cell(&record.anomaly_score),
        cell(&record.energy),
        cell(&record.threshold),
        cell(&record.false_alarm_rate),
        cell(&record.guaranteed_rate),
        cell(&record.anomalous),
        cell(&record.provider),
        cell(&record.heatmap),
        cell(&record.map),
        cell(&record.map_threshold),
        cell(&regions),
        cell(&record.error),
    ]
}

/// A CSV cell as RFC 4180 has it.
fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.into()
    }
}

/// Four significant digits.
pub fn significant(value: f32) -> String {
    let magnitude = value.abs().log10().floor();
    match value == 0.0 || (-5.0..6.0).contains(&magnitude) {
        true => format!("{value:.*}", (3.0 - magnitude).clamp(0.0, 8.0) as usize),
        false => format!("{value:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use sparsight_schemas::Region;

    use super::*;

    fn written(format: Format, records: &[ScoreRecord]) -> String {
        let mut bytes = Vec::new();
        let mut writer = RecordWriter::new(format, &mut bytes, 7, false);
        records.iter().for_each(|record| writer.write(record).unwrap());
        writer.finish().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn two_records() -> [ScoreRecord; 2] {
        let good = ScoreRecord {
            image: "a.png".into(),
            anomaly_score: Some(0.012_345),
            energy: Some(0.25),
            threshold: Some(0.5),
            false_alarm_rate: Some(0.1),
            guaranteed_rate: Some(0.25),
            anomalous: Some(false),
            provider: Some("cpu".into()),
            map_threshold: Some(0.75),
            regions: Some(vec![Region { x: 1, y: 2, width: 3, height: 4, area: 5, peak: 0.5 }]),
            ..ScoreRecord::default()
        };
        let failed = ScoreRecord {
            image: "b, \"c\".png".into(),
            error: Some("b, \"c\".png: is broken".into()),
            ..ScoreRecord::default()
        };
        [good, failed]
    }

    #[test]
    fn json_and_json_lines_read_back_as_the_records() {
        let records = two_records();
        assert_eq!(
            serde_json::from_str::<Vec<ScoreRecord>>(&written(Format::Json, &records)).unwrap(),
            records
        );
        let lines = written(Format::Jsonl, &records);
        let read: Vec<ScoreRecord> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, records);
    }

    #[test]
    fn csv_has_a_header_and_quotes_what_needs_it() {
        let expected = "image,anomaly_score,energy,threshold,false_alarm_rate,guaranteed_rate,anomalous,provider,\
            heatmap,map,map_threshold,regions,error\n\
            a.png,0.012345,0.25,0.5,0.1,0.25,false,cpu,,,0.75,\"[{\"\"x\"\":1,\"\"y\"\":2,\"\"width\"\":3,\"\"height\"\":4,\"\"area\"\":5,\"\"peak\"\":0.5}]\",\n\
            \"b, \"\"c\"\".png\",,,,,,,,,,,,\"b, \"\"c\"\".png: is broken\"\n";
        assert_eq!(written(Format::Csv, &two_records()), expected);
    }

    #[test]
    fn the_table_is_aligned_and_names_failures() {
        let expected = "image         score   threshold  verdict\n\
            a.png       0.01235      0.5000  good\n\
            b, \"c\".png           -           -  failed: is broken\n";
        assert_eq!(written(Format::Table, &two_records()), expected);
    }

    #[test]
    fn a_name_cannot_break_a_row_of_the_table_or_steer_the_terminal() {
        let name = "a\nb\x1b[2J.png";
        let error = Some(format!("{name}: is\tbroken"));
        let record = ScoreRecord { image: name.into(), error, ..two_records()[1].clone() };
        let table = written(Format::Table, &[record]);
        assert_eq!(table.lines().count(), 2);
        assert!(table.contains("a\u{fffd}b\u{fffd}[2J.png") && table.ends_with("failed: is\u{fffd}broken\n"));
    }

    #[test]
    fn figures_have_four_significant_digits() {
        for (value, text) in [
            (0.0, "0.00000000"),
            (1.0, "1.000"),
            (123.456, "123.5"),
            (0.000_123_456, "0.0001235"),
            (1.5e-7, "1.500e-7"),
        ] {
            assert_eq!(significant(value), text);
        }
    }
}
