//! Which languages are kept and from which score on: `keep`, `min_score`, `min_scores` and `macrolanguages` against
//! what a detector can tell, and the verdict on one text's scores.
//!
//! What is kept falls into groups, each with one limit; the score of a group is the sum of its varieties'. A group is a language,
//! or some of its scripts where the options tell them apart, or all members of a macrolanguage.

use std::collections::{BTreeMap, BTreeSet};

use super::Config;
use super::detector::{Detector, Scores, code_of_english_name};
use crate::stage::OptionError;
use crate::text::langcodes::{self, Tag};

/// Limit for kept languages where the pipeline gives none: FineWeb's.
const DEFAULT_MIN_SCORE: f64 = 0.65;

pub(super) struct Rules {
    groups: Vec<Group>,
    /// Group of each variety of the detector; `None` where it is not kept.
    group_of: Vec<Option<usize>>,
    /// Varieties of each language.
    varieties_of: Vec<Vec<usize>>,
    /// Languages that are none (`zxx`).
    none: Vec<bool>,
    /// Whether any page can be dropped.
    pub drops: bool,
    /// Whether another kept language than the best one may let a page pass.
    any_kept: bool,
}

struct Group {
    limit: f64,
    varieties: Vec<usize>,
    languages: BTreeSet<usize>,
    /// The language that this group is, neither more nor less.
    whole: Option<usize>,
}

/// What the rules say to one text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    Passes,
    /// The best language is kept, but below its limit.
    Low {
        value: f64,
        limit: f64,
    },
    /// The best language is not kept; its script where only that is not kept.
    NotKept(Option<String>),
    /// The best label says that the text is in no language.
    NoLanguage,
}

/// The best languages of a text and the verdict on it.
pub(super) struct Judgement {
    pub language: usize,
    pub score: f64,
    pub second: Option<(usize, f64)>,
    pub verdict: Verdict,
}

/// Varieties that an entry of the options names.
struct Named {
    varieties: Vec<usize>,
    /// 0: a macrolanguage for its members; 1: a language; 2: a language in a script.
    precision: usize,
    several_languages: bool,
}

impl Rules {
    pub(super) fn new(config: &Config, detector: &Detector) -> Result<Self, Vec<OptionError>> {
        let mut errors = Vec::new();
        let kept = kept(config, detector, &mut errors);
        let limits = limits(config, detector, kept.as_deref(), &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let languages = detector.languages();
        let none: Vec<bool> = languages.iter().map(|code| langcodes::is_no_language(code)).collect();
        let drops = kept.is_some() || config.min_score.is_some() || !limits.is_empty();
        let general = config.min_score.unwrap_or(if kept.is_some() { DEFAULT_MIN_SCORE } else { 0.0 });
        let mut varieties_of = vec![Vec::new(); languages.len()];
        let mut groups: BTreeMap<(usize, Option<usize>), Group> = BTreeMap::new();
        let mut keys = Vec::new();
        for (number, variety) in detector.varieties().iter().enumerate() {
            varieties_of[variety.language].push(number);
            let limit = most_precise(&limits, number);
            let named = match &kept {
                Some(kept) => kept.iter().position(|named| named.varieties.contains(&number)),
                None if none[variety.language] && drops => limit,
                None => limit.or(Some(usize::MAX)),
            };
            let Some(named) = named else {
                keys.push(None);
                continue;
            };
            let list = kept.as_ref().unwrap_or(&limits);
            let unit = match list.get(named) {
                Some(entry) if entry.several_languages => languages.len() + named,
                _ => variety.language,
            };
            let key = (unit, limit);
            keys.push(Some(key));
            let group = groups.entry(key).or_insert_with(|| Group {
                limit: limit
                    .and_then(|entry| config.min_scores.values().nth(entry))
                    .copied()
                    .unwrap_or(general),
                varieties: Vec::new(),
                languages: BTreeSet::new(),
                whole: None,
            });
            group.varieties.push(number);
            group.languages.insert(variety.language);
        }
        let places: BTreeMap<_, _> = groups.keys().enumerate().map(|(place, key)| (*key, place)).collect();
        let group_of = keys.iter().map(|key| key.and_then(|key| places.get(&key).copied())).collect();
        let mut groups: Vec<Group> = groups.into_values().collect();
        for group in &mut groups {
            let only = if group.languages.len() == 1 { group.languages.first().copied() } else { None };
            group.whole = only.filter(|&language| varieties_of[language].len() == group.varieties.len());
        }
        Ok(Self { groups, group_of, varieties_of, none, drops, any_kept: kept.is_some() })
    }

    /// The verdict on the scores of a text.
    pub(super) fn judge(&self, scores: &Scores, detector: &Detector) -> Judgement {
        let (language, score) = scores.best();
        let second = scores.second(language);
        Judgement { language, score, second, verdict: self.verdict(scores, detector, language) }
    }

    fn verdict(&self, scores: &Scores, detector: &Detector, language: usize) -> Verdict {
        if !self.drops {
            return Verdict::Passes;
        }
        let varieties = &self.varieties_of[language];
        let mut variety = varieties[0];
        for &other in varieties {
            if scores.of_variety(other, language) > scores.of_variety(variety, language) {
                variety = other;
            }
        }
        let own = self.group_of[variety];
        let value = |group: &Group| match group.whole {
            Some(language) => scores.of(language),
            None => group
                .varieties
                .iter()
                .map(|&variety| scores.of_variety(variety, detector.varieties()[variety].language))
                .sum::<f64>()
                .min(1.0),
        };
        let verdict = self.own_verdict(
            language,
            own,
            |group| value(group),
            || detector.varieties()[variety].script.clone(),
        );
        let passes = |group: &Group| value(group) >= group.limit;
        if self.any_kept && verdict != Verdict::Passes && self.groups.iter().any(passes) {
            return Verdict::Passes;
        }
        verdict
    }

    /// The verdict on a language by its own group alone.
    fn own_verdict(
        &self,
        language: usize,
        group: Option<usize>,
        value: impl FnOnce(&Group) -> f64,
        script: impl FnOnce() -> Option<String>,
    ) -> Verdict {
        match group.map(|group| &self.groups[group]) {
            Some(group) => {
                let (value, limit) = (value(group), group.limit);
                if value >= limit { Verdict::Passes } else { Verdict::Low { value, limit } }
            }
            None if self.none[language] => Verdict::NoLanguage,
            None => {
                let partly = self.varieties_of[language].iter().any(|&v| self.group_of[v].is_some());
                Verdict::NotKept(if partly { script() } else { None })
            }
        }
    }

    /// The verdict again from the best and the second language alone; `None` where these do not settle it.
    pub(super) fn verdict_again(
        &self,
        language: usize,
        score: f64,
        second: Option<(usize, f64)>,
    ) -> Option<Verdict> {
        if !self.drops {
            return Some(Verdict::Passes);
        }
        let own = self.own_verdict_again(language, score);
        if own == Some(Verdict::Passes) || !self.any_kept {
            return own;
        }
        let mut settled = true;
        for group in self.groups.iter().filter(|group| group.whole != Some(language)) {
            let exact = second.filter(|(other, _)| group.whole == Some(*other));
            if group.limit <= 0.0 || exact.is_some_and(|(_, score)| score >= group.limit) {
                return Some(Verdict::Passes);
            }
            // Every other language has at most the second one's score; the last factor covers rounding of the sum.
            let most = second.map_or(0.0, |(_, score)| score) * group.languages.len() as f64 * (1.0 + 1e-9);
            settled &= exact.is_some() || (!group.languages.contains(&language) && most < group.limit);
        }
        own.filter(|_| settled)
    }

    /// As [`Rules::own_verdict`], where the score of the whole language is its group's.
    pub(super) fn own_verdict_again(&self, language: usize, score: f64) -> Option<Verdict> {
        let mut groups = self.varieties_of[language].iter().map(|&variety| self.group_of[variety]);
        let first = groups.next().flatten();
        let alike = groups.all(|group| group == first);
        let whole = first.is_none_or(|group| self.groups[group].whole == Some(language));
        (alike && whole).then(|| self.own_verdict(language, first, |_| score, || None))
    }
}

/// The entry of `min_scores` that names a variety most precisely.
fn most_precise(limits: &[Named], variety: usize) -> Option<usize> {
    let names = |(_, named): &(usize, &Named)| named.varieties.contains(&variety);
    limits.iter().enumerate().filter(names).max_by_key(|(_, named)| named.precision).map(|(entry, _)| entry)
}

fn kept(config: &Config, detector: &Detector, errors: &mut Vec<OptionError>) -> Option<Vec<Named>> {
    if config.keep.is_empty() {
        return None;
    }
    let mut kept = Vec::new();
    for (place, name) in config.keep.iter().enumerate() {
        match find(name, detector, config.macrolanguages) {
            Ok(named) => kept.push(named),
            Err((message, hint)) => errors.push(OptionError { key: format!("keep.{place}"), message, hint }),
        }
    }
    Some(kept)
}

fn limits(
    config: &Config,
    detector: &Detector,
    kept: Option<&[Named]>,
    errors: &mut Vec<OptionError>,
) -> Vec<Named> {
    let mut limits: Vec<Named> = Vec::new();
    for (name, &limit) in &config.min_scores {
        let key = format!("min_scores.{name}");
        if !(0.0..=1.0).contains(&limit) {
            errors.push(OptionError::new(&key, format!("`{limit}` is not a score; scores are 0 to 1")));
        }
        match find(name, detector, config.macrolanguages) {
            Err((message, hint)) => errors.push(OptionError { key, message, hint }),
            Ok(named) => {
                let shared = |other: &Named| other.varieties.iter().any(|v| named.varieties.contains(v));
                if kept.is_some_and(|kept| !kept.iter().any(shared)) {
                    let message = format!("`{name}` has a limit but is not in `keep`");
                    errors
                        .push(OptionError::new(key, message).hint("add it to `keep`, or take the limit out"));
                } else if limits.iter().any(|other| other.precision == named.precision && shared(other)) {
                    errors.push(OptionError::new(key, format!("a second limit for the language `{name}`")));
                }
                limits.push(named);
            }
        }
    }
    limits
}

/// What a name stands for, else a message and perhaps a hint.
fn find(name: &str, detector: &Detector, macrolanguages: bool) -> Result<Named, (String, Option<String>)> {
    let Some(Tag { language, script }) = langcodes::parse(name) else {
        let hint = code_of_english_name(name).map(|code| format!("did you mean `{code}`?"));
        return Err((format!("`{name}` is not a language code (ISO 639-1 or 639-3)"), hint));
    };
    let own = detector.language(&language);
    let mut languages: Vec<usize> = own.into_iter().collect();
    if macrolanguages || own.is_none() {
        languages.extend(langcodes::members(&language).filter_map(|member| detector.language(member)));
    }
    if languages.is_empty() {
        return Err(not_told(name, &language, detector));
    }
    let of_language = |number: &usize| languages.contains(&detector.varieties()[*number].language);
    let all: Vec<usize> = (0..detector.varieties().len()).filter(of_language).collect();
    let is_meant = |number: &&usize| -> bool {
        let variety = &detector.varieties()[**number];
        match (&script, &variety.script) {
            (None, _) => true,
            (Some(wanted), Some(script)) => langcodes::holds(wanted, script),
            (Some(wanted), None) => {
                let mut usual = langcodes::usual_scripts(&detector.languages()[variety.language]).peekable();
                usual.peek().is_some() && usual.all(|script| langcodes::holds(wanted, script))
            }
        }
    };
    let varieties: Vec<usize> = all.iter().filter(is_meant).copied().collect();
    match script {
        Some(script) if varieties.is_empty() => Err(other_script(name, &script, &language, &all, detector)),
        script => Ok(Named {
            varieties,
            precision: if script.is_some() { 2 } else { usize::from(languages.len() == 1) },
            several_languages: languages.len() > 1,
        }),
    }
}

fn not_told(name: &str, language: &str, detector: &Detector) -> (String, Option<String>) {
    let message = format!("`{name}` is a language that {} cannot tell", detector.name());
    let whole = langcodes::macrolanguage(language).filter(|code| detector.language(code).is_some());
    let hint = match whole {
        Some(code) if language == "als" => format!("for Albanian write `{code}`"),
        Some(code) => format!("it tells `{code}`, which includes it"),
        None => {
            let languages = detector.languages();
            format!("it tells {} languages: {}", languages.len(), languages.join(", "))
        }
    };
    (message, Some(hint))
}

fn other_script(
    name: &str,
    script: &str,
    language: &str,
    varieties: &[usize],
    detector: &Detector,
) -> (String, Option<String>) {
    let told: BTreeSet<&str> =
        varieties.iter().filter_map(|&number| detector.varieties()[number].script.as_deref()).collect();
    let who = detector.name();
    if told.is_empty() {
        let usual: Vec<&str> = langcodes::usual_scripts(language).collect();
        let message = if usual.len() == 1 {
            format!("`{name}`: `{language}` is written in {}, and {who} does not tell scripts", usual[0])
        } else {
            format!("`{name}`: {who} does not tell the scripts of `{language}` apart")
        };
        return (message, Some(format!("write `{language}`, or take a model whose labels have scripts")));
    }
    let told: Vec<&str> = told.into_iter().collect();
    let message = format!("`{name}`: {who} tells `{language}` in {}, not in {script}", told.join(" and "));
    (message, Some(format!("write `{language}` for all that it tells")))
}
