//! Phone numbers: written with `+` and a country code, or in the national form of a configured country.
//!
//! libphonenumber's metadata decides whether the digits are a number that can be dialled; how they are
//! written decides whether they were meant as one. Digits in one piece are a phone number only behind a
//! word that says so: `1[0-9]{10}` alone is an identifier (data-juicer#605).

use phonenumber::country;

use crate::stages::rewrite::pii::around::{after, before, context, has_word, in_url, joins};
use crate::stages::rewrite::pii::digits::{Group, ascii, gap};

const PHONE_WORDS: &[&str] = &[
    "phone",
    "phones",
    "telephone",
    "tel",
    "tele",
    "ph",
    "call",
    "calls",
    "fax",
    "mobile",
    "mob",
    "cell",
    "cellphone",
    "whatsapp",
    "sms",
    "text",
    "dial",
    "hotline",
    "telefon",
    "tel.",
    "tlf",
    "tfno",
    "téléphone",
    "tél",
    "teléfono",
    "telefono",
    "telefone",
    "handy",
    "mobil",
    "móvil",
    "celular",
    "тел",
    "телефон",
    "电话",
    "電話",
    "手机",
    "手機",
    "携帯",
    "전화",
    "هاتف",
];

/// Words before numbers that look like phone numbers.
const OTHER_WORDS: &[&str] = &[
    "isbn", "issn", "doi", "order", "invoice", "case", "patent", "ticket", "sku", "model", "part", "serial",
    "vin", "ein", "ssn", "id", "pmid", "arxiv", "oclc", "asin", "upc", "ean",
];

/// Most digits of an international number (E.164), and fewest of any that we take.
const MAX_DIGITS: usize = 15;
const MIN_DIGITS: usize = 7;
const MAX_GROUPS: usize = 7;
/// Fewest digits of an international number that the metadata does not know as valid.
const MIN_UNLISTED_DIGITS: usize = 10;

/// The phone number that starts with the first group, and how many groups it takes.
pub(super) fn number(text: &str, groups: &[Group], regions: &[country::Id]) -> Option<(usize, usize, usize)> {
    let first = groups.first()?;
    let opening = opening(text, first.start)?;
    if opening.plus {
        international(text, groups, &opening)
    } else {
        national(text, groups, &opening, regions)
    }
}

/// What stands before the first digit: `+`, `(`, both or nothing.
struct Opening {
    start: usize,
    plus: bool,
    bracket: bool,
}

fn opening(text: &str, first: usize) -> Option<Opening> {
    let mut opening = Opening { start: first, plus: false, bracket: false };
    for _ in 0..2 {
        match before(text, opening.start) {
            Some(c @ ('+' | '＋')) if !opening.plus => {
                opening.plus = true;
                opening.start -= c.len_utf8();
            }
            Some('(') if !opening.bracket => {
                opening.bracket = true;
                opening.start -= 1;
            }
            _ => break,
        }
    }
    let touched = before(text, opening.start).is_some_and(|c| {
        joins(c)
            || matches!(
                c,
                '$' | '€'
                    | '£'
                    | '¥'
                    | '#'
                    | '№'
                    | '='
                    | '/'
                    | '-'
                    | '.'
                    | ','
                    | '%'
                    | '@'
                    | '&'
                    | '~'
                    | '^'
                    | '*'
            )
    });
    (!touched).then_some(opening)
}

/// Separators between the groups of one number.
fn separates(gap: &str) -> bool {
    matches!(
        gap,
        " " | "-"
            | "."
            | "/"
            | "\u{a0}"
            | "‐"
            | "‑"
            | "–"
            | " - "
            | "("
            | ")"
            | " ("
            | ") "
            | ")-"
            | "-("
            | " )"
            | "( "
            | ") ("
            | "--"
    )
}

/// How many groups, from the first on, could belong together.
fn together(text: &str, groups: &[Group]) -> usize {
    let mut digits = 0;
    for (at, group) in groups.iter().take(MAX_GROUPS).enumerate() {
        digits += group.len;
        if digits > MAX_DIGITS || (at > 0 && !separates(gap(text, &groups[at - 1], group))) {
            return at;
        }
    }
    groups.len().min(MAX_GROUPS)
}

/// Nothing behind the last group goes on with the number or makes it another thing.
fn ends_well(text: &str, end: usize) -> bool {
    let Some(next) = after(text, end) else { return true };
    let behind = after(text, end + next.len_utf8());
    match next {
        '%' | '°' | '€' | '£' => false,
        '.' | ',' | '/' | ':' | '-' => !behind.is_some_and(|c| c.is_ascii_digit()),
        // An extension.
        'x' => behind.is_some_and(|c| c.is_ascii_digit()),
        c => !joins(c),
    }
}

fn international(text: &str, groups: &[Group], opening: &Opening) -> Option<(usize, usize, usize)> {
    if opening.bracket && before(text, opening.start) == Some('+') {
        return None;
    }
    for used in (1..=together(text, groups)).rev() {
        let end = groups[used - 1].end;
        let digits = ascii(text, &groups[..used]);
        if digits.len() < MIN_DIGITS {
            return None;
        }
        if !ends_well(text, end) {
            continue;
        }
        let number = format!("+{digits}");
        if is_valid(None, &number) {
            return Some((opening.start, end, used));
        }
        // Invented or not yet listed: still a phone number if it is grouped or called one.
        let is_meant = used >= 3 || has_word(&context(text, opening.start), PHONE_WORDS);
        if is_meant && digits.len() >= MIN_UNLISTED_DIGITS && phonenumber::parse(None, &number).is_ok() {
            return Some((opening.start, end, used));
        }
    }
    None
}

fn national(
    text: &str,
    groups: &[Group],
    opening: &Opening,
    regions: &[country::Id],
) -> Option<(usize, usize, usize)> {
    let most = together(text, groups);
    if regions.is_empty() || groups[..most].iter().map(|group| group.len).sum::<usize>() < MIN_DIGITS {
        return None;
    }
    let mut words: Option<(bool, bool)> = None;
    for used in (1..=most).rev() {
        let part = &groups[..used];
        let end = part[used - 1].end;
        let digits = ascii(text, part);
        if digits.len() < MIN_DIGITS || !ends_well(text, end) {
            continue;
        }
        let (named, other) = *words.get_or_insert_with(|| {
            let context = context(text, opening.start);
            (has_word(&context, PHONE_WORDS), has_word(&context, OTHER_WORDS))
        });
        if !(named || (!other && is_written_as_phone(text, part, opening))) {
            continue;
        }
        if regions.iter().any(|&region| is_valid(Some(region), &digits)) && !in_url(text, opening.start) {
            // The bracket belongs to the number only if it closes inside it.
            let closes = text.get(groups[0].end..end).is_some_and(|inside| inside.contains(')'));
            let start = if opening.bracket && !closes { groups[0].start } else { opening.start };
            return Some((start, end, used));
        }
    }
    None
}

/// Whether the grouping alone says phone: an area code in brackets, or three groups of at least two
/// digits with dashes or dots all through, or a leading zero and three groups.
fn is_written_as_phone(text: &str, groups: &[Group], opening: &Opening) -> bool {
    if groups.len() < 2 {
        return false;
    }
    let gaps: Vec<&str> = groups.windows(2).map(|pair| gap(text, &pair[0], &pair[1])).collect();
    if opening.bracket && (2..=5).contains(&groups[0].len) && gaps[0].starts_with(')') {
        return true;
    }
    let same = gaps.iter().all(|gap| *gap == gaps[0]);
    let is_date = groups.len() == 3
        && groups.iter().any(|group| group.len == 4)
        && groups.iter().all(|g| matches!(g.len, 2 | 4));
    // A country code in front may be a single digit: 1-202-555-0143.
    let whole = groups.iter().skip(1).all(|group| group.len >= 2);
    // 3-2-4 is how social security numbers are written.
    let is_ssn = matches!(groups, [a, b, c] if (a.len, b.len, c.len) == (3, 2, 4));
    if !same || !whole || is_date || is_ssn || groups.len() < 3 {
        return false;
    }
    match gaps[0] {
        "-" | "." | "‐" | "‑" | "–" => true,
        " " | "\u{a0}" => text.as_bytes().get(groups[0].start) == Some(&b'0'),
        _ => false,
    }
}

fn is_valid(region: Option<country::Id>, digits: &str) -> bool {
    phonenumber::parse(region, digits).is_ok_and(|number| number.is_valid())
}
