//! Cases, and what must hold for any page.

use proptest::prelude::*;

use super::super::case_files;
use super::*;
use crate::text::letters::letters;

#[test]
fn cases() {
    case_files::check(&SPEC);
}

/// Letters of the words of a text, as the opening comment tells it.
fn words(text: &str) -> Vec<String> {
    let word = |word: &str| {
        let mut out = Vec::new();
        letters(word, &mut out);
        String::from_utf8(out).unwrap()
    };
    text.split_whitespace().map(word).filter(|word| !word.is_empty()).collect()
}

/// How many different n-grams an example has and how many of them a page holds, found the slow way.
fn slowly(example: &str, page: &str, n: usize) -> (usize, usize) {
    let all = words(example);
    let size = if all.len() >= n { n } else { all.len() };
    let mut grams: Vec<String> = all.windows(size.max(1)).map(<[String]>::concat).collect();
    grams.retain(|gram| gram.len() >= index::ANCHOR_BYTES && !gram.bytes().all(|byte| byte.is_ascii_digit()));
    grams.sort_unstable();
    grams.dedup();
    let page = words(page).concat();
    let found = grams.iter().filter(|gram| page.contains(gram.as_str())).count();
    (grams.len(), found)
}

/// Words of few letters, so that many n-grams are shared by chance.
fn few_words(most: usize) -> impl Strategy<Value = String> {
    let word = prop_oneof!["[ab]{1,4}", "[abé]{2,9}", "[1-3]{1,3}", "(ab)?(ba)?ﬁ", Just("--".to_owned())];
    let space = prop_oneof![Just(" "), Just("\n"), Just(", "), Just("\u{a0} ")];
    prop::collection::vec((word, space), 1..most)
        .prop_map(|words| words.into_iter().map(|(word, space)| word + space).collect())
}

proptest! {
    #[test]
    fn n_grams_are_those_that_a_slow_search_finds(
        examples in prop::collection::vec(few_words(14), 1..5),
        noise in few_words(40),
        copied in any::<prop::sample::Index>(),
        n in 3_usize..7,
    ) {
        let page = format!("{noise} {} {noise}", examples[copied.index(examples.len())].to_uppercase());
        let mut builder = Builder::new(Unit::Words, n, 3);
        let mut searched = Vec::new();
        for (number, example) in (0..).zip(&examples) {
            if builder.add(0, number, 0, example).unwrap() {
                searched.push(slowly(example, &page, n));
            } else {
                let (all, _) = slowly(example, &page, n);
                prop_assert!(all == 0 || words(example).len() < 3);
            }
        }
        let index = builder.build();
        let least = Threshold { min_ngrams: 1, min_overlap_ratio: 0.0 };
        let findings = page::find(&index, least, &page, &mut Scratch::default());
        for (number, passage) in index.passages.iter().enumerate() {
            let (all, wanted) = searched[number];
            let found = findings.found.iter().find(|found| found.passage == *passage);
            prop_assert_eq!(found.map_or(0, |found| found.ngrams as usize), wanted);
            prop_assert_eq!(passage.grams as usize, all);
            if let Some(found) = found {
                // What the table shows as found is text of the example.
                let (mut stretch, mut example) = (Vec::new(), Vec::new());
                letters(&page[found.range.clone()], &mut stretch);
                letters(&examples[passage.example as usize], &mut example);
                prop_assert!(stretch.len() >= index::ANCHOR_BYTES);
                let inside = example.windows(stretch.len()).any(|window| window == stretch);
                // The first character may have become two letters, of which the second begins the n-gram.
                prop_assert!(inside || page.contains('ﬁ'), "{:?}", &page[found.range.clone()]);
            }
        }
        prop_assert!(findings.matched.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }

    #[test]
    fn any_page_gets_a_verdict_and_a_cut_page_is_clean(before in any::<String>(), behind in any::<String>()) {
        let options = |action: &str| serde_json::json!({
            "sets": [{"name": "riddles", "path": "fixtures/stages/decontaminate/riddles.jsonl"}], "action": action,
        });
        let question = "Three boats carry four barrels each, and one boat loses half of its barrels in a storm.";
        for planted in ["", question] {
            let text = format!("{before}\n{planted}\n{behind}");
            let mut dropped = case_files::document(&text);
            let outcome = case_files::build(&SPEC, options("drop_page"))
                .unwrap()
                .process(&mut dropped, &mut case_files::context(&SPEC));
            prop_assert_eq!(matches!(outcome, Outcome::Drop(_)), !planted.is_empty());
            let mut cut = case_files::document(&text);
            let mut cut_options = options("cut_match");
            cut_options["window_chars"] = 0.into();
            cut_options["min_piece_chars"] = 1.into();
            cut_options["max_pieces"] = serde_json::Value::Null;
            let stage = case_files::build(&SPEC, cut_options).unwrap();
            let outcome = stage.process(&mut cut, &mut case_files::context(&SPEC));
            if !planted.is_empty() && matches!(outcome, Outcome::Changed) {
                prop_assert!(!cut.text.contains("barrels each"));
                let again = stage.process(&mut cut, &mut case_files::context(&SPEC));
                prop_assert_eq!(again, Outcome::Keep);
            }
        }
    }
}
