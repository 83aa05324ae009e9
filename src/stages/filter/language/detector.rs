//! The two ways to tell a language, behind one face: a number per language of a fixed list.

use std::collections::BTreeMap;

use whatlang::Lang;

use crate::models::fasttext::FastText;
use crate::text::langcodes;

/// Tells languages.
pub(super) struct Detector {
    languages: Vec<String>,
    method: Method,
}

enum Method {
    /// whatlang, with the place of each of its languages in the list.
    Embedded(BTreeMap<u8, usize>),
    /// A model, with the language of each of its labels.
    FastText(Box<FastText>, Vec<usize>),
}

/// Scores of one text, 0 to 1.
pub(super) enum Scores {
    /// Only the best language is known: (language, score).
    One(usize, f64),
    /// A score per language.
    All(Vec<f64>),
}

impl Scores {
    /// The best language and its score; of equal ones the first in the list.
    pub(super) fn best(&self) -> (usize, f64) {
        match self {
            Self::One(language, score) => (*language, *score),
            Self::All(scores) => {
                let mut best = (0, 0.0);
                for (language, &score) in scores.iter().enumerate() {
                    if score > best.1 {
                        best = (language, score);
                    }
                }
                best
            }
        }
    }

    /// Score of one language.
    pub(super) fn of(&self, language: usize) -> f64 {
        match self {
            Self::One(best, score) if *best == language => *score,
            Self::One(..) => 0.0,
            Self::All(scores) => scores[language],
        }
    }
}

impl Detector {
    /// whatlang's profiles.
    pub(super) fn embedded() -> Self {
        let mut languages = Vec::new();
        let mut places = BTreeMap::new();
        for lang in Lang::all() {
            places.insert(*lang as u8, place_of(code(*lang), &mut languages));
        }
        Self { languages, method: Method::Embedded(places) }
    }

    /// A model. Fails with the first label that is no language code.
    pub(super) fn fasttext(model: FastText) -> Result<Self, String> {
        let mut languages = Vec::new();
        let mut places = Vec::with_capacity(model.labels().len());
        let mut known = BTreeMap::new();
        for label in model.labels() {
            let code = langcodes::normalise(label).ok_or_else(|| label.clone())?.into_owned();
            places.push(*known.entry(code.clone()).or_insert_with(|| {
                languages.push(code);
                languages.len() - 1
            }));
        }
        Ok(Self { languages, method: Method::FastText(Box::new(model), places) })
    }

    /// Codes of the languages that can be told.
    pub(super) fn languages(&self) -> &[String] {
        &self.languages
    }

    /// How messages call it.
    pub(super) fn name(&self) -> &'static str {
        match self.method {
            Method::Embedded(_) => "the embedded detector (whatlang)",
            Method::FastText(..) => "the model",
        }
    }

    /// Scores of the text that `parts` make up; none where it is blank or nothing is known of its characters.
    pub(super) fn scores(&self, parts: &[&str]) -> Option<Scores> {
        if parts.iter().all(|part| part.chars().all(char::is_whitespace)) {
            return None;
        }
        match &self.method {
            Method::Embedded(places) => {
                let info = match parts {
                    [text] => whatlang::detect(text),
                    parts => whatlang::detect(&parts.join("\n")),
                }?;
                let language = *places.get(&(info.lang() as u8))?;
                Some(Scores::One(language, info.confidence().clamp(0.0, 1.0)))
            }
            Method::FastText(model, places) => {
                let probabilities = model.probabilities(parts);
                if probabilities.is_empty() {
                    return None;
                }
                let mut scores = vec![0.0; self.languages.len()];
                for (probability, &language) in probabilities.iter().zip(places) {
                    scores[language] += f64::from(*probability);
                }
                for score in &mut scores {
                    // A model with absurd weights gives sums that are no numbers.
                    *score = if score.is_nan() { 0.0 } else { score.clamp(0.0, 1.0) };
                }
                Some(Scores::All(scores))
            }
        }
    }
}

fn place_of(code: String, languages: &mut Vec<String>) -> usize {
    languages.iter().position(|known| *known == code).unwrap_or_else(|| {
        languages.push(code);
        languages.len() - 1
    })
}

fn code(lang: Lang) -> String {
    langcodes::normalise(lang.code()).map_or_else(|| lang.code().to_owned(), std::borrow::Cow::into_owned)
}

/// The code of a language that somebody calls by its English name.
pub(super) fn code_of_english_name(name: &str) -> Option<String> {
    Lang::all().iter().find(|lang| lang.eng_name().eq_ignore_ascii_case(name)).map(|lang| code(*lang))
}
