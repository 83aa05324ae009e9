//! The text normalisation of CCNet, which its language models were trained on.
//!
//! Source: cc_net (Wenzek et al. 2020), `text_normalizer.normalize` with its defaults, and `UNICODE_PUNCT`: white space at the
//! ends goes, letters become small, accents go, every digit becomes `0`, Unicode punctuation becomes ASCII, and
//! control characters go, line feeds among them, so that a page becomes one line.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_one_plain_line() {
        assert_eq!(normalize("  Le Café d’Été\nouvre à 10h…\u{7f} "), "le cafe d'eteouvre a 00h...");
        assert_eq!(normalize("「中文」（１）—好。"), "\"中文\"(0) - 好.");
        assert_eq!(normalize(""), "");
    }
}
