//! mC4's paragraph rule: keeps pages with enough long lines.
//!
//! From Xue et al. 2021, "mT5", section 3.1, as datatrove 0.10 has it in `C4ParagraphFilter`: a page goes unless it has
//! three lines, and the third longest of them has 200 characters. Both together say that three lines have
//! at least 200 characters, which is how it is counted here.
//!
//! We differ in that both numbers are options, which datatrove fixes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::rules::{Rules, below, count, deciding};
use crate::document::{Document, Outcome};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, Limit, OptionError, ScoreSpec, StageSpec, parse_options,
    schema_of,
};

/// The stage as the registry knows it.
pub static SPEC: StageSpec = StageSpec {
    name: "c4_paragraph",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Drops pages with too few long lines.",
    source: "mC4 (Xue et al. 2021) as in datatrove 0.10 `C4ParagraphFilter`.",
    reasons: &[(
        "too_few_paragraphs",
        "fewer lines of `min_line_chars` characters or more than `min_paragraphs`",
    )],
    scores: &[ScoreSpec {
        name: "paragraphs",
        doc: "lines of at least `min_line_chars` characters",
        min: 0.0,
        max: 40.0,
    }],
    limits: LIMITS,
    schema: schema_of::<Config>,
    build,
};

const LIMITS: &[Limit] = &[below("too_few_paragraphs", "paragraphs", "min_paragraphs")];
static DECIDING: [&str; LIMITS.len()] = deciding(LIMITS);

/// Options of `c4_paragraph`. Lines are what stands between newlines, white space at their ends included.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Fewest long lines that a page may have; one with exactly so many is kept. `null` switches the check
    /// off. datatrove: `min_paragraphs`, 3.
    pub min_paragraphs: Option<u64>,
    /// Characters from which on a line is long; one of exactly so many is. datatrove: `min_paragraph_len`, 200.
    pub min_line_chars: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { min_paragraphs: Some(3), min_line_chars: 200 }
    }
}

fn build(options: serde_json::Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    Ok(Built::Doc(Box::new(Stage::new(&config))))
}

/// The filter.
#[derive(Debug)]
pub struct Stage {
    min_line_chars: u64,
    rules: Rules,
}

impl Stage {
    /// The filter with these options.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let bounds = [count(config.min_paragraphs)];
        Self { min_line_chars: config.min_line_chars, rules: Rules::new(&SPEC, &bounds) }
    }

    fn decide(&self, values: &[f64]) -> Option<Outcome> {
        self.rules.verdict(values, |_, _| true)
    }
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let index = cx.features.lines(&doc.text);
        let is_long = |chars: u32| u64::from(chars) >= self.min_line_chars;
        let long = index.lines.iter().filter(|line| is_long(line.chars)).count() as u64;
        // Empty lines are not in the list.
        let all = index.newlines + 1;
        let values = [if self.min_line_chars == 0 { all } else { long } as f64];
        self.rules.score(doc, cx, &values);
        self.decide(&values).expect("the value was just measured")
    }

    fn redecide(&self, stored: &Document, stage: &str) -> Option<Outcome> {
        self.decide(&self.rules.stored(stored, stage))
    }

    fn deciding_options(&self) -> &'static [&'static str] {
        &DECIDING
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::filter::testing;

    #[test]
    fn cases() {
        testing::run_cases(&SPEC);
    }

    #[test]
    fn any_text_gets_a_verdict() {
        testing::any_text(&SPEC);
        testing::any_text_with(&SPEC, serde_json::json!({"min_paragraphs": 2, "min_line_chars": 12}));
    }
}
