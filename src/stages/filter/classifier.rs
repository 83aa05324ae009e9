//! `classifier`: scores a page with a fastText classifier and keeps it by that score.
//!
//! Sources: DCLM-Baseline (Li et al. 2024: keep from a fixed score on), GPT-3 (Brown et al. 2020, appendix A: keep by
//! a draw from a Pareto distribution, so that some of what the classifier does not like stays) and NeMo Curator's
//! `FastTextQualityFilter` (the same draw with alpha 3). The score is the probability of one label. To keep the best
//! share of the corpus, let this stage only score, and put `top_ratio` behind it.
//!
//! The text is read as those projects read it: as one line, a line break being a space, with its case and its
//! punctuation, and with the official library's end-of-sentence token. Words that start with `__label__` are passed
//! over, as NeMo does by other means.
//!
//! Where we differ:
//! * the draw is made from the document's id and a seed. NeMo and GPT-3 draw in the order of the documents, which
//!   gives another corpus for another number of machines;
//! * probabilities above 1, which fastText can give, are cut to 1;
//! * a score equal to the limit is kept.

mod draw;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Document, Outcome, Reason};
use crate::models::fasttext::FastText;
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, Limit, OptionError, ScoreSpec, Side, StageSpec,
    parse_options, schema_of,
};

/// How the pipeline room knows this stage.
pub static SPEC: StageSpec = StageSpec {
    name: "classifier",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Scores pages with a fastText classifier and keeps them by score or by chance.",
    source: "DCLM-Baseline (threshold), GPT-3 and NeMo Curator (Pareto draw). The draw is a function of the document's id.",
    reasons: &[
        ("low_classifier_score", "the score is below `min_score`"),
        (
            "not_sampled",
            "the draw of `pareto_alpha` was against it; value: the share of such scores that is kept",
        ),
    ],
    scores: &[ScoreSpec { name: "score", doc: "probability of the wanted label", min: 0.0, max: 1.0 }],
    limits: &[Limit {
        reason: "low_classifier_score",
        score: "score",
        option: "min_score",
        fails: Side::Below,
    }],
    schema: schema_of::<Config>,
    build,
};

/// What a label starts with in a model.
const PREFIX: &str = "__label__";
/// The wanted label where the options name none: DCLM's, NeMo Curator's and our own models' name for good text.
const DEFAULT_LABEL: &str = "__label__hq";

/// Options of `classifier`. With neither `min_score` nor `pareto_alpha` pages are only scored; with both they must pass
/// both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Path of a fastText classifier, `.bin` or `.ftz`; `tamis classifier train` makes one.
    pub model: String,
    /// Label whose probability is the score, with or without `__label__`. Default: `__label__hq`, which the model must
    /// then have.
    #[serde(default)]
    pub label: Option<String>,
    /// Smallest score that is kept, 0 to 1; a score equal to it is. Default: none.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_score: Option<f64>,
    /// Keeps a page with score `s` where a draw from the Pareto distribution (Lomax, as `numpy.random.pareto`) with this
    /// alpha is above `1 - s`: a share `(2 - s)^-alpha` of such pages, all with score 1, an eighth with score 0 for alpha
    /// 3. GPT-3: 9; NeMo Curator: 3. Above 0. Default: none.
    #[serde(default)]
    #[schemars(range(min = 0.001, max = 1000.0))]
    pub pareto_alpha: Option<f64>,
    /// Seed of that draw; the rest of it is the page's id. Give two classifiers of one pipeline different seeds, or they
    /// make the same draws. Default 42.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Scores only the first so many characters, as a model wants that was trained with beginnings. At least 1.
    /// Default: none, the whole text.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub head_chars: Option<u64>,
}

fn default_seed() -> u64 {
    42
}

fn build(options: serde_json::Value, cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let bytes = cx.read_file("model", &config.model).map_err(|error| vec![error])?;
    let model = FastText::from_bytes(&bytes).map_err(|error| {
        vec![OptionError::new("model", format!("cannot use `{}`: {error}", config.model))]
    })?;
    let label = find_label(&model, config.label.as_deref()).map_err(|error| vec![error])?;
    Ok(Built::Doc(Box::new(Stage { model, label, config })))
}

/// Labels that a message lists.
const SHOWN_LABELS: usize = 20;

fn find_label(model: &FastText, wanted: Option<&str>) -> Result<usize, OptionError> {
    let full = match wanted {
        None => DEFAULT_LABEL.to_owned(),
        Some(label) => format!("{PREFIX}{}", label.strip_prefix(PREFIX).unwrap_or(label)),
    };
    // Models trained with another prefix have labels without ours.
    let is = |label: &str| label == full || Some(label) == wanted;
    model.labels().iter().position(|label| is(label)).ok_or_else(|| {
        let names: Vec<String> =
            model.labels().iter().take(SHOWN_LABELS).map(|label| format!("`{label}`")).collect();
        let more = if model.labels().len() > SHOWN_LABELS { ", ..." } else { "" };
        let message = match wanted {
            None => format!("must be given: the model has no label `{DEFAULT_LABEL}`"),
            Some(label) => format!("the model has no label `{label}`"),
        };
        OptionError::new("label", message).hint(format!("it has {}{more}", names.join(", ")))
    })
}

struct Stage {
    model: FastText,
    label: usize,
    config: Config,
}

impl Stage {
    fn measure(&self, text: &str) -> f64 {
        let text = match self.config.head_chars {
            None => text,
            Some(chars) => head(text, chars),
        };
        // A model without an end-of-sentence token says nothing about a text of which it knows nothing.
        let probability = self.model.probabilities(&[text]).get(self.label).copied().unwrap_or(0.0);
        f64::from(probability).min(1.0)
    }

    fn decide(&self, score: f64, id: &str) -> Outcome {
        if let Some(limit) = self.config.min_score.filter(|&limit| score < limit) {
            return Outcome::Drop(Reason::measured("low_classifier_score", score, limit));
        }
        if let Some(alpha) = self.config.pareto_alpha {
            let (share, draw) = (draw::kept_share(score, alpha), draw::uniform(id, self.config.seed));
            if draw >= share {
                return Outcome::Drop(Reason::measured("not_sampled", share, draw));
            }
        }
        Outcome::Keep
    }
}

/// The first so many characters.
fn head(text: &str, chars: u64) -> &str {
    let chars = usize::try_from(chars).unwrap_or(usize::MAX);
    if text.len() <= chars {
        return text;
    }
    let end = text.char_indices().nth(chars).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or(text)
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let score = self.measure(&doc.text);
        cx.score(doc, "score", score);
        self.decide(score, &doc.id)
    }

    fn redecide(&self, stored: &Document, stage: &str) -> Option<Outcome> {
        let name = format!("{stage}.score");
        let (_, score) = stored.scores.iter().find(|(known, _)| *known == name)?;
        Some(self.decide(*score, &stored.id))
    }

    fn deciding_options(&self) -> &'static [&'static str] {
        &["min_score", "pareto_alpha", "seed"]
    }
}

#[cfg(test)]
mod tests;
