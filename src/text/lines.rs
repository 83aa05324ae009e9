//! Lines and white space as Python has them, because the published filters are defined by them.

use super::charsets::is_space;

/// `text.splitlines()`: cuts at `\n`, `\r`, `\r\n`, `\v`, `\f`, U+001C to U+001E, U+0085, U+2028 and U+2029; a line
/// end at the end of the text opens no further line, and an empty text has no lines.
#[must_use]
pub fn lines(text: &str) -> Lines<'_> {
    Lines { rest: text }
}

/// Iterator over the lines of a text, see [`lines`].
#[derive(Debug, Clone)]
pub struct Lines<'t> {
    rest: &'t str,
}

impl<'t> Iterator for Lines<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        if self.rest.is_empty() {
            return None;
        }
        let (end, next) = line_end(self.rest.as_bytes());
        let line = &self.rest[..end];
        self.rest = &self.rest[next..];
        Some(line)
    }
}

/// End of the first line and start of the second.
fn line_end(bytes: &[u8]) -> (usize, usize) {
    let mut at = 0;
    loop {
        // Most blocks hold no candidate at all; the test over a block is done with vector instructions.
        while let Some(block) = bytes[at..].first_chunk::<32>() {
            if block.iter().fold(false, |found, &b| found | is_candidate(b)) {
                break;
            }
            at += 32;
        }
        let block_end = bytes.len().min(at + 32);
        for place in at..block_end {
            let length = match bytes[place..] {
                [b'\r', b'\n', ..] | [0xC2, 0x85, ..] => 2,
                [b'\n'..=b'\r' | 0x1C..=0x1E, ..] => 1,
                [0xE2, 0x80, 0xA8 | 0xA9, ..] => 3,
                _ => continue,
            };
            return (place, place + length);
        }
        at = block_end;
        if at == bytes.len() {
            return (at, at);
        }
    }
}

fn is_candidate(byte: u8) -> bool {
    byte < 0x20 || byte == 0xC2 || byte == 0xE2
}

/// The pieces of `text` between runs of at least `min_newlines` (1 or more) `\n`: what Python's
/// `re.split(r"\n{k,}", text)` gives. There is always at least one piece.
#[must_use]
pub fn split_newlines(text: &str, min_newlines: usize) -> NewlinePieces<'_> {
    NewlinePieces { rest: Some(text), min_newlines }
}

/// Iterator of [`split_newlines`].
#[derive(Debug, Clone)]
pub struct NewlinePieces<'t> {
    rest: Option<&'t str>,
    min_newlines: usize,
}

impl<'t> Iterator for NewlinePieces<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let text = self.rest?;
        let bytes = text.as_bytes();
        let mut from = 0;
        while let Some(found) = memchr::memchr(b'\n', &bytes[from..]) {
            let start = from + found;
            let newlines = bytes[start..].iter().take_while(|&&b| b == b'\n').count();
            if newlines >= self.min_newlines {
                self.rest = Some(&text[start + newlines..]);
                return Some(&text[..start]);
            }
            from = start + newlines;
        }
        self.rest = None;
        Some(text)
    }
}

/// `text.strip()`.
#[must_use]
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `text.lstrip()`.
#[must_use]
pub fn strip_start(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

/// `text.rstrip()`.
#[must_use]
pub fn strip_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// `len(text)`: the number of characters.
#[must_use]
pub fn chars(text: &str) -> usize {
    // One byte of each character is no continuation byte; this form is vectorised.
    text.as_bytes().iter().map(|&byte| usize::from(byte.cast_signed() >= -64)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        lines(text).collect()
    }

    #[test]
    fn lines_end_where_python_ends_them() {
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split("a"), ["a"]);
        assert_eq!(split("a\r\nb\rc\n\nd\n"), ["a", "b", "c", "", "d"]);
        assert_eq!(
            split("a\u{b}b\u{c}c\u{1c}d\u{1d}e\u{1e}f\u{85}g\u{2028}h\u{2029}i\u{1f}j"),
            ["a", "b", "c", "d", "e", "f", "g", "h", "i\u{1f}j"]
        );
        let long = format!("{}é…x\n{}\u{2028}", "y".repeat(70), "z".repeat(33));
        assert_eq!(split(&long).iter().map(|line| line.chars().count()).collect::<Vec<_>>(), [73, 33]);
    }

    #[test]
    fn newline_runs_separate_pieces() {
        let pieces = |text, k| split_newlines(text, k).collect::<Vec<_>>();
        assert_eq!(pieces("", 1), [""]);
        assert_eq!(pieces("\n\na\nb\n", 1), ["", "a", "b", ""]);
        assert_eq!(pieces("a\nb\n\n\nc", 2), ["a\nb", "c"]);
    }

    #[test]
    fn white_space_and_length() {
        assert_eq!(strip("\u{1f}\u{a0} a b\u{3000}\n"), "a b");
        assert_eq!(chars("aé漢😀"), 4);
    }
}
