//! Generated pages are fresh. `TAMIS_BLESS=1` writes them.

use super::support::{bless, root, run, stdout};

fn fresh(args: &[&str], path: &str) {
    let found = stdout(&run(args));
    let path = root().join(path);
    if bless() {
        std::fs::write(&path, &found).expect("page is writable");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == found, "{} is stale: run the tests with TAMIS_BLESS=1", path.display());
}

#[test]
fn the_stage_reference_is_fresh() {
    fresh(&["stages"], "pipelines/STAGES.md");
}

#[test]
fn the_schema_is_fresh() {
    fresh(&["schema"], "pipelines/schema.json");
    fresh(&["schema", "--training"], "pipelines/train-schema.json");
}
