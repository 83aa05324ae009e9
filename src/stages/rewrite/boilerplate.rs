//! `boilerplate`: leftovers of web pages out of a text, by rules that are data.
//!
//! What extraction leaves behind: tags and entities, marks of wikis and forums, ways through a site, cookie and JavaScript
//! notices, "read more", "share this", bare addresses, footers, in seventeen languages and more. The aims are those of the line
//! rules of C4 (Raffel et al. 2020) and of RefinedWeb (Penedo et al. 2023, appendix G.2: counters, navigation, sign-in); where
//! they have a few English strings in code, here is a file of rules (`boilerplate/rules.json`), which a pipeline can replace,
//! add to, or switch off by name.
//!
//! Rules are conservative: phrases must be the whole line or, up to a length, its start; tails go only where everything
//! behind them is short; rules for markup leave pages alone that talk about markup. So "the page uses cookies" inside a
//! paragraph stays. How a line is compared is in `find.rs`, how rules are written in `rules.rs` and `docs/boilerplate.md`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Document, Outcome, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, Limit, OptionError, ScoreSpec, Side, StageSpec,
    parse_options, schema_of,
};
use crate::text::cut::ink;

mod find;
mod rules;

pub use find::Removal;
use find::{Finder, Found};
use rules::{Group, Rule};

/// How the stage describes itself.
pub static SPEC: StageSpec = StageSpec {
    name: "boilerplate",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Removes leftovers of web pages (tags, menus, cookie notices, footers) by rules that are data.",
    source: "own rules; aims of the line rules of C4 and RefinedWeb",
    reasons: &[
        ("too_much_boilerplate", "a larger share of the text went than `max_removed_ratio`"),
        ("too_little_left", "fewer characters are left than `min_left_chars`"),
    ],
    scores: &[
        ScoreSpec { name: "lines_removed", doc: "lines that went whole", min: 0.0, max: 40.0 },
        ScoreSpec {
            name: "matches",
            doc: "pieces inside lines that went or were replaced",
            min: 0.0,
            max: 40.0,
        },
        ScoreSpec {
            name: "removed_ratio",
            doc: "characters that went / characters of the text, white space left out",
            min: 0.0,
            max: 1.0,
        },
        ScoreSpec {
            name: "left_chars",
            doc: "characters left, white space left out",
            min: 0.0,
            max: 20000.0,
        },
        ScoreSpec {
            name: "markup",
            doc: "times that a rule of the group `markup` fired",
            min: 0.0,
            max: 40.0,
        },
        ScoreSpec { name: "navigation", doc: "the same for `navigation`", min: 0.0, max: 40.0 },
        ScoreSpec { name: "notices", doc: "the same for `notices`", min: 0.0, max: 40.0 },
        ScoreSpec { name: "links", doc: "the same for `links`", min: 0.0, max: 40.0 },
        ScoreSpec { name: "footers", doc: "the same for `footers`", min: 0.0, max: 40.0 },
        ScoreSpec { name: "other", doc: "the same for `other`", min: 0.0, max: 40.0 },
    ],
    limits: &[
        Limit {
            reason: "too_much_boilerplate",
            score: "removed_ratio",
            option: "max_removed_ratio",
            fails: Side::Above,
        },
        Limit {
            reason: "too_little_left",
            score: "left_chars",
            option: "min_left_chars",
            fails: Side::Below,
        },
    ],
    schema: schema_of::<Config>,
    build,
};

/// Options of `boilerplate`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Path of a file of rules (JSON, see `docs/boilerplate.md`) to use in place of the bundled ones. Default: the bundled.
    pub rules: Option<String>,
    /// Paths of files with rules to use beside them; they come after those of `rules`. Default: none.
    pub extra_rules: Vec<String>,
    /// Names of rules to leave out. Default: none.
    pub disable: Vec<String>,
    /// Largest share of a page's characters (spaces, tabs and line ends left out) that may go, 0 to 1; a page of which exactly so much
    /// goes is kept. `null` for no limit. Default: `null`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_removed_ratio: Option<f64>,
    /// Fewest characters (spaces, tabs and line ends left out) that must be left of a page of which something went; a page with exactly
    /// so many is kept. `null` for no limit. Default: 1, so that no empty page goes on.
    pub min_left_chars: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules: None,
            extra_rules: Vec::new(),
            disable: Vec::new(),
            max_removed_ratio: None,
            min_left_chars: Some(1),
        }
    }
}

fn build(options: serde_json::Value, cx: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    Ok(Built::Doc(Box::new(Boilerplate::new(&parse_options(options)?, cx)?)))
}

/// The stage.
pub struct Boilerplate {
    finder: Finder,
    max_removed_ratio: Option<f64>,
    min_left_chars: Option<u64>,
}

/// What the verdict hangs on.
struct Measures {
    changed: bool,
    removed_ratio: f64,
    left_chars: f64,
}

impl Boilerplate {
    /// Builds the stage.
    ///
    /// # Errors
    /// For every mistake in a file of rules (at `rules` or `extra_rules.N`, with the rule's name), for names in
    /// `disable` that no rule has, and where no rule is left.
    pub fn new(config: &Config, cx: &mut BuildContext) -> Result<Self, Vec<OptionError>> {
        let mut errors = Vec::new();
        let mut all = Vec::new();
        match &config.rules {
            Some(path) => add_file(cx, "rules", path, &mut all, &mut errors),
            None => match rules::read(rules::BUNDLED) {
                Ok(rules) => all = rules,
                Err(what) => errors.extend(what.into_iter().map(|what| OptionError::new("rules", what))),
            },
        }
        for (place, path) in config.extra_rules.iter().enumerate() {
            add_file(cx, &format!("extra_rules.{place}"), path, &mut all, &mut errors);
        }
        for (place, name) in config.disable.iter().enumerate() {
            if !all.iter().any(|rule| rule.name == *name) {
                let error =
                    OptionError::new(format!("disable.{place}"), format!("there is no rule `{name}`"));
                errors.push(match nearest(name, &all) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error,
                });
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        all.retain(|rule| !config.disable.contains(&rule.name));
        if all.is_empty() {
            return Err(vec![OptionError::new("disable", "no rule is left")]);
        }
        let finder = Finder::new(all).map_err(|what| vec![OptionError::new("", what)])?;
        Ok(Self {
            finder,
            max_removed_ratio: config.max_removed_ratio,
            min_left_chars: config.min_left_chars,
        })
    }

    /// Everything that the rules take out of a text in this language, in the order in which they do, and what is left.
    #[must_use]
    pub fn removals(&self, text: &str, language: Option<&str>) -> (Vec<Removal>, String) {
        let mut removals = Vec::new();
        let found = self.finder.apply(text, language, &mut |place, piece| {
            let rule = self.finder.rules()[place].name.clone();
            removals.push(Removal { rule, text: piece.to_owned() });
        });
        (removals, found.text.unwrap_or_else(|| text.to_owned()))
    }

    fn decide(&self, measures: &Measures, detail: impl FnOnce() -> Option<String>) -> Outcome {
        if !measures.changed {
            return Outcome::Keep;
        }
        let ratio = self.max_removed_ratio.filter(|&max| measures.removed_ratio > max);
        let left = self.min_left_chars.map(|min| min as f64).filter(|&min| measures.left_chars < min);
        let reason = match (ratio, left) {
            (Some(max), _) => Reason::measured("too_much_boilerplate", measures.removed_ratio, max),
            (None, Some(min)) => Reason::measured("too_little_left", measures.left_chars, min),
            (None, None) => return Outcome::Changed,
        };
        Outcome::Drop(match detail() {
            Some(detail) => reason.detail(detail),
            None => reason,
        })
    }

    /// `cookie_notice 3, read_more 2`, in the order of the rules.
    fn fired(&self, found: &Found) -> String {
        let rules = self.finder.rules().iter().zip(&found.by_rule).filter(|(_, count)| **count > 0);
        rules.map(|(rule, count)| format!("{} {count}", rule.name)).collect::<Vec<_>>().join(", ")
    }
}

fn add_file(
    cx: &mut BuildContext,
    key: &str,
    path: &str,
    all: &mut Vec<Rule>,
    errors: &mut Vec<OptionError>,
) {
    let bytes = match cx.read_file(key, path) {
        Ok(bytes) => bytes,
        Err(error) => return errors.push(error),
    };
    let at = |what: &str| OptionError::new(key, format!("`{path}`: {what}"));
    let Ok(text) = String::from_utf8(bytes) else { return errors.push(at("not UTF-8")) };
    match rules::read(&text) {
        Ok(rules) => {
            for rule in rules {
                if all.iter().any(|other| other.name == rule.name) {
                    errors.push(at(&format!("rule `{}`: another rule has that name", rule.name)));
                }
                errors.extend(failing_examples(&rule).iter().map(|what| at(what)));
                all.push(rule);
            }
        }
        Err(what) => errors.extend(what.iter().map(|what| at(what))),
    }
}

/// Examples of a rule on which it does not do what its file says.
fn failing_examples(rule: &Rule) -> Vec<String> {
    let finder = match Finder::new(vec![rule.clone()]) {
        Ok(finder) => finder,
        Err(what) => return vec![format!("rule `{}`: {what}", rule.name)],
    };
    let language = rule.languages.first().map(String::as_str);
    let changes = |text: &str| finder.apply(text, language, &mut |_, _| {}).text.is_some();
    let stays = rule.removes.iter().filter(|text| !changes(text)).map(|text| (text, "leaves", "removes"));
    let goes = rule.keeps.iter().filter(|text| changes(text)).map(|text| (text, "changes", "keeps"));
    stays
        .chain(goes)
        .map(|(text, does, list)| {
            format!("rule `{}`: it {does} its example `{text}` under `{list}`", rule.name)
        })
        .collect()
}

fn nearest<'r>(name: &str, rules: &'r [Rule]) -> Option<&'r str> {
    let near = |rule: &&'r Rule| strsim::levenshtein(name, &rule.name);
    rules.iter().min_by_key(near).filter(|rule| near(rule) <= 3).map(|rule| rule.name.as_str())
}

impl DocStage for Boilerplate {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let found = self.finder.apply(&doc.text, doc.language.as_deref(), &mut |_, _| {});
        let before = ink(&doc.text);
        let left = found.text.as_deref().map_or(before, ink);
        let measures = Measures {
            changed: found.text.is_some(),
            removed_ratio: before.saturating_sub(left) as f64 / before.max(1) as f64,
            left_chars: left as f64,
        };
        cx.score(doc, "lines_removed", found.lines as f64);
        cx.score(doc, "matches", found.matches as f64);
        cx.score(doc, "removed_ratio", measures.removed_ratio);
        cx.score(doc, "left_chars", measures.left_chars);
        for group in Group::ALL {
            let rules = self.finder.rules().iter().zip(&found.by_rule);
            let fired: u32 = rules.filter(|(rule, _)| rule.group == group).map(|(_, count)| count).sum();
            cx.score(doc, group.score(), f64::from(fired));
        }
        let outcome = self.decide(&measures, || Some(self.fired(&found)));
        if let (Outcome::Changed, Some(text)) = (&outcome, found.text) {
            doc.text = text;
        }
        outcome
    }

    fn redecide(&self, stored: &Document, stage: &str) -> Option<Outcome> {
        let score = |wanted: &str| {
            let is_wanted =
                |name: &str| name.strip_prefix(stage).and_then(|name| name.strip_prefix('.')) == Some(wanted);
            stored.scores.iter().find(|(name, _)| is_wanted(name)).map(|(_, value)| *value)
        };
        let measures = Measures {
            changed: score("lines_removed")? + score("matches")? > 0.0,
            removed_ratio: score("removed_ratio")?,
            left_chars: score("left_chars")?,
        };
        Some(self.decide(&measures, || None))
    }

    fn deciding_options(&self) -> &'static [&'static str] {
        &["max_removed_ratio", "min_left_chars"]
    }
}

#[cfg(test)]
mod tests;
