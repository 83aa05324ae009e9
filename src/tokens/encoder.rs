//! Text to token ids and back, with any Hugging Face `tokenizer.json`.
//!
//! The work is done by the `tokenizers` crate. Where we differ from its defaults: the text of a special
//! token inside a document stays text (a page about language models must not end a document by naming the
//! end token), nothing is added, cut or padded, and the end token is appended by the caller.

use serde_json::Value;
use tokenizers::pipeline::{EncodeOptions, Override, PipelineToken, PipelineTokenizer};

use crate::error::{Error, Result};

/// A loaded tokenizer. Cheap to clone; shared by threads.
#[derive(Clone)]
pub struct Encoder {
    pipeline: PipelineTokenizer,
    options: EncodeOptions,
    /// Id of the token that ends a document.
    pub eos_id: u32,
    /// One more than the highest id.
    pub vocab_size: u32,
}

impl Encoder {
    /// Loads a tokenizer from the content of its file. `eos` is the text of the end token.
    ///
    /// # Errors
    /// [`Error::Failed`] where it is no tokenizer, needs a component that is not built in, or has no special
    /// token `eos` (the message names those that it has).
    pub fn from_json(bytes: &[u8], eos: &str) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| Error::Failed(error.to_string());
        let text = std::str::from_utf8(bytes).map_err(|error| failed(&error))?;
        let tree: Value = serde_json::from_str(text).map_err(|error| failed(&error))?;
        let (eos_id, vocab_size) = ids(&tree, eos)?;
        let canonical = tokenizers::canonicalize_str(text).map_err(|error| failed(&error))?;
        let pipeline = tokenizers::from_json(&canonical).map_err(|error| failed(&error))?;
        let options = EncodeOptions {
            add_special_tokens: false,
            encode_special_tokens: true,
            padding: Override::Off,
            truncation: Override::Off,
        };
        Ok(Self { pipeline, options, eos_id, vocab_size })
    }

    /// Appends the ids of `text` to `out`; no end token.
    ///
    /// # Errors
    /// [`Error::Failed`] where the tokenizer refuses (a text of 4 GiB, a word that it has no token for).
    pub fn encode(&self, text: &str, out: &mut Vec<PipelineToken>) -> Result<()> {
        self.pipeline
            .encode_into(text, &self.options, out)
            .map_err(|error| Error::Failed(format!("cannot encode a text: {error}")))
    }

    /// The text of some ids; special tokens are spelled out.
    ///
    /// # Errors
    /// [`Error::Failed`] where the tokenizer's decoder refuses.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.pipeline
            .decode(ids, false)
            .map_err(|error| Error::Failed(format!("cannot decode tokens: {error}")))
    }
}

/// Id of the end token, and one more than the highest id.
fn ids(tree: &Value, eos: &str) -> Result<(u32, u32)> {
    let mut highest = None;
    let mut eos_id = None;
    let mut special = Vec::new();
    match &tree["model"]["vocab"] {
        Value::Object(vocab) => highest = vocab.values().filter_map(Value::as_u64).max(),
        Value::Array(vocab) => highest = (vocab.len() as u64).checked_sub(1),
        _ => {}
    }
    for token in tree["added_tokens"].as_array().into_iter().flatten() {
        let (Some(id), Some(content)) = (token["id"].as_u64(), token["content"].as_str()) else { continue };
        highest = highest.max(Some(id));
        if token["special"].as_bool() == Some(true) {
            special.push(format!("`{content}`"));
            if content == eos {
                eos_id = Some(id);
            }
        }
    }
    let highest = highest.ok_or_else(|| Error::Failed("it has no vocabulary".to_owned()))?;
    let Some(eos_id) = eos_id else {
        let have = if special.is_empty() { "none".to_owned() } else { special.join(", ") };
        return Err(Error::Failed(format!(
            "it has no special token `{eos}` to end documents with (option `eos`); special tokens in it: {have}"
        )));
    };
    let too_large = |_| Error::Failed("an id in it is over 2^31".to_owned());
    let vocab_size = i32::try_from(highest + 1).map_err(too_large)?.unsigned_abs();
    Ok((u32::try_from(eos_id).unwrap_or(u32::MAX), vocab_size))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tokens::split::Splitter;
    use crate::tokens::train::{Words, train};
    use crate::tokens::{pieces::PieceTable, tokenizer_json};

    /// A tokenizer trained on the given text.
    pub(crate) fn small(text: &str, max_tokens: usize) -> Vec<u8> {
        let mut table = PieceTable::default();
        Splitter::new().unwrap().pieces(text, |piece| table.add(piece, 1)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        table.write(&path).unwrap();
        let mut words = Words::default();
        crate::tokens::pieces::merge(&[path], dir.path(), |piece, count| words.push(piece, count)).unwrap();
        let trained = train(words, max_tokens, 1, || Ok(())).unwrap();
        serde_json::to_vec(&tokenizer_json::render(&trained, &["<|endoftext|>".to_owned()])).unwrap()
    }

    const TEXT: &str = "the end of the text is the end, the text endoftext <| |> हिन्दी में 中文中文 die Straße";

    fn ids_of(encoder: &Encoder, text: &str) -> Vec<u32> {
        let mut out = Vec::new();
        encoder.encode(text, &mut out).unwrap();
        out.into_iter().map(PipelineToken::id).collect()
    }

    #[test]
    fn special_text_stays_text() {
        let encoder = Encoder::from_json(&small(TEXT, 320), "<|endoftext|>").unwrap();
        assert_eq!(encoder.eos_id + 1, encoder.vocab_size);
        for text in ["<|endoftext|>", "a<|endoftext|><|endoftext|> b", "<|endoftext|"] {
            let ids = ids_of(&encoder, text);
            assert!(ids.iter().all(|&id| id < encoder.eos_id), "{text}: {ids:?}");
            assert_eq!(encoder.decode(&ids).unwrap(), text);
        }
        assert_eq!(ids_of(&encoder, ""), [] as [u32; 0]);
        assert!(ids_of(&encoder, " the end of the text").len() <= 6);
        assert_eq!(ids_of(&encoder, "\u{0}\u{7f}").len(), 2);
    }

    #[test]
    fn a_missing_end_token_is_named() {
        let error = Encoder::from_json(&small("a", 256), "</s>").err().unwrap().to_string();
        assert!(error.contains("no special token `</s>`") && error.contains("`<|endoftext|>`"), "{error}");
        assert!(Encoder::from_json(b"{}", "x").is_err());
        assert!(Encoder::from_json(b"\xFF", "x").is_err());
    }

    #[test]
    fn one_endless_piece_takes_linear_time() {
        let encoder = Encoder::from_json(&small(TEXT, 320), "<|endoftext|>").unwrap();
        for unit in ["a", "\u{4E2D}\u{6587}", " ", "the", "!"] {
            let text = unit.repeat(1_000_000 / unit.len());
            assert_eq!(encoder.decode(&ids_of(&encoder, &text)).unwrap(), text);
        }
        // Letters in no order, from a multiplicative generator.
        let letter = |n: u64| char::from(b'a' + n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()[7] % 26);
        let text: String = (0..1_000_000).map(letter).collect();
        assert_eq!(encoder.decode(&ids_of(&encoder, &text)).unwrap(), text);
    }

    proptest! {
        #[test]
        fn decoding_gives_the_text_back(texts in prop::collection::vec(any::<String>(), 1..4)) {
            static ENCODER: std::sync::LazyLock<Encoder> = std::sync::LazyLock::new(|| {
                Encoder::from_json(&small(TEXT, 320), "<|endoftext|>").unwrap()
            });
            for text in texts {
                let ids = ids_of(&ENCODER, &text);
                prop_assert!(ids.iter().all(|&id| id < ENCODER.eos_id));
                prop_assert_eq!(ENCODER.decode(&ids).unwrap(), text);
            }
        }
    }
}
