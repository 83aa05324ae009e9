//! Cutting pieces out of a text so that no trace of the cut is left.
//!
//! What stages that remove words or lines have in common: white space on both sides of a cut becomes one side's,
//! a space in front of a closing mark goes, a line of which nothing is left goes with its line end, and of the
//! blank lines that then meet one stays. White space that no cut touches is left as it was. Linear in the text.

use std::ops::Range;

/// A piece of the text and what comes in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Bytes that go; at character borders.
    pub range: Range<usize>,
    /// What is put there. Empty, or beginning with white space: cleaned up as a cut.
    pub new: String,
}

impl Edit {
    /// Nothing in the place of a piece.
    #[must_use]
    pub fn cut(range: Range<usize>) -> Self {
        Self { range, new: String::new() }
    }
}

/// The text after the edits, which must be in order; one that overlaps the one before is left out.
#[must_use]
pub fn apply(text: &str, edits: &[Edit]) -> String {
    let mut result =
        Output { out: String::with_capacity(text.len()), seam: false, touched: false, gap: false };
    let mut from = 0;
    for edit in edits {
        let Some(between) = text.get(from..edit.range.start) else { continue };
        result.keep(between);
        result.edit(&edit.new);
        from = edit.range.end;
    }
    result.keep(text.get(from..).unwrap_or_default());
    result.finish()
}

/// Characters that are neither spaces, tabs nor line ends (of ASCII): what is left of a text after cuts is measured
/// by it.
#[must_use]
pub fn ink(text: &str) -> u64 {
    let counts = |byte: u8| byte & 0xC0 != 0x80 && !matches!(byte, b'\t'..=b'\r' | b' ');
    let mut all = 0;
    // Blocks small enough for byte counters, which the compiler turns into vector instructions.
    for block in text.as_bytes().chunks(255) {
        all += u64::from(block.iter().fold(0_u8, |sum, &byte| sum + u8::from(counts(byte))));
    }
    all
}

struct Output {
    out: String,
    /// The last thing was a cut.
    seam: bool,
    /// The last line has a cut in it.
    touched: bool,
    /// The line before the end of `out` was taken out.
    gap: bool,
}

impl Output {
    fn keep(&mut self, piece: &str) {
        let mut piece = piece;
        if self.seam {
            if piece.is_empty() {
                return;
            }
            piece = self.close_seam(piece);
        }
        while self.gap {
            let after = piece.trim_start_matches(is_blank);
            let blank = after.strip_prefix("\r\n").or_else(|| after.strip_prefix('\n'));
            let Some(rest) = blank else {
                self.gap = piece.is_empty();
                break;
            };
            if self.out.is_empty() || ends_blank(&self.out) {
                piece = rest;
            } else {
                self.gap = false;
            }
        }
        if piece.is_empty() {
            return;
        }
        self.out.push_str(piece);
        if piece.contains('\n') {
            self.touched = false;
        }
    }

    /// What of the piece behind a cut is still to be kept.
    fn close_seam<'p>(&mut self, piece: &'p str) -> &'p str {
        let at_start = self.out.is_empty() || self.out.ends_with('\n');
        let mut piece = piece;
        if at_start || self.out.ends_with(is_blank) {
            piece = piece.trim_start_matches(is_blank);
        }
        if piece.is_empty() {
            return piece;
        }
        self.seam = false;
        let end_of_line = piece.strip_prefix("\r\n").or_else(|| piece.strip_prefix('\n'));
        if end_of_line.is_some() || piece.starts_with([',', '.', ';', ':', '!', '?', ')', ']', '}']) {
            trim_blanks(&mut self.out);
        }
        match end_of_line {
            Some(rest) if self.touched && (self.out.is_empty() || self.out.ends_with('\n')) => {
                self.touched = false;
                self.gap = true;
                rest
            }
            _ => piece,
        }
    }

    fn edit(&mut self, new: &str) {
        self.touched = true;
        if new.is_empty() {
            self.seam = true;
            return;
        }
        if new.starts_with(char::is_whitespace) {
            // A line end or a space in place of something: no second one beside it.
            trim_blanks(&mut self.out);
            if !(self.out.is_empty() || self.out.ends_with('\n')) {
                self.out.push_str(new);
            }
            self.seam = new.trim().is_empty();
        } else {
            self.out.push_str(new);
            self.seam = false;
        }
    }

    fn finish(mut self) -> String {
        if self.touched {
            trim_blanks(&mut self.out);
            if self.out.ends_with('\n') {
                self.gap = true;
            }
        }
        if self.gap {
            let end = self.out.trim_end_matches(['\n', '\r', ' ', '\t']).len();
            self.out.truncate(end);
        }
        self.out
    }
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t' || c == '\u{a0}' || c == '\u{3000}'
}

fn trim_blanks(out: &mut String) {
    let end = out.trim_end_matches(is_blank).len();
    out.truncate(end);
}

fn ends_blank(out: &str) -> bool {
    out.strip_suffix('\n').is_some_and(|rest| rest.trim_end_matches([' ', '\t', '\r']).ends_with('\n'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `[...]` in the text is cut, `[=...]` replaced by a line end.
    fn cut(marked: &str) -> String {
        let (mut text, mut edits, mut start) = (String::new(), Vec::new(), None);
        for c in marked.chars() {
            match c {
                '[' => start = Some(text.len()),
                ']' => edits.push(Edit::cut(start.take().unwrap()..text.len())),
                '|' => {
                    edits.push(Edit { range: text.len()..text.len() + 1, new: "\n".to_owned() });
                    text.push(c);
                }
                c => text.push(c),
            }
        }
        apply(&text, &edits)
    }

    #[test]
    fn white_space_closes() {
        for (marked, wanted) in [
            ("nothing", "nothing"),
            ("a [bad] word", "a word"),
            ("a [bad], word", "a, word"),
            ("(a [bad])", "(a)"),
            ("un[bad]cut", "uncut"),
            ("[bad] a", "a"),
            ("a [bad]", "a"),
            ("a [b] [c] d", "a d"),
            ("a  [bad]  b", "a  b"),
            ("a  b [bad] c", "a  b c"),
            ("one\n[bad]\ntwo", "one\ntwo"),
            ("one\n  [bad]  \ntwo", "one\ntwo"),
            ("one\r\n[bad]\r\ntwo", "one\r\ntwo"),
            ("one\n\n[bad]\n\ntwo", "one\n\ntwo"),
            ("one\n\n[bad]\n[bad]\n\n\ntwo", "one\n\ntwo"),
            ("[bad]\n\none", "one"),
            ("one\n[bad]", "one"),
            ("one\n\n[bad]\n", "one"),
            ("one\n[bad]\n\n", "one\n\n"),
            ("one\n\n\ntwo [bad]\n", "one\n\n\ntwo\n"),
            ("[bad\nmore]", ""),
            ("a [bad\nmore] b", "a b"),
            ("|a|\n|b|", "a\nb"),
            ("a|\n\n|b", "a\n\nb"),
            ("a | b", "a\nb"),
            ("", ""),
            ("[]a", "a"),
        ] {
            assert_eq!(cut(marked), wanted, "{marked:?}");
        }
    }

    #[test]
    fn ink_is_what_shows() {
        for (text, wanted) in [("", 0), (" \t\r\n\u{b}", 0), ("a b\nü豆", 4), ("\u{a0}", 1)] {
            assert_eq!(ink(text), wanted, "{text:?}");
        }
        assert_eq!(ink(&"ab ü".repeat(1000)), 3000);
    }

    proptest! {
        #[test]
        fn only_white_space_goes_with_a_cut(text in "[ab .\\n\\t]{0,40}", places in prop::collection::vec(0_usize..40, 0..8)) {
            let mut places: Vec<usize> = places.into_iter().map(|place| place.min(text.len())).collect();
            places.sort_unstable();
            let edits: Vec<Edit> = places.chunks_exact(2).map(|pair| Edit::cut(pair[0]..pair[1])).collect();
            let mut plain = String::new();
            let mut from = 0;
            for edit in &edits {
                plain.push_str(&text[from..edit.range.start]);
                from = edit.range.end;
            }
            plain.push_str(&text[from..]);
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&apply(&text, &edits)), letters(&plain));
            prop_assert!(apply(&text, &edits).len() <= plain.len());
            if edits.is_empty() {
                prop_assert_eq!(apply(&text, &edits), text);
            }
        }
    }
}
