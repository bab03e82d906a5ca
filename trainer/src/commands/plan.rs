//! `sparsight-train plan`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use sparsight_runtime::replace::{ReplaceError, replace_directory};
use sparsight_schemas::DataConfig;
use sparsight_trainer::{
    categories::{read_categories, read_validation_categories},
    plan::{LeaveOut, plan},
};

/// Write a config for each fold of a cross-validation over categories
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sparsight-train plan config.yaml --leave-out family -o folds\n  \
    sparsight-train train --config folds/steel.yaml\n\nA fold trains without one category, or without one family: all \
    categories whose\nnames agree but for a number at the end, or, without one, up to the first underscore. Evaluate each on what it left out.")]
pub struct PlanArgs {
    /// Config file that every fold begins with
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// What each fold leaves out
    #[arg(long, value_enum, default_value = "category")]
    leave_out: LeaveOut,
    /// Folder of categories, in place of the config's data.roots; may be repeated
    #[arg(long, value_name = "DIR")]
    data: Vec<String>,
    /// Folder to write the configs to; new or empty
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

pub fn run(args: PlanArgs) -> Result<()> {
    let mut config = super::read_config(&args.config)?.into_raw();
    if !args.data.is_empty() {
        config.data.roots = args.data;
    }
    if args.output.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{}: not empty; give a new folder, or remove this one first", args.output.display());
    }
    let mut categories = super::asked_for(read_categories(&config.data), &args.config)?;
    categories.extend(super::asked_for(read_validation_categories(&config.data), &args.config)?);
    let names: Vec<String> = categories.into_iter().map(|category| category.name).collect();
    let folds = plan(&config, &names, args.leave_out).with_context(|| args.config.display().to_string())?;
    if folds.len() < 2 {
        bail!("{}: its categories make one fold, which leaves nothing to train on", args.config.display());
    }
    let trains = |data: &DataConfig, name: &String| {
        // An empty list would include all.
        let is_included =
            data.include.contains(name) || (data.include.is_empty() && config.data.include.is_empty());
        is_included && !data.exclude.contains(name) && !data.validation.contains(name)
    };
    if let Some((fold, _)) = folds.iter().find(|(_, fold)| !names.iter().any(|name| trains(&fold.data, name)))
    {
        bail!(
            "{}: without {fold} nothing is left to train on; include more categories, or validate on fewer",
            args.config.display()
        );
    }
    let texts = folds
        .iter()
        .map(|(fold, config)| Ok((fold, serde_yaml::to_string(&**config)?)))
        .collect::<Result<Vec<_>>>()?;
    replace_directory(&args.output, |folder| -> Result<(), ReplaceError> {
        texts.iter().try_for_each(|(fold, text)| folder.write(format!("{fold}.yaml"), text.as_bytes()))
    })?;
    for (fold, of_fold) in &folds {
        if of_fold.data.validation.is_empty() && !config.data.validation.is_empty() {
            super::note(format_args!(
                "{fold}: nothing of data.validation is left, so its training is not validated; name a category of another fold there"
            ));
        }
        writeln!(io::stdout(), "{}", args.output.join(format!("{fold}.yaml")).display())?;
    }
    Ok(())
}
