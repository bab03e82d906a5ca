//! What sparse coding, scoring and adapting cost beside what they can't do without: the `gemm` crate's products at their
//! peak and bare sessions of ONNX Runtime. Prints one line of JSON; `cargo xtask bench` makes a table of it.
//!
//!     cargo bench --package sparsight-runtime --bench goals -- [BUNDLE SUPPORT IMAGES]

mod graph;
mod products;
mod scoring;
mod sessions;

use std::{env, path::Path, process::Command, time::Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

/// Times that everything is measured in turn.
const ROUNDS: usize = 5;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let report = match arguments.as_slice() {
        // In a process of its own, because a process has one environment of ONNX Runtime.
        ["--sessions"] => sessions::measure(None)?,
        ["--sessions", bundle] => sessions::measure(Some(Path::new(bundle)))?,
        [] => measure(None)?,
        [bundle, support, images] => {
            measure(Some((Path::new(bundle), Path::new(support), Path::new(images))))?
        }
        _ => bail!("give BUNDLE SUPPORT IMAGES, or nothing for the products alone"),
    };
    println!("{report}");
    Ok(())
}

/// Everything, each figure the median of rounds in which all take their turns.
fn measure(bundle: Option<(&Path, &Path, &Path)>) -> anyhow::Result<Value> {
    let mut cases = products::cases();
    let mut scoring = match bundle {
        Some((bundle, support, images)) => Some(scoring::Scoring::open(bundle, support, images)?),
        None => None,
    };
    let mut rounds: Vec<Vec<(String, f64)>> = Vec::new();
    for _ in 0..ROUNDS {
        let mut round = vec![("gemm_gflops".to_string(), products::gemm_gflops())];
        for case in &mut cases {
            round.push((format!("coding_{}_ms", case.atoms), case.milliseconds()));
        }
        let sessions = sessions(bundle.map(|(bundle, ..)| bundle))?;
        let sessions = sessions.as_object().context("the sessions print an object")?;
        round.extend(sessions.iter().filter_map(|(name, ms)| Some((name.clone(), ms.as_f64()?))));
        if let Some(scoring) = &mut scoring {
            round.extend(scoring.round()?);
        }
        rounds.push(round);
    }
    let mut report = json!({ "rounds": ROUNDS });
    for (i, (name, _)) in rounds[0].iter().enumerate() {
        report[name] = json!(median(rounds.iter().map(|round| round[i].1).collect()));
    }
    for case in &cases {
        report[format!("coding_{}_gflop", case.atoms)] = json!(case.gflop);
    }
    if let Some(scoring) = &scoring {
        report["atoms"] = json!(scoring.atoms());
        report["gflop"] = json!(scoring.gflop());
    }
    Ok(report)
}

/// What a process of its own measures of bare sessions.
fn sessions(bundle: Option<&Path>) -> anyhow::Result<Value> {
    let output = Command::new(env::current_exe()?).arg("--sessions").args(bundle).output()?;
    if !output.status.success() {
        bail!("bare sessions: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("what the sessions print")
}

/// Milliseconds that `work` takes: the median of `times` after a warm-up.
fn milliseconds(times: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut once = || {
        let start = Instant::now();
        work();
        1e3 * start.elapsed().as_secs_f64()
    };
    median((0..times).map(|_| once()).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
