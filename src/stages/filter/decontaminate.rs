//! `decontaminate`: evaluation sets are kept out of the corpus.
//!
//! Source: GPT-3 (Brown et al. 2020, appendix C): n-grams of 13 words in lower case without punctuation that the page shares
//! with an example; around each 200 characters go, pieces shorter than 200 characters go, pages in more than 10 pieces go. Megatron
//! and old NeMo (`TaskDecontamination`) have the same with `remove_char_each_side`, `min_document_length` and `max_splits`;
//! datatrove (`NGramsDecontFilter`) drops every page with a shared 12-gram.
//!
//! A hit here: `ngram_words` words of an example whose letters and digits all stand in the page one after the other, with
//! anything else between them. Case, punctuation, white space, accents and compatibility forms (`ﬁ`, full width) can be other
//! ones, words of the page can be run together or pulled apart. Where we differ:
//! * an n-gram is compared letter by letter; datatrove trusts a hash of 64 bits;
//! * numbers stay as they are (datatrove makes all of them `0`, so that tables of numbers hit);
//! * n-grams without a letter, or with fewer than 16 bytes of letters and digits, are not looked for;
//! * fields with fewer words than an n-gram are looked for as a whole (GPT-3 lowers n to 8 for whole sets);
//! * words are only asked for in the examples, so that Chinese works however a page would be cut into words;
//! * GPT-3 ignores n-grams of many pages; a stream cannot, so `min_ngrams` and `min_overlap_ratio` ask for more of an
//!   example;
//! * datatrove's n-grams across the border of question and answer are not looked for: each field is found by itself;
//! * what is left after a cut stays one document, with blank lines between the pieces.
//!
//! Every example that is found is a row of `hits/`, with the text around it.

mod cut;
mod index;
mod page;
mod sets;
#[cfg(test)]
mod tests;
mod units;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Document, Outcome, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Hit, Kind, OptionError, ScoreSpec, SearchedSet, StageSpec,
    parse_options, schema_of,
};
use index::{Builder, Index};
use page::{Findings, Found, Scratch, Threshold};
pub use sets::{Format, Set};
use units::Unit;

/// How the pipeline room knows this stage.
pub static SPEC: StageSpec = StageSpec {
    name: "decontaminate",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Drops pages that hold examples of evaluation sets, cuts the examples out, or marks the pages.",
    source: "GPT-3 (13-grams, windows of 200 characters); compared with datatrove's NGramsDecontFilter",
    reasons: &[
        ("contaminated", "text of an example of an evaluation set stands in the page (`action: drop_page`)"),
        ("too_many_pieces", "what is cut out leaves more pieces than `max_pieces`"),
        ("nothing_left", "what is cut out leaves no piece of `min_piece_chars`"),
    ],
    scores: &[
        ScoreSpec { name: "examples", doc: "examples that were found", min: 0.0, max: 20.0 },
        ScoreSpec {
            name: "ngrams",
            doc: "different n-grams of one field of an example, the most of any, enough or not",
            min: 0.0,
            max: 100.0,
        },
        ScoreSpec {
            name: "overlap_ratio",
            doc: "share of the n-grams of one field of an example, the largest of any, enough or not",
            min: 0.0,
            max: 1.0,
        },
    ],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// What becomes of a page with examples in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It goes.
    #[default]
    DropPage,
    /// The examples go, each with a window around it; the page goes where too little or too many pieces are left.
    CutMatch,
    /// It stays as it is, with its scores; `hits/` has what was found. Unlike `mode: annotate` it gets no verdict.
    Annotate,
}

/// Options of `decontaminate`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The evaluation sets: a list of `{ name, path, fields, format }`. At least one.
    pub sets: Vec<Set>,
    /// Words in an n-gram, 1 to 100. Words are those of the example, between white space, in lower case, without punctuation; in
    /// scripts without spaces those of a dictionary. Not beside `ngram_chars`. Default: 13.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    pub ngram_words: Option<u32>,
    /// Letters and digits in an n-gram, 16 to 1000, in place of words; an n-gram can then begin inside a word. Default: none.
    #[serde(default)]
    #[schemars(range(min = 16, max = 1000))]
    pub ngram_chars: Option<u32>,
    /// Fewest words of a field that is shorter than an n-gram for it to be looked for as a whole; one with exactly so many is.
    /// Default: 8.
    #[serde(default = "default_min_words")]
    #[schemars(range(min = 1))]
    pub min_words: u32,
    /// Fewest different n-grams of a field that make a hit; a page with exactly so many has one. A field that has fewer must be there
    /// whole. Default: 1.
    #[serde(default = "default_min_ngrams")]
    #[schemars(range(min = 1))]
    pub min_ngrams: u32,
    /// Smallest share of a field's different n-grams that makes a hit, 0 to 1; a page with exactly this share has one. Both this and
    /// `min_ngrams` must be reached. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_overlap_ratio: f64,
    /// What becomes of a page with a hit. Default: `drop_page`.
    #[serde(default)]
    pub action: Action,
    /// Characters that go on each side of a match, and the rest of a word that the border cuts. For `action: cut_match`.
    /// Default: 200.
    #[serde(default)]
    pub window_chars: Option<u32>,
    /// Fewest characters of a piece between or beside cuts, white space at its ends left out; one with exactly so many stays. For
    /// `action: cut_match`. Default: 200.
    #[serde(default)]
    pub min_piece_chars: Option<u32>,
    /// Most pieces into which cuts may take a page apart, short ones counted, ones without any text not; a page in exactly so many
    /// stays. `null` for no limit. For `action: cut_match`. Default: 10.
    #[serde(default)]
    pub max_pieces: MaxPieces,
}

/// A number, `null`, or nothing said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MaxPieces {
    /// Nothing said.
    #[default]
    Default,
    /// What the pipeline says.
    Given(Option<u32>),
}

impl<'de> Deserialize<'de> for MaxPieces {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::Given(Option::deserialize(deserializer)?))
    }
}

impl JsonSchema for MaxPieces {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MaxPieces".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["integer", "null"], "minimum": 1 })
    }
}

fn default_min_words() -> u32 {
    8
}

fn default_min_ngrams() -> u32 {
    1
}

const DEFAULT_NGRAM_WORDS: u32 = 13;
const DEFAULT_WINDOW_CHARS: u32 = 200;
const DEFAULT_MIN_PIECE_CHARS: u32 = 200;
const DEFAULT_MAX_PIECES: u32 = 10;
/// Characters in front of and behind a match in `hits/`.
const CONTEXT_CHARS: usize = 80;
/// Characters of a match in `hits/`.
const MATCH_CHARS: usize = 400;

fn build(options: serde_json::Value, cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let mut errors = mistakes(&config);
    let (unit, n) = match config.ngram_chars {
        Some(n) => (Unit::Characters, n),
        None => (Unit::Words, config.ngram_words.unwrap_or(DEFAULT_NGRAM_WORDS)),
    };
    let mut builder = Builder::new(unit, n as usize, config.min_words as usize);
    let mut sets = Vec::new();
    for (place, set) in config.sets.iter().enumerate() {
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        match sets::load(cx, &format!("sets.{place}"), number, set, &mut builder) {
            Ok(loaded) => sets.push(SetNames {
                name: loaded.name.into(),
                fields: loaded.fields.into_iter().map(Arc::from).collect(),
                ids: loaded.ids,
                too_short: loaded.too_short,
            }),
            Err(found) => errors.extend(found),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Built::Doc(Box::new(Stage {
        index: builder.build(),
        sets,
        threshold: Threshold { min_ngrams: config.min_ngrams, min_overlap_ratio: config.min_overlap_ratio },
        action: config.action,
        window_chars: config.window_chars.unwrap_or(DEFAULT_WINDOW_CHARS) as usize,
        min_piece_chars: config.min_piece_chars.unwrap_or(DEFAULT_MIN_PIECE_CHARS) as usize,
        max_pieces: match config.max_pieces {
            MaxPieces::Default => Some(DEFAULT_MAX_PIECES as usize),
            MaxPieces::Given(given) => given.map(|max| max as usize),
        },
    })))
}

fn mistakes(config: &Config) -> Vec<OptionError> {
    let mut errors = Vec::new();
    if config.sets.is_empty() {
        errors.push(
            OptionError::new("sets", "there is no evaluation set")
                .hint("give `sets: [{ name: gsm8k, path: gsm8k/test.jsonl }]`"),
        );
    }
    for (place, set) in config.sets.iter().enumerate() {
        if config.sets[..place].iter().any(|other| other.name == set.name) {
            errors.push(OptionError::new(
                format!("sets.{place}.name"),
                format!("a second set with the name `{}`", set.name),
            ));
        }
    }
    if config.ngram_chars.is_some() && config.ngram_words.is_some() {
        errors.push(
            OptionError::new("ngram_chars", "n-grams are of words or of characters, not both")
                .hint("take out `ngram_words`"),
        );
    }
    for (key, given) in [
        ("window_chars", config.window_chars.is_some()),
        ("min_piece_chars", config.min_piece_chars.is_some()),
        ("max_pieces", config.max_pieces != MaxPieces::Default),
    ] {
        if given && config.action != Action::CutMatch {
            errors.push(
                OptionError::new(key, "nothing is cut out, so there are no pieces")
                    .hint("set `action: cut_match`, or take it out"),
            );
        }
    }
    errors
}

/// What messages and tables call things.
struct SetNames {
    name: Arc<str>,
    fields: Vec<Arc<str>>,
    ids: Vec<Option<String>>,
    too_short: u32,
}

struct Stage {
    index: Index,
    sets: Vec<SetNames>,
    threshold: Threshold,
    action: Action,
    window_chars: usize,
    min_piece_chars: usize,
    max_pieces: Option<usize>,
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let findings = page::find(&self.index, self.threshold, &doc.text, &mut Scratch::default());
        let mut examples: Vec<_> =
            findings.found.iter().map(|found| (found.passage.set, found.passage.example)).collect();
        examples.dedup();
        cx.score(doc, "examples", examples.len() as f64);
        cx.score(doc, "ngrams", f64::from(findings.most_ngrams));
        cx.score(doc, "overlap_ratio", findings.overlap_ratio);
        if findings.found.is_empty() {
            return Outcome::Keep;
        }
        let hits: Vec<Hit> = findings.found.iter().map(|found| self.hit(&doc.text, found)).collect();
        let outcome = match self.action {
            Action::Annotate => Outcome::Keep,
            Action::DropPage => Outcome::Drop(with_best(Reason::new("contaminated"), &findings, &hits)),
            Action::CutMatch => self.cut(doc, &findings, &hits),
        };
        cx.hits.extend(hits);
        outcome
    }

    fn searched_sets(&self) -> Vec<SearchedSet> {
        let set = |set: &SetNames| SearchedSet {
            name: set.name.to_string(),
            examples: set.ids.len() as u64,
            too_short: u64::from(set.too_short),
        };
        self.sets.iter().map(set).collect()
    }
}

impl Stage {
    fn cut(&self, doc: &mut Document, findings: &Findings, hits: &[Hit]) -> Outcome {
        let left = cut::cut(&doc.text, &findings.matched, self.window_chars, self.min_piece_chars);
        let reason = match self.max_pieces.filter(|&max| left.pieces > max) {
            Some(max) => Reason::measured("too_many_pieces", left.pieces as f64, max as f64),
            None if left.text.is_empty() => Reason::new("nothing_left"),
            None => {
                doc.text = left.text;
                return Outcome::Changed;
            }
        };
        Outcome::Drop(with_best(reason, findings, hits))
    }

    fn hit(&self, text: &str, found: &Found) -> Hit {
        let set = &self.sets[found.passage.set as usize];
        let example = found.passage.example;
        let before = text.get(..found.range.start).unwrap_or_default();
        let behind = text.get(found.range.end..).unwrap_or_default();
        let start = before.char_indices().rev().nth(CONTEXT_CHARS - 1).map_or(0, |(at, _)| at);
        Hit {
            set: Arc::clone(&set.name),
            example: u64::from(example),
            example_id: set.ids.get(example as usize - 1).cloned().flatten(),
            field: Arc::clone(&set.fields[found.passage.field as usize]),
            ngrams: u64::from(found.ngrams),
            all_ngrams: u64::from(found.passage.grams),
            range: found.range.clone(),
            context: [
                before.get(start..).unwrap_or_default().to_owned(),
                beginning(text.get(found.range.clone()).unwrap_or_default(), MATCH_CHARS),
                beginning(behind, CONTEXT_CHARS),
            ],
        }
    }
}

/// The first characters.
fn beginning(text: &str, chars: usize) -> String {
    let end = text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default().to_owned()
}

/// The reason with the example of which the page has the largest share, of several the first.
fn with_best(reason: Reason, findings: &Findings, hits: &[Hit]) -> Reason {
    let rank = |found: &Found| (found.ratio(), f64::from(found.ngrams));
    let mut best: Option<(&Found, &Hit)> = None;
    for (found, hit) in findings.found.iter().zip(hits) {
        if best.is_none_or(|(other, _)| rank(found) > rank(other)) {
            best = Some((found, hit));
        }
    }
    let Some((found, hit)) = best else { return reason };
    let name = hit.example_id.clone().unwrap_or_else(|| hit.example.to_string());
    let detail = format!(
        "{} {name} {}, {} of {} n-grams: {}",
        hit.set, hit.field, hit.ngrams, hit.all_ngrams, hit.context[1]
    );
    let value = reason.value.or(Some(found.ratio()));
    Reason { value, ..reason.detail(detail) }
}
