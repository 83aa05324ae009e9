//! `exact_dedup`: of documents with the same text the first stays, or another one by rule.
//!
//! Source: every published pipeline has it (RefinedWeb, FineWeb, NeMo, Data-Juicer); they differ in what
//! counts as the same, here `normalize`. Where we differ: 128-bit hashes, so that no two different texts
//! of any corpus are taken for one; the survivor follows from the input's order and never from arrival
//! or a "last seen" table; and each removal names the document that stays. A blank text is a text: of
//! several blank documents one stays. A page that no stage has extracted yet is compared by its bytes. With `key` the
//! address or a field is compared in place of the text.
//!
//! Files: per part one sorted run of (hash, place). Tasks over ranges of the hash list who goes, and one
//! last task puts the lists in the order of the documents. Memory: the sort buffers alone.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use super::catalog::{Catalog, CatalogPass};
use super::counts::{COPIES, CountPass};
use super::earlier::{Earlier, Runs};
pub use super::fold::Normalize;
use super::groups::{GATHER_ABOVE, GatherPass, Grouping, ROWS_PER_TASK};
use super::observe::PartWriter;
use super::records::{Gone, Key, Overlap, Ranked, Row};
use super::scope::confine;
pub use super::survivor::Survivor;
use super::top_ratio::Within;
use super::{keep, pass_name, removals};
use crate::document::{Document, Ordinal};
use crate::error::Result;
use crate::io;
use crate::io::runs::{self, Record, RunSorter};
use crate::stage::{
    Barrier, BuildContext, Built, Context, Kind, Observer, OptionError, Pass, Removals, StageSpec, TaskEnv,
    TaskReport, parse_options, schema_of,
};
use crate::text::address;

/// Describes the stage.
pub static SPEC: StageSpec = StageSpec {
    name: "exact_dedup",
    kind: Kind::Dedup,
    needs_text: true,
    summary: "Of documents with the same text, address or field keeps the first.",
    source: "Common to all published pipelines; 128-bit xxh3, the smallest ordinal survives.",
    reasons: &[(
        "exact_duplicate",
        "an earlier document has the same normalised text (or address or field, see `key`)",
    )],
    scores: &[COPIES],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Options of `exact_dedup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What makes documents the same: their `text` (default), their `url`, or `{ field: NAME }`, a field that came with them or that
    /// extraction found (`canonical_url`, say). Addresses are normalised (RFC 3986, section 6.2; `http` and `https`, a leading `www.`
    /// and a slash at the end do not count). A document without an address, or without the field, stays.
    pub key: By,
    /// What counts as the same text. Default `folded`: equal but for white space, case and the way
    /// accents are encoded. Texts of a field are compared in the same way; not for `key: url`.
    pub normalize: Normalize,
    /// Which of the same documents stays: the `first` in the input (default), the `longest` in characters, the `newest` by its date (the
    /// first fourteen digits of `date`: year to second), or `{ highest: SCORE }`, by a score that an earlier stage added
    /// (`classifier.score`). Of equal ones the first stays, and any before one without a date or the score. Not beside `against` and
    /// `keep_signatures`, for which the earlier run's document stays.
    pub keep: Survivor,
    /// What is compared: all documents (`corpus`, the default), or only those of the same `source` (a dump, say, where
    /// each has an input of its own) or `language`. Documents without a language are a group of their own.
    pub within: Within,
    /// Run directory of an earlier run, or a list of them: documents that are copies of one that stayed there go, and
    /// the removal names that document. Default: none. The earlier runs must have been made with `keep_signatures: true`
    /// and the same options of this stage (`normalize` and `within`); their texts are not read. Their directories must stay where
    /// they are until this run ends.
    pub against: Runs,
    /// Whether `signatures/` in the run directory keeps what a later run needs for `against`: 56 bytes and the id
    /// for each document that stays. Default false.
    pub keep_signatures: bool,
    /// Whether documents that stay get the score `copies`: how many documents of this run each stands for, itself counted, to weight it
    /// by how often its text occurred. Default false.
    pub keep_counts: bool,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The text.
    #[default]
    Text,
    /// The address.
    Url,
    /// A field; what is no string is compared as its JSON text, so that `7` and `"7"` are the same.
    Field(String),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            key: By::Text,
            keep: Survivor::First,
            normalize: Normalize::Folded,
            within: Within::Corpus,
            against: Runs::default(),
            keep_signatures: false,
            keep_counts: false,
        }
    }
}

fn build(options: serde_json::Value, cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    match &config.key {
        By::Url if config.normalize != Normalize::Folded => {
            let error = OptionError::new("normalize", "addresses have a normalisation of their own");
            return Err(vec![error.hint("take it out, or compare `key: { field: NAME }`")]);
        }
        By::Field(name) if name.is_empty() => {
            return Err(vec![OptionError::new("key.field", "must be the name of a field")]);
        }
        _ => {}
    }
    let errors = config.keep.mistakes(config.keep_signatures || config.against != Runs::default(), cx);
    if !errors.is_empty() {
        return Err(errors);
    }
    let earlier = Earlier::open(SPEC.name, &config.against, &config, cx)?;
    Ok(Built::Barrier(Arc::new(Stage { earlier, ..Stage::new(config) })))
}

/// The stage.
pub struct Stage {
    config: Config,
    earlier: Earlier,
    gather_above: u64,
    rows_per_task: u64,
}

impl Stage {
    /// The stage with these options, but for `against`, which only a pipeline can name.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let earlier = Earlier::default();
        Self { config, earlier, gather_above: GATHER_ABOVE, rows_per_task: ROWS_PER_TASK }
    }

    /// Whether another than the first may stay.
    fn is_ranked(&self) -> bool {
        self.config.keep.is_ranked()
    }

    fn passes_over<K: Key>(&self, dir: &Path) -> Vec<Box<dyn Pass>> {
        let grouping = Grouping { gather_above: self.gather_above, ..Grouping::new(dir, self.rows_per_task) };
        let mut passes: Vec<Box<dyn Pass>> = vec![
            Box::new(CatalogPass::new(dir, self.earlier.folders(), Row::<K>::BYTES)),
            Box::new(GatherPass::<Row<K>>::new(&grouping)),
            Box::new(GroupPass::<K> { name: pass_name(dir, "group"), grouping, marker: PhantomData }),
            Box::new(OrderPass { name: pass_name(dir, "order"), dir: dir.to_path_buf() }),
        ];
        if self.config.keep_counts {
            passes.push(Box::new(CountPass::new(dir)));
        }
        passes
    }

    /// The hash that equal documents share; `None` for one that equals no other.
    fn key(&self, doc: &Document) -> Option<u128> {
        match (&self.config.key, &doc.raw) {
            (By::Text, Some(raw)) => Some(xxh3_128(&raw.bytes)),
            (By::Text, None) => Some(self.config.normalize.hash(&doc.text)),
            (By::Url, _) => {
                let address = address::normalise(doc.url.as_deref()?)?;
                Some(xxh3_128(address.as_bytes()))
            }
            (By::Field(name), _) => match doc.fields.get(name)? {
                Value::Null => None,
                Value::String(text) => Some(self.config.normalize.hash(text)),
                other => Some(xxh3_128(other.to_string().as_bytes())),
            },
        }
    }
}

impl Barrier for Stage {
    fn signature(&self, doc: &Document, _cx: &mut Context) -> Vec<u8> {
        let mut signature = Vec::with_capacity(u128::BYTES);
        let Some(key) = self.key(doc) else { return signature };
        if self.is_ranked() {
            Ranked { hash: key, rank: self.config.keep.rank(doc) }.put(&mut signature);
        } else {
            key.put(&mut signature);
        }
        confine(&mut signature, u128::BYTES, self.config.within, doc);
        signature
    }

    fn observer(&self, dir: &Path, task: u32, part: u32, memory_bytes: u64) -> Result<Box<dyn Observer>> {
        Ok(if self.is_ranked() {
            Box::new(PartWriter::<Ranked<u128>>::create(dir, task, part, 1, memory_bytes)?)
        } else {
            Box::new(PartWriter::<u128>::create(dir, task, part, 1, memory_bytes)?)
        })
    }

    fn passes(self: Arc<Self>, dir: PathBuf) -> Vec<Box<dyn Pass>> {
        if self.is_ranked() { self.passes_over::<Ranked<u128>>(&dir) } else { self.passes_over::<u128>(&dir) }
    }

    fn keep(self: Arc<Self>, dir: PathBuf, target: PathBuf) -> Vec<Box<dyn Pass>> {
        let wanted = self.config.keep_signatures;
        if wanted { keep::passes::<u128>(&dir, &target, SPEC.name, &self.config) } else { Vec::new() }
    }

    fn removals(&self, dir: &Path, split: u32) -> Result<Box<dyn Removals>> {
        let listed = removals::Listed::open(dir, split, "exact_duplicate", None)?;
        Ok(Box::new(if self.config.keep_counts { listed.counted(dir, split)? } else { listed }))
    }
}

fn gone_folder(dir: &Path) -> PathBuf {
    dir.join("gone")
}

/// Lists, for one range of hashes, the documents that are not the first, or not the best, with theirs.
struct GroupPass<K> {
    name: String,
    grouping: Grouping,
    marker: PhantomData<fn() -> K>,
}

impl<K: Key> Pass for GroupPass<K> {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        self.grouping.tasks()
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let share = env.memory_bytes / 6;
        let mut gone = RunSorter::new(self.grouping.scratch(task, "gone"), share);
        let mut kept = Ordinal { split: 0, record: 0 };
        let mut removed_count = 0;
        let own_split = Catalog::read(&self.grouping.dir)?.own_split();
        self.grouping.for_each::<K>(task, env, share, |first, ordinal| {
            if first {
                kept = ordinal;
                return Ok(());
            }
            // Of earlier runs nobody goes, even where two of them have the same text.
            if ordinal.split < own_split {
                return Ok(());
            }
            removed_count += 1;
            gone.push(Gone { removed: ordinal, kept, cluster: kept, overlap: Overlap::EQUAL })
        })?;
        let path = gone_folder(&self.grouping.dir).join(format!("{task:05}.run"));
        runs::write_sorted(&path, gone.finish()?)?;
        let mut report = TaskReport::default();
        report.counts.insert("removed".to_owned(), removed_count);
        Ok(report)
    }
}

/// Puts the lists of all ranges in the order of the documents.
struct OrderPass {
    name: String,
    dir: PathBuf,
}

impl Pass for OrderPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        Ok(1)
    }

    fn run(&self, _task: u32, env: &TaskEnv) -> Result<TaskReport> {
        env.check_cancel()?;
        let lists = io::list(gone_folder(&self.dir), ".run")?;
        let merged = runs::merge::<Gone>(&lists, &self.dir.join("scratch").join("order"))?;
        runs::write_sorted(&removals::path(&self.dir), merged)?;
        Ok(TaskReport::default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testkit::{Setup, docs_of, removals_of, run_barrier, survivors};
    use super::*;

    fn stage(rows_per_task: u64) -> Arc<Stage> {
        Arc::new(Stage { rows_per_task, gather_above: 3, ..Stage::new(Config::default()) })
    }

    #[test]
    fn the_first_of_equal_texts_stays() {
        let docs = docs_of(&[vec!["a b", "c", "A  b"], vec!["", "c d", "C", "a b "], vec![" "]]);
        let removals = run_barrier(stage(1 << 20), &docs, &Setup::default());
        let found: Vec<(&str, &str)> =
            removals.iter().map(|(id, removal)| (id.as_str(), removal.kept_id.as_str())).collect();
        assert_eq!(found, [("0.2", "0.0"), ("1.2", "0.1"), ("1.3", "0.0"), ("2.0", "1.0")]);
        for (_, removal) in &removals {
            assert_eq!((removal.reason, removal.similarity), ("exact_duplicate", 1.0));
            assert_eq!(removal.cluster, removal.kept_id);
        }
    }

    #[test]
    fn a_page_without_text_yet_counts_by_its_bytes() {
        let mut docs = docs_of(&[&["", "", ""]]);
        for (doc, bytes) in docs.iter_mut().zip(["<p>one", "<p>two", "<p>one"]) {
            let raw = crate::document::Raw {
                bytes: bytes.into(),
                media: crate::document::Media::Html,
                charset: None,
            };
            doc.raw = Some(raw);
        }
        let removals = run_barrier(stage(1 << 20), &docs, &Setup::default());
        assert_eq!(removals.len(), 1);
        assert_eq!(removals[0].0, "0.2");
    }

    #[test]
    fn addresses_and_fields_can_be_compared_instead() {
        let mut docs = docs_of(&[vec!["a", "b", "c", "d"], vec!["a", "f"]]);
        let urls = [
            "http://a.example/x/",
            "https://www.A.example/x#y",
            "",
            "http://b.example",
            "http://a.example/y",
            "b.example/",
        ];
        for (doc, url) in docs.iter_mut().zip(urls) {
            doc.url = (!url.is_empty()).then(|| url.to_owned());
        }
        for (doc, field) in
            docs.iter_mut().zip([json!("One"), json!(1), json!("one "), json!(null), json!(1), json!("1")])
        {
            doc.fields.insert("isbn".to_owned(), field);
        }
        for (key, wanted) in [
            (json!("url"), vec![("0.1", "0.0"), ("1.1", "0.3")]),
            (json!({"field": "isbn"}), vec![("0.2", "0.0"), ("1.0", "0.1"), ("1.1", "0.1")]),
            (json!({"field": "absent"}), vec![]),
            (json!("text"), vec![("1.0", "0.0")]),
        ] {
            let config: Config = parse_options(json!({ "key": key })).unwrap();
            let removals = run_barrier(Arc::new(Stage::new(config)), &docs, &Setup::default());
            let found: Vec<(&str, &str)> =
                removals.iter().map(|(id, removal)| (id.as_str(), removal.kept_id.as_str())).collect();
            assert_eq!(found, wanted, "{key}");
        }
        for (options, key) in [
            (json!({"key": "url", "normalize": "none"}), "normalize"),
            (json!({"key": {"field": ""}}), "key.field"),
        ] {
            assert_eq!(build(options, &mut BuildContext::default()).err().unwrap()[0].key, key);
        }
    }

    #[test]
    fn another_than_the_first_can_stay() {
        let mut docs = docs_of(&[vec!["a  b", "c", "A b", "c"], vec!["a    b", "a b"]]);
        let dates = [
            "2024-05-01",
            "2021",
            "2024-05-01T00:00:01Z",
            "",
            "2019-01-01T10:00:00Z",
            "2024-05-01T00:00:01Z",
        ];
        let scores = [Some(-3.0), None, Some(-1.5), Some(f64::NAN), Some(-0.0), Some(0.0)];
        for ((doc, date), score) in docs.iter_mut().zip(dates).zip(scores) {
            doc.date = (!date.is_empty()).then(|| date.to_owned());
            doc.scores.extend(score.map(|score| ("x.y".to_owned(), score)));
        }
        for (keep, wanted) in [
            (Survivor::First, [("0.2", "0.0"), ("0.3", "0.1"), ("1.0", "0.0"), ("1.1", "0.0")]),
            (Survivor::Longest, [("0.0", "1.0"), ("0.2", "1.0"), ("0.3", "0.1"), ("1.1", "1.0")]),
            (Survivor::Newest, [("0.0", "0.2"), ("0.3", "0.1"), ("1.0", "0.2"), ("1.1", "0.2")]),
            (
                Survivor::Highest("x.y".to_owned()),
                [("0.0", "1.0"), ("0.2", "1.0"), ("0.3", "0.1"), ("1.1", "1.0")],
            ),
        ] {
            let config = Config { keep: keep.clone(), ..Config::default() };
            for rows_per_task in [1, 1 << 20] {
                let stage = Stage { rows_per_task, gather_above: 1, ..Stage::new(config.clone()) };
                let removals = run_barrier(Arc::new(stage), &docs, &Setup::default());
                let found: Vec<(&str, &str)> =
                    removals.iter().map(|(id, removal)| (id.as_str(), removal.kept_id.as_str())).collect();
                assert_eq!(found, wanted, "{keep:?}");
            }
        }
        let build = |options| build(options, &mut BuildContext::default()).err().unwrap();
        assert_eq!(build(json!({"keep": "newest", "keep_signatures": true}))[0].key, "keep");
        assert_eq!(build(json!({"keep": {"highest": "x.y"}}))[0].key, "keep.highest");
    }

    #[test]
    fn whoever_stays_may_know_how_many_it_stands_for() {
        let docs = docs_of(&[vec!["a", "b", "a"], vec!["c", "A", "b", "d"]]);
        for keep in [Survivor::First, Survivor::Longest] {
            let config = Config { keep_counts: true, keep, ..Config::default() };
            let stage = Stage { rows_per_task: 2, gather_above: 1, ..Stage::new(config) };
            let scored = removals_of(Arc::new(stage), &docs, &Setup::default());
            let scored = scored.into_iter().filter_map(|(id, removal)| match removal {
                crate::stage::Removal::Scored { value, .. } => Some((id, value)),
                _ => None,
            });
            let wanted = [("0.0", 3.0), ("0.1", 2.0), ("1.0", 1.0), ("1.3", 1.0)];
            assert_eq!(scored.collect::<Vec<_>>(), wanted.map(|(id, value)| (id.to_owned(), value)));
        }
    }

    #[test]
    fn nothing_in_nothing_out() {
        assert_eq!(run_barrier(stage(1 << 20), &[], &Setup::default()), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn one_of_each_text_stays_whatever_the_order_of_work(
            splits in prop::collection::vec(prop::collection::vec("[ab]{0,3}", 0..30), 0..5),
            order in any::<u64>(),
            part_docs in 1_u64..40,
            rows_per_task in 10_u64..100,
        ) {
            let docs = docs_of(&splits);
            let setup = Setup { order, part_docs, memory_bytes: 1 << 10 };
            let removals = run_barrier(stage(rows_per_task), &docs, &setup);
            prop_assert_eq!(&removals, &run_barrier(stage(1 << 20), &docs, &Setup::default()));
            let stay = survivors(&docs, &removals);
            let mut texts: Vec<&str> = docs.iter().map(|doc| doc.text.as_str()).collect();
            texts.sort_unstable();
            texts.dedup();
            prop_assert_eq!(stay.len(), texts.len());
            prop_assert_eq!(run_barrier(stage(1 << 20), &stay, &setup), []);
        }
    }
}
