//! `top_ratio`: keeps the best share of the corpus by a score that an earlier stage added.
//!
//! Source: DCLM-Baseline (Li et al. 2024) keeps the top tenth of its documents by a classifier's score; FineWeb2 and
//! Nemotron-CC cut by quantiles too. They compute the threshold beforehand on a sample; here the quantile is taken
//! over the very documents that come to this stage, exactly.
//!
//! Of `n` documents with a score, the score of number `ceil(keep_ratio * n)`, counted from the best, is the limit, and
//! documents that reach it stay. Equal scores are treated alike, so a few more than the share can stay. Documents
//! without the score go. With `within`, each language or source has a limit of its own, so that a classifier's taste
//! for one of them does not decide how much of the others is left.
//!
//! Files: per part the documents' scores in their order. One task sorts them within its memory and writes the limits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pass_name;
use super::records::{take_u32, take_u64};
use crate::document::{Document, Ordinal, Reason};
use crate::error::{Error, Result};
use crate::io::runs::{Record, RunReader, RunSorter};
use crate::io::{self, AtomicFile};
use crate::stage::{
    Barrier, BuildContext, Built, Context, Kind, Observer, OptionError, Pass, Removal, Removals, StageSpec,
    TaskEnv, TaskReport, parse_options, schema_of,
};

/// Describes the stage.
pub static SPEC: StageSpec = StageSpec {
    name: "top_ratio",
    kind: Kind::Dedup,
    needs_text: true,
    summary: "Keeps the best share of the corpus, or of each language or source, by a score of an earlier stage.",
    source: "DCLM-Baseline's top tenth; the quantile is exact, over the documents that reach this stage.",
    reasons: &[
        ("below_top_ratio", "the score is not among the best share's"),
        ("score_missing", "the document does not have the score"),
    ],
    scores: &[],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Options of `top_ratio`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The score, with its stage in front: `classifier.score`. An earlier stage must add it.
    pub score: String,
    /// Share of the documents with a score that stays, above 0 and up to 1. Documents whose score is that of the last
    /// one that stays do too.
    #[schemars(range(min = 0.000_000_001, max = 1.0))]
    pub keep_ratio: f64,
    /// Which scores are good. Default `highest`.
    #[serde(default)]
    pub best: Best,
    /// What the share is of. Default `corpus`.
    #[serde(default)]
    pub within: Within,
}

/// Which scores are good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Best {
    /// High ones.
    #[default]
    Highest,
    /// Low ones, as of a perplexity.
    Lowest,
}

/// What the share is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// All documents.
    #[default]
    Corpus,
    /// The documents of each language; those without a language are a group of their own.
    Language,
    /// The documents of each input (`source`).
    Source,
}

fn build(options: serde_json::Value, cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    if !cx.scores.contains(&config.score) {
        let error = OptionError::new("score", format!("no earlier stage adds the score `{}`", config.score));
        return Err(vec![match cx.scores.as_slice() {
            [] => error.hint("put a stage that adds scores before this one, such as `classifier`"),
            known => error.hint(format!("scores at this place: {}", known.join(", "))),
        }]);
    }
    Ok(Built::Barrier(Arc::new(Stage { config })))
}

/// The stage.
pub struct Stage {
    config: Config,
}

impl Stage {
    /// A score as a key that rises from the best to the worst; none for a missing one.
    fn key(&self, doc: &Document) -> Option<u64> {
        let (_, score) = doc.scores.iter().rev().find(|(name, _)| *name == self.config.score)?;
        if score.is_nan() {
            return None;
        }
        // Both zeros are one value.
        let bits = (score + 0.0).to_bits();
        let rising = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
        Some(if self.config.best == Best::Highest { !rising } else { rising })
    }

    /// The score that has this key.
    fn score(&self, key: u64) -> f64 {
        let rising = if self.config.best == Best::Highest { !key } else { key };
        f64::from_bits(if rising >> 63 == 1 { rising & !(1 << 63) } else { !rising })
    }

    fn group<'d>(&self, doc: &'d Document) -> &'d str {
        match self.config.within {
            Within::Corpus => "",
            Within::Language => doc.language.as_deref().unwrap_or(""),
            Within::Source => &doc.source,
        }
    }
}

impl Barrier for Stage {
    fn signature(&self, doc: &Document, _cx: &mut Context) -> Vec<u8> {
        let key = self.key(doc);
        let mut signature = vec![u8::from(key.is_some())];
        signature.extend_from_slice(&key.unwrap_or(0).to_le_bytes());
        signature.extend_from_slice(self.group(doc).as_bytes());
        signature
    }

    fn observer(&self, dir: &Path, task: u32, part: u32, _memory_bytes: u64) -> Result<Box<dyn Observer>> {
        let path = scores_folder(dir).join(format!("{task:07}-{part:07}.scores"));
        Ok(Box::new(PartScores { out: AtomicFile::create(&path)?, path, groups: BTreeSet::new() }))
    }

    fn passes(self: Arc<Self>, dir: PathBuf) -> Vec<Box<dyn Pass>> {
        vec![Box::new(LimitPass { name: pass_name(&dir, "limits"), dir, stage: self })]
    }

    fn removals(&self, dir: &Path, split: u32) -> Result<Box<dyn Removals>> {
        let mut parts = io::list(scores_folder(dir), ".scores")?;
        let prefix = format!("{split:07}-");
        parts.retain(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix.as_str()))
        });
        Ok(Box::new(BelowLimit {
            parts: parts.into(),
            current: None,
            limits: read_limits(dir)?,
            stage: Self { config: self.config.clone() },
        }))
    }
}

/// Limits by the hash of their group.
fn read_limits(dir: &Path) -> Result<BTreeMap<u64, Limit>> {
    let limits: Vec<Limit> = io::read_json(dir.join("limits.json"))?;
    Ok(limits.into_iter().map(|limit| (hash(&limit.group), limit)).collect())
}

fn scores_folder(dir: &Path) -> PathBuf {
    dir.join("scores")
}

fn hash(group: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(group.as_bytes())
}

/// What is kept of a document. Sorted by group, then from the best score to the worst; missing ones last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Scored {
    group: u64,
    missing: bool,
    key: u64,
    ordinal: Ordinal,
}

impl Record for Scored {
    const BYTES: usize = 29;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.group.to_le_bytes());
        out.push(u8::from(self.missing));
        out.extend_from_slice(&self.key.to_le_bytes());
        out.extend_from_slice(&self.ordinal.split.to_le_bytes());
        out.extend_from_slice(&self.ordinal.record.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        Self {
            group: take_u64(bytes, 0),
            missing: bytes[8] != 0,
            key: take_u64(bytes, 9),
            ordinal: Ordinal { split: take_u32(bytes, 17), record: take_u64(bytes, 21) },
        }
    }
}

/// Writes the scores of one part, and beside them the names of its groups.
struct PartScores {
    out: AtomicFile,
    path: PathBuf,
    groups: BTreeSet<String>,
}

impl Observer for PartScores {
    fn observe(&mut self, ordinal: Ordinal, id: &str, signature: &[u8]) -> Result<()> {
        let cut = || Error::Failed(format!("document `{id}` has a cut signature"));
        let (numbers, group) = signature.split_at_checked(9).ok_or_else(cut)?;
        let group = std::str::from_utf8(group).map_err(|_| cut())?;
        if !self.groups.contains(group) {
            self.groups.insert(group.to_owned());
        }
        let mut bytes = Vec::with_capacity(Scored::BYTES);
        let (missing, key) = (numbers[0] == 0, take_u64(numbers, 1));
        Scored { group: hash(group), missing, key, ordinal }.encode(&mut bytes);
        self.out.write(&bytes)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        io::write_json(self.path.with_extension("groups"), &self.groups)?;
        self.out.commit()
    }
}

/// What was found for a group; `limits.json` lists them by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Limit {
    group: String,
    documents: u64,
    without_score: u64,
    /// Key of the last document that stays; none where no document has the score.
    key: Option<u64>,
}

/// Finds every group's limit.
struct LimitPass {
    name: String,
    dir: PathBuf,
    stage: Arc<Stage>,
}

impl Pass for LimitPass {
    fn name(&self) -> &str {
        &self.name
    }

    fn tasks(&self) -> Result<u32> {
        Ok(1)
    }

    fn run(&self, _task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let mut groups: BTreeMap<u64, Limit> = BTreeMap::new();
        for path in io::list(scores_folder(&self.dir), ".groups")? {
            for group in io::read_json::<BTreeSet<String>>(path)? {
                let limit = Limit { group, documents: 0, without_score: 0, key: None };
                groups.insert(hash(&limit.group), limit);
            }
        }
        let mut sorter = RunSorter::new(self.dir.join("scratch"), env.memory_bytes / 3);
        for path in io::list(scores_folder(&self.dir), ".scores")? {
            env.check_cancel()?;
            for scored in RunReader::<Scored>::open(path)? {
                let scored = scored?;
                if let Some(limit) = groups.get_mut(&scored.group) {
                    limit.documents += 1;
                    limit.without_score += u64::from(scored.missing);
                }
                sorter.push(scored)?;
            }
        }
        let (mut current, mut place) = (None, 0);
        for (number, scored) in sorter.finish()?.enumerate() {
            if number % (1 << 16) == 0 {
                env.check_cancel()?;
            }
            let scored = scored?;
            if current != Some(scored.group) {
                (current, place) = (Some(scored.group), 0);
            }
            place += 1;
            if let Some(limit) = groups.get_mut(&scored.group)
                && !scored.missing
                && place == kept(limit.documents - limit.without_score, self.stage.config.keep_ratio)
            {
                limit.key = Some(scored.key);
            }
        }
        let mut limits: Vec<Limit> = groups.into_values().collect();
        limits.sort_by(|a, b| a.group.cmp(&b.group));
        io::write_json(self.dir.join("limits.json"), &limits)?;
        let mut report = TaskReport::default();
        let sum = |of: fn(&Limit) -> u64| limits.iter().map(of).sum::<u64>();
        report.counts.insert("groups".to_owned(), limits.len() as u64);
        report.counts.insert("scored".to_owned(), sum(|limit| limit.documents - limit.without_score));
        Ok(report)
    }
}

/// How many of so many documents stay: at least one, at most all.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the number of documents"
)]
fn kept(documents: u64, ratio: f64) -> u64 {
    // A ratio like 0.1 is not a binary fraction: 0.1 * 30 is a little above 3, and 3 are meant.
    let share = documents as f64 * ratio;
    let whole = share.round();
    let count = if (share - whole).abs() < 1e-9 * share.max(1.0) { whole } else { share.ceil() };
    (count as u64).clamp(1, documents.max(1))
}

/// Removals of one split: reads its scores along with the documents.
struct BelowLimit {
    parts: VecDeque<PathBuf>,
    current: Option<RunReader<Scored>>,
    limits: BTreeMap<u64, Limit>,
    stage: Stage,
}

impl BelowLimit {
    fn next(&mut self) -> Result<Option<Scored>> {
        loop {
            if let Some(scored) = self.current.as_mut().and_then(Iterator::next) {
                return scored.map(Some);
            }
            match self.parts.pop_front() {
                Some(path) => self.current = Some(RunReader::open(path)?),
                None => return Ok(None),
            }
        }
    }
}

impl Removals for BelowLimit {
    fn lookup(&mut self, ordinal: Ordinal) -> Result<Option<Removal>> {
        loop {
            let Some(scored) = self.next()? else { return Ok(None) };
            if scored.ordinal < ordinal {
                continue;
            }
            let limit =
                self.limits.get(&scored.group).filter(|_| scored.ordinal == ordinal).ok_or_else(|| {
                    Error::Failed(format!(
                        "record {} of split {} has no score on disk",
                        ordinal.record, ordinal.split
                    ))
                })?;
            let reason = match limit.key {
                _ if scored.missing => Reason::new("score_missing"),
                Some(key) if scored.key > key => {
                    Reason::measured("below_top_ratio", self.stage.score(scored.key), self.stage.score(key))
                }
                _ => return Ok(None),
            };
            let reason = if limit.group.is_empty() { reason } else { reason.detail(limit.group.clone()) };
            return Ok(Some(Removal::Dropped(reason)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testkit::{Setup, docs_of, removals_of};
    use super::*;

    fn stage(keep_ratio: f64, best: Best, within: Within) -> Arc<Stage> {
        Arc::new(Stage { config: Config { score: "c.score".to_owned(), keep_ratio, best, within } })
    }

    fn scored(scores: &[&[Option<f64>]]) -> Vec<Document> {
        let texts: Vec<Vec<&str>> = scores.iter().map(|split| vec![""; split.len()]).collect();
        let mut docs = docs_of(&texts);
        for (doc, score) in docs.iter_mut().zip(scores.iter().copied().flatten()) {
            doc.scores.extend(score.map(|score| ("c.score".to_owned(), score)));
        }
        docs
    }

    fn gone(stage: Arc<Stage>, docs: &[Document]) -> Vec<(String, Reason)> {
        removals_of(stage, docs, &Setup::default())
            .into_iter()
            .map(|(id, removal)| match removal {
                Removal::Dropped(reason) => (id, reason),
                other => panic!("{id} is not dropped: {other:?}"),
            })
            .collect()
    }

    fn ids(gone: &[(String, Reason)]) -> Vec<&str> {
        gone.iter().map(|(id, _)| id.as_str()).collect()
    }

    #[test]
    fn the_best_share_stays_and_equal_scores_are_treated_alike() {
        let docs = scored(&[&[Some(0.1), Some(0.9), None], &[Some(0.5), Some(-2.0), Some(0.5)]]);
        let half = gone(stage(0.4, Best::Highest, Within::Corpus), &docs);
        // Two of five with a score; 0.5 is there twice.
        assert_eq!(ids(&half), ["0.0", "0.2", "1.1"]);
        assert_eq!(half[0].1, Reason::measured("below_top_ratio", 0.1, 0.5));
        assert_eq!(half[1].1, Reason::new("score_missing"));
        assert_eq!(half[2].1, Reason::measured("below_top_ratio", -2.0, 0.5));
        assert_eq!(
            ids(&gone(stage(0.2, Best::Highest, Within::Corpus), &docs)),
            ["0.0", "0.2", "1.0", "1.1", "1.2"]
        );
        assert_eq!(ids(&gone(stage(0.4, Best::Lowest, Within::Corpus), &docs)), ["0.1", "0.2", "1.0", "1.2"]);
        assert_eq!(ids(&gone(stage(1.0, Best::Lowest, Within::Corpus), &docs)), ["0.2"]);
        assert_eq!(ids(&gone(stage(1e-9, Best::Highest, Within::Corpus), &docs)).len(), 5);
    }

    #[test]
    fn each_language_keeps_its_share() {
        let mut docs = scored(&[&[Some(0.9), Some(0.8), Some(0.2), Some(0.1), Some(0.0)]]);
        for (doc, language) in docs.iter_mut().zip([Some("en"), Some("en"), Some("sw"), Some("sw"), None]) {
            doc.language = language.map(str::to_owned);
        }
        let gone = gone(stage(0.5, Best::Highest, Within::Language), &docs);
        assert_eq!(ids(&gone), ["0.1", "0.3"]);
        assert_eq!(gone[1].1, Reason::measured("below_top_ratio", 0.1, 0.2).detail("sw"));
    }

    #[test]
    fn shares_of_counts() {
        for (documents, ratio, expected) in
            [(30, 0.1, 3), (31, 0.1, 4), (1, 0.1, 1), (0, 0.5, 1), (7, 1.0, 7), (1000, 0.3, 300)]
        {
            assert_eq!(kept(documents, ratio), expected, "{ratio} of {documents}");
        }
    }

    #[test]
    fn a_score_that_nobody_adds_is_a_mistake() {
        let options = serde_json::json!({"score": "c.score", "keep_ratio": 0.1});
        let mut cx = BuildContext { scores: vec!["classifier.score".to_owned()], ..BuildContext::default() };
        let errors = (SPEC.build)(options.clone(), &mut cx).err().unwrap();
        assert_eq!(errors[0].message, "no earlier stage adds the score `c.score`");
        assert_eq!(errors[0].hint.as_deref(), Some("scores at this place: classifier.score"));
        cx.scores.push("c.score".to_owned());
        assert!((SPEC.build)(options, &mut cx).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn the_order_of_work_changes_nothing(
            scores in prop::collection::vec(prop::collection::vec(prop::option::of(-3_i8..4), 0..30), 1..4),
            order in any::<u64>(),
            part_docs in 4_u64..30,
            ratio in 0.01_f64..1.0,
        ) {
            let scores: Vec<Vec<Option<f64>>> =
                scores.iter().map(|split| split.iter().map(|s| s.map(f64::from)).collect()).collect();
            let slices: Vec<&[Option<f64>]> = scores.iter().map(Vec::as_slice).collect();
            let docs = scored(&slices);
            let setup = Setup { order, part_docs, memory_bytes: 1 << 10 };
            let found = removals_of(stage(ratio, Best::Highest, Within::Corpus), &docs, &setup);
            let plain = removals_of(stage(ratio, Best::Highest, Within::Corpus), &docs, &Setup::default());
            prop_assert_eq!(&found, &plain);
            // By definition: what stays are all documents that reach the score of the last of the best share.
            let mut all: Vec<f64> = scores.iter().flatten().copied().flatten().collect();
            all.sort_by(|a, b| b.total_cmp(a));
            let limit = all.get(usize::try_from(kept(all.len() as u64, ratio)).unwrap() - 1).copied();
            for doc in &docs {
                let stays = doc.scores.first().is_some_and(|(_, score)| Some(*score) >= limit);
                prop_assert_eq!(stays, !found.iter().any(|(id, _)| *id == doc.id));
            }
        }
    }
}
