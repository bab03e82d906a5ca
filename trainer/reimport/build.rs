//! Reads the exported backbone of the tiny bundle with burn-import, and writes it as a Burn module.

use burn_import::onnx::{LoadStrategy, ModelGen};

fn main() {
    let backbone = "../../fixtures/bundles/tiny/backbone.onnx";
    println!("cargo::rerun-if-changed={backbone}");
    ModelGen::new().input(backbone).out_dir("model/").load_strategy(LoadStrategy::Embedded).run_from_script();
}
