//! SentencePiece models (`.model`): text to subword pieces, as the official library cuts it.
//!
//! Source: Kudo and Richardson 2018 (SentencePiece), Kudo 2018 (unigram), Sennrich et al. 2016 (BPE); the file is a
//! protobuf message `ModelProto`, of which we read pieces, model type, byte fallback and the normaliser. Models of type
//! unigram and BPE are cut; for the types word and char there is an error that says so. Sampling and the vocabulary
//! limits of the library are left out: this cuts text for scoring, always the same way.

mod bpe;
mod normalizer;
mod proto;
mod unigram;

use normalizer::Normalizer;
use proto::{ModelType, Proto};
use unigram::Trie;

use crate::error::{Error, Result};

/// What stands for a blank in pieces.
const BLANK: &str = "\u{2581}";
/// Length of the mark in bytes.
const BLANK_BYTES: usize = BLANK.len();

/// A loaded model.
pub struct SentencePiece {
    normalizer: Normalizer,
    trie: Trie,
    pieces: Vec<proto::Piece>,
    model_type: ModelType,
    byte_fallback: bool,
    unigram: unigram::Scores,
}

impl SentencePiece {
    /// Reads a model from the bytes of its file.
    ///
    /// # Errors
    /// [`Error::User`] where the bytes are no SentencePiece model, or one of a type that is not cut here.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let user = |message: String| Error::User(format!("no usable SentencePiece model: {message}"));
        let Proto { pieces, model_type, byte_fallback, normalizer } =
            proto::read(bytes).map_err(|message| user(message.to_owned()))?;
        let model_type = match model_type {
            1 => ModelType::Unigram,
            2 => ModelType::Bpe,
            3 => return Err(user("models of type word are not cut here, only unigram and BPE".to_owned())),
            4 => return Err(user("models of type char are not cut here, only unigram and BPE".to_owned())),
            other => return Err(user(format!("unknown model type {other}"))),
        };
        let normalizer = Normalizer::new(&normalizer).map_err(|message| user(message.to_owned()))?;
        let unigram = unigram::Scores::new(&pieces);
        Ok(Self { normalizer, trie: Trie::new(&pieces), pieces, model_type, byte_fallback, unigram })
    }

    /// Number of pieces.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether it has no pieces; a model that was read always has some.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Calls `found` with each piece of `text`, from left to right. Characters that the model does not know
    /// come as they are, neighbours of this sort as one piece; with byte fallback as pieces such as `<0xE2>`.
    pub fn cut(&self, text: &str, mut found: impl FnMut(&str)) {
        let normalized = self.normalizer.normalize(text);
        let mut unknown = 0..0;
        let mut emit = |start: usize, end: usize, id: Option<u32>| {
            if id.is_none() && !self.byte_fallback {
                if unknown.end != start || unknown.is_empty() {
                    unknown = start..start;
                }
                unknown.end = end;
                return;
            }
            if !unknown.is_empty() {
                found(&normalized[unknown.clone()]);
                unknown = end..end;
            }
            match id {
                Some(_) => found(&normalized[start..end]),
                None => {
                    for byte in normalized[start..end].bytes() {
                        found(&format!("<0x{byte:02X}>"));
                    }
                }
            }
        };
        match self.model_type {
            ModelType::Unigram => unigram::cut(&normalized, &self.trie, &self.unigram, &mut emit),
            ModelType::Bpe => bpe::cut(&normalized, &self.trie, &self.pieces, &mut emit),
        }
        if !unknown.is_empty() {
            found(&normalized[unknown]);
        }
    }
}

#[cfg(test)]
mod tests;
