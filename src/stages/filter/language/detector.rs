//! The two ways to tell a language, behind one face: a number per language of a fixed list.
//!
//! The embedded way asks the words first, which are quick to count and tell a page of some length nearly without mistake;
//! where they leave it open (few words, no language that fits, a script of one language) whatlang answers, and
//! the words say how far it can be trusted.
//!
//! A *variety* is a language in one script, as the labels of GlotLID and OpenLID have it (`zho_Hans`, `zho_Hant`); where
//! labels have no script, each language is one variety.

use std::collections::BTreeMap;

use whatlang::Lang;

use super::frequent_words::{FrequentWords, Vote};
use crate::models::fasttext::FastText;
use crate::text::langcodes::{self, Tag};

/// Tells languages.
pub(super) struct Detector {
    languages: Vec<String>,
    varieties: Vec<Variety>,
    method: Method,
}

/// A language in one script.
pub(super) struct Variety {
    /// Number of the language in the list.
    pub language: usize,
    /// ISO 15924 code, where the labels have one.
    pub script: Option<String>,
}

/// Nats by which the best language must be ahead for its words to settle the matter.
const DECISIVE_NATS: f64 = 5.0;
/// Fit from which on a language is not doubted.
const GOOD_FIT: f64 = 0.6;
/// Words from which on they can speak against whatlang.
const MIN_WORDS: u64 = 20;

enum Method {
    /// Frequent words and whatlang.
    Embedded(Embedded),
    /// A model, with the variety of each of its labels.
    FastText(Box<FastText>, Vec<usize>),
}

/// Where the languages of the embedded ways are in the list.
struct Embedded {
    /// By whatlang's number.
    whatlang: BTreeMap<u8, usize>,
    /// By the number in [`FrequentWords`].
    listed: Vec<usize>,
}

/// Scores of one text, 0 to 1.
pub(super) enum Scores {
    /// Only the best language is known: (language, score).
    One(usize, f64),
    /// A score per language, and one per variety where some language has several (else empty).
    All(Vec<f64>, Vec<f64>),
}

impl Scores {
    /// The best language and its score; of equal ones the first in the list.
    pub(super) fn best(&self) -> (usize, f64) {
        match self {
            Self::One(language, score) => (*language, *score),
            Self::All(scores, _) => best_of(scores.iter().copied().enumerate()).unwrap_or((0, 0.0)),
        }
    }

    /// The best language but for `best`, where its score is above 0.
    pub(super) fn second(&self, best: usize) -> Option<(usize, f64)> {
        match self {
            Self::One(..) => None,
            Self::All(scores, _) => {
                best_of(scores.iter().copied().enumerate().filter(|(language, _)| *language != best))
            }
        }
    }

    /// Score of one language.
    pub(super) fn of(&self, language: usize) -> f64 {
        match self {
            Self::One(best, score) if *best == language => *score,
            Self::One(..) => 0.0,
            Self::All(scores, _) => scores[language],
        }
    }

    /// Score of one variety of a language.
    pub(super) fn of_variety(&self, variety: usize, language: usize) -> f64 {
        match self {
            Self::All(_, varieties) if !varieties.is_empty() => varieties[variety],
            _ => self.of(language),
        }
    }
}

/// The first of the largest scores above 0.
fn best_of(scores: impl Iterator<Item = (usize, f64)>) -> Option<(usize, f64)> {
    let mut best = None;
    let mut best_score = 0.0;
    for (language, score) in scores {
        if score > best_score {
            (best, best_score) = (Some((language, score)), score);
        }
    }
    best
}

impl Detector {
    /// whatlang's profiles and the lists of frequent words.
    pub(super) fn embedded() -> Self {
        let mut languages = Vec::new();
        let mut whatlang = BTreeMap::new();
        for lang in Lang::all() {
            whatlang.insert(*lang as u8, place_of(code(*lang), &mut languages));
        }
        let codes = FrequentWords::get().codes();
        let listed = codes.map(|code| place_of(code.to_owned(), &mut languages)).collect();
        let varieties = (0..languages.len()).map(|language| Variety { language, script: None }).collect();
        Self { languages, varieties, method: Method::Embedded(Embedded { whatlang, listed }) }
    }

    /// A model. Fails with the first label that is no language code.
    pub(super) fn fasttext(model: FastText) -> Result<Self, String> {
        let mut languages = Vec::new();
        let mut varieties = Vec::new();
        let mut places = Vec::with_capacity(model.labels().len());
        let mut known_languages = BTreeMap::new();
        let mut known_varieties = BTreeMap::new();
        for label in model.labels() {
            let tag = langcodes::parse(label).ok_or_else(|| label.clone())?;
            places.push(*known_varieties.entry(tag).or_insert_with_key(|Tag { language, script }| {
                let language = *known_languages.entry(language.to_string()).or_insert_with_key(|code| {
                    languages.push(code.clone());
                    languages.len() - 1
                });
                varieties.push(Variety { language, script: script.clone() });
                varieties.len() - 1
            }));
        }
        Ok(Self { languages, varieties, method: Method::FastText(Box::new(model), places) })
    }

    /// Codes of the languages that can be told.
    pub(super) fn languages(&self) -> &[String] {
        &self.languages
    }

    /// What can be told, by language and script.
    pub(super) fn varieties(&self) -> &[Variety] {
        &self.varieties
    }

    /// Number of a language by its code.
    pub(super) fn language(&self, code: &str) -> Option<usize> {
        self.languages.iter().position(|known| known == code)
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
            Method::Embedded(embedded) => embedded.scores(parts),
            Method::FastText(model, places) => {
                let probabilities = model.probabilities(parts);
                if probabilities.is_empty() {
                    return None;
                }
                let mut scores = vec![0.0; self.languages.len()];
                let split = self.varieties.len() > self.languages.len();
                let mut by_variety = vec![0.0; if split { self.varieties.len() } else { 0 }];
                for (probability, &variety) in probabilities.iter().zip(places) {
                    let probability = f64::from(*probability);
                    scores[self.varieties[variety].language] += probability;
                    if split {
                        by_variety[variety] += probability;
                    }
                }
                for score in scores.iter_mut().chain(&mut by_variety) {
                    // A model with absurd weights gives sums that are no numbers.
                    *score = if score.is_nan() { 0.0 } else { score.clamp(0.0, 1.0) };
                }
                Some(Scores::All(scores, by_variety))
            }
        }
    }
}

impl Embedded {
    fn scores(&self, parts: &[&str]) -> Option<Scores> {
        let vote = FrequentWords::get().vote(parts);
        let words = vote.applies().then(|| self.by_words(&vote));
        if let Some((language, nats, fit)) = words
            && nats >= DECISIVE_NATS
            && fit >= GOOD_FIT
        {
            return Some(Scores::One(language, confidence(nats)));
        }
        let info = match parts {
            [text] => whatlang::detect(text),
            parts => whatlang::detect(&parts.join("\n")),
        };
        let Some((best, nats, fit)) = words.filter(|_| vote.words >= MIN_WORDS) else {
            return self.by_trigrams(&info?);
        };
        if fit >= GOOD_FIT {
            return Some(Scores::One(best, confidence(nats)));
        }
        let Scores::One(language, score) = self.by_trigrams(&info?)? else { return None };
        // What it knows and the words do not bear out is less sure.
        let doubted = self.listed.iter().position(|&place| place == language);
        let most = doubted.map_or(1.0, |listed| 1.0 - GOOD_FIT + vote.fit(listed));
        Some(Scores::One(language, score.min(most)))
    }

    /// The best language by words, by how many nats it is ahead, and how well it fits.
    fn by_words(&self, vote: &Vote) -> (usize, f64, f64) {
        let (listed, nats) = vote.best();
        (self.listed[listed], nats, vote.fit(listed))
    }

    fn by_trigrams(&self, info: &whatlang::Info) -> Option<Scores> {
        let language = *self.whatlang.get(&(info.lang() as u8))?;
        Some(Scores::One(language, info.confidence().clamp(0.0, 1.0)))
    }
}

/// Probability of the better one of two languages of which it is so many nats ahead, both as likely before.
fn confidence(nats: f64) -> f64 {
    1.0 / (1.0 + (-nats).exp())
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
