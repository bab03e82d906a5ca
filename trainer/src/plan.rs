//! Plans of cross-validation over categories: which configs train without which categories. Nothing is trained here.

use std::collections::BTreeMap;

use sparsight_schemas::{Config, Valid, Violation};

/// What each fold leaves out of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LeaveOut {
    /// One category.
    Category,
    /// One family, which look alike: all categories whose names agree but for a number at the end, or, without one, up to the
    /// first underscore.
    Family,
}

/// The config of each fold, by the name of what it leaves out. Each is `config` but for its name, its output folder and
/// the categories that it excludes.
///
/// # Errors
/// A fold whose config is not valid.
pub fn plan(
    config: &Config,
    categories: &[String],
    leave_out: LeaveOut,
) -> Result<BTreeMap<String, Valid<Config>>, Violation> {
    let mut folds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in categories {
        let fold = match leave_out {
            LeaveOut::Category => name,
            LeaveOut::Family => family(name),
        };
        folds.entry(fold.to_owned()).or_default().push(name.clone());
    }
    let config_of = |(fold, left_out): (String, Vec<String>)| {
        let mut config = config.clone();
        config.name = format!("{}-without-{fold}", config.name);
        config.training.output = format!("{}/without-{fold}", config.training.output);
        config.data.validation.retain(|name| !left_out.contains(name));
        config.data.include.retain(|name| !left_out.contains(name));
        config.data.exclude.extend(left_out);
        Ok((fold, Valid::new(config)?))
    };
    folds.into_iter().map(config_of).collect()
}

/// bottle_cap of bottle_cap_012, steel of steel_patches, nut of nut.
fn family(name: &str) -> &str {
    let numbered =
        name.rsplit_once('_').filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()));
    let (family, _) = numbered.or(name.split_once('_')).unwrap_or((name, ""));
    if family.is_empty() { name } else { family }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_named_without_its_number_or_up_to_the_first_underscore() {
        let names = ["bottle_000", "bottle_cap_012", "steel_patches", "pcb_13000", "nut", "_x"];
        assert_eq!(names.map(family), ["bottle", "bottle_cap", "steel", "pcb", "nut", "_x"]);
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn a_fold_leaves_out_one_category_or_all_of_a_family() {
        let mut config = Config { name: "mine".into(), ..Config::default() };
        config.data.validation = names(&["steel_b"]);
        config.data.exclude = names(&["odd"]);
        let categories = names(&["nut", "steel_a", "steel_b"]);
        let by_category = plan(&config, &categories, LeaveOut::Category).unwrap();
        assert_eq!(by_category.keys().collect::<Vec<_>>(), ["nut", "steel_a", "steel_b"]);
        assert_eq!(by_category["steel_a"].data.exclude, ["odd", "steel_a"]);
        assert_eq!(by_category["steel_a"].data.validation, ["steel_b"]);
        let by_family = plan(&config, &categories, LeaveOut::Family).unwrap();
        assert_eq!(by_family.keys().collect::<Vec<_>>(), ["nut", "steel"]);
        let steel = &by_family["steel"];
        assert_eq!(steel.data.exclude, ["odd", "steel_a", "steel_b"]);
        assert_eq!(steel.data.validation, names(&[]));
        assert_eq!(steel.name, "mine-without-steel");
        assert_ne!(steel.training.output, by_family["nut"].training.output);
    }

    #[test]
    fn what_is_included_by_name_is_included_but_for_the_fold() {
        let mut config = Config::default();
        config.data.include = names(&["a", "b"]);
        let folds = plan(&config, &names(&["a", "b"]), LeaveOut::Category).unwrap();
        assert_eq!(folds["a"].data.include, ["b"]);
    }
}
