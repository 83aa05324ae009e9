//! `perplexity`: how surprised an n-gram language model is by a page, and limits on that.
//!
//! Sources: CCNet (Wenzek et al. 2020: perplexity under a 5-gram model of Wikipedia, pages sorted into head, middle and
//! tail), ROOTS and Data-Juicer (`perplexity_filter`: a maximum, 1500 under CCNet's models). Perplexity is 10 to the power of
//! minus the sum of log10 probabilities over the number of tokens, as in CCNet's `DocLM`: every line that has tokens
//! is a sentence, its `</s>` is a token too, and a document is all its sentences together.
//!
//! Where we differ:
//! * CCNet's pipeline removes line feeds before this step, so there a page is one sentence;
//! * CCNet rounds to one decimal, we do not;
//! * a value equal to `max_perplexity` passes; one equal to a cut-off is in the worse bucket, as in CCNet;
//! * repetitive text has a low perplexity, hence `min_perplexity`;
//! * `min_context_gain` asks whether the words' order tells something, whatever the words (`models/ngram/gain.rs`);
//! * without a model at hand, one is trained as part of the run.

mod cutoffs;
mod models;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::language::pieces::{self, Block, Fate, Level};
use crate::document::{Document, Outcome, Reason};
use crate::error::Result as FileResult;
use crate::models::ngram::tokens::{LmTokens, Normalize, Tokens};
use crate::models::ngram::{ContextGain, Model, Scorer, SentenceScore, train};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, Limit, OptionError, Pass, ScoreSpec, Side, StageSpec,
    parse_options, schema_of,
};
use crate::text::langcodes;
use cutoffs::Table;
pub use cutoffs::{Bucket, Cutoffs};
use models::Held;
pub use models::TrainFrom;

/// The field of a document that holds its bucket.
pub const BUCKET_FIELD: &str = "perplexity_bucket";

/// How the pipeline room knows this stage.
pub static SPEC: StageSpec = StageSpec {
    name: "perplexity",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Scores pages with an n-gram language model, keeps them by perplexity, or removes lines or paragraphs by it.",
    source: "CCNet (head, middle, tail), ROOTS, Data-Juicer; models are KenLM's, or trained in the run.",
    reasons: &[
        ("no_model", "no model (or no cut-off) for the page's language, and `unknown: drop`"),
        ("low_perplexity", "the perplexity is below `min_perplexity`"),
        ("high_perplexity", "the perplexity is above `max_perplexity`"),
        ("low_context_gain", "the order of the words tells less about them than `min_context_gain`"),
        ("bucket_not_kept", "the page's bucket is not in `keep`"),
        ("nothing_left", "no line or paragraph was within the limits"),
        ("too_little_kept", "a smaller share of the text is within the limits than `min_kept_ratio`"),
    ],
    scores: &[
        ScoreSpec {
            name: "perplexity",
            doc: "perplexity of the whole text; none where it has no words or its language no model",
            min: 0.0,
            max: 2000.0,
        },
        ScoreSpec {
            name: "unknown_ratio",
            doc: "share of the tokens, ends of sentences among them, that the model does not know",
            min: 0.0,
            max: 1.0,
        },
        ScoreSpec {
            name: "context_gain",
            doc: "bits per token that the words before tell about it (only with `min_context_gain`)",
            min: -4.0,
            max: 8.0,
        },
        ScoreSpec {
            name: "kept_ratio",
            doc: "share of the characters in lines or paragraphs that are kept (level: line, paragraph)",
            min: 0.0,
            max: 1.0,
        },
    ],
    limits: &[
        Limit { reason: "low_perplexity", score: "perplexity", option: "min_perplexity", fails: Side::Below },
        Limit {
            reason: "high_perplexity",
            score: "perplexity",
            option: "max_perplexity",
            fails: Side::Above,
        },
        Limit {
            reason: "low_context_gain",
            score: "context_gain",
            option: "min_context_gain",
            fails: Side::Below,
        },
        Limit {
            reason: "too_little_kept",
            score: "kept_ratio",
            option: "min_kept_ratio",
            fails: Side::Below,
        },
    ],
    schema: schema_of::<Config>,
    build,
};

/// Options of `perplexity`. Exactly one of `model`, `models`, `train_from` and `train_models_from` is given.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Path of a model for all pages: ARPA text or a KenLM binary.
    pub model: Option<String>,
    /// Paths of models by language (ISO 639-1 or 639-3); needs `language` before this stage.
    pub models: BTreeMap<String, String>,
    /// Trains the model for all pages as part of the run: `{ text: FILE, order: 5 }`, a file of text that is trusted, one
    /// sentence a line.
    pub train_from: Option<TrainFrom>,
    /// The same by language.
    pub train_models_from: BTreeMap<String, TrainFrom>,
    /// What becomes of pages whose language has no model or, where `keep` is given, no cut-off: `keep` or `drop`.
    /// Default: `keep`.
    pub unknown: Unknown,
    /// What the model's words are: `space` (between white space), `words` (words and punctuation apart), `characters`,
    /// `{ sentencepiece: FILE.model }` (CCNet's models) or `{ tokenizer: tokenizer.json }`; `{language}` in a path is the
    /// model's language in `models` or `train_models_from`. Must be what the model was
    /// made with; of models by `tamis lm train` it is checked. Default: `space`.
    pub tokens: Tokens,
    /// What is done to each line before: `none`, or `ccnet` (small letters, no accents, digits are 0, plain punctuation).
    /// Default: `none`.
    pub normalize: Normalize,
    /// What the limits are for: the whole `document`, each `paragraph` (between blank lines) or each `line`. Pieces beyond
    /// them are removed, with the white space beside them. Default: `document`.
    pub level: Level,
    /// Smallest perplexity that is kept; one equal to it is. Above 0. Default: none.
    #[schemars(range(min = 0.0))]
    pub min_perplexity: Option<f64>,
    /// Largest perplexity that is kept; one equal to it is. Default: none.
    #[schemars(range(min = 0.0))]
    pub max_perplexity: Option<f64>,
    /// Fewest bits per token that the order of the words tells about them: the model's log2 probability of a token in its place
    /// less that of the token alone, where a word that the page repeats beyond expectation is as likely alone as it is frequent.
    /// Words in random order have less than 0, a few of them over and over far less, real text more, up to 2 or 3 the more like it
    /// the model has seen. A page with exactly so many is kept. For `level: document`. Default: none, and not measured.
    pub min_context_gain: Option<f64>,
    /// Fewest characters that are judged by themselves; shorter pieces are judged together with those that follow, a shorter
    /// rest follows what is before it. For `level: line` and `paragraph`. At least 1. Default: 50.
    #[schemars(range(min = 1))]
    pub min_piece_chars: Option<u64>,
    /// Smallest share of a page's characters, 0 to 1, in pieces within the limits; a page with exactly this share stays. For
    /// `level: line` and `paragraph`. Default: none; a page of which nothing is left goes in any case.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_kept_ratio: Option<f64>,
    /// Perplexities where `middle` and where `tail` begin: `ccnet`, its table of 48 languages for its models, or a map such as
    /// `{en: [340, 520]}`. Pages get a field `perplexity_bucket`: `head`, `middle`, `tail`, or `all` where none can be told. A
    /// value equal to a cut-off is in the worse bucket. Default: none, no buckets. For shares of this corpus instead, put
    /// `top_ratio` behind.
    pub cutoffs: Option<Cutoffs>,
    /// Buckets that are kept, of `head`, `middle` and `tail`; needs `cutoffs`. Default: all.
    pub keep: Option<Vec<Bucket>>,
}

/// What becomes of pages that cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// They stay.
    #[default]
    Keep,
    /// They go.
    Drop,
}

/// Characters from which on a piece is judged where the pipeline does not say.
const DEFAULT_MIN_PIECE_CHARS: u64 = 50;

fn build(options: serde_json::Value, cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let mut errors = mistakes(&config);
    let table = config.cutoffs.as_ref().map(Table::new).transpose().unwrap_or_else(|found| {
        errors.extend(found);
        None
    });
    if !errors.is_empty() {
        return Err(errors);
    }
    let models = models(&config, cx)?;
    Ok(Built::Doc(Box::new(Stage { models, table, config })))
}

fn mistakes(config: &Config) -> Vec<OptionError> {
    let mut errors = Vec::new();
    let given = [
        config.model.is_some(),
        !config.models.is_empty(),
        config.train_from.is_some(),
        !config.train_models_from.is_empty(),
    ];
    match given.into_iter().filter(|given| *given).count() {
        0 => errors.push(OptionError::new("", "there is no model").hint(
            "give `model: FILE`, or `train_from: { text: FILE }` to train one from a text that you trust",
        )),
        1 => {}
        _ => errors.push(OptionError::new(
            "",
            "only one of `model`, `models`, `train_from` and `train_models_from` can be given",
        )),
    }
    let pieces = config.level != Level::Document;
    for (key, given) in [
        ("min_piece_chars", config.min_piece_chars.is_some()),
        ("min_kept_ratio", config.min_kept_ratio.is_some()),
    ] {
        if given && !pieces {
            errors.push(
                OptionError::new(key, "the whole document is judged, so there are no pieces")
                    .hint("set `level: line` or `level: paragraph`, or take it out"),
            );
        }
    }
    if pieces && config.min_perplexity.is_none() && config.max_perplexity.is_none() {
        errors.push(
            OptionError::new("level", "there is no limit that a line or paragraph could fail")
                .hint("set `max_perplexity`"),
        );
    }
    if config.min_context_gain.is_some() && pieces {
        errors.push(
            OptionError::new("min_context_gain", "lines and paragraphs are too short to tell")
                .hint("put a second `perplexity` with `level: document` behind"),
        );
    }
    if let (Some(min), Some(max)) = (config.min_perplexity, config.max_perplexity)
        && min > max
    {
        errors.push(OptionError::new("min_perplexity", format!("{min} is above `max_perplexity`, {max}")));
    }
    if let Some(keep) = &config.keep {
        if config.cutoffs.is_none() {
            errors.push(OptionError::new("keep", "there are no buckets").hint("set `cutoffs: ccnet`"));
        }
        if keep.is_empty() || keep.contains(&Bucket::All) {
            errors.push(
                OptionError::new("keep", "must name some of `head`, `middle` and `tail`")
                    .hint("`unknown` says what becomes of pages in none of them"),
            );
        }
    }
    errors
}

/// Models by language; the empty name is for all.
fn models(config: &Config, cx: &mut BuildContext) -> Result<BTreeMap<String, Held>, Vec<OptionError>> {
    let mut apart = Apart::new(config);
    let (mut models, mut errors) = (BTreeMap::new(), Vec::new());
    let mut add = |key: String,
                   name: Option<&str>,
                   held: &mut dyn FnMut(&str) -> Result<Held, OptionError>| {
        let language = match name.map(|name| langcodes::normalise(name).ok_or(name)).transpose() {
            Ok(language) => language.map(|language| language.to_string()).unwrap_or_default(),
            Err(name) => {
                return errors.push(OptionError::new(key, format!("`{name}` is not a language code")));
            }
        };
        match held(&language) {
            Err(error) => errors.push(error),
            Ok(_) if models.contains_key(&language) => {
                errors.push(OptionError::new(key, format!("a second entry for the language `{language}`")));
            }
            Ok(held) => drop(models.insert(language, held)),
        }
    };
    if let Some(path) = &config.model {
        add("model".to_owned(), None, &mut |_| Held::file("model", path, apart.tokens(None, cx)?, cx));
    }
    if let Some(from) = &config.train_from {
        add("train_from".to_owned(), None, &mut |_| {
            Held::trained("train_from", "model", from, apart.tokens(None, cx)?, cx)
        });
    }
    for (name, path) in &config.models {
        let key = format!("models.{name}");
        add(key.clone(), Some(name), &mut |_| Held::file(&key, path, apart.tokens(Some(name), cx)?, cx));
    }
    for (name, from) in &config.train_models_from {
        let key = format!("train_models_from.{name}");
        add(key.clone(), Some(name), &mut |language| {
            Held::trained(&key, language, from, apart.tokens(Some(name), cx)?, cx)
        });
    }
    if errors.is_empty() { Ok(models) } else { Err(errors) }
}

/// What takes lines apart, per model; a file that several models share is read once.
struct Apart<'c> {
    config: &'c Config,
    known: BTreeMap<String, Arc<LmTokens>>,
}

impl<'c> Apart<'c> {
    fn new(config: &'c Config) -> Self {
        Self { config, known: BTreeMap::new() }
    }

    fn tokens(
        &mut self,
        language: Option<&str>,
        cx: &mut BuildContext,
    ) -> Result<Arc<LmTokens>, OptionError> {
        let mut tokens = self.config.tokens.clone();
        if let Tokens::SentencePiece(path) | Tokens::Tokenizer(path) = &mut tokens
            && path.contains(LANGUAGE)
        {
            let language = language.ok_or_else(|| {
                OptionError::new("tokens", format!("`{path}`: there is one model for all languages"))
                    .hint("`{language}` is for `models` and `train_models_from`")
            })?;
            *path = path.replace(LANGUAGE, language);
        }
        let name = tokens.to_string();
        if let Some(known) = self.known.get(&name) {
            return Ok(Arc::clone(known));
        }
        let file = tokens.file().map_or(Ok(Vec::new()), |path| cx.read_file("tokens", path))?;
        let built = LmTokens::new(&tokens, self.config.normalize, &file)
            .map_err(|error| OptionError::new("tokens", error.to_string()))?;
        Ok(Arc::clone(self.known.entry(name).or_insert(Arc::new(built))))
    }
}

/// Stands for the name of a language in the path of [`Tokens`].
const LANGUAGE: &str = "{language}";

struct Stage {
    /// By language; the empty name is for all.
    models: BTreeMap<String, Held>,
    table: Option<Table>,
    config: Config,
}

impl Stage {
    fn held(&self, language: Option<&str>) -> Option<&Held> {
        self.models.get("").or_else(|| self.models.get(language?))
    }

    /// Scores of every block; with `gain`, what context tells about the words of all of them.
    fn measure(
        tokens: &LmTokens,
        model: &Model,
        text: &str,
        blocks: &[Block],
        mut gain: Option<&mut ContextGain<'_>>,
    ) -> Vec<SentenceScore> {
        let mut scorer = Scorer::new(model);
        let mut sentences = Vec::new();
        let mut sums = vec![SentenceScore::default(); blocks.len()];
        let mut apart = String::new();
        for (number, block) in blocks.iter().enumerate() {
            for line in text[block.start..block.end].split('\n') {
                let line = if tokens.is_plain() {
                    line
                } else {
                    tokens.line(line, &mut apart);
                    &apart
                };
                let mut words = train::split(line.as_bytes()).peekable();
                if words.peek().is_some() {
                    if let Some(gain) = &mut gain {
                        gain.sentence(train::split(line.as_bytes()));
                    }
                    scorer.sentence(words, true, true);
                    sentences.push(number);
                }
            }
        }
        for (number, score) in sentences.into_iter().zip(scorer.finish()) {
            sums[number].merge(&score);
        }
        sums
    }

    fn within(&self, perplexity: f64) -> bool {
        self.config.min_perplexity.is_none_or(|min| perplexity >= min)
            && self.config.max_perplexity.is_none_or(|max| perplexity <= max)
    }

    /// Fates of the blocks; the share of the characters that stays.
    fn choose(&self, blocks: &mut [Block], sums: &[SentenceScore]) -> f64 {
        let least = self.config.min_piece_chars.unwrap_or(DEFAULT_MIN_PIECE_CHARS);
        let alone = blocks.len() == 1;
        for (block, sum) in blocks.iter_mut().zip(sums) {
            if sum.tokens > 0 && (alone || block.chars >= least) {
                block.fate = if self.within(perplexity(sum)) { Fate::Kept } else { Fate::Cut };
            }
        }
        if !pieces::settle(blocks) {
            for block in blocks.iter_mut() {
                block.fate = Fate::Kept;
            }
        }
        let all: u64 = blocks.iter().map(|block| block.chars).sum();
        let kept: u64 = blocks.iter().filter(|block| block.fate == Fate::Kept).map(|block| block.chars).sum();
        if all == 0 { 1.0 } else { kept as f64 / all as f64 }
    }

    fn bucket(&self, language: Option<&str>, perplexity: Option<f64>) -> Option<Bucket> {
        Some(self.table.as_ref()?.bucket(language, perplexity))
    }

    /// The verdict, from what was measured.
    fn decide(
        &self,
        language: Option<&str>,
        perplexity: Option<f64>,
        context_gain: Option<f64>,
        kept_ratio: Option<f64>,
    ) -> Outcome {
        let config = &self.config;
        let no_model = || match config.unknown {
            Unknown::Keep => Outcome::Keep,
            Unknown::Drop => Outcome::Drop(Reason::new("no_model").detail(language.unwrap_or("unknown"))),
        };
        if self.held(language).is_none() {
            return no_model();
        }
        // A page without words is nothing to judge.
        let Some(value) = perplexity else { return Outcome::Keep };
        if config.level == Level::Document {
            if let Some(limit) = config.min_perplexity.filter(|&limit| value < limit) {
                return Outcome::Drop(Reason::measured("low_perplexity", value, limit));
            }
            if let Some(limit) = config.max_perplexity.filter(|&limit| value > limit) {
                return Outcome::Drop(Reason::measured("high_perplexity", value, limit));
            }
            if let (Some(gain), Some(limit)) = (context_gain, config.min_context_gain)
                && gain < limit
            {
                return Outcome::Drop(Reason::measured("low_context_gain", gain, limit));
            }
        }
        if let (Some(keep), Some(bucket)) = (&config.keep, self.bucket(language, perplexity)) {
            if bucket == Bucket::All && config.unknown == Unknown::Drop {
                return no_model();
            }
            if bucket != Bucket::All && !keep.contains(&bucket) {
                let reason = Reason::new("bucket_not_kept").detail(bucket.name());
                return Outcome::Drop(Reason { value: Some(value), ..reason });
            }
        }
        match kept_ratio {
            Some(kept) if kept <= 0.0 => Outcome::Drop(Reason::new("nothing_left")),
            Some(kept) => match config.min_kept_ratio.filter(|&limit| kept < limit) {
                Some(limit) => Outcome::Drop(Reason::measured("too_little_kept", kept, limit)),
                None if kept < 1.0 => Outcome::Changed,
                None => Outcome::Keep,
            },
            None => Outcome::Keep,
        }
    }
}

/// Perplexity as a number that JSON can hold.
fn perplexity(score: &SentenceScore) -> f64 {
    score.perplexity().min(f64::MAX)
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let language = doc.language.clone();
        let language = language.as_deref();
        let (mut value, mut context_gain, mut kept_ratio, mut blocks) = (None, None, None, Vec::new());
        let held = self.held(language).and_then(|held| Some((&*held.tokens, held.model()?)));
        if let Some((tokens, model)) = held {
            let least = self.config.min_piece_chars.unwrap_or(DEFAULT_MIN_PIECE_CHARS);
            blocks = pieces::blocks(&doc.text, self.config.level, least);
            let mut gain = self.config.min_context_gain.map(|_| ContextGain::new(model));
            let sums = Self::measure(tokens, model, &doc.text, &blocks, gain.as_mut());
            context_gain = gain.and_then(|gain| gain.bits());
            let mut total = SentenceScore::default();
            for sum in &sums {
                total.merge(sum);
            }
            if total.tokens > 0 {
                value = Some(perplexity(&total));
                cx.score(doc, "perplexity", perplexity(&total));
                cx.score(doc, "unknown_ratio", total.oovs as f64 / total.tokens as f64);
                if let Some(gain) = context_gain {
                    cx.score(doc, "context_gain", gain);
                }
                if self.config.level != Level::Document {
                    let kept = self.choose(&mut blocks, &sums);
                    cx.score(doc, "kept_ratio", kept);
                    kept_ratio = Some(kept);
                }
            }
        }
        if let Some(bucket) = self.bucket(language, value) {
            doc.fields.insert(BUCKET_FIELD.to_owned(), bucket.name().into());
        }
        let outcome = self.decide(language, value, context_gain, kept_ratio);
        if outcome == Outcome::Changed {
            doc.text = pieces::join(&doc.text, &blocks);
        }
        outcome
    }

    fn redecide(&self, stored: &Document, stage: &str) -> Option<Outcome> {
        let value = stored.stored_score(stage, "perplexity");
        let context_gain = stored.stored_score(stage, "context_gain");
        let kept_ratio = stored.stored_score(stage, "kept_ratio");
        // The run that stored the scores did not measure what is asked for now.
        if self.config.min_context_gain.is_some() && value.is_some() && context_gain.is_none() {
            return None;
        }
        Some(self.decide(stored.language.as_deref(), value, context_gain, kept_ratio))
    }

    fn deciding_options(&self) -> &'static [&'static str] {
        match self.config.level {
            Level::Document => &["min_perplexity", "max_perplexity", "min_context_gain", "keep", "unknown"],
            Level::Paragraph | Level::Line => &["min_kept_ratio", "keep", "unknown"],
        }
    }

    fn passes(&self, name: &str, dir: &Path) -> Vec<Box<dyn Pass>> {
        self.models.values().filter_map(|held| held.pass(name, dir)).collect()
    }

    fn ready(&self, dir: &Path) -> FileResult<()> {
        self.models.values().try_for_each(|held| held.ready(dir))
    }
}

#[cfg(test)]
mod tests;
