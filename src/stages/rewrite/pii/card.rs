//! Payment card numbers: issuer, length, grouping and Luhn's check digit.
//!
//! One digit run in ten passes Luhn, so that alone says nothing. A number must begin like an issuer's,
//! have that issuer's length and be written in one piece or in that issuer's groups; forms that other
//! numbers share (12, 13 and 19 digits, Maestro, 15-digit JCB) need a word about cards before them.

use crate::stages::rewrite::pii::around::{before, context, has_word, in_url, stands_alone};
use crate::stages::rewrite::pii::digits::{Group, ascii, gap};

const CARD_WORDS: &[&str] = &[
    "card",
    "cards",
    "visa",
    "mastercard",
    "amex",
    "american express",
    "discover",
    "maestro",
    "diners",
    "jcb",
    "credit",
    "debit",
    "cc",
    "ccn",
    "kreditkarte",
    "karte",
    "carte",
    "tarjeta",
    "carta",
    "cartão",
    "карта",
    "карты",
    "信用卡",
    "银行卡",
    "卡号",
    "カード",
];

/// How sure an issuer's prefix and length make us.
enum Issuer {
    /// Enough on its own.
    Known,
    /// Only beside a word about cards.
    Vague,
}

/// The card number that starts with the first group.
pub(super) fn number(text: &str, groups: &[Group]) -> Option<(usize, usize, usize)> {
    let first = groups.first()?;
    let used = match first.len {
        12..=19 => 1,
        4 => grouped(text, groups)?,
        _ => return None,
    };
    let groups = &groups[..used];
    let (start, end) = (first.start, groups[used - 1].end);
    if !stands_alone(text, start, end) || in_url(text, start) {
        return None;
    }
    // A fraction, an amount, an identifier with a dash before it.
    if matches!(before(text, start), Some('.' | ',' | '-' | '$' | '€' | '£' | '¥' | '#' | '+' | '=' | '/'))
    {
        return None;
    }
    if text.get(end..).is_some_and(|rest| {
        let mut chars = rest.chars();
        matches!(chars.next(), Some('.' | ',' | '-' | '/'))
            && chars.next().is_some_and(|c| c.is_ascii_alphanumeric())
    }) {
        return None;
    }
    let digits = ascii(text, groups);
    if !luhn(&digits) || digits.bytes().all(|b| b == digits.as_bytes()[0]) {
        return None;
    }
    let fits = match issuer(&digits)? {
        Issuer::Known => true,
        Issuer::Vague => has_word(&context(text, start), CARD_WORDS),
    };
    fits.then_some((start, end, used))
}

/// How many groups a number in the usual groups takes: 4-4-4-4 (and 3 more), 4-6-5, 4-6-4.
fn grouped(text: &str, groups: &[Group]) -> Option<usize> {
    const SHAPES: [&[usize]; 4] = [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];
    let separator = gap(text, groups.first()?, groups.get(1)?);
    if !matches!(separator, " " | "-" | "\u{a0}") {
        return None;
    }
    let shape = SHAPES.iter().find(|shape| {
        groups.len() >= shape.len()
            && shape.iter().zip(groups).all(|(len, group)| group.len == *len)
            && groups[..shape.len()].windows(2).all(|pair| gap(text, &pair[0], &pair[1]) == separator)
    })?;
    // More of the same behind it: a table of numbers.
    if let (Some(last), Some(next)) = (groups.get(shape.len() - 1), groups.get(shape.len()))
        && next.len == 4
        && gap(text, last, next) == separator
    {
        return None;
    }
    Some(shape.len())
}

/// The issuer by prefix and length (ISO/IEC 7812 ranges as the networks publish them).
fn issuer(digits: &str) -> Option<Issuer> {
    let prefix = |len: usize| digits.get(..len).and_then(|p| p.parse::<u32>().ok()).unwrap_or(0);
    let (two, three, four, six) = (prefix(2), prefix(3), prefix(4), prefix(6));
    let issuer = match digits.len() {
        16 if digits.starts_with('4') => Issuer::Known,
        16 if (51..=55).contains(&two) || (222_100..=272_099).contains(&six) => Issuer::Known,
        15 if two == 34 || two == 37 => Issuer::Known,
        16 if four == 6011 || (644..=649).contains(&three) || two == 65 => Issuer::Known,
        16 if (3528..=3589).contains(&four) => Issuer::Known,
        14 if (300..=305).contains(&three) || matches!(two, 36 | 38 | 39) => Issuer::Known,
        16 if two == 62 => Issuer::Known,
        13 | 19 if digits.starts_with('4') => Issuer::Vague,
        15 if four == 1800 || four == 2131 => Issuer::Vague,
        12..=19 if two == 50 || (56..=69).contains(&two) => Issuer::Vague,
        _ => return None,
    };
    Some(issuer)
}

fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(digit - b'0') * if place % 2 == 1 { 2 } else { 1 };
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
}
