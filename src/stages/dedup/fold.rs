//! Hash of a text after normalisation, without writing the normalised text down.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::shingles;

/// What counts as the same text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Normalize {
    /// Equal bytes.
    None,
    /// Equal but for white space: each run of it (Unicode `White_Space`) counts as one space, and it
    /// does not count at the ends.
    Whitespace,
    /// Equal but for white space, case (Unicode lower case, both small sigmas alike) and composed or
    /// decomposed accents (NFC).
    Folded,
    /// Equal words: also without punctuation and accents, and with every number alike (the
    /// normalisation that `minhash_dedup` uses).
    Simplified,
}

impl Normalize {
    /// The 128-bit xxh3 of the normalised text.
    pub(super) fn hash(self, text: &str) -> u128 {
        match self {
            Self::None => xxh3_128(text.as_bytes()),
            Self::Whitespace => collapsed(text, |byte| byte, |c, sink| sink.put(c)),
            Self::Folded => {
                let composed = needs_nfc(text).then(|| text.nfc().collect::<String>());
                let text = composed.as_deref().unwrap_or(text);
                collapsed(text, |byte| byte.to_ascii_lowercase(), fold)
            }
            Self::Simplified => xxh3_128(shingles::simplified(text).as_bytes()),
        }
    }
}

/// Whether the text may change under NFC. Most texts are seen not to without asking the tables.
fn needs_nfc(text: &str) -> bool {
    let suspect = |c: char| {
        c >= '\u{300}'
            && !matches!(c, '\u{410}'..='\u{44f}' | '\u{2010}'..='\u{2027}' | '\u{3001}'..='\u{3096}'
                | '\u{30a1}'..='\u{30fa}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
    };
    !text.is_ascii() && text.chars().any(suspect) && !matches!(is_nfc_quick(text.chars()), IsNormalized::Yes)
}

/// Hashes a text with white space runs as one space. `ascii` maps an ASCII byte, `put` writes any other
/// character.
fn collapsed(text: &str, ascii: impl Fn(u8) -> u8, put: impl Fn(char, &mut Sink)) -> u128 {
    let mut sink = Sink::new();
    let (mut started, mut gap) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c.is_whitespace() {
            gap = started;
            rest = &rest[c.len_utf8()..];
            continue;
        }
        if gap {
            sink.byte(b' ');
            gap = false;
        }
        started = true;
        let run = rest.bytes().take_while(|byte| byte.is_ascii() && *byte > b' ').count();
        if run > 0 {
            sink.run(&rest.as_bytes()[..run], &ascii);
            rest = &rest[run..];
        } else {
            put(c, &mut sink);
            rest = &rest[c.len_utf8()..];
        }
    }
    sink.finish()
}

fn fold(c: char, sink: &mut Sink) {
    if matches!(c, '\u{590}'..='\u{109f}' | '\u{2e80}'..='\u{a63f}' | '\u{ac00}'..='\u{d7ff}') {
        // Scripts without case, past by without a look at the tables.
        sink.put(c);
    } else {
        for lower in c.to_lowercase() {
            sink.put(if lower == 'ς' { 'σ' } else { lower });
        }
    }
}

/// A hasher behind a small buffer.
struct Sink {
    hasher: Xxh3,
    buffer: [u8; 1024],
    filled: usize,
}

impl Sink {
    fn new() -> Self {
        Self { hasher: Xxh3::new(), buffer: [0; 1024], filled: 0 }
    }

    #[inline]
    fn byte(&mut self, byte: u8) {
        if self.filled == self.buffer.len() {
            self.flush();
        }
        self.buffer[self.filled] = byte;
        self.filled += 1;
    }

    /// Writes mapped bytes.
    #[inline]
    fn run(&mut self, bytes: &[u8], map: impl Fn(u8) -> u8) {
        for piece in bytes.chunks(self.buffer.len()) {
            if self.filled + piece.len() > self.buffer.len() {
                self.flush();
            }
            for (to, from) in self.buffer[self.filled..].iter_mut().zip(piece) {
                *to = map(*from);
            }
            self.filled += piece.len();
        }
    }

    #[inline]
    fn put(&mut self, c: char) {
        if c.is_ascii() {
            self.byte(c as u8);
            return;
        }
        if self.filled + 4 > self.buffer.len() {
            self.flush();
        }
        self.filled += c.encode_utf8(&mut self.buffer[self.filled..]).len();
    }

    fn flush(&mut self) {
        self.hasher.update(&self.buffer[..self.filled]);
        self.filled = 0;
    }

    fn finish(mut self) -> u128 {
        self.flush();
        self.hasher.digest128()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_counts_as_the_same_text() {
        use Normalize::{Folded, None, Simplified, Whitespace};
        // (one text, another, the weakest normalisation that makes them equal)
        let cases = [
            ("a b", "a b", Some(None)),
            ("a  b\n", " a\tb", Some(Whitespace)),
            ("a\u{a0}b", "a b", Some(Whitespace)),
            ("Straße ΌΣΟΣ", "strasse όσος", Option::None),
            ("ΌΣΟΣ ЖУК İ", "όσοσ жук i\u{307}", Some(Folded)),
            ("caf\u{e9}", "Cafe\u{301}", Some(Folded)),
            ("가", "\u{1100}\u{1161}", Some(Folded)),
            ("Don't, 12 times", "don t 7 times!", Some(Simplified)),
            ("ab", "a b", Option::None),
            ("", " \n", Some(Whitespace)),
        ];
        for (a, b, weakest) in cases {
            let order = [None, Whitespace, Folded, Simplified];
            let found = order.into_iter().find(|n| n.hash(a) == n.hash(b));
            assert_eq!(found, weakest, "{a:?} {b:?}");
        }
    }

    proptest! {
        #[test]
        fn equals_the_plain_definition(text in "[a-zA-ZÀ-ÿ\u{300}-\u{30a}가-갂ςΣ \t\n\u{3000}一-三]{0,40}|\\PC{0,2000}") {
            let nfc: String = text.nfc().collect();
            let lower: String = nfc.chars().flat_map(char::to_lowercase).collect();
            let words: Vec<&str> = lower.split_whitespace().collect();
            let plain = words.join(" ").replace('ς', "σ");
            prop_assert_eq!(Normalize::Folded.hash(&text), xxh3_128(plain.as_bytes()));
            let words: Vec<&str> = text.split_whitespace().collect();
            prop_assert_eq!(Normalize::Whitespace.hash(&text), xxh3_128(words.join(" ").as_bytes()));
        }
    }
}
