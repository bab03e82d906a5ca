//! The goals of speed as ratios: ours over what scoring can't do without, each pair measured in one run. The figures come
//! from the benchmark of the runtime and from the released binary.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Case;
use crate::process;
use crate::workspace::Workspace;

/// Times that a folder is scored on one thread and on all, in turn; the fastest counts.
const FOLDER_ROUNDS: usize = 3;

/// Times that the images of the folder are scored in each of them.
const FOLDER_REPEATS: usize = 4;

/// One row of the table.
struct Ratio {
    what: String,
    ours: f64,
    beside: f64,
    unit: &'static str,
    ratio: f64,
    /// The goal, and whether the ratio must not exceed it; none where the row explains the one above.
    goal: Option<(f64, bool)>,
}

/// Measures all ratios, and gives them as JSON beside the figures that they are made of.
pub fn measure(workspace: &Workspace, case: &Case) -> Result<Value> {
    let mut bench = workspace.cargo(["bench", "--package", "sparsight-runtime", "--bench", "goals", "--"]);
    bench.env("ORT_DYLIB_PATH", &case.library);
    // Cargo runs it in the package's folder.
    for path in [&case.bundle, &case.support, &case.images] {
        bench.arg(std::path::absolute(path)?);
    }
    let figures = process::output(&mut bench)?;
    let figures: Value = serde_json::from_str(figures.trim()).context("the benchmark prints no JSON")?;
    let figure =
        |name: &str| figures[name].as_f64().with_context(|| format!("the benchmark gives no {name}"));
    let explained = |what: &str, ours: f64, beside: f64| Ratio {
        what: what.into(),
        ours,
        beside,
        unit: "ms",
        ratio: ours / beside,
        goal: None,
    };
    let row = |what: &str, ours: f64, beside: f64, goal| Ratio {
        goal: Some(goal),
        ..explained(what, ours, beside)
    };

    let peak = figure("gemm_gflops")?;
    let bare = figure("bare_backbone_ms")?;
    let score = figure("score_ms")?;
    let mut rows = vec![row(
        "score / (bare backbone + products at gemm's peak)",
        score,
        bare + 1e3 * figure("gflop")? / peak,
        (1.25, true),
    )];
    for atoms in [160, 640, 2560] {
        let time = figure(&format!("coding_{atoms}_ms"))?;
        let speed = 1e3 * figure(&format!("coding_{atoms}_gflop"))? / time;
        let what = format!("coding with {atoms} atoms / gemm's peak");
        rows.push(Ratio { unit: "GFLOP/s", ..row(&what, speed, peak, (0.7, false)) });
        let what = format!("coding with {atoms} atoms / the same as an ONNX graph");
        rows.push(row(&what, time, figure(&format!("graph_{atoms}_ms"))?, (1.0, true)));
    }
    let gradient = figure("with_gradient_ms")? - score;
    rows.push(row("gradient map on top / backbone", gradient, figure("backbone_ms")?, (2.2, true)));
    rows.push(explained(
        "  of it the bare session of the VJP",
        figure("bare_vjp_ms")?,
        figure("backbone_ms")?,
    ));
    rows.push(row(
        "adapt with 10 shots / ten backbones",
        figure("adapt_10_ms")?,
        figure("ten_backbones_ms")?,
        (1.2, true),
    ));
    rows.push(explained(
        "  of it features, atoms and packing, without calibration",
        figure("adapt_10_uncalibrated_ms")?,
        figure("ten_backbones_ms")?,
    ));
    let what = format!("score with {} shots / with 10", figure("many_shots")?);
    rows.push(row(&what, figure("score_100_ms")?, score, (1.2, true)));
    let (one, all) = folder(case)?;
    rows.push(row("a folder on one thread / on all", one, all, (1.7, false)));

    let rows = rows.into_iter().map(|row| {
        json!({
            "what": row.what, "ours": row.ours, "beside": row.beside, "unit": row.unit, "ratio": row.ratio,
            "goal": row.goal.map(|(goal, _)| goal),
            "met": row.goal.map(|(goal, at_most)| if at_most { row.ratio <= goal } else { row.ratio >= goal }),
            "at_most": row.goal.map(|(_, at_most)| at_most),
        })
    });
    Ok(json!({ "ratios": rows.collect::<Vec<_>>(), "figures": figures }))
}

/// Milliseconds of scoring the folder of images several times over, start and end of the program included: on one thread
/// and on as many as there are cores.
fn folder(case: &Case) -> Result<(f64, f64)> {
    let time = |threads: Option<&str>| -> Result<f64> {
        let mut command = case.sparsight("score");
        command.arg(&case.bundle).arg(&case.dictionary).args(["--provider", "cpu", "--format", "jsonl"]);
        command.args(std::iter::repeat_n(&case.images, FOLDER_REPEATS));
        if let Some(threads) = threads {
            command.args(["--threads", threads]);
        }
        let start = Instant::now();
        process::output(&mut command)?;
        Ok(1e3 * start.elapsed().as_secs_f64())
    };
    let (mut one, mut all) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..FOLDER_ROUNDS {
        one = time(Some("1"))?.min(one);
        all = time(None)?.min(all);
    }
    Ok((one, all))
}

/// Prints the rows of [`measure`].
pub fn print(report: &Value) {
    println!("{:<56}{:>10}{:>10}  {:<8}{:>7}{:>9}", "ratio", "ours", "beside", "unit", "ratio", "goal");
    for row in report["ratios"].as_array().into_iter().flatten() {
        let number = |name: &str| row[name].as_f64().unwrap_or(f64::NAN);
        let goal = match (row["at_most"].as_bool(), row["goal"].as_f64()) {
            (Some(at_most), Some(goal)) => format!("{} {goal:.2}", if at_most { "<=" } else { ">=" }),
            _ => String::new(),
        };
        println!(
            "{:<56}{:>10.3}{:>10.3}  {:<8}{:>7.2}{:>9}{}",
            row["what"].as_str().unwrap_or_default(),
            number("ours"),
            number("beside"),
            row["unit"].as_str().unwrap_or_default(),
            number("ratio"),
            goal,
            if row["met"] == false { " missed" } else { "" }
        );
    }
}
