//! Cuts text into the pieces inside which BPE merges: the split pattern of GPT-4o (`o200k`).
//!
//! The pattern covers every byte of every text, keeps combining marks with their letters (the GPT-4
//! pattern tears Hindi, Thai and Arabic words apart at each vowel sign) and breaks words where lower case
//! turns to upper case. The cutting itself is done by the `tokenizers` crate's own splitter for this
//! pattern, so what training counts is what encoding later sees.
//!
//! Where we differ: training alone cuts long pieces further ([`capped`]), because languages written
//! without spaces make a piece of every sentence and would fill any memory with pieces seen once.

use tokenizers::SplitDelimiterBehavior;
use tokenizers::pipeline::{PreTokenizer, PreTokenizerScratch, Span};
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use crate::error::{Error, Result};

/// The split pattern, as it stands in `tokenizer.json`; letter for letter the one that the encoder knows.
pub const PATTERN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Splits texts; holds the buffers for it.
pub struct Splitter {
    split: Split,
    scratch: PreTokenizerScratch,
    spans: Vec<Span>,
}

impl Splitter {
    /// A splitter for [`PATTERN`].
    ///
    /// # Errors
    /// [`Error::Failed`] should the encoder's library no longer know the pattern.
    pub fn new() -> Result<Self> {
        let pattern = SplitPattern::Regex(PATTERN.to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
            .map_err(|error| Error::Failed(format!("cannot build the splitter: {error}")))?;
        if split.grammar().is_none() {
            return Err(Error::Failed("the split pattern has no fast splitter".to_owned()));
        }
        Ok(Self { split, scratch: PreTokenizerScratch::default(), spans: Vec::new() })
    }

    /// Calls `each` with every piece of `text`, in order; together they are the text.
    ///
    /// # Errors
    /// [`Error::Failed`] for a text of 4 GiB or more.
    pub fn pieces<'t>(&mut self, text: &'t str, mut each: impl FnMut(&'t [u8])) -> Result<()> {
        if u32::try_from(text.len()).is_err() {
            return Err(Error::Failed("a text of 4 GiB or more cannot be split".to_owned()));
        }
        self.spans.clear();
        self.split
            .pre_tokenize(text, &mut self.scratch, &mut self.spans)
            .map_err(|error| Error::Failed(format!("cannot split a text: {error}")))?;
        for span in &self.spans {
            each(&text.as_bytes()[span.range()]);
        }
        Ok(())
    }
}

/// Cuts a piece into parts of at most `max_bytes` bytes (at least 4), never inside a character.
pub fn capped(piece: &[u8], max_bytes: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = piece;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len().min(max_bytes);
        // A byte of the form 10xxxxxx continues a character: step back to where that one starts.
        while end < rest.len() && end > 1 && rest[end] & 0xC0 == 0x80 {
            end -= 1;
        }
        let (part, after) = rest.split_at(end);
        rest = after;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<&str> {
        let mut pieces = Vec::new();
        Splitter::new().unwrap().pieces(text, |p| pieces.push(std::str::from_utf8(p).unwrap())).unwrap();
        pieces
    }

    #[test]
    fn splits_like_gpt4o() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("It's 12345 kB!\n\nyes", &["It's", " ", "123", "45", " k", "B", "!\n\n", "yes"]),
            ("camelCase HTML", &["camel", "Case", " HTML"]),
            ("हिन्दी में", &["हिन्दी", " में"]),
            ("ภาษาไทย ครับ", &["ภาษาไทย", " ครับ"]),
            ("中文句子。下一句", &["中文句子", "。下一句"]),
            ("a   b", &["a", "  ", " b"]),
            ("x/y //z", &["x", "/y", " //", "z"]),
        ];
        for (text, expected) in cases {
            assert_eq!(&split(text), expected, "{text:?}");
        }
    }

    #[test]
    fn caps_between_characters() {
        let text = "ab\u{1F600}\u{4E2D}\u{6587}c";
        let parts: Vec<_> = capped(text.as_bytes(), 4).map(|p| std::str::from_utf8(p).unwrap()).collect();
        assert_eq!(parts, ["ab", "\u{1F600}", "\u{4E2D}", "\u{6587}c"]);
    }

    proptest! {
        #[test]
        fn pieces_lose_nothing(text in any::<String>(), max in 4_usize..40) {
            let mut whole = Vec::new();
            Splitter::new().unwrap().pieces(&text, |piece| {
                for part in capped(piece, max) {
                    assert!(part.len() <= max && std::str::from_utf8(part).is_ok());
                    whole.extend_from_slice(part);
                }
            }).unwrap();
            prop_assert_eq!(whole, text.into_bytes());
        }
    }
}
