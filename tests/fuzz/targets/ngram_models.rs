//! Damaged n-gram models, probing and trie: an error, or a model that scores every word with a number.
//!
//!     cargo +nightly fuzz run --fuzz-dir tests/fuzz ngram_models
//!
//! The first byte picks one of the fixtures; the rest says what becomes of it, three or four bytes at a time: a place and a
//! value (half of the places in the first 256 bytes, where sizes and counts are), or where the file is cut. An input
//! that starts with 255 is the file itself. Only a hanging or panicking reader, or a score that is no number, fails.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamis::models::ngram::{Model, Scorer, State};

/// Valid models: probing, and tries of all four kinds, of orders 4 and 7.
const MODELS: &[&[u8]] = &[
    include_bytes!("../../../fixtures/models/ngram/fable.probing"),
    include_bytes!("../../../fixtures/models/ngram/odd.roomy"),
    include_bytes!("../../../fixtures/models/ngram/fable.trie"),
    include_bytes!("../../../fixtures/models/ngram/fable.qtrie"),
    include_bytes!("../../../fixtures/models/ngram/fable.atrie"),
    include_bytes!("../../../fixtures/models/ngram/fable.qatrie"),
    include_bytes!("../../../fixtures/models/ngram/odd.trie"),
    include_bytes!("../../../fixtures/models/ngram/odd.qatrie"),
];
const WORDS: &[&str] =
    &["the", "miller", "sold", "old", "maps", "in", "rain", "a", "b", "c", "d", "жук", "z", "<s>", "</s>", "fox"];

fn file(bytes: &[u8]) -> Option<Vec<u8>> {
    let (&which, changes) = bytes.split_first()?;
    if which == 255 {
        return Some(changes.to_vec());
    }
    let mut file = MODELS[usize::from(which) % MODELS.len()].to_vec();
    for change in changes.chunks_exact(4) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
        let place = if change[2] & 1 == 0 { place % 256 } else { place | usize::from(change[2] & 0xf0) << 12 };
        if change[2] & 0x0e == 0x0e {
            file.truncate(place % (file.len() + 1));
        } else if !file.is_empty() {
            let place = place % file.len();
            file[place] = change[3];
        }
    }
    Some(file)
}

fuzz_target!(|bytes: &[u8]| {
    let Some(Ok(model)) = file(bytes).map(Model::from_bytes) else { return };
    let mut scorer = Scorer::new(&model);
    let mut state = model.begin_state();
    let mut alone = Vec::new();
    for round in 0..WORDS.len() {
        let sentence = (0..24).map(|at| WORDS[(at * (round + 1) + round) % WORDS.len()]);
        alone.push(model.score_sentence(sentence.clone(), true, true));
        scorer.sentence(sentence, true, true);
    }
    let together = scorer.finish();
    for (one, other) in alone.iter().zip(&together) {
        assert!(!one.log10_prob.is_nan());
        assert_eq!(one.log10_prob.to_bits(), other.log10_prob.to_bits(), "together and alone");
    }
    for id in (0..model.vocabulary_size().min(300)).chain([u32::MAX]) {
        let word = model.score(&state, id);
        assert!(!word.log10_prob.is_nan() && word.matched <= model.order());
        state = word.state;
    }
    assert!(!model.score(&State::EMPTY, 0).log10_prob.is_nan());
});
