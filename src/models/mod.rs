//! Small models without pipeline knowledge.

pub mod fasttext;
pub mod sentencepiece;
