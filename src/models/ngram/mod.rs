//! N-gram language models.

pub mod arpa_writer;
pub mod probing_writer;
pub mod train;
