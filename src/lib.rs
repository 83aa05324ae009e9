//! tamis turns web crawls into training-ready token shards and shows what every step did to the text.
//!
//! The rooms in reading order. `docs/ARCHITECTURE.md` tells how they work together;
//! `tests/suite/architecture.rs` checks who imports whom.
//!
//! | room | holds | may import | must never |
//! |---|---|---|---|
//! | [`document`] | the nouns: document, ordinal, outcome, reason | nothing | |
//! | [`error`] | kinds of failure and their exit codes | nothing | |
//! | [`text`] | words, sentences, normalising, charsets | error | touch files, know stages |
//! | [`io`] | files, and objects of stores: codecs, atomic output, document files, sorted runs | document, error | know stages |
//! | [`models`] | small models: fastText, n-gram language models, SentencePiece | text, io, error | know the pipeline |
//! | [`stage`] | the traits, how a stage describes itself, what is counted | document, text, io, error | know a named stage |
//! | `stages/read` | WARC, WET, JSONL, Parquet, Common Crawl to documents | stage, document, text, io, error | import another stage room |
//! | `stages/extract` | HTML to main text | the same | the same |
//! | `stages/filter` | judges of one document | the same, models | the same |
//! | `stages/rewrite` | changes to one document: personal data | the same | the same |
//! | `stages/dedup` | whole-corpus steps: exact and MinHash deduplication, the best share | the same | the same |
//! | `stages/write` | the tables of a run directory | document, stage, io, error | the same |
//! | [`tokens`] | tokenizer training, encoding, shuffle, shards | stage, document, text, io, error | know stages or the pipeline |
//! | [`train`] | small transformer: data, model, optimiser, loop, judging | tokens, io, error | know stages or the pipeline |
//! | [`pipeline`] | YAML to a checked plan; the generated reference | the stage rooms' `STAGES` tables, tokens' configs | run anything |
//! | [`calibrate`] | options per language from a reference corpus | document, text, stage, error, pipeline | read files, print |
//! | [`engine`] | runs passes of tasks; memory, progress, resume | stage, `stages/write`, io | name a stage |
//! | [`metrics`] | what a run tells on a port: health, counters | engine, stage, io, error | keep a run waiting |
//! | [`report`] | report.json, report.html, the final table | stage, document, io, error | decide anything |
//! | [`launch`] | scripts that hand a run to a cluster's engine | nothing | start anything |
//! | [`refilter`] | decides again from the scores that a run stored | pipeline, report, engine, `stages/write`, io | read texts to decide |
//! | [`job`] | puts a plan's passes together and runs them | all of the above | print |
//! | [`cli`] | one file per command | anything | be imported |

pub mod calibrate;
pub mod cli;
pub mod document;
pub mod engine;
pub mod error;
pub mod io;
pub mod job;
pub mod launch;
pub mod metrics;
pub mod models;
pub mod pipeline;
pub mod refilter;
pub mod report;
pub mod stage;
pub mod stages;
pub mod text;
pub mod tokens;
pub mod train;
