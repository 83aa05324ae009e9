//! Pure text helpers: words, sentences, lines, normalising. No files, no stages, no pipeline.

mod affixes;
pub mod ccnet;
pub mod charset;
pub mod charsets;
mod exceptions;
pub mod features;
pub mod langcodes;
pub mod lines;
pub mod repetition;
pub mod sentences;
pub mod simplify;
mod spaceless;
pub mod words;
