//! What stands around a candidate: word borders, the words before it, the address it may be part of.

/// How many bytes before a candidate are read for words that explain it.
const WINDOW_BYTES: usize = 48;

/// Scripts that are written without blanks: a number may touch their letters and still stand alone.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3000}'..='\u{30ff}'
        | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ff0f}'
        | '\u{ff1a}'..='\u{ff20}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether a neighbour continues the word that a candidate stands in.
pub(super) fn joins(c: char) -> bool {
    c == '_' || (c.is_alphanumeric() && !is_unspaced(c))
}

/// The character before a place.
pub(super) fn before(text: &str, at: usize) -> Option<char> {
    text.get(..at)?.chars().next_back()
}

/// The character at a place.
pub(super) fn after(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

/// Whether a stretch stands alone: no letter, digit or underscore touches it.
pub(super) fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    !before(text, start).is_some_and(joins) && !after(text, end).is_some_and(joins)
}

/// The bytes just before a place, in lower case.
pub(super) fn context(text: &str, at: usize) -> String {
    let mut from = at.saturating_sub(WINDOW_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..at).unwrap_or_default().to_lowercase()
}

/// Whether one of the words ends or stands in a context, not inside another word.
pub(super) fn has_word(context: &str, words: &[&str]) -> bool {
    words
        .iter()
        .any(|word| context.match_indices(word).any(|(at, _)| stands_alone(context, at, at + word.len())))
}

/// Whether a place lies in a web address.
pub(super) fn in_url(text: &str, at: usize) -> bool {
    let mut from = at.saturating_sub(256);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let head = text.get(from..at).unwrap_or_default();
    let word =
        head.rsplit(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>')).next().unwrap_or_default();
    word.contains("://") || word.starts_with("www.")
}
