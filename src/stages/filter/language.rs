//! `language`: finds the language of a page, and keeps the languages that are asked for.
//!
//! Source: datatrove's `LanguageFilter` (FineWeb: lid.176, English, 0.65) and the language step of cc_net, with any
//! fastText classifier whose labels are languages; without a model file whatlang's embedded profiles (69 languages,
//! trigrams and alphabets) are used.
//!
//! As in datatrove: the text is scored as one line, and a page passes where any kept language reaches its limit,
//! while the page is labelled with its best language. Where we differ:
//! * a score equal to the limit passes (`min_` is inclusive everywhere in tamis; datatrove asks for more);
//! * without `keep` nothing is dropped unless a limit is given;
//! * labels of one language (`zho_Hans`, `zho_Hant`) are one language, their probabilities added;
//! * a probability above 1, which fastText can give, is cut to 1.

mod detector;
mod windows;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Document, Outcome, Reason};
use crate::models::fasttext::FastText;
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, OptionError, ScoreSpec, StageSpec, parse_options, schema_of,
};
use crate::text::langcodes;
use detector::Detector;

/// How the pipeline room knows this stage.
pub static SPEC: StageSpec = StageSpec {
    name: "language",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Finds the language of each page and keeps the languages that are asked for.",
    source: "datatrove LanguageFilter, cc_net; fastText lid.176 or GlotLID, else whatlang. A score equal to the limit passes.",
    reasons: &[
        ("language_unknown", "no language could be told, and languages or scores were asked for"),
        ("language_not_kept", "the page is in a language that is not in `keep`"),
        ("low_language_score", "the page's language is kept, but its score is below the limit"),
    ],
    scores: &[ScoreSpec {
        name: "score",
        doc: "probability of the page's language (whatlang: confidence)",
        min: 0.0,
        max: 1.0,
    }],
    limits: &[],
    schema: schema_of::<Config>,
    build,
};

/// Limit for kept languages where the pipeline gives none: FineWeb's.
const DEFAULT_MIN_SCORE: f64 = 0.65;

/// Options of `language`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Path of a fastText classifier, `.bin` or `.ftz`, whose labels are languages (`__label__en`, `__label__eng_Latn`).
    /// Default: none, the embedded whatlang.
    pub model: Option<String>,
    /// Languages to keep: ISO 639-1 or 639-3 codes (`en`, `eng` and `eng_Latn` are the same). A page passes where the score
    /// of any of them reaches its limit. Default: empty, every language is kept and pages are only labelled.
    pub keep: Vec<String>,
    /// Smallest score of a kept language, 0 to 1; a score equal to it passes. Default: 0.65 where `keep` is given, else
    /// none. Given without `keep`, it is the smallest score of a page's best language.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_score: Option<f64>,
    /// Smallest score by language, 0 to 1, in place of `min_score` for these languages; they must be in `keep` where that is
    /// given. Default: empty.
    pub min_scores: BTreeMap<String, f64>,
    /// Score this many bytes instead of the whole text, in eight windows spread evenly over it; texts that are not longer are
    /// scored whole. At least 256. Default: none, the whole text.
    #[schemars(range(min = 256))]
    pub sample_bytes: Option<usize>,
}

struct Stage {
    detector: Detector,
    /// Limit per language of the detector; `None` where the language is not kept.
    limits: Vec<Option<f64>>,
    /// Whether any page can be dropped.
    drops: bool,
    /// Whether another kept language than the best one may let a page pass.
    any_kept: bool,
    sample_bytes: Option<usize>,
}

fn build(options: serde_json::Value, cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
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
    let mut errors = Vec::new();
    let kept = kept_languages(&config, &detector, &mut errors);
    let scores = language_limits(&config, &detector, kept.as_deref(), &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let general = config.min_score.unwrap_or(if kept.is_some() { DEFAULT_MIN_SCORE } else { 0.0 });
    let limits = (0..detector.languages().len())
        .map(|language| {
            let keeps = kept.as_ref().is_none_or(|kept| kept.contains(&language));
            keeps.then(|| scores.get(&language).copied().unwrap_or(general))
        })
        .collect();
    Ok(Built::Doc(Box::new(Stage {
        detector,
        limits,
        drops: kept.is_some() || config.min_score.is_some() || !config.min_scores.is_empty(),
        any_kept: kept.is_some(),
        sample_bytes: config.sample_bytes,
    })))
}

/// The languages of `keep` as numbers of the detector; `None` where all are kept.
fn kept_languages(config: &Config, detector: &Detector, errors: &mut Vec<OptionError>) -> Option<Vec<usize>> {
    if config.keep.is_empty() {
        return None;
    }
    let mut kept = Vec::new();
    for (place, name) in config.keep.iter().enumerate() {
        match find_language(name, detector) {
            Ok(language) => kept.push(language),
            Err((message, hint)) => errors.push(OptionError { key: format!("keep.{place}"), message, hint }),
        }
    }
    Some(kept)
}

fn language_limits(
    config: &Config,
    detector: &Detector,
    kept: Option<&[usize]>,
    errors: &mut Vec<OptionError>,
) -> BTreeMap<usize, f64> {
    let mut limits = BTreeMap::new();
    for (name, &limit) in &config.min_scores {
        let key = format!("min_scores.{name}");
        if !(0.0..=1.0).contains(&limit) {
            errors.push(OptionError::new(&key, format!("`{limit}` is not a score; scores are 0 to 1")));
        }
        match find_language(name, detector) {
            Err((message, hint)) => errors.push(OptionError { key, message, hint }),
            Ok(language) if kept.is_some_and(|kept| !kept.contains(&language)) => {
                let message = format!("`{name}` has a limit but is not in `keep`");
                errors.push(OptionError::new(key, message).hint("add it to `keep`, or take the limit out"));
            }
            Ok(language) => {
                if limits.insert(language, limit).is_some() {
                    errors.push(OptionError::new(key, format!("a second limit for the language `{name}`")));
                }
            }
        }
    }
    limits
}

/// Number of a language by any of its codes, else a message and perhaps a hint.
fn find_language(name: &str, detector: &Detector) -> Result<usize, (String, Option<String>)> {
    let Some(code) = langcodes::normalise(name) else {
        let hint = detector::code_of_english_name(name).map(|code| format!("did you mean `{code}`?"));
        return Err((format!("`{name}` is not a language code (ISO 639-1 or 639-3)"), hint));
    };
    detector.languages().iter().position(|known| *known == code).ok_or_else(|| {
        let message = format!("`{name}` is a language that {} cannot tell", detector.name());
        (
            message,
            Some(format!(
                "it tells {} languages: {}",
                detector.languages().len(),
                detector.languages().join(", ")
            )),
        )
    })
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let parts = windows::parts(&doc.text, self.sample_bytes);
        let Some(scores) = self.detector.scores(&parts) else {
            doc.language = None;
            doc.language_score = None;
            return if self.drops { Outcome::Drop(Reason::new("language_unknown")) } else { Outcome::Keep };
        };
        let (best, score) = scores.best();
        let name = &self.detector.languages()[best];
        doc.language = Some(name.clone());
        doc.language_score = Some(score);
        cx.score(doc, "score", score);
        if !self.drops {
            return Outcome::Keep;
        }
        match self.limits[best] {
            Some(limit) if score >= limit => Outcome::Keep,
            _ if self.any_kept && self.another_passes(&scores) => Outcome::Keep,
            Some(limit) => Outcome::Drop(Reason::measured("low_language_score", score, limit).detail(name)),
            None => {
                Outcome::Drop(Reason { value: Some(score), ..Reason::new("language_not_kept").detail(name) })
            }
        }
    }
}

impl Stage {
    fn another_passes(&self, scores: &detector::Scores) -> bool {
        self.limits
            .iter()
            .enumerate()
            .any(|(language, limit)| limit.is_some_and(|limit| scores.of(language) >= limit))
    }
}

#[cfg(test)]
mod tests;
