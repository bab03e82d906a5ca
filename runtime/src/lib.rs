//! The half of Sparsight that ships: adapts to a new category with a few good images and scores others.
//!
//! From an image file to a score: [`images`] decodes and resizes, [`backbone`] computes features, [`dictionary`]
//! holds those of the support, [`sparse_coding`] explains a query with them, and what it can't explain is energy.
//! [`detector`] joins these steps; [`maps`], [`regions`], [`heatmap`] and [`npy`]
//! locate, draw and store what they give.
//!
//! ```
//! use sparsight_runtime::{detector::Detector, images::read_image};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (bundle, folder) = ("../fixtures/bundles/tiny", "../fixtures/regress");
//! let good = [read_image(format!("{folder}/support/000.png"))?, read_image(format!("{folder}/support/001.png"))?];
//! let image = read_image(format!("{folder}/queries/hole/000.png"))?;
//! let score = Detector::open(bundle)?.adapt(&good)?.score(&image)?;
//! println!("{} (threshold {:?})", score.anomaly_score, score.threshold);
//! # assert_eq!(score.anomalous, score.threshold.map(|threshold| score.anomaly_score > threshold));
//! # Ok(())
//! # }
//! ```
//!
//! Architecture invariants: only [`onnxruntime`] and [`backbone`] know of ONNX Runtime; nothing here trains; no
//! file is ever half-written ([`replace`]).

pub mod backbone;
pub mod bundle;
pub mod calibration;
pub mod detector;
pub mod dictionary;
pub mod heatmap;
pub mod html;
pub mod images;
pub mod maps;
mod matrix;
pub mod npy;
pub mod onnxruntime;
pub mod poses;
pub mod reference;
pub mod regions;
pub mod replace;
pub mod roi;
#[cfg(feature = "signals")]
pub mod signals;
pub mod signature;
pub mod sparse_coding;
pub mod tensors;
pub mod terminal;
pub mod verify;
