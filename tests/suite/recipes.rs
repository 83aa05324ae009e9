//! Every shipped pipeline holds, and its own tests pass.

use super::support::{is_yaml, root, run, stderr, stdout};

#[test]
fn shipped_pipelines_hold_and_pass_their_tests() {
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("pipelines")).expect("folder is there") {
        let name = entry.expect("entry is readable").file_name().into_string().expect("UTF-8 name");
        // Training files are no pipelines; `train.rs` runs them.
        if !is_yaml(&name) || name.starts_with("train-") {
            continue;
        }
        let path = format!("pipelines/{name}");
        let output = run(&["validate", "--test", &path]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
        assert!(!stdout(&output).contains(" 0 tests"), "{name} has no tests");
        seen += 1;
    }
    assert!(seen >= 1);
}
