//! Small models without pipeline knowledge.

pub mod fasttext;
pub mod ngram;
pub mod sentencepiece;
