//! The definition by brute force, character borders, long repeats, and real pages.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::span_tests::crawl;
use super::super::testkit::{CutDoc, Setup, cut_by, docs_of};
use super::{Config, SPEC, Stage};
use crate::document::Document;
use crate::stage::{Barrier, BuildContext};

fn stage(min_bytes: u32, anchors_per_task: u64) -> Arc<dyn Barrier> {
    let config = Config { min_bytes, ..Config::default() };
    Arc::new(Stage::with_anchors_per_task(config, anchors_per_task))
}

/// Bytes that go by definition: those of windows whose first copy is elsewhere, or a window or more before.
fn repeated(docs: &[Document], window: usize) -> Vec<Vec<bool>> {
    let mut firsts: HashMap<&[u8], (usize, usize)> = HashMap::new();
    let mut all = Vec::new();
    for (number, doc) in docs.iter().enumerate() {
        let bytes = doc.text.as_bytes();
        let mut goes = vec![false; bytes.len()];
        for (at, text) in bytes.windows(window).enumerate() {
            let &mut (first, first_at) = firsts.entry(text).or_insert((number, at));
            if first != number || at - first_at >= window {
                goes[at..at + window].fill(true);
            }
        }
        // Characters stay that go in part, at either end of what goes.
        for (start, character) in doc.text.char_indices() {
            let bytes = start..start + character.len_utf8();
            if goes[bytes.clone()].contains(&false) {
                goes[bytes].fill(false);
            }
        }
        all.push(goes);
    }
    all
}

fn cut_out(doc: &Document, found: &CutDoc) -> Vec<bool> {
    let mut goes = vec![false; doc.text.len()];
    for cut in &found.cuts {
        assert!(doc.text.get(cut.range.clone()).is_some(), "{cut:?} is not at character borders");
        goes[cut.range.clone()].fill(true);
    }
    goes
}

fn texts() -> impl Strategy<Value = Vec<Vec<String>>> {
    // Few different letters, units that come back, and characters of one to four bytes.
    let letters = "[ab]{0,60}".prop_map(String::from);
    let runs = ("[abé中🌍]{1,7}", 1_usize..20).prop_map(|(unit, times)| unit.repeat(times));
    let wide = "[abé中主🌍🌎]{0,40}".prop_map(String::from);
    let stock = (0_usize..60, 0_usize..60).prop_map(|(a, b)| {
        let stock = "The gate was open at noon, and nobody minded the dog that lay there asleep.";
        stock[a.min(b)..a.max(b)].to_owned()
    });
    let piece = prop_oneof![letters, runs, wide, stock];
    let text = prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat());
    prop::collection::vec(prop::collection::vec(text, 0..8), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn by_definition_whatever_the_order_of_work(
        splits in texts(),
        window in 16_u32..40,
        order in any::<u64>(),
        part_docs in 1_u64..6,
        anchors_per_task in 5_u64..200,
    ) {
        let docs = docs_of(&splits);
        let plain = cut_by(&stage(window, 1 << 20), &docs, &Setup::default());
        let setup = Setup { order, part_docs, memory_bytes: 1 << 10 };
        prop_assert_eq!(&cut_by(&stage(window, anchors_per_task), &docs, &setup), &plain);
        for ((doc, found), wanted) in docs.iter().zip(&plain).zip(repeated(&docs, window as usize)) {
            prop_assert_eq!(cut_out(doc, found), wanted, "{:?}", doc.text);
        }
    }
}

#[test]
fn cuts_name_the_first_copy() {
    let a = "Rain came late that year, and the beans did not mind at all.";
    let b = "Nobody else was pleased with it; the well had run dry in May.";
    let docs =
        docs_of(&[vec![a.to_owned(), format!("{b} So it went.")], vec![format!("Again: {a}{b} End.")]]);
    let found = cut_by(&stage(30, 100), &docs, &Setup::default());
    assert!(found[..2].iter().all(|doc| doc.cuts.is_empty()));
    let cuts: Vec<(&str, &str)> =
        found[2].cuts.iter().map(|cut| (&docs[2].text[cut.range.clone()], &*cut.first_id)).collect();
    assert_eq!(cuts, [(a, "0.0"), (&*format!("{b} "), "0.1")]);
    assert_eq!(found[2].left.as_deref(), Ok("Again: End."));
}

#[test]
fn what_is_left_decides() {
    let text = "The ferry leaves at seven from the lower landing every day but Sunday.";
    let texts =
        ["", " Bring coins.", " Take a lamp, coins and a warm coat."].map(|end| format!("{text}{end}"));
    let docs = docs_of(&[[&[text.to_owned()], &texts[..]].concat()]);
    let left = |options: serde_json::Value| -> Vec<String> {
        let built = (SPEC.build)(options, &mut BuildContext::default());
        let Ok(crate::stage::Built::Barrier(barrier)) = built else { panic!("it builds") };
        let found = cut_by(&barrier, &docs, &Setup::default());
        found.into_iter().map(|doc| doc.left.unwrap_or_else(|reason| reason.name.to_owned())).collect()
    };
    let long = "Take a lamp, coins and a warm coat.";
    let options = serde_json::json!({"min_bytes": 40});
    assert_eq!(left(options), [text, "nothing_left", "Bring coins.", long]);
    let options = serde_json::json!({"min_bytes": 40, "min_words": 4});
    assert_eq!(left(options), [text, "nothing_left", "too_few_words", long]);
    let options = serde_json::json!({"min_bytes": 40, "max_repeated_share": 0.7});
    assert_eq!(left(options), [text, "repeated_share", "repeated_share", long]);
}

#[test]
fn options_out_of_range_are_refused() {
    for (options, key) in [
        (serde_json::json!({"min_bytes": 15}), "min_bytes"),
        (serde_json::json!({"min_bytes": 65_537}), "min_bytes"),
        (serde_json::json!({"max_repeated_share": 1.5}), "max_repeated_share"),
    ] {
        let errors = (SPEC.build)(options, &mut BuildContext::default()).err().unwrap();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].key, key);
    }
}

#[test]
fn long_runs_and_near_copies_take_linear_work() {
    // A run of one character, one of a short unit, and 200 KB twice with a change every 300 bytes.
    let mut state = 7_u64;
    let mut letters = |count: usize| -> String {
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + (state >> 40).to_le_bytes()[0] % 26)
        })
        .take(count)
        .collect()
    };
    let tree = letters(200_000);
    let mut copy = tree.clone().into_bytes();
    for at in (150..copy.len()).step_by(300) {
        copy[at] = b'#';
    }
    let copy = String::from_utf8(copy).unwrap();
    let docs = docs_of(&[vec!["a".repeat(100_000), "abc".repeat(30_000), tree, copy]]);
    let found = cut_by(&stage(200, 1 << 20), &docs, &Setup::default());
    let cut = |doc: usize| found[doc].cuts.iter().map(|cut| cut.range.len()).sum::<usize>();
    assert_eq!((cut(0), cut(2)), (99_800, 0));
    assert_eq!(cut(1), 90_000 - 201, "the first copy that is far enough begins a multiple of three on");
    // Between two changes there are 299 bytes.
    assert_eq!(cut(3), 666 * 299);
}

#[test]
fn real_pages_lose_exactly_the_stretches_that_came_before() {
    let mut docs = crawl();
    docs.truncate(500);
    let setup = Setup { order: 5, part_docs: 90, memory_bytes: 1 << 16 };
    let found = cut_by(&stage(200, 3000), &docs, &setup);
    let (mut bytes, mut gone) = (0, 0);
    for ((doc, found), wanted) in docs.iter().zip(&found).zip(repeated(&docs, 200)) {
        let goes = cut_out(doc, found);
        assert!(goes == wanted, "{}", doc.id);
        bytes += goes.len();
        gone += goes.iter().filter(|&&goes| goes).count();
        for cut in &found.cuts {
            // Where several copies meet a cut is a piece of each, so it stands in the page that is named.
            let first = docs.iter().find(|doc| *doc.id == *cut.first_id).unwrap();
            let piece = &doc.text[cut.range.clone()];
            let shown: String = piece.chars().take(40).collect();
            assert!(first.text.contains(&shown), "{}: {shown}", doc.id);
        }
    }
    println!("{} pages, {bytes} bytes, {gone} of them go", docs.len());
    assert!(docs.is_empty() || gone * 100 > bytes, "a hundredth goes at least");
}
