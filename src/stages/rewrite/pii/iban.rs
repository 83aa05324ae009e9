//! International bank account numbers: country, check digits, length and form by the registry.

use crate::stages::rewrite::pii::around::{joins, stands_alone};
use crate::stages::rewrite::pii::digits::Group;

/// Longest IBAN, and the shortest one (Norway).
const MAX_CHARS: usize = 34;
const MIN_CHARS: usize = 15;

/// The IBAN whose check digits are this group, or begin it.
pub(super) fn check_digits(text: &str, group: &Group) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let start = group.start.checked_sub(2)?;
    if group.len < 2
        || !bytes[start..group.start].iter().all(u8::is_ascii_alphabetic)
        || !bytes[group.start].is_ascii_digit()
    {
        return None;
    }
    if text.get(..start)?.chars().next_back().is_some_and(joins) {
        return None;
    }
    // Letters and digits, perhaps in fours: remember each place where the number may end.
    let mut compact = String::with_capacity(MAX_CHARS);
    let mut ends = Vec::new();
    let mut at = start;
    while compact.len() < MAX_CHARS {
        match bytes.get(at) {
            Some(b) if b.is_ascii_alphanumeric() => {
                compact.push(char::from(b.to_ascii_uppercase()));
                at += 1;
                if compact.len() >= MIN_CHARS && stands_alone(text, start, at) {
                    ends.push((compact.len(), at));
                }
            }
            Some(b' ' | b'-')
                if compact.len().is_multiple_of(4)
                    && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric) =>
            {
                at += 1;
            }
            _ => break,
        }
    }
    let valid = |(len, _): &&(usize, usize)| {
        compact.get(..*len).is_some_and(|iban| iban.parse::<iban::Iban>().is_ok())
    };
    ends.iter().rev().find(valid).map(|&(_, end)| (start, end))
}
