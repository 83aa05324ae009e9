//! Everything that a YAML may name. The rooms never import each other.

pub mod dedup;
pub mod extract;
pub mod filter;
pub mod read;
pub mod rewrite;
pub mod write;
