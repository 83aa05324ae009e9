//! Options of `tokenizer:` and `tokens:` in a pipeline, and what a schema cannot check about them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::encoder::Encoder;
use crate::stage::{BuildContext, OptionError};

/// Where the tokenizer comes from: exactly one of `train` and `file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokenizerConfig {
    /// Train a byte-level BPE tokenizer on this run's corpus. `{}` takes the defaults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<TrainConfig>,
    /// Take an existing Hugging Face `tokenizer.json` as it is. One with a normaliser (GPT-NeoX: NFC) changes
    /// text before it encodes, and its tokens decode to the changed text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Text of the special token that ends every document. Training adds it; a file must have it.
    pub eos: String,
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self { train: None, file: None, eos: "<|endoftext|>".to_owned() }
    }
}

/// How a tokenizer is trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Size of the vocabulary: 256 bytes, learned tokens, special tokens. A small corpus may give fewer.
    /// Below 65,500 the shards have 2 bytes a token, from there on 4.
    #[schemars(range(min = 257, max = 4_000_000))]
    pub vocab_size: u32,
    /// Texts of further special tokens (for chat, padding, ...). They get the last ids, after `eos`.
    pub special_tokens: Vec<String>,
    /// A pair of tokens is joined only if it occurs at least so often.
    #[schemars(range(min = 1))]
    pub min_pair_count: u64,
    /// For training only, pieces longer than this are cut (between characters): without it, languages
    /// without spaces make one piece of each sentence. No token gets longer. Bytes.
    #[schemars(range(min = 4, max = 255))]
    pub max_piece_bytes: u32,
    /// Training looks at this many different pieces, the most frequent ones (equal counts: by a hash of the
    /// piece). It bounds memory, at about 210 bytes a piece, and does not depend on `memory`, so that the
    /// tokenizer does not either.
    #[schemars(range(min = 1000, max = 16_000_000))]
    pub max_distinct_pieces: u32,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            vocab_size: 32_000,
            special_tokens: Vec::new(),
            min_pair_count: 2,
            max_piece_bytes: 48,
            max_distinct_pieces: 2_000_000,
        }
    }
}

impl TokenizerConfig {
    /// What is wrong with the options, if anything. A tokenizer file is read and tried; it becomes part of
    /// the plan's fingerprint.
    #[must_use]
    pub fn check(&self, cx: &mut BuildContext) -> Vec<OptionError> {
        let mut errors = Vec::new();
        if self.eos.is_empty() {
            errors.push(OptionError::new("eos", "the end token needs a text"));
        }
        match (&self.train, &self.file) {
            (None, None) => errors.push(
                OptionError::new("", "neither `train` nor `file` is given")
                    .hint("`train: { vocab_size: 32000 }` trains on this run's corpus"),
            ),
            (Some(_), Some(_)) => {
                errors.push(OptionError::new("", "`train` and `file` exclude each other; give one of them"));
            }
            (Some(train), None) => errors.extend(train.check(&self.eos)),
            (None, Some(file)) => match cx.read_file("file", file) {
                Err(error) => errors.push(error),
                Ok(bytes) => {
                    if let Err(error) = Encoder::from_json(&bytes, &self.eos) {
                        errors.push(OptionError::new("file", format!("cannot use `{file}`: {error}")));
                    }
                }
            },
        }
        errors
    }
}

impl TrainConfig {
    fn check(&self, eos: &str) -> Vec<OptionError> {
        let mut errors = Vec::new();
        let needed = 257 + self.special_tokens.len() as u64;
        if u64::from(self.vocab_size) < needed {
            errors.push(OptionError::new(
                "train.vocab_size",
                format!("`{}` is too small: 256 bytes and the special tokens need {needed}", self.vocab_size),
            ));
        }
        for (number, token) in self.special_tokens.iter().enumerate() {
            let key = format!("train.special_tokens[{number}]");
            if token.is_empty() {
                errors.push(OptionError::new(key, "a special token needs a text"));
            } else if token == eos || self.special_tokens[..number].contains(token) {
                errors.push(OptionError::new(key, format!("`{token}` is given twice")));
            }
        }
        errors
    }
}

/// How the corpus becomes token shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokensConfig {
    /// First part of the shards' file names: letters, digits, `-`, `_` and `.`. Default: the pipeline's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Seed of the global shuffle: another seed, another order.
    pub seed: u64,
    /// Tokens per shard to aim at. The number of shards is the estimated number of tokens (from the corpus'
    /// size and a sample of it) divided by this, rounded; documents are never split, so shards come out a few
    /// per cent larger or smaller.
    #[schemars(range(min = 1000, max = 100_000_000_000_u64))]
    pub shard_tokens: u64,
}

impl Default for TokensConfig {
    fn default() -> Self {
        Self { name: None, seed: 42, shard_tokens: 100_000_000 }
    }
}

impl TokensConfig {
    /// What is wrong with the options, if anything.
    #[must_use]
    pub fn check(&self) -> Vec<OptionError> {
        match &self.name {
            Some(name) if !is_file_name(name) => vec![OptionError::new(
                "name",
                format!("`{name}` cannot start a file name: letters, digits, `-`, `_` and `.` can"),
            )],
            _ => Vec::new(),
        }
    }
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn messages(value: serde_json::Value) -> Vec<String> {
        let config: TokenizerConfig = serde_json::from_value(value).unwrap();
        let errors = config.check(&mut BuildContext::default());
        errors.into_iter().map(|error| format!("{}: {}", error.key, error.message)).collect()
    }

    #[test]
    fn exactly_one_source() {
        assert_eq!(messages(json!({"train": {}})), Vec::<String>::new());
        assert_eq!(messages(json!({})), [": neither `train` nor `file` is given"]);
        let both = messages(json!({"train": {}, "file": "x"}));
        assert_eq!(both, [": `train` and `file` exclude each other; give one of them"]);
        assert!(messages(json!({"file": "no/such.json"}))[0].starts_with("file: cannot read `no/such.json`"));
        assert!(serde_json::from_value::<TokenizerConfig>(json!({"vocab_size": 5})).is_err());
    }

    #[test]
    fn special_tokens_are_checked() {
        let found = messages(json!({"train": {
            "vocab_size": 258, "special_tokens": ["<pad>", "<|endoftext|>", "<pad>", ""]
        }}));
        assert_eq!(
            found,
            [
                "train.vocab_size: `258` is too small: 256 bytes and the special tokens need 261",
                "train.special_tokens[1]: `<|endoftext|>` is given twice",
                "train.special_tokens[2]: `<pad>` is given twice",
                "train.special_tokens[3]: a special token needs a text",
            ]
        );
    }

    #[test]
    fn names_are_file_names() {
        for (name, right) in
            [("web-2_b.1", true), ("a/b", false), ("", false), (".x", false), ("\u{e9}", false)]
        {
            let config = TokensConfig { name: Some(name.to_owned()), ..TokensConfig::default() };
            assert_eq!(config.check().is_empty(), right, "{name}");
        }
    }
}
