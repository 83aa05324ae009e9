//! `against:`: the signatures that earlier runs kept, so that a new dump is held against them and not their texts.
//!
//! A run whose stage says `keep_signatures: true` leaves `signatures/<stage>/` in its run directory (see `keep.rs`). A
//! later run adds those folders to its catalogue, in front of its own documents, and everything else goes as ever:
//! documents of an earlier run come before all others, so they stay.
//!
//! Signatures can be compared only where they were made alike, so every option that goes into one must be equal;
//! which pairs then count (`min_jaccard`, `linkage`) may differ.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::io::{self, folders};
use crate::stage::{BuildContext, OptionError};

/// Version of the files; another one cannot be read.
pub(super) const FORMAT: u32 = 1;
/// Folder of a run directory that holds the signatures of its stages.
const FOLDER: &str = "signatures";
/// What is written last: a folder without it is not complete.
const SEAL: &str = "signatures.json";
/// Options that go into no signature; any other must be the same in both runs.
const FREE_OPTIONS: [&str; 5] = ["against", "keep_signatures", "keep_counts", "min_jaccard", "linkage"];

/// One run directory or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Runs {
    /// One.
    One(String),
    /// Several, or none.
    Many(Vec<String>),
}

impl Default for Runs {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Runs {
    fn list(&self) -> &[String] {
        match self {
            Self::One(run) => std::slice::from_ref(run),
            Self::Many(runs) => runs,
        }
    }
}

/// `signatures.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    pub(super) format: u32,
    /// Name of the stage, not its id in the pipeline.
    pub(super) stage: String,
    /// The options that go into signatures.
    pub(super) options: Map<String, Value>,
    pub(super) docs: u64,
    /// xxh3-128 of all that was kept: makes plans differ where it does.
    pub(super) xxh3: String,
}

/// Path of `signatures.json`.
pub(super) fn seal_path(folder: &Path) -> PathBuf {
    folder.join(SEAL)
}

/// The options that go into signatures.
pub(super) fn signature_options(config: &impl Serialize) -> Map<String, Value> {
    let Ok(Value::Object(mut options)) = serde_json::to_value(config) else { return Map::new() };
    options.retain(|name, _| !FREE_OPTIONS.contains(&name.as_str()));
    options
}

/// Folders of the runs that a stage is held against, in the order in which they are named.
#[derive(Debug, Clone, Default)]
pub(super) struct Earlier {
    folders: Vec<PathBuf>,
}

impl Earlier {
    /// Finds the signatures of every run and checks that they fit; their hashes become part of the plan.
    pub(super) fn open(
        stage: &str,
        runs: &Runs,
        config: &impl Serialize,
        cx: &mut BuildContext,
    ) -> Result<Self, Vec<OptionError>> {
        let options = signature_options(config);
        let (mut folders, mut errors) = (Vec::new(), Vec::new());
        for run in runs.list() {
            match find(stage, run, &options, cx) {
                Ok(folder) if folders.contains(&folder) => {
                    errors.push(OptionError::new("against", format!("`{run}` is named twice")));
                }
                Ok(folder) => folders.push(folder),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Self { folders }) } else { Err(errors) }
    }

    /// The folders.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        self.folders.clone()
    }
}

fn find(
    stage: &str,
    run: &str,
    options: &Map<String, Value>,
    cx: &mut BuildContext,
) -> Result<PathBuf, OptionError> {
    let error = |message: String| OptionError::new("against", message);
    if !folders::is_dir(run) {
        let hint = "name the run directory of an earlier run (its `--run-dir`)";
        return Err(error(format!("there is no folder `{run}`")).hint(hint));
    }
    let entries =
        folders::entries(Path::new(run).join(FOLDER)).map_err(|failed| error(failed.to_string()))?;
    let mut candidates = Vec::new();
    let mut unfinished = false;
    for folder in entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.path) {
        let path = seal_path(&folder);
        if !io::exists(&path).map_err(|failed| error(failed.to_string()))? {
            unfinished = true;
            continue;
        }
        let seal: Seal = io::read_json(&path).map_err(|failed| error(failed.to_string()))?;
        if seal.stage == stage {
            candidates.push((folder, seal));
        }
    }
    let Some((_, nearest)) = candidates.last() else {
        return Err(if unfinished {
            error(format!("the signatures in `{run}` are not complete")).hint("let that run come to its end")
        } else {
            error(format!("the run in `{run}` kept no signatures of `{stage}`"))
                .hint(format!("run it with `keep_signatures: true` in its `{stage}`"))
        });
    };
    if nearest.format != FORMAT {
        return Err(error(format!("another version of tamis wrote the signatures in `{run}`")));
    }
    // Of two stages of that name the later one has seen fewer documents go.
    let Some((folder, _)) = candidates.iter().rev().find(|(_, seal)| seal.options == *options) else {
        let message = format!(
            "the signatures in `{run}` were made with other options: {}",
            differences(&nearest.options, options)
        );
        return Err(error(message).hint("use that run's options here, or run it again with these"));
    };
    // Notes its hash; another set of signatures is another plan.
    cx.read_file("against", &seal_path(folder).to_string_lossy())?;
    Ok(folder.clone())
}

/// Every option that differs, with both values.
fn differences(there: &Map<String, Value>, here: &Map<String, Value>) -> String {
    let shown =
        |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), |value| format!("`{value}`"));
    let mut names: Vec<&String> =
        there.keys().chain(here.keys().filter(|name| !there.contains_key(*name))).collect();
    names.retain(|name| there.get(*name) != here.get(*name));
    let one = |name: &String| {
        format!("`{name}` is {} there and {} here", shown(there.get(name)), shown(here.get(name)))
    };
    names.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testkit::{Setup, docs_of, run_and_keep};
    use super::super::{exact_dedup, minhash_dedup};
    use super::*;
    use crate::document::Document;
    use crate::stage::{Barrier, Built, Removal, StageSpec};

    fn built(spec: &StageSpec, options: Value) -> Result<Arc<dyn Barrier>, Vec<OptionError>> {
        match (spec.build)(options, &mut BuildContext::default())? {
            Built::Barrier(barrier) => Ok(barrier),
            _ => panic!("`{}` is no barrier", spec.name),
        }
    }

    /// Removed ids with what stays for them.
    type Gone = BTreeMap<String, String>;

    /// Runs a stage over documents and keeps its signatures below `run`, as the engine does.
    fn dedup(
        spec: &StageSpec,
        more: &Value,
        against: &[&Path],
        run: &Path,
        docs: &[Document],
        setup: &Setup,
    ) -> Gone {
        let mut options = json!({ "keep_signatures": true, "against": against });
        if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
            options.extend(more.clone());
        }
        let target = run.join(FOLDER).join(spec.name);
        let gone = run_and_keep(built(spec, options).unwrap(), docs, setup, &target);
        gone.into_iter()
            .map(|(id, removal)| match removal {
                Removal::Duplicate(copy) => (id, copy.kept_id),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// A stretch of one long text of words without digits.
    fn stretch(from: u32, length: u32) -> String {
        let word =
            |n: u32| n.to_string().bytes().map(|byte| char::from(byte - b'0' + b'a')).collect::<String>();
        (from..from + length).map(|n| format!("w{}", word(n))).collect::<Vec<_>>().join(" ")
    }

    /// Dumps with ids of their own, and the same as splits of one input.
    fn dumps(texts: &[Vec<String>]) -> (Vec<Vec<Document>>, Vec<Document>) {
        let mut together = docs_of(texts);
        for doc in &mut together {
            doc.id = format!("dump{}-{}", doc.ordinal.split, doc.ordinal.record);
        }
        let of = |dump: usize| -> Vec<Document> {
            let mut docs: Vec<Document> =
                together.iter().filter(|doc| doc.ordinal.split as usize == dump).cloned().collect();
            // Two files each.
            for doc in &mut docs {
                doc.ordinal.split = u32::from(doc.ordinal.record % 2 == 1);
            }
            docs.sort_by_key(|doc| doc.ordinal);
            docs
        };
        ((0..texts.len()).map(of).collect(), together)
    }

    #[test]
    fn a_chain_of_dumps_removes_only_from_the_new_one_and_names_the_old_document() {
        let folder = tempfile::tempdir().unwrap();
        let runs: Vec<PathBuf> = (0..3).map(|n| folder.path().join(n.to_string())).collect();
        let texts = vec![
            vec![stretch(0, 100), stretch(0, 100), stretch(500, 100)],
            vec![stretch(2, 100), stretch(900, 100), stretch(901, 100)],
            vec![stretch(901, 100), stretch(500, 99), stretch(3000, 100), stretch(3, 100)],
        ];
        let (dumps, _) = dumps(&texts);
        let setup = Setup::default();
        let run = |number: usize, against: &[&Path]| {
            dedup(&minhash_dedup::SPEC, &json!({}), against, &runs[number], &dumps[number], &setup)
        };
        let pairs =
            |gone: Gone| gone.into_iter().map(|(id, kept)| format!("{id} for {kept}")).collect::<Vec<_>>();
        assert_eq!(pairs(run(0, &[])), ["dump0-1 for dump0-0"]);
        // Of dump 1 the documents 0 and 2 lie in its first file, so 2 stays and 1 goes.
        assert_eq!(pairs(run(1, &[&runs[0]])), ["dump1-0 for dump0-0", "dump1-1 for dump1-2"]);
        assert_eq!(
            pairs(run(2, &[&runs[0], &runs[1]])),
            ["dump2-0 for dump1-2", "dump2-1 for dump0-2", "dump2-3 for dump0-0"]
        );
        // What dump 1 lost to dump 0 is not among its signatures.
        assert_eq!(pairs(run(2, &[&runs[1]])), ["dump2-0 for dump1-2"]);
    }

    #[test]
    fn mistakes_say_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let docs = docs_of(&[&[stretch(0, 50), stretch(80, 50)]]);
        let message = |spec: &StageSpec, options: Value| match built(spec, options) {
            Ok(_) => panic!("it should not be built"),
            Err(errors) => errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join("; "),
        };
        let against = |more: Value| {
            let mut options = json!({ "against": run });
            if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
                options.extend(more);
            }
            options
        };
        assert!(message(&minhash_dedup::SPEC, against(json!({}))).contains("there is no folder"));
        dedup(&minhash_dedup::SPEC, &json!({ "min_jaccard": 0.9 }), &[], &run, &docs, &Setup::default());
        // Which pairs count may differ, what the signatures are made of may not.
        let free = against(json!({ "min_jaccard": 0.5, "linkage": "single" }));
        assert!(built(&minhash_dedup::SPEC, free).is_ok());
        let wrong = message(&minhash_dedup::SPEC, against(json!({ "bands": 20, "seed": 2 })));
        assert!(
            wrong.contains("`bands` is `14` there and `20` here, `seed` is `1` there and `2` here"),
            "{wrong}"
        );
        let within = message(&minhash_dedup::SPEC, against(json!({ "within": "source" })));
        assert!(within.contains("`within` is"), "{within}");
        let none = message(&exact_dedup::SPEC, against(json!({})));
        assert!(none.contains("kept no signatures of `exact_dedup`"), "{none}");
        let twice = message(&minhash_dedup::SPEC, json!({ "against": [run, run] }));
        assert!(twice.contains("named twice"), "{twice}");
        std::fs::remove_file(seal_path(&run.join(FOLDER).join("minhash_dedup"))).unwrap();
        assert!(message(&minhash_dedup::SPEC, against(json!({}))).contains("are not complete"));
    }

    #[test]
    fn only_documents_of_the_same_source_or_language_are_compared() {
        let mut docs = docs_of(&[&[stretch(0, 50), stretch(0, 50), stretch(0, 50), stretch(0, 50)]]);
        for (doc, (source, language)) in
            docs.iter_mut().zip([("a", "en"), ("b", "en"), ("a", "de"), ("b", "de")])
        {
            doc.source = Arc::from(source);
            doc.language = Some(language.to_owned());
        }
        let folder = tempfile::tempdir().unwrap();
        for spec in [&minhash_dedup::SPEC, &exact_dedup::SPEC] {
            for (within, expected) in [
                ("corpus", vec!["0.1", "0.2", "0.3"]),
                ("source", vec!["0.2", "0.3"]),
                ("language", vec!["0.1", "0.3"]),
            ] {
                let more = json!({ "within": within });
                let gone = dedup(spec, &more, &[], folder.path(), &docs, &Setup::default());
                assert_eq!(gone.keys().collect::<Vec<_>>(), expected, "{within}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6))]

        #[test]
        fn dump_after_dump_removes_what_all_at_once_does(
            spans in prop::collection::vec(prop::collection::vec((0_u32..60, 20_u32..80), 0..14), 3),
            order in any::<u64>(),
            part_docs in 1_u64..10,
            min_jaccard in 0.3..0.9,
        ) {
            let texts: Vec<Vec<String>> = spans
                .iter()
                .map(|dump| dump.iter().map(|&(from, length)| stretch(from, length)).collect())
                .collect();
            let (dumps, _) = dumps(&texts);
            let setup = Setup { order, part_docs, memory_bytes: 1 << 10 };
            for (spec, more) in [
                (&minhash_dedup::SPEC, json!({ "bands": 20, "rows": 3, "min_jaccard": min_jaccard })),
                (&exact_dedup::SPEC, json!({})),
            ] {
                let folder = tempfile::tempdir().unwrap();
                let mut step_by_step = Gone::new();
                let mut runs: Vec<PathBuf> = Vec::new();
                let mut together: Vec<Document> = Vec::new();
                for (number, dump) in (0_u32..).zip(&dumps) {
                    let run = folder.path().join(number.to_string());
                    let against: Vec<&Path> = runs.iter().map(PathBuf::as_path).collect();
                    step_by_step.extend(dedup(spec, &more, &against, &run, dump, &setup));
                    runs.push(run);
                    together.extend(dump.iter().cloned().map(|mut doc| {
                        doc.ordinal.split += 2 * number;
                        doc
                    }));
                }
                let at_once = dedup(spec, &more, &[], &folder.path().join("all"), &together, &Setup::default());
                prop_assert_eq!(step_by_step, at_once);
            }
        }
    }
}
