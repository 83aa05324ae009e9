//! The one integration binary: what users see, checked through the program itself.

#[path = "suite/architecture.rs"]
mod architecture;
#[path = "suite/bad_pipelines.rs"]
mod bad_pipelines;
#[path = "suite/classifier.rs"]
mod classifier;
#[path = "suite/common_crawl.rs"]
mod common_crawl;
mod crawl;
#[path = "bench/data.rs"]
mod data;
#[path = "suite/decontaminate.rs"]
mod decontaminate;
#[path = "suite/doc_dedup.rs"]
mod doc_dedup;
#[path = "emulator/build.rs"]
mod emulator;
#[path = "suite/generated.rs"]
mod generated;
#[path = "suite/gpu.rs"]
mod gpu;
#[path = "suite/languages.rs"]
mod languages;
#[path = "suite/launch.rs"]
mod launch;
#[path = "suite/lm_train.rs"]
mod lm_train;
#[path = "suite/metrics.rs"]
mod metrics;
#[path = "suite/modes.rs"]
mod modes;
#[path = "suite/natural_text.rs"]
mod natural_text;
#[path = "suite/object_store.rs"]
mod object_store;
#[path = "suite/recipes.rs"]
mod recipes;
#[path = "suite/resume.rs"]
mod resume;
#[path = "suite/run_dirs.rs"]
mod run_dirs;
#[path = "suite/runs.rs"]
mod runs;
#[path = "suite/span_dedup.rs"]
mod span_dedup;
mod store;
#[path = "suite/support.rs"]
mod support;
#[path = "suite/train.rs"]
mod train;
