//! Every file in `fixtures/bad_pipelines` is refused with exactly the message beside it.
//! `TAMIS_BLESS=1` writes the messages; read them before they are committed.

use proptest::prelude::*;

use super::support::{bless, is_yaml, root, stderr, tamis};

#[test]
fn bad_pipelines_are_refused_with_the_expected_message() {
    let folder = root().join("fixtures/bad_pipelines");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("folder is there")
        .filter_map(|entry| entry.expect("entry is readable").file_name().into_string().ok())
        .filter(|name| is_yaml(name) && !name.starts_with('_'))
        .collect();
    names.sort();
    assert!(names.len() >= 15, "only {} bad pipelines", names.len());
    let mut wrong = Vec::new();
    for name in names {
        let path = format!("fixtures/bad_pipelines/{name}");
        let output =
            tamis().args(["validate", &path]).env_remove("TAMIS_UNSET").output().expect("the program starts");
        assert_eq!(output.status.code(), Some(2), "{name}: {}", stderr(&output));
        let expected_path = root().join(path.replace(".yaml", ".txt"));
        let found = stderr(&output);
        if bless() {
            std::fs::write(&expected_path, &found).expect("message is writable");
            continue;
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        if found != expected {
            wrong.push(format!("--- {name}: expected\n{expected}--- found\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Touches everything that a pipeline can say; names no input, so that nothing is read.
const SEED: &str = "name: t\nmemory: 2GiB\nthreads: 3\ninput:\n- jsonl: {}\n- warc\nstages:\n- extract\n- gopher_quality: &a { min_words: 5, mode: sample }\n- c4_quality: *a\n- minhash_dedup: {bands: 14, min_jaccard: 0.7}\ntokenizer: { train: { vocab_size: 300 } }\noutput: { max_bad_ratio: .5 }\ntests:\n- { name: '${X:-x}', text: |\n    a\n  , expect: keep }\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_checker_panic(
        edits in proptest::collection::vec((0_usize..600, 0_usize..12, "[-:{}\\[\\]&*!|>'\"%@#,?$~ \\t\\n\\ra-z0-9.é]{0,4}"), 1..8),
        set in "(stages|input|output|name|[a-z.]{0,3})(\\.[a-z0-9_-]{0,14}){0,3}=[-{}\\[a-z0-9:.]{0,6}",
    ) {
        let mut text: Vec<char> = SEED.chars().collect();
        for (at, remove, insert) in edits {
            let start = at.min(text.len());
            let end = (start + remove).min(text.len());
            text.splice(start..end, insert.chars());
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("p.yaml");
        std::fs::write(&path, text.iter().collect::<String>()).expect("file is writable");
        let error = tamis::pipeline::load(&path.to_string_lossy(), &[set]).err();
        prop_assert_eq!(error.map(|error| error.exit_code()), Some(2));
    }
}
