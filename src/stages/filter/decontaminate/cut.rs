//! Taking matches out of a page as GPT-3's authors did (Brown et al. 2020, appendix C): with a window around each; what is
//! left falls into pieces, of which short ones go, and a page in too many pieces goes whole.
//!
//! There each piece became a document of its own; here the pieces stay one document, with a blank line between them. A word that
//! the border of a window cuts goes whole.

use std::ops::Range;

/// Characters by which a window grows at most to take in the word at its border.
const MAX_WORD_CHARS: usize = 40;

/// What is left of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// Pieces before short ones went.
    pub(super) pieces: usize,
    /// Those that are long enough.
    pub(super) text: String,
}

/// Cuts `matched` (in order, apart, at character borders) out of a text, each with `window_chars` characters on either
/// side, and leaves out pieces with fewer than `min_piece_chars` characters.
pub(super) fn cut(text: &str, matched: &[Range<usize>], window_chars: usize, min_piece_chars: usize) -> Left {
    let mut left = Left { pieces: 0, text: String::with_capacity(text.len()) };
    let mut from = 0;
    for (number, range) in matched.iter().enumerate() {
        let next = matched.get(number + 1).map_or(text.len(), |next| next.start);
        let start = before(text.get(from..range.start).unwrap_or_default(), window_chars);
        left.add(text.get(from..from + start).unwrap_or_default(), min_piece_chars);
        from = range.end + behind(text.get(range.end..next).unwrap_or_default(), window_chars);
    }
    left.add(text.get(from..).unwrap_or_default(), min_piece_chars);
    left
}

impl Left {
    fn add(&mut self, piece: &str, min_chars: usize) {
        let piece = piece.trim();
        if piece.is_empty() {
            return;
        }
        self.pieces += 1;
        if piece.chars().count() < min_chars {
            return;
        }
        if !self.text.is_empty() {
            self.text.push_str("\n\n");
        }
        self.text.push_str(piece);
    }
}

/// Where the window in front of a match begins, in the text between it and what was cut before it.
fn before(between: &str, window_chars: usize) -> usize {
    if window_chars == 0 {
        return between.len();
    }
    let mut places = between.char_indices().rev();
    let Some((start, _)) = places.nth(window_chars - 1) else { return 0 };
    let head = between.get(..start).unwrap_or_default();
    // A word that goes on into the window goes with it.
    let inside =
        between.get(start..).and_then(|window| window.chars().next()).is_some_and(char::is_alphanumeric);
    let word = head.char_indices().rev().take_while(|(_, c)| inside && c.is_alphanumeric());
    let word: Vec<usize> = word.take(MAX_WORD_CHARS + 1).map(|(at, _)| at).collect();
    if word.len() > MAX_WORD_CHARS { start } else { word.last().copied().unwrap_or(start) }
}

/// Where the window behind a match ends, in the text between it and the next match.
fn behind(between: &str, window_chars: usize) -> usize {
    if window_chars == 0 {
        return 0;
    }
    let Some((last, c)) = between.char_indices().nth(window_chars - 1) else { return between.len() };
    let end = last + c.len_utf8();
    let tail = between.get(end..).unwrap_or_default();
    let word = tail.char_indices().take_while(|(_, next)| c.is_alphanumeric() && next.is_alphanumeric());
    let word: Vec<usize> = word.take(MAX_WORD_CHARS + 1).map(|(at, c)| at + c.len_utf8()).collect();
    if word.len() > MAX_WORD_CHARS { end } else { end + word.last().copied().unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[...]` is the match.
    fn left(marked: &str, window_chars: usize, min_piece_chars: usize) -> (usize, String) {
        let (mut text, mut matched, mut start) = (String::new(), Vec::new(), 0);
        for c in marked.chars() {
            match c {
                '[' => start = text.len(),
                ']' => matched.push(start..text.len()),
                c => text.push(c),
            }
        }
        let left = cut(&text, &matched, window_chars, min_piece_chars);
        (left.pieces, left.text)
    }

    #[test]
    fn windows_take_whole_words_and_short_pieces_go() {
        for (marked, window, min, wanted) in [
            ("one two [bad] three four", 0, 0, (2, "one two\n\nthree four")),
            ("one two [bad] three four", 3, 0, (2, "one\n\nfour")),
            ("one two [bad] three four", 1, 0, (2, "one two\n\nthree four")),
            ("one two [bad] three four", 2, 0, (2, "one\n\nfour")),
            ("one two [bad] three four", 0, 8, (2, "three four")),
            ("one two [bad] three four", 0, 7, (2, "one two\n\nthree four")),
            ("one two [bad] three four", 0, 11, (2, "")),
            ("one two [bad] three four", 50, 0, (0, "")),
            ("a [b] c [d] e", 0, 0, (3, "a\n\nc\n\ne")),
            ("a [b] c [d] e", 2, 0, (0, "")),
            ("[b] é", 0, 0, (1, "é")),
            ("漢字[悪]漢字漢字", 1, 0, (0, "")),
            ("", 5, 0, (0, "")),
        ] {
            assert_eq!(left(marked, window, min), (wanted.0, wanted.1.to_owned()), "{marked} {window} {min}");
        }
    }

    #[test]
    fn text_without_spaces_is_cut_at_the_window() {
        let (pieces, text) = left(&format!("{}[悪]{}", "漢".repeat(100), "字".repeat(100)), 10, 0);
        assert_eq!((pieces, text.chars().count()), (2, 90 + 2 + 90));
    }
}
