//! Options per language from a reference corpus: stop words by frequency, limits by quantile.
//!
//! Source: FineWeb2 (Penedo et al. 2025), which takes the words above a share of a reference corpus (Wikipedia and the
//! like) for stop words, at least eight, and places each limit of its filters by the distribution of the measured value over
//! such a corpus. The values here are those that the filters themselves measure: every filter is run on every
//! document, and [`crate::stage::StageSpec::limits`] says which score belongs to which option. What comes out is
//! a table for `per_language`.
//!
//! We differ in three things. A limit is set beyond the quantile, by a share of its distance from the median,
//! because web pages vary more than a reference corpus. Except for a few options that describe the language
//! itself, a table only widens what the general options demand and never narrows it. And the share of stop words
//! (`text_ratios`) is asked to be well above what a shuffle of the language's letters would give, which scrambled
//! text has; the number of different ones, FineWeb2's rule, says little of long pages.
//!
//! Two passes over the corpus: [`Words`] finds the stop words, [`Scores`] measures with them. Nothing depends
//! on the order of files with other languages in between; the order of one language's documents matters only
//! where `max_docs` cuts it off.

mod limits;
mod stop_words;
mod table;

use std::collections::BTreeMap;

use crate::document::{Document, Ordinal};
use crate::error::{Error, Result};
use crate::pipeline::check::fill_defaults;
use crate::pipeline::registry::{Section, find, has_mode};
use crate::stage::{BuildContext, Built, Context, DocStage, StageSpec};
use limits::{Proposal, STOP_WORD_SCORES, Sample};
use stop_words::Choice;
pub use stop_words::Words;

/// The filters that are measured unless others are named: FineWeb2's, and `text_ratios` for its share of stop
/// words.
pub const STAGES: [&str; 4] = ["gopher_repetition", "fineweb_quality", "gopher_quality", "text_ratios"];

/// Words from the start of a document in which stop words are looked for: about as many as the shortest pages that
/// the filters keep have. Longer ones have more different stop words.
const STOP_WORD_WINDOW: usize = 100;

/// How limits are placed and stop words chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Filters to measure.
    pub stages: Vec<String>,
    /// Share of the documents that may lie beyond a limit before its margin, 0 to 0.5.
    pub quantile: f64,
    /// How far beyond the quantile a limit is set, as a share of the distance between quantile and median.
    pub margin: f64,
    /// Smallest share of the words that a stop word makes up, 0 to 1.
    pub min_stop_word_ratio: f64,
    /// Most stop words per language.
    pub max_stop_words: usize,
    /// Fewest documents of a language in the table.
    pub min_docs: u64,
    /// Documents per language that are looked at; the rest is passed over.
    pub max_docs: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stages: STAGES.map(str::to_owned).to_vec(),
            quantile: 0.01,
            margin: 0.75,
            min_stop_word_ratio: 0.001,
            max_stop_words: 60,
            min_docs: 10,
            max_docs: 20_000,
        }
    }
}

/// The second pass: runs the filters and keeps what they measure.
pub struct Scores {
    settings: Settings,
    languages: BTreeMap<String, Language>,
    context: Context,
}

struct Language {
    stop_words: Choice,
    stages: Vec<Measured>,
    docs: u64,
    words: u64,
    /// Words that stand behind another one without a space.
    unspaced: u64,
}

/// One filter with its values so far.
struct Measured {
    spec: &'static StageSpec,
    stage: Box<dyn DocStage>,
    /// Its options, with the language's stop words.
    options: serde_json::Value,
    /// Values by score.
    samples: BTreeMap<&'static str, Sample>,
}

impl Scores {
    /// Prepares the filters for every language that `words` has seen.
    ///
    /// # Errors
    /// [`Error::User`] for a name that is no filter, or one whose verdict does not come from limits.
    pub fn new(settings: &Settings, words: Words) -> Result<Self> {
        let mut languages = BTreeMap::new();
        for (language, stop_words) in words.choose(settings) {
            let stages: Result<Vec<_>> =
                settings.stages.iter().map(|name| Measured::new(name, &stop_words.words)).collect();
            languages
                .insert(language, Language { stop_words, stages: stages?, docs: 0, words: 0, unspaced: 0 });
        }
        Ok(Self { settings: settings.clone(), languages, context: Context::default() })
    }

    /// Measures one document. One of a language that the first pass has not seen is passed over.
    pub fn add(&mut self, language: &str, text: &str) {
        let max_docs = self.settings.max_docs;
        let seen = self.languages.get_mut(language).is_some_and(|language| language.docs < max_docs);
        if seen {
            self.measure(language, text);
        }
    }

    fn measure(&mut self, language: &str, text: &str) {
        let Some(language) = self.languages.get_mut(language) else { return };
        let context = &mut self.context;
        context.features.reset();
        language.docs += 1;
        language.words += context.features.word_counts(text).non_symbol_words;
        language.unspaced += context
            .features
            .words(text)
            .iter()
            .filter(|word| word.has_letter() && !word.opens_chunk())
            .count() as u64;
        let window_bytes =
            context.features.words(text).get(STOP_WORD_WINDOW).map_or(text.len(), |word| word.start as usize);
        for measured in &mut language.stages {
            measured.measure(text, context, |score| !STOP_WORD_SCORES.contains(&score));
        }
        let Some((start, _)) = text.split_at_checked(window_bytes) else { return };
        context.features.reset();
        for measured in &mut language.stages {
            measured.measure(start, context, |score| STOP_WORD_SCORES.contains(&score));
        }
    }

    /// The table, as YAML with the evidence in comments.
    #[must_use]
    pub fn table(self) -> String {
        let Self { settings, languages, .. } = self;
        let mut entries = Vec::new();
        for (code, language) in languages.into_iter().filter(|(_, language)| language.docs > 0) {
            let spaceless = language.unspaced * 2 > language.words;
            let mut stages = Vec::new();
            for measured in language.stages {
                let name = measured.spec.name;
                let stop_words =
                    if measured.has_stop_words() { language.stop_words.words.clone() } else { Vec::new() };
                let proposals = measured.proposals(&settings, spaceless, language.stop_words.chance);
                stages.push(table::Stage { name, stop_words, proposals });
            }
            entries.push(table::Entry { code, docs: language.docs, words: language.words, stages });
        }
        table::render(&settings, &entries)
    }
}

impl Measured {
    fn new(name: &str, stop_words: &[String]) -> Result<Self> {
        let spec = find(Section::Stages, name)
            .filter(|spec| has_mode(spec.kind))
            .ok_or_else(|| Error::User(format!("there is no filter `{name}`")))?;
        if spec.limits.is_empty() {
            return Err(Error::User(format!(
                "`{name}` has no limits on measured values, nothing to propose"
            )));
        }
        let mut options = serde_json::json!({});
        fill_defaults(&mut options, &serde_json::Value::from((spec.schema)()));
        let mut built_options = options.clone();
        if let Some(list) = built_options.get_mut("stop_words") {
            *list = serde_json::json!(stop_words);
            // A short list may hold fewer words than the general options ask for.
            if let Some(wanted) = built_options.get_mut("min_stop_words") {
                *wanted = serde_json::json!(0);
            }
        }
        if let Some(all) = built_options.get_mut("measure_all") {
            *all = serde_json::json!(true);
        }
        match (spec.build)(built_options, &mut BuildContext::default()) {
            Ok(Built::Doc(stage)) => Ok(Self { spec, stage, options, samples: BTreeMap::new() }),
            Ok(_) => Err(Error::Failed(format!("`{name}` is no filter"))),
            Err(errors) => {
                let list: Vec<String> = errors.into_iter().map(|error| error.message).collect();
                Err(Error::User(format!(
                    "`{name}` cannot be measured with its default options, and only with these are filters measured \
                     here: {}; limits for it can be taken from the report of a run that has it in `mode: annotate`",
                    list.join("; ")
                )))
            }
        }
    }

    fn has_stop_words(&self) -> bool {
        self.options.get("stop_words").is_some()
    }

    /// Runs the filter on a text and keeps the scores that are `wanted`.
    fn measure(&mut self, text: &str, context: &mut Context, wanted: impl Fn(&str) -> bool) {
        if !self.spec.limits.iter().any(|limit| wanted(limit.score)) {
            return;
        }
        let mut doc = Document::new(Ordinal { split: 0, record: 0 }, String::new(), text.to_owned());
        self.spec.name.clone_into(&mut context.stage);
        // The verdict is of no interest, scores are added before it.
        if self.stage.process(&mut doc, context) == crate::document::Outcome::Changed {
            context.features.reset();
        }
        for (name, value) in doc.scores {
            let Some(score) = name.strip_prefix(self.spec.name).and_then(|rest| rest.strip_prefix('.'))
            else {
                continue;
            };
            let limit = self.spec.limits.iter().find(|limit| limit.score == score && wanted(score));
            if let Some(limit) = limit {
                self.samples.entry(limit.score).or_default().add(value);
            }
        }
    }

    fn proposals(mut self, settings: &Settings, spaceless: bool, chance: f64) -> Vec<Proposal> {
        let schema = serde_json::Value::from((self.spec.schema)());
        let mut proposals = Vec::new();
        for limit in self.spec.limits {
            if let Some(sample) = self.samples.get_mut(limit.score) {
                let general = self.options.get(limit.option).and_then(serde_json::Value::as_f64);
                let place = limits::Place {
                    stage: self.spec.name,
                    limit,
                    general,
                    spaceless,
                    chance,
                    whole: limits::is_whole(&schema, limit.option),
                };
                proposals.extend(limits::propose(&place, sample, settings));
            }
        }
        proposals
    }
}

#[cfg(test)]
mod tests;
