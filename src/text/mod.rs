//! Pure text helpers: words, sentences, lines, normalising. No files, no stages, no pipeline.

pub mod address;
mod affixes;
pub mod ccnet;
pub mod char_counts;
pub mod charset;
pub mod charsets;
pub mod cut;
mod exceptions;
pub mod features;
pub mod langcodes;
pub mod letter_order;
pub mod letters;
pub mod line_index;
pub mod lines;
pub mod repetition;
pub mod runs;
pub mod sentences;
pub mod simplify;
mod spaceless;
pub mod terms;
pub mod word_shapes;
pub mod words;
