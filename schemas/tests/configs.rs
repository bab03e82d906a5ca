//! The configs that the repository offers: every one is valid and names its schema. What is in them is the trainer's.

use std::{fs, path::Path};

use sparsight_schemas::{Config, Valid};

#[test]
fn every_config_in_the_repository_is_valid_and_names_the_schema_that_editors_complete_with() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trainer/configs");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let yaml = fs::read_to_string(&path).unwrap();
        let schema =
            yaml.lines().next().and_then(|line| line.strip_prefix("# yaml-language-server: $schema="));
        assert!(folder.join(schema.unwrap()).is_file(), "{}", path.display());
        let config = Valid::<Config>::parse(&yaml).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(path.file_stem().unwrap().to_str(), Some(config.name.as_str()));
        names.push(config.name.clone());
    }
    for name in ["paper", "paper_small", "default", "quick", "demo"] {
        assert!(names.iter().any(|known| known == name), "no {name}.yaml");
    }
}

/// Figures of the paper, section 4 and appendix A.
#[test]
fn the_papers_config_has_the_papers_figures() {
    let yaml = include_str!("../../trainer/configs/paper.yaml");
    let config = Valid::<Config>::parse(yaml).unwrap();
    assert_eq!((config.input.height, config.input.width), (128, 128));
    let episodes = config.episodes;
    assert_eq!((episodes.tasks, episodes.queries, episodes.shots), (4, 10, 10));
    assert_eq!((config.optimizer.learning_rate, config.langevin.steps), (1e-4, 5));
    assert_eq!((config.objective.eta_rec, config.objective.eta_cd), (1.0, 0.25));
    let coding = config.sparse_coding;
    assert_eq!((coding.steps, coding.lambda_max, coding.lambda_star), (8, 0.3, 0.05));
    assert_eq!((config.objective.eta_dense, config.objective.eta_image), (0.0, 0.0));
    assert_eq!(episodes.augmentation, Default::default());
}
