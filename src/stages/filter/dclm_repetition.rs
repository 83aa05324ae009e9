//! `dclm_repetition`: Gopher's repetition rules as DCLM-Baseline applies them.
//!
//! Source: DCLM (Li et al. 2024), `massive_web_repetition_filters`, after Gopher (Rae et al. 2021, table A1). Against
//! `gopher_repetition` (datatrove): all copies of a repeated line count, the first one too; lines and paragraphs are
//! stripped and blank ones left out; n-grams are of UAX #29 words without punctuation, and their shares are of the
//! characters in words; of several most frequent n-grams the longest counts, and only if it occurs twice; of the
//! repeated 5- to 10-grams every word that lies in one counts once.
//!
//! We count exactly: pieces are compared byte by byte, an n-gram is known by its two (n-1)-grams. Where we
//! differ: `null` switches a check off.

use schemars::JsonSchema;
use serde::Deserialize;

use super::dclm_words;
use crate::document::{Document, Outcome, Reason};
use crate::stage::{
    BuildContext, Built, Context, DocStage, Kind, Limit, OptionError, ScoreSpec, Side, StageSpec,
    parse_options, schema_of,
};
use crate::text::lines::{chars, strip};

const CHECKS: usize = 13;

const fn limit(reason: &'static str, score: &'static str, option: &'static str) -> Limit {
    Limit { reason, score, option, fails: Side::Above }
}

/// The checks in DCLM's order.
static LIMITS: [Limit; CHECKS] = [
    limit("duplicate_lines", "duplicate_line_ratio", "max_duplicate_line_ratio"),
    limit("duplicate_paragraphs", "duplicate_paragraph_ratio", "max_duplicate_paragraph_ratio"),
    limit("duplicate_line_chars", "duplicate_line_char_ratio", "max_duplicate_line_char_ratio"),
    limit(
        "duplicate_paragraph_chars",
        "duplicate_paragraph_char_ratio",
        "max_duplicate_paragraph_char_ratio",
    ),
    limit("frequent_2gram", "frequent_2gram_char_ratio", "max_frequent_2gram_char_ratio"),
    limit("frequent_3gram", "frequent_3gram_char_ratio", "max_frequent_3gram_char_ratio"),
    limit("frequent_4gram", "frequent_4gram_char_ratio", "max_frequent_4gram_char_ratio"),
    limit("repeated_5grams", "repeated_5gram_char_ratio", "max_repeated_5gram_char_ratio"),
    limit("repeated_6grams", "repeated_6gram_char_ratio", "max_repeated_6gram_char_ratio"),
    limit("repeated_7grams", "repeated_7gram_char_ratio", "max_repeated_7gram_char_ratio"),
    limit("repeated_8grams", "repeated_8gram_char_ratio", "max_repeated_8gram_char_ratio"),
    limit("repeated_9grams", "repeated_9gram_char_ratio", "max_repeated_9gram_char_ratio"),
    limit("repeated_10grams", "repeated_10gram_char_ratio", "max_repeated_10gram_char_ratio"),
];

const fn score(name: &'static str, doc: &'static str) -> ScoreSpec {
    ScoreSpec { name, doc, min: 0.0, max: 1.0 }
}

/// The stage as the registry knows it.
pub static SPEC: StageSpec = StageSpec {
    name: "dclm_repetition",
    kind: Kind::Filter,
    needs_text: true,
    summary: "Gopher's repetition rules in DCLM's version: every copy of a repeated part counts.",
    source: "DCLM-Baseline (Li et al. 2024), `massive_web_repetition_filters`.",
    reasons: &[
        ("no_lines", "nothing but white space"),
        ("duplicate_lines", "a larger share of lines has a copy than `max_duplicate_line_ratio`"),
        (
            "duplicate_paragraphs",
            "a larger share of paragraphs has a copy than `max_duplicate_paragraph_ratio`",
        ),
        (
            "duplicate_line_chars",
            "lines with a copy hold more of the text than `max_duplicate_line_char_ratio`",
        ),
        (
            "duplicate_paragraph_chars",
            "paragraphs with a copy hold more of the text than `max_duplicate_paragraph_char_ratio`",
        ),
        ("frequent_2gram", "one pair of words makes up too much of the text"),
        ("frequent_3gram", "one sequence of 3 words makes up too much of the text"),
        ("frequent_4gram", "one sequence of 4 words makes up too much of the text"),
        ("repeated_5grams", "too much of the text lies in sequences of 5 words that occur twice"),
        ("repeated_6grams", "too much of the text lies in sequences of 6 words that occur twice"),
        ("repeated_7grams", "too much of the text lies in sequences of 7 words that occur twice"),
        ("repeated_8grams", "too much of the text lies in sequences of 8 words that occur twice"),
        ("repeated_9grams", "too much of the text lies in sequences of 9 words that occur twice"),
        ("repeated_10grams", "too much of the text lies in sequences of 10 words that occur twice"),
    ],
    scores: &[
        score("duplicate_line_ratio", "share of lines that have a copy"),
        score("duplicate_paragraph_ratio", "share of paragraphs that have a copy"),
        score("duplicate_line_char_ratio", "characters of those lines / characters of all"),
        score("duplicate_paragraph_char_ratio", "characters of those paragraphs / characters of all"),
        score("frequent_2gram_char_ratio", "characters of the most frequent pair of words / of all words"),
        score("frequent_3gram_char_ratio", "the same for 3 words"),
        score("frequent_4gram_char_ratio", "the same for 4 words"),
        score(
            "repeated_5gram_char_ratio",
            "characters in sequences of 5 words that occur twice / of all words",
        ),
        score("repeated_6gram_char_ratio", "the same for 6 words"),
        score("repeated_7gram_char_ratio", "the same for 7 words"),
        score("repeated_8gram_char_ratio", "the same for 8 words"),
        score("repeated_9gram_char_ratio", "the same for 9 words"),
        score("repeated_10gram_char_ratio", "the same for 10 words"),
    ],
    limits: &LIMITS,
    schema: schema_of::<Config>,
    build,
};

/// Options of `dclm_repetition`. `null` switches a check off; a page at exactly a limit stays.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Largest share of lines that may have a copy, the first one counted. Lines are stripped, blank ones
    /// left out; a page of one line has no copies. DCLM: 0.3.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_duplicate_line_ratio: Option<f64>,
    /// The same for paragraphs, which two line feeds end. DCLM: 0.3.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_duplicate_paragraph_ratio: Option<f64>,
    /// Largest share of the characters of all lines that lines with a copy may hold. DCLM: 0.2.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_duplicate_line_char_ratio: Option<f64>,
    /// The same for paragraphs. DCLM: 0.2.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_duplicate_paragraph_char_ratio: Option<f64>,
    /// Largest share of the characters of all words that the most frequent pair of words may hold. DCLM: 0.2.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_frequent_2gram_char_ratio: Option<f64>,
    /// The same for 3 words. DCLM: 0.18.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_frequent_3gram_char_ratio: Option<f64>,
    /// The same for 4 words. DCLM: 0.16.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_frequent_4gram_char_ratio: Option<f64>,
    /// Largest share of the characters of all words that may lie in sequences of 5 words that occur twice.
    /// DCLM: 0.15.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_repeated_5gram_char_ratio: Option<f64>,
    /// The same for 6 words. DCLM: 0.14.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_repeated_6gram_char_ratio: Option<f64>,
    /// The same for 7 words. DCLM: 0.13.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_repeated_7gram_char_ratio: Option<f64>,
    /// The same for 8 words. DCLM: 0.12.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_repeated_8gram_char_ratio: Option<f64>,
    /// The same for 9 words. DCLM: 0.11.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_repeated_9gram_char_ratio: Option<f64>,
    /// The same for 10 words. DCLM: 0.1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_repeated_10gram_char_ratio: Option<f64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_duplicate_line_ratio: Some(0.3),
            max_duplicate_paragraph_ratio: Some(0.3),
            max_duplicate_line_char_ratio: Some(0.2),
            max_duplicate_paragraph_char_ratio: Some(0.2),
            max_frequent_2gram_char_ratio: Some(0.2),
            max_frequent_3gram_char_ratio: Some(0.18),
            max_frequent_4gram_char_ratio: Some(0.16),
            max_repeated_5gram_char_ratio: Some(0.15),
            max_repeated_6gram_char_ratio: Some(0.14),
            max_repeated_7gram_char_ratio: Some(0.13),
            max_repeated_8gram_char_ratio: Some(0.12),
            max_repeated_9gram_char_ratio: Some(0.11),
            max_repeated_10gram_char_ratio: Some(0.10),
        }
    }
}

fn build(options: serde_json::Value, _: &mut BuildContext) -> Result<Built, Vec<OptionError>> {
    let config: Config = parse_options(options)?;
    let limits = [
        config.max_duplicate_line_ratio,
        config.max_duplicate_paragraph_ratio,
        config.max_duplicate_line_char_ratio,
        config.max_duplicate_paragraph_char_ratio,
        config.max_frequent_2gram_char_ratio,
        config.max_frequent_3gram_char_ratio,
        config.max_frequent_4gram_char_ratio,
        config.max_repeated_5gram_char_ratio,
        config.max_repeated_6gram_char_ratio,
        config.max_repeated_7gram_char_ratio,
        config.max_repeated_8gram_char_ratio,
        config.max_repeated_9gram_char_ratio,
        config.max_repeated_10gram_char_ratio,
    ];
    Ok(Built::Doc(Box::new(Stage { limits })))
}

struct Stage {
    limits: [Option<f64>; CHECKS],
}

/// The scores in the order of the checks; `None` for a page without lines.
type Measures = Option<[f64; CHECKS]>;

impl Stage {
    fn decide(&self, found: &Measures) -> Outcome {
        let Some(found) = found else { return Outcome::Drop(Reason::new("no_lines")) };
        let failed = LIMITS.iter().zip(found).zip(self.limits).find_map(|((check, &value), limit)| {
            let limit = limit.filter(|&limit| value > limit)?;
            Some(Reason::measured(check.reason, value, limit))
        });
        failed.map_or(Outcome::Keep, Outcome::Drop)
    }
}

impl DocStage for Stage {
    fn process(&self, doc: &mut Document, cx: &mut Context) -> Outcome {
        let found = measure(&doc.text);
        for (check, value) in LIMITS.iter().zip(found.unwrap_or_default()) {
            cx.score(doc, check.score, value);
        }
        self.decide(&found)
    }

    fn redecide(&self, stored: &Document, stage: &str) -> Option<Outcome> {
        let mut found = [0.0; CHECKS];
        for (check, value) in LIMITS.iter().zip(&mut found) {
            *value = stored.stored_score(stage, check.score)?;
        }
        // A page without lines and one without repetition have the same scores.
        if found.iter().all(|&value| value == 0.0) {
            return None;
        }
        Some(self.decide(&Some(found)))
    }

    fn deciding_options(&self) -> &'static [&'static str] {
        &[
            "max_duplicate_line_ratio",
            "max_duplicate_paragraph_ratio",
            "max_duplicate_line_char_ratio",
            "max_duplicate_paragraph_char_ratio",
            "max_frequent_2gram_char_ratio",
            "max_frequent_3gram_char_ratio",
            "max_frequent_4gram_char_ratio",
            "max_repeated_5gram_char_ratio",
            "max_repeated_6gram_char_ratio",
            "max_repeated_7gram_char_ratio",
            "max_repeated_8gram_char_ratio",
            "max_repeated_9gram_char_ratio",
            "max_repeated_10gram_char_ratio",
        ]
    }
}

fn measure(text: &str) -> Measures {
    let mut table = Table::default();
    let lines: Vec<&str> = text.split('\n').map(strip).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return None;
    }
    let paragraphs: Vec<&str> = text.split("\n\n").map(strip).filter(|part| !part.is_empty()).collect();
    let (line_ratio, line_char_ratio) = copies(&lines, &mut table);
    let (paragraph_ratio, paragraph_char_ratio) = copies(&paragraphs, &mut table);
    let words: Vec<&str> = dclm_words::unicode_words(text).collect();
    let mut found = [0.0; CHECKS];
    found[..4].copy_from_slice(&[line_ratio, paragraph_ratio, line_char_ratio, paragraph_char_ratio]);
    found[4..].copy_from_slice(&grams(&words, &mut table));
    Some(found)
}

/// Share of the pieces that have a copy, and share of all characters in them.
fn copies(pieces: &[&str], table: &mut Table) -> (f64, f64) {
    if pieces.len() == 1 {
        return (0.0, 0.0);
    }
    let (ids, counts) = table.number(pieces);
    let (mut copies, mut copied_chars, mut all_chars) = (0_u64, 0_u64, 0_u64);
    for (piece, &id) in pieces.iter().zip(&ids) {
        let length = chars(piece) as u64;
        all_chars += length;
        if counts[id as usize] > 1 {
            copies += 1;
            copied_chars += length;
        }
    }
    (copies as f64 / pieces.len() as f64, copied_chars as f64 / all_chars as f64)
}

/// Shares for n = 2 to 10.
fn grams(words: &[&str], table: &mut Table) -> [f64; 9] {
    let mut shares = [0.0; 9];
    let (mut ids, mut counts) = table.number(words);
    let mut chars_before = vec![0_u64];
    for word in words {
        chars_before.push(chars_before[chars_before.len() - 1] + chars(word) as u64);
    }
    let all_chars = chars_before[words.len()].max(1) as f64;
    for n in 2..=10 {
        if words.len() < n {
            break;
        }
        (ids, counts) = table.longer(&ids, &counts);
        let most = counts.iter().copied().max().unwrap_or(0);
        if most < 2 {
            break;
        }
        let length = |place: usize| chars_before[place + n] - chars_before[place];
        let covered = if n <= 4 {
            let longest =
                (0..ids.len()).filter(|&place| counts[ids[place] as usize] == most).map(length).max();
            longest.unwrap_or(0) * u64::from(most)
        } else {
            let (mut covered, mut free) = (0, 0);
            for place in (0..ids.len()).filter(|&place| counts[ids[place] as usize] > 1) {
                covered += chars_before[place + n] - chars_before[place.max(free)];
                free = place + n;
            }
            covered
        };
        shares[n - 2] = covered as f64 / all_chars;
    }
    shares
}

/// Numbers equal things: an open-addressing table that is used again.
#[derive(Default)]
struct Table {
    /// Key, and number plus one; 0 where the slot is free.
    slots: Vec<(u64, u32)>,
}

/// For each place the number of what stands there, and how often each number occurs.
type Numbered = (Vec<u32>, Vec<u32>);

impl Table {
    fn clear(&mut self, entries: usize) -> usize {
        let size = (entries * 2).next_power_of_two().max(16);
        self.slots.clear();
        self.slots.resize(size, (0, 0));
        size - 1
    }

    #[expect(clippy::cast_possible_truncation, reason = "texts are cut at 4 GiB before they get here")]
    fn number_by(
        &mut self,
        entries: usize,
        mut key_of: impl FnMut(usize) -> Option<u64>,
        same: impl Fn(usize, usize) -> bool,
    ) -> Numbered {
        let mask = self.clear(entries);
        let (mut ids, mut counts, mut first) = (Vec::with_capacity(entries), Vec::new(), Vec::new());
        for place in 0..entries {
            let next = counts.len() as u32;
            let Some(key) = key_of(place) else {
                counts.push(1);
                first.push(place);
                ids.push(next);
                continue;
            };
            let mut slot = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & mask;
            let id = loop {
                match self.slots[slot] {
                    (_, 0) => {
                        counts.push(1);
                        first.push(place);
                        self.slots[slot] = (key, next + 1);
                        break next;
                    }
                    (known, id) if known == key && same(first[id as usize - 1], place) => {
                        counts[id as usize - 1] += 1;
                        break id - 1;
                    }
                    _ => slot = (slot + 1) & mask,
                }
            };
            ids.push(id);
        }
        (ids, counts)
    }

    /// Numbers texts.
    fn number(&mut self, pieces: &[&str]) -> Numbered {
        let key = |place: usize| Some(xxhash_rust::xxh3::xxh3_64(pieces[place].as_bytes()));
        self.number_by(pieces.len(), key, |one, two| pieces[one] == pieces[two])
    }

    /// Numbers the n-grams, given the numbers of the (n-1)-grams: two neighbours make one. Those with a part that occurs
    /// once occur once, and take no room in the table.
    fn longer(&mut self, ids: &[u32], counts: &[u32]) -> Numbered {
        let key = |place: usize| {
            let (one, two) = (ids[place], ids[place + 1]);
            let both = counts[one as usize] > 1 && counts[two as usize] > 1;
            both.then(|| u64::from(one) << 32 | u64::from(two))
        };
        self.number_by(ids.len().saturating_sub(1), key, |_, _| true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stages::filter::testing;

    #[test]
    fn cases() {
        testing::run_cases(&SPEC);
    }

    #[test]
    fn any_text_gets_a_verdict() {
        testing::any_text(&SPEC);
    }

    /// The same in the most direct way.
    fn plain_share(words: &[&str], n: usize) -> f64 {
        let all: Vec<&[&str]> = words.windows(n).collect();
        let count = |gram: &[&str]| all.iter().filter(|other| **other == gram).count();
        let length = |gram: &[&str]| gram.iter().map(|word| word.chars().count()).sum::<usize>();
        let most = all.iter().map(|gram| count(gram)).max().unwrap_or(0);
        if most < 2 {
            return 0.0;
        }
        let covered = if n <= 4 {
            let longest = all.iter().filter(|gram| count(gram) == most).map(|gram| length(gram)).max();
            longest.unwrap() * most
        } else {
            let in_one = |place: usize| {
                (place.saturating_sub(n - 1)..=place).any(|start| start < all.len() && count(all[start]) > 1)
            };
            (0..words.len()).filter(|&place| in_one(place)).map(|place| words[place].chars().count()).sum()
        };
        covered as f64 / length(words) as f64
    }

    proptest! {
        #[test]
        fn counts_agree_with_a_plain_search(words in prop::collection::vec("[abä]{1,2}", 1..60)) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let found = grams(&words, &mut Table::default());
            for n in 2..=10 {
                prop_assert!((found[n - 2] - plain_share(&words, n)).abs() < 1e-12, "n = {}", n);
            }
        }
    }
}
