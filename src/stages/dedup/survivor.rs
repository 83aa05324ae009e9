//! `keep:` of the stages that look for copies: which of the documents that are alike stays.
//!
//! A rule gives each document a rank, the smaller the better; documents of the same rank go by their place in the input.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::stage::{BuildContext, OptionError};

/// Which of the documents that are alike stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Survivor {
    /// The first in the input.
    #[default]
    First,
    /// The one with the most characters.
    Longest,
    /// The one with the latest date.
    Newest,
    /// The one with the highest score of this name.
    Highest(String),
}

impl Survivor {
    /// The smaller, the better.
    pub(super) fn rank(&self, doc: &Document) -> u64 {
        match self {
            Self::First => 0,
            Self::Longest => u64::MAX - doc.text.chars().count() as u64,
            Self::Newest => {
                let digits = doc.date.iter().flat_map(|date| date.bytes()).filter(u8::is_ascii_digit);
                // A shorter date is the beginning of its day or year.
                let padded = digits.chain(std::iter::repeat(b'0')).take(14);
                let number = padded.fold(0, |number: u64, digit| number * 10 + u64::from(digit - b'0'));
                u64::MAX - number
            }
            Self::Highest(name) => {
                let score = doc.scores.iter().rev().find(|(other, _)| other == name).map(|(_, score)| *score);
                let Some(score) = score.filter(|score| !score.is_nan()) else { return u64::MAX };
                // The order of numbers as one of bits; a zero has no sign here.
                let bits = (score + 0.0).to_bits();
                let rising = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
                u64::MAX - rising
            }
        }
    }

    /// Whether another than the first may stay.
    pub(super) fn is_ranked(&self) -> bool {
        *self != Self::First
    }

    /// What does not go together: `is_incremental` where earlier or later runs are in play.
    pub(super) fn mistakes(&self, is_incremental: bool, cx: &BuildContext) -> Vec<OptionError> {
        let mut errors = Vec::new();
        if self.is_ranked() && is_incremental {
            let error =
                OptionError::new("keep", "of this and an earlier run's documents the earlier run's stays");
            errors.push(error.hint("take out `keep`, or `against` and `keep_signatures`"));
        }
        if let Self::Highest(score) = self
            && !cx.scores.contains(score)
        {
            let error =
                OptionError::new("keep.highest", format!("no earlier stage adds the score `{score}`"));
            errors.push(match cx.scores.as_slice() {
                [] => error.hint("put a stage that adds scores before this one, such as `classifier`"),
                known => error.hint(format!("scores at this place: {}", known.join(", "))),
            });
        }
        errors
    }
}
