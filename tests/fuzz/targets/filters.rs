//! Any text through every filter, with one working memory for all, as in a run.
//!
//!     cargo +nightly fuzz run --fuzz-dir tests/fuzz filters
//!
//! Checked beside the absence of panics: a verdict is one that the stage names, and a dropped text stays as it was.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use tamis::document::{Document, Ordinal, Outcome};
use tamis::stage::{BuildContext, Built, Context, DocStage, StageSpec};
use tamis::stages::{filter, rewrite};

/// Options for stages that need some.
const OPTIONS: &[(&str, &str)] = &[
    ("url", r#"{"banned_words": ["casino"], "soft_words": ["bet"]}"#),
    ("keywords", r#"{"words": ["lantern", "中文", "a b"]}"#),
    ("classifier", r#"{"model": "fixtures/models/quality.bin"}"#),
    ("perplexity", r#"{"model": "fixtures/models/ngram/fable.probing"}"#),
    (
        "decontaminate",
        r#"{"sets": [{"name": "riddles", "path": "fixtures/stages/decontaminate/riddles.jsonl"}], "ngram_words": 4}"#,
    ),
];

type Stages = Vec<(&'static StageSpec, Box<dyn DocStage>)>;

thread_local! {
    static STAGES: Stages = build();
    static CONTEXT: RefCell<Context> = RefCell::default();
}

fn build() -> Stages {
    let specs = filter::STAGES.iter().chain(rewrite::STAGES);
    specs
        .filter_map(|&spec| {
            let options =
                OPTIONS.iter().find(|(name, _)| *name == spec.name).map_or("{}", |(_, options)| options);
            match (spec.build)(
                serde_json::from_str(options).expect("valid JSON"),
                &mut BuildContext::default(),
            ) {
                Ok(Built::Doc(stage)) => Some((spec, stage)),
                _ => None,
            }
        })
        .collect()
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    STAGES.with(|stages| {
        CONTEXT.with_borrow_mut(|cx| {
            for (spec, stage) in stages {
                let mut doc =
                    Document::new(Ordinal { split: 0, record: 0 }, "fuzz".to_owned(), text.to_string());
                doc.url = Some(text.chars().take(200).collect());
                spec.name.clone_into(&mut cx.stage);
                cx.features.reset();
                if let Outcome::Drop(reason) = stage.process(&mut doc, cx) {
                    assert!(
                        spec.reasons.iter().any(|(name, _)| *name == reason.name),
                        "{}: {}",
                        spec.name,
                        reason.name
                    );
                    assert_eq!(doc.text, text, "{}: a dropped text stays as it was", spec.name);
                }
            }
        });
    });
});
