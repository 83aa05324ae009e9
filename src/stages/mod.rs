//! Everything that a YAML may name. The rooms never import each other.

pub mod extract;
pub mod read;
pub mod write;
