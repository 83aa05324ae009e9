//! The text normalisations of CCNet: that of its language models, and that by which lines count as the same.
//!
//! Source: cc_net (Wenzek et al. 2020), `text_normalizer.normalize` with its defaults, and `UNICODE_PUNCT`: white space at the
//! ends goes, letters become small, accents go, every digit becomes `0`, Unicode punctuation becomes ASCII, and
//! control characters go, line feeds among them, so that a page becomes one line.

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

use super::charsets::{Classes, DECIMAL, NONSPACING};
use super::lines::strip;

/// Punctuation and what stands in for it.
const PUNCTUATION: &[(char, &str)] = &[
    ('，', ","),
    ('。', "."),
    ('、', ","),
    ('„', "\""),
    ('”', "\""),
    ('“', "\""),
    ('«', "\""),
    ('»', "\""),
    ('１', "\""),
    ('」', "\""),
    ('「', "\""),
    ('《', "\""),
    ('》', "\""),
    ('´', "'"),
    ('∶', ":"),
    ('：', ":"),
    ('？', "?"),
    ('！', "!"),
    ('（', "("),
    ('）', ")"),
    ('；', ";"),
    ('–', "-"),
    ('—', " - "),
    ('．', ". "),
    ('～', "~"),
    ('’', "'"),
    ('…', "..."),
    ('━', "-"),
    ('〈', "<"),
    ('〉', ">"),
    ('【', "["),
    ('】', "]"),
    ('％', "%"),
    ('►', "-"),
];

/// The text as CCNet's models saw it.
///
/// The fullwidth digit `１` ends up as `0` (cc_net replaces digits before punctuation).
#[must_use]
pub fn normalize(text: &str) -> String {
    let classes = Classes::get();
    let mut out = String::with_capacity(text.len());
    let push = |c: char, out: &mut String| match c {
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => {}
        c if classes.of(c) & NONSPACING != 0 => {}
        c if classes.of(c) & DECIMAL != 0 => out.push('0'),
        c => match PUNCTUATION.iter().find(|(mark, _)| *mark == c) {
            Some((_, ascii)) => out.push_str(ascii),
            None => out.push(c),
        },
    };
    let text = strip(text);
    for c in text.to_lowercase().nfd() {
        if c.is_ascii_lowercase() || c == ' ' { out.push(c) } else { push(c, &mut out) }
    }
    out
}

/// Appends the line as CCNet's deduplication compares it (`normalize_for_dedup`): without white space at its ends, in
/// lower case, each digit as `0`, without Unicode punctuation (the marks of the table above; ASCII's stay) and
/// control characters. Accents stay. Where we differ: both small sigmas are alike.
pub fn normalize_line(line: &str, out: &mut Vec<u8>) {
    let mut rest = strip(line);
    out.reserve(rest.len());
    while !rest.is_empty() {
        let ascii = rest.bytes().take_while(u8::is_ascii).count();
        let (run, other) = rest.split_at(ascii);
        // Written without a branch per byte; what goes is overwritten by what follows.
        let start = out.len();
        out.resize(start + run.len(), 0);
        let mut at = start;
        for &byte in run.as_bytes() {
            out[at] = if byte.is_ascii_digit() { b'0' } else { byte.to_ascii_lowercase() };
            at += usize::from(!byte.is_ascii_control());
        }
        out.truncate(at);
        let foreign = other.bytes().take_while(|byte| !byte.is_ascii()).count();
        let (run, other) = other.split_at(foreign);
        run.chars().for_each(|c| put_folded(c, out));
        rest = other;
    }
}

/// Stands in [`FOLDED`] for a character that goes.
const GONE: u32 = u32::MAX;
/// Stands there for one that becomes several.
const SEVERAL: u32 = u32::MAX - 1;

/// What becomes of each character of the basic plane in [`normalize_line`].
static FOLDED: LazyLock<Vec<u32>> =
    LazyLock::new(|| (0..0x1_0000).map(|code| char::from_u32(code).map_or(GONE, folded)).collect());

fn folded(c: char) -> u32 {
    if Classes::get().of(c) & DECIMAL != 0 {
        return u32::from('0');
    }
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(_), Some(_)) => SEVERAL,
        (Some('ς'), None) => u32::from('σ'),
        (Some(c), None) if c.is_control() || PUNCTUATION.iter().any(|(mark, _)| *mark == c) => GONE,
        (one, _) => u32::from(one.unwrap_or(c)),
    }
}

fn put_folded(c: char, out: &mut Vec<u8>) {
    let code = FOLDED.get(c as usize).copied().unwrap_or_else(|| folded(c));
    let mut put = |c: char| out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    match char::from_u32(code) {
        Some(c) => put(c),
        None if code == SEVERAL => c.to_lowercase().for_each(put),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(text: &str) -> String {
        let mut out = b"old ".to_vec();
        normalize_line(text, &mut out);
        String::from_utf8(out.split_off(4)).unwrap()
    }

    #[test]
    fn a_line_as_deduplication_compares_it() {
        assert_eq!(line(" \t Le Café d’Été, 10h…\r"), "le café dété, 00h");
        assert_eq!(line("「中文」（１）—好。"), "中文0好");
        assert_eq!(line("ΟΔΟΣ İ ٣ x\u{7f}\u{85}y"), "οδοσ i\u{307} 0 xy");
        assert_eq!(line("…"), "");
        assert_eq!(line(""), "");
    }

    proptest! {
        #[test]
        fn a_line_is_what_the_definition_says(text in "(\\PC|[0-9A-Zé，。１Σς\u{1}\u{85} ]){0,60}") {
            let lower: String = strip(&text).chars().flat_map(char::to_lowercase).collect();
            let wanted: String = lower
                .chars()
                .map(|c| if Classes::get().of(c) & DECIMAL != 0 { '0' } else { c })
                .filter(|&c| !c.is_control() && !PUNCTUATION.iter().any(|(mark, _)| *mark == c))
                .map(|c| if c == 'ς' { 'σ' } else { c })
                .collect();
            prop_assert_eq!(line(&text), wanted);
        }
    }

    #[test]
    fn a_page_becomes_one_plain_line() {
        assert_eq!(normalize("  Le Café d’Été\nouvre à 10h…\u{7f} "), "le cafe d'eteouvre a 00h...");
        assert_eq!(normalize("「中文」（１）—好。"), "\"中文\"(0) - 好.");
        assert_eq!(normalize(""), "");
    }
}
