//! `within:` of the stages that look for copies: only documents of the same language or source are compared.
//!
//! The group's name is mixed into every key, so that documents of different groups never come together; nothing
//! else has to know. Documents without a language are a group of their own.

use super::top_ratio::Within;
use crate::document::Document;

/// Mixes the document's group into the keys, the first `key_bytes` of its signature (a multiple of 8).
pub(super) fn confine(signature: &mut [u8], key_bytes: usize, within: Within, doc: &Document) {
    let group = match within {
        Within::Corpus => return,
        Within::Language => doc.language.as_deref().unwrap_or(""),
        Within::Source => &doc.source,
    };
    // A signature without keys is that of a document that is no copy of anything.
    let keys = signature.len().min(key_bytes);
    let salt = xxhash_rust::xxh3::xxh3_64(group.as_bytes()).to_le_bytes();
    for key in signature[..keys].chunks_exact_mut(8) {
        key.iter_mut().zip(salt).for_each(|(byte, salt)| *byte ^= salt);
    }
}
