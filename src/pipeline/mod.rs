//! From YAML to a checked plan: config, registry, plan, schema, generated reference.
//!
//! Knows stages only through the rooms' `STAGES` tables; never runs anything.

pub mod check;
pub mod config;
pub mod diagnostic;
pub mod load;
pub mod node;
pub mod options_file;
pub mod overrides;
pub mod per_language;
pub mod plan;
pub mod reference;
pub mod registry;
pub mod replan;
pub mod trial;

pub use load::{Loaded, instantiate, load};
pub use plan::Plan;
pub use replan::{Refilter, refilters};
