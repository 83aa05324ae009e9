//! `language`: finds the language of a page, and keeps the languages that are asked for.
//!
//! Source: datatrove's `LanguageFilter` (FineWeb: lid.176, English, 0.65; FineWeb2: GlotLID, a limit per language) and the
//! language step of cc_net, with any fastText classifier whose labels are languages; without a model file whatlang's
//! embedded profiles (69 languages, trigrams and alphabets) are used.
//!
//! As in datatrove: the text is scored as one line, and a page passes where any kept language reaches its limit,
//! while the page is labelled with its best language. Where we differ:
//! * a score equal to the limit passes (`min_` is inclusive everywhere in tamis; datatrove asks for more);
//! * without `keep` nothing is dropped unless a limit is given;
//! * labels of one language (`zho_Hans`, `zho_Hant`) are one language, their probabilities added;
//! * a probability above 1, which fastText can give, is cut to 1.
//!
//! `level: paragraph` and `level: line` judge pieces, as Dolma's paragraph taggers (its "paragraphs" are lines; the score
//! of the page is the mean over the characters) and ungoliant (OSCAR: lines, those under 100 characters or with
//! a probability under 0.8 undecided, a page's languages weighed by their bytes) do. There a short or unsure line
//! is dropped or counted as of unknown language; here short ones are judged together and unsure ones
//! follow their neighbours, so that headings and names stay with their text. CLD2's summary (up to three languages with their
//! share of the text) is what `other_ratio` and `mixed_languages` are for.

mod detector;
mod frequent_words;
mod mixture;
pub(super) mod pieces;
mod rules;
mod windows;

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Document, Outcome, Reason};
use crate::models::fasttext::FastText;
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, Limit, OptionError, ScoreSpec, Side, StageSpec,
    parse_options, schema_of,
};
use detector::{Detector, Scores};
use mixture::Measures;
use pieces::Fate;
pub use pieces::Level;
use rules::{Rules, Verdict};

/// How the pipeline room knows this stage.
pub static SPEC: StageSpec = StageSpec {
    name: "language",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Finds the language of each page and keeps the languages that are asked for; of mixed pages, where wanted, \
              the lines or paragraphs in them.",
    source: "datatrove LanguageFilter, cc_net; Dolma and OSCAR for lines; fastText lid.176 or GlotLID, else whatlang. A \
             score equal to the limit passes.",
    reasons: &[
        ("language_unknown", "no language could be told, and languages or scores were asked for"),
        ("language_not_kept", "the page is in a language that is not in `keep`"),
        ("low_language_score", "the page's language is kept, but its score is below the limit"),
        ("too_little_kept", "a smaller share of the text is in kept languages than `min_kept_ratio`"),
        ("mixed_languages", "a larger share of the text is in other languages than `max_other_ratio`"),
    ],
    scores: &[
        ScoreSpec {
            name: "score",
            doc: "probability of the page's language (whatlang: confidence); 0 where none could be told",
            min: 0.0,
            max: 1.0,
        },
        ScoreSpec {
            name: "second_score",
            doc: "probability of the second language; 0 with whatlang, which knows only one (level: document)",
            min: 0.0,
            max: 1.0,
        },
        ScoreSpec {
            name: "second_language",
            doc: "number of the second language in the model's list, from 0; -1 where there is none",
            min: -1.0,
            max: 199.0,
        },
        ScoreSpec {
            name: "kept_ratio",
            doc: "share of the characters in lines or paragraphs that are kept (level: line, paragraph)",
            min: 0.0,
            max: 1.0,
        },
        ScoreSpec {
            name: "other_ratio",
            doc: "share of the judged characters that are not in the page's language (level: line, paragraph)",
            min: 0.0,
            max: 1.0,
        },
        ScoreSpec {
            name: "languages",
            doc: "languages that hold at least a tenth of the judged characters (level: line, paragraph)",
            min: 0.0,
            max: 10.0,
        },
    ],
    limits: &[
        Limit { reason: "low_language_score", score: "score", option: "min_score", fails: Side::Below },
        Limit {
            reason: "too_little_kept",
            score: "kept_ratio",
            option: "min_kept_ratio",
            fails: Side::Below,
        },
        Limit {
            reason: "mixed_languages",
            score: "other_ratio",
            option: "max_other_ratio",
            fails: Side::Above,
        },
    ],
    schema: schema_of::<Config>,
    build,
};

/// Characters from which on a piece is judged where the pipeline does not say.
const DEFAULT_MIN_PIECE_CHARS: u64 = 50;
/// Score from which on a piece is judged where the pipeline does not say.
const DEFAULT_MIN_PIECE_SCORE: f64 = 0.65;

/// Options of `language`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Path of a fastText classifier, `.bin` or `.ftz`, whose labels are languages (`__label__en`, `__label__eng_Latn`).
    /// Default: none, the embedded whatlang.
    pub model: Option<String>,
    /// Languages to keep: ISO 639-1 or 639-3 codes (`en`, `eng` and `eng_Latn` are the same). A page passes where the score
    /// of any of them reaches its limit. With a script (`zho_Hant`, `srp_Cyrl`) only the model's labels in that script count; `Hani`
    /// holds `Hans` and `Hant`. A script that the model does not tell apart is a mistake; one that the language is always
    /// written in may stand. Default: empty, every language is kept and pages are only labelled.
    pub keep: Vec<String>,
    /// Smallest score of a kept language, 0 to 1; a score equal to it passes. Default: 0.65 where `keep` is given, else
    /// none. Given without `keep`, it is the smallest score of a page's best language. With `level: line` or `paragraph` it
    /// holds for each piece.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_score: Option<f64>,
    /// Smallest score by language, 0 to 1, in place of `min_score` for these languages; they must be in `keep` where that is
    /// given. Codes as in `keep`; a language with a script goes before the language alone. Default: empty.
    pub min_scores: BTreeMap<String, f64>,
    /// Whether a macrolanguage of ISO 639-3 in `keep` and `min_scores` stands for all its members (`ar` also for `arz` and
    /// `ary`, `zh` for `yue`, `ms` for `id`), their scores added up. Without it, it does so only where the model does not tell the
    /// macrolanguage itself (`no` with whatlang is `nb`). Default: false.
    pub macrolanguages: bool,
    /// Smallest score, 0 to 1, with which a page is labelled with its language; one with exactly this score is. A page below
    /// it goes on without a language, and `per_language` takes its entry `und` for it. Says nothing of what is dropped.
    /// Default: none, every page is labelled with its best language.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_label_score: Option<f64>,
    /// Score this many bytes instead of the whole text, in eight windows spread evenly over it; texts that are not longer are
    /// scored whole. At least 256. For `level: document` only. Default: none, the whole text.
    #[schemars(range(min = 256))]
    pub sample_bytes: Option<usize>,
    /// What a newline inside a text is to the detector: `space` (datatrove, FineWeb) or `remove`, nothing at all (cc_net, which
    /// so joins the last word of a line to the first of the next). Default: `space`.
    pub newlines: Newlines,
    /// What is judged and kept or not: the whole `document`, each `paragraph` (what stands between blank lines) or each
    /// `line`. Pieces that do not pass as a page would are cut out, with the white space beside them. The page's language is the
    /// one with most characters in kept pieces, its score the mean over these characters. Default: `document`.
    pub level: Level,
    /// Fewest characters that are judged by themselves, white space at the ends of lines not counted; shorter pieces are judged together with those
    /// that follow until they have so many, a shorter rest at the end follows what is before it. At least 1. For
    /// `level: line` and `paragraph`. Default: 50.
    #[schemars(range(min = 1))]
    pub min_piece_chars: Option<u64>,
    /// Smallest score of a piece's best language, 0 to 1, from which on the piece is judged; one below it follows the judged
    /// piece before it (at the start: after it), and counts for no language. For `level: line` and `paragraph`. Default: 0.65.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_piece_score: Option<f64>,
    /// Whether pieces that do not pass are cut out; without, they only count. For `level: line` and `paragraph`. Default: true.
    pub cut: Option<bool>,
    /// Smallest share of a page's characters, 0 to 1, in pieces that pass; a page with exactly this share passes. For `level: line`
    /// and `paragraph`. Default: none; a page of which nothing passes is dropped in any case.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_kept_ratio: Option<f64>,
    /// Largest share of the judged characters, 0 to 1, in other languages than the page's, before anything is cut; a page with exactly this
    /// share passes. For `level: line` and `paragraph`. Default: none.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_other_ratio: Option<f64>,
}

/// What a newline is to the detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Newlines {
    /// White space.
    #[default]
    Space,
    /// Nothing.
    Remove,
}

struct Stage {
    detector: Detector,
    rules: Rules,
    min_label_score: f64,
    sample_bytes: Option<usize>,
    newlines: Newlines,
    level: Level,
    min_piece_chars: u64,
    min_piece_score: f64,
    cut: bool,
    min_kept_ratio: Option<f64>,
    max_other_ratio: Option<f64>,
}

fn build(options: serde_json::Value, cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let misplaced = misplaced(&config);
    if !misplaced.is_empty() {
        return Err(misplaced);
    }
    let detector = match &config.model {
        None => Detector::embedded(),
        Some(path) => {
            let bytes = cx.read_file("model", path).map_err(|error| vec![error])?;
            let model = FastText::from_bytes(&bytes)
                .map_err(|error| vec![OptionError::new("model", format!("cannot use `{path}`: {error}"))])?;
            Detector::fasttext(model).map_err(|label| {
                let message =
                    format!("`{path}` does not tell languages: its label `{label}` is no language code");
                vec![OptionError::new("model", message)]
            })?
        }
    };
    Ok(Built::Doc(Box::new(Stage {
        rules: Rules::new(&config, &detector)?,
        detector,
        min_label_score: config.min_label_score.unwrap_or(0.0),
        sample_bytes: config.sample_bytes,
        newlines: config.newlines,
        level: config.level,
        min_piece_chars: config.min_piece_chars.unwrap_or(DEFAULT_MIN_PIECE_CHARS),
        min_piece_score: config.min_piece_score.unwrap_or(DEFAULT_MIN_PIECE_SCORE),
        cut: config.cut.unwrap_or(true),
        min_kept_ratio: config.min_kept_ratio,
        max_other_ratio: config.max_other_ratio,
    })))
}

/// Options that would do nothing at the level that was asked for.
fn misplaced(config: &Config) -> Vec<OptionError> {
    if config.level != Level::Document {
        let sampled = config.sample_bytes.map(|_| {
            OptionError::new("sample_bytes", "lines and paragraphs are scored whole")
                .hint("take it out, or set `level: document`")
        });
        return sampled.into_iter().collect();
    }
    [
        ("min_piece_chars", config.min_piece_chars.is_some()),
        ("min_piece_score", config.min_piece_score.is_some()),
        ("cut", config.cut.is_some()),
        ("min_kept_ratio", config.min_kept_ratio.is_some()),
        ("max_other_ratio", config.max_other_ratio.is_some()),
    ]
    .into_iter()
    .filter(|(_, given)| *given)
    .map(|(key, _)| {
        OptionError::new(key, "the whole document is judged, so there are no pieces")
            .hint("set `level: line` or `level: paragraph`, or take it out")
    })
    .collect()
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        if self.level != Level::Document {
            return self.process_pieces(doc, cx);
        }
        let Some(scores) = self.scores(&windows::parts(&doc.text, self.sample_bytes)) else {
            return self.unknown(doc, cx);
        };
        let judgement = self.rules.judge(&scores, &self.detector);
        self.label(doc, cx, judgement.language, judgement.score);
        cx.score(doc, "second_score", judgement.second.map_or(0.0, |(_, score)| score));
        cx.score(doc, "second_language", number_of(judgement.second.map(|(language, _)| language)));
        self.reason(judgement.language, judgement.score, judgement.verdict)
            .map_or(Outcome::Keep, Outcome::Drop)
    }

    /// The best language with its score and the second one's settle nearly every verdict; where a third language, or a part of
    /// one, could let the page pass, there is no answer. `Changed` says that pieces are cut out of a page that is kept.
    fn redecide(&self, stored: &Document, stage: &str) -> Option<Outcome> {
        let stored = Stored::of(stored, stage, self.detector.languages().len())?;
        let Some(code) = stored.language else {
            // A page that scored too low for a label had a language all the same, which is not stored.
            return (self.min_label_score == 0.0).then(|| self.unknown_outcome());
        };
        let language = self.detector.language(code)?;
        let reason = if self.level == Level::Document {
            let second = match stored.second {
                Some(second) => Some((second, stored.score("second_score")?)),
                None => None,
            };
            let verdict = self.rules.verdict_again(language, stored.own_score, second)?;
            self.reason(language, stored.own_score, verdict)
        } else {
            let kept_ratio = stored.score("kept_ratio")?;
            let verdict = if kept_ratio > 0.0 {
                Verdict::Passes
            } else {
                let own = self.rules.own_verdict_again(language, stored.own_score)?;
                // Rounding may lift a mean to the limit that no piece reached.
                if self.rules.drops && own == Verdict::Passes {
                    return None;
                }
                own
            };
            let other_ratio = stored.score("other_ratio")?;
            let reason = self.piece_reason(&Measures {
                language,
                score: stored.own_score,
                verdict,
                kept_ratio,
                other_ratio,
                second: stored.second,
                languages: 0,
            });
            if reason.is_none() && self.cut && kept_ratio < 1.0 {
                return Some(Outcome::Changed);
            }
            reason
        };
        Some(reason.map_or(Outcome::Keep, Outcome::Drop))
    }

    fn deciding_options(&self) -> &'static [&'static str] {
        match self.level {
            Level::Document => &["keep", "min_score", "min_scores", "macrolanguages"],
            Level::Paragraph | Level::Line => &["min_kept_ratio", "max_other_ratio"],
        }
    }
}

/// What an earlier run of this stage left in a document.
struct Stored<'a> {
    document: &'a Document,
    stage: &'a str,
    own_score: f64,
    /// Code of the language; none where none could be told.
    language: Option<&'a str>,
    /// The second language, where there is one.
    second: Option<usize>,
}

impl<'a> Stored<'a> {
    /// None where the stage left nothing, where a later stage of its kind has set the language again, and where it had
    /// other `languages` to tell.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in the range that is checked"
    )]
    fn of(document: &'a Document, stage: &'a str, languages: usize) -> Option<Self> {
        let own = |name: &str| name.strip_prefix(stage).is_some_and(|rest| rest == ".second_language");
        let last = document.scores.iter().rfind(|(name, _)| name.ends_with(".second_language"))?;
        if !own(&last.0) {
            return None;
        }
        let number = last.1;
        let second = (number >= 0.0).then_some(number as usize);
        if second.is_some_and(|second| second >= languages) {
            return None;
        }
        let language = document.language.as_deref();
        let mut stored = Self { document, stage, own_score: 0.0, language, second };
        stored.own_score = stored.score("score")?;
        (document.language_score.unwrap_or(0.0).to_bits() == stored.own_score.to_bits()).then_some(stored)
    }

    fn score(&self, name: &str) -> Option<f64> {
        let own = |full: &str| {
            full.strip_prefix(self.stage)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|rest| rest == name)
        };
        self.document.scores.iter().find(|(full, _)| own(full)).map(|(_, value)| *value)
    }
}

fn number_of(language: Option<usize>) -> f64 {
    language.map_or(-1.0, |language| language as f64)
}

impl Stage {
    fn scores(&self, parts: &[&str]) -> Option<Scores> {
        if self.newlines == Newlines::Space {
            return self.detector.scores(parts);
        }
        let joined: Vec<Cow<str>> = parts
            .iter()
            .map(|part| if part.contains('\n') { part.replace('\n', "").into() } else { Cow::from(*part) })
            .collect();
        self.detector.scores(&joined.iter().map(AsRef::as_ref).collect::<Vec<_>>())
    }

    /// Lines or paragraphs instead of the whole text.
    fn process_pieces(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let mut blocks = pieces::blocks(&doc.text, self.level, self.min_piece_chars);
        let Some(measures) = self.measure(&doc.text, &mut blocks) else {
            return self.unknown(doc, cx);
        };
        self.label(doc, cx, measures.language, measures.score);
        cx.score(doc, "second_language", number_of(measures.second));
        cx.score(doc, "kept_ratio", measures.kept_ratio);
        cx.score(doc, "other_ratio", measures.other_ratio);
        cx.score(doc, "languages", f64::from(measures.languages));
        if let Some(reason) = self.piece_reason(&measures) {
            return Outcome::Drop(reason);
        }
        if !self.cut || blocks.iter().all(|block| block.fate == Fate::Kept) {
            return Outcome::Keep;
        }
        doc.text = pieces::join(&doc.text, &blocks);
        Outcome::Changed
    }

    fn label(&self, doc: &mut Document, cx: &Context, language: usize, score: f64) {
        doc.language = (score >= self.min_label_score).then(|| self.detector.languages()[language].clone());
        doc.language_score = Some(score);
        cx.score(doc, "score", score);
    }

    fn unknown(&self, doc: &mut Document, cx: &Context) -> Outcome {
        doc.language = None;
        doc.language_score = None;
        cx.score(doc, "score", 0.0);
        cx.score(doc, "second_language", -1.0);
        self.unknown_outcome()
    }

    fn unknown_outcome(&self) -> Outcome {
        if self.rules.drops { Outcome::Drop(Reason::new("language_unknown")) } else { Outcome::Keep }
    }

    fn reason(&self, language: usize, score: f64, verdict: Verdict) -> Option<Reason> {
        let name = &self.detector.languages()[language];
        match verdict {
            Verdict::Passes => None,
            Verdict::Low { value, limit } => {
                Some(Reason::measured("low_language_score", value, limit).detail(name))
            }
            Verdict::NotKept(script) => {
                let detail = script.map_or_else(|| name.clone(), |script| format!("{name}_{script}"));
                Some(Reason { value: Some(score), ..Reason::new("language_not_kept").detail(detail) })
            }
            Verdict::NoLanguage => {
                Some(Reason { value: Some(score), ..Reason::new("language_unknown").detail(name) })
            }
        }
    }

    fn piece_reason(&self, measures: &Measures) -> Option<Reason> {
        if let Some(reason) = self.reason(measures.language, measures.score, measures.verdict.clone()) {
            return Some(reason);
        }
        if let Some(limit) = self.min_kept_ratio.filter(|&limit| measures.kept_ratio < limit) {
            return Some(Reason::measured("too_little_kept", measures.kept_ratio, limit));
        }
        let limit = self.max_other_ratio.filter(|&limit| measures.other_ratio > limit)?;
        let reason = Reason::measured("mixed_languages", measures.other_ratio, limit);
        Some(match measures.second {
            Some(second) => reason.detail(&self.detector.languages()[second]),
            None => reason,
        })
    }
}

#[cfg(test)]
mod tests;
