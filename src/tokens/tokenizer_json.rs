//! Writes a trained vocabulary as a Hugging Face `tokenizer.json`.
//!
//! Format version 1.0, which every release of the `tokenizers` and `transformers` packages reads: byte-level
//! BPE with the split pattern of [`super::split`], no normaliser, no post-processor. Ids: the 256 bytes in
//! order, the learned tokens by rank, then the special tokens, which are only in `added_tokens`, so that no
//! text can ever be joined into one.

use serde_json::{Map, Value, json};

use super::split::PATTERN;
use super::train::Trained;

/// The file's content.
#[must_use]
pub fn render(trained: &Trained, special_tokens: &[String]) -> Value {
    let alphabet = alphabet();
    let spell = |token: &[u8]| token.iter().map(|&byte| alphabet[usize::from(byte)]).collect::<String>();
    let names: Vec<String> = trained.tokens.iter().map(|token| spell(token)).collect();
    let mut vocab = Map::new();
    for (id, name) in names.iter().enumerate() {
        vocab.insert(name.clone(), id.into());
    }
    let merges: Vec<Value> = trained
        .merges
        .iter()
        .map(|&(left, right)| format!("{} {}", names[left as usize], names[right as usize]).into())
        .collect();
    let added: Vec<Value> = (names.len()..)
        .zip(special_tokens)
        .map(|(id, content)| {
            json!({
                "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            })
        })
        .collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
            ],
        },
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocab,
            "merges": merges,
        },
    })
}

/// The letters that GPT-2 spells bytes with: printable Latin-1 as itself, the other 68 bytes as the
/// characters from U+0100 on.
fn alphabet() -> [char; 256] {
    let mut letters = ['\0'; 256];
    let mut next = 0x100;
    for byte in 0..=255_u8 {
        let itself = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        letters[usize::from(byte)] = if itself {
            char::from(byte)
        } else {
            next += 1;
            char::from_u32(next - 1).unwrap_or('\0')
        };
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_spelled_like_gpt2() {
        let letters = alphabet();
        assert_eq!((letters[0x20], letters[0x0A], letters[0x41]), ('\u{120}', '\u{10A}', 'A'));
        assert_eq!((letters[0x7F], letters[0xAD], letters[0xFF]), ('\u{121}', '\u{143}', '\u{FF}'));
        let different: std::collections::BTreeSet<_> = letters.iter().collect();
        assert_eq!(different.len(), 256);
    }
}
