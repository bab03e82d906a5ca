//! The JSON Schemas in `schemas/json`, made from the types. What the types are is for the schemas package to say.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Writes one file for each format into `folder`.
pub fn write(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    for (name, schema) in sparsight_schemas::json_schemas() {
        let path = folder.join(name);
        let text = serde_json::to_string_pretty(&schema)? + "\n";
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folders;

    #[test]
    fn the_committed_schemas_are_those_of_the_types() {
        let fresh = tempfile::tempdir().unwrap();
        write(fresh.path()).unwrap();
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/json");
        let files = folders::files(fresh.path()).unwrap();
        assert_eq!(folders::files(&committed).unwrap(), files, "run `cargo xtask fixtures`");
        for file in files {
            let read = |folder: &Path| fs::read_to_string(folder.join(&file)).unwrap();
            assert_eq!(
                read(&committed),
                read(fresh.path()),
                "{}: run `cargo xtask fixtures`",
                file.display()
            );
        }
    }
}
