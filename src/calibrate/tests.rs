use std::fmt::Write as _;

use super::*;

/// Documents of an invented language: words of two syllables, with `ka` and `lo` in every sentence.
fn corpus() -> Vec<String> {
    let syllables = ["ba", "de", "fi", "go", "hu", "mi", "no", "pu", "ra", "se"];
    let mut state = 1_usize;
    let mut next = |n: usize| {
        state = state * 1_103_515_245 % 2_147_483_648 + 12_345;
        state / 65_536 % n
    };
    let mut docs = Vec::new();
    for _ in 0..40 {
        let mut text = String::new();
        for _ in 0..12 {
            let mut word =
                || format!("{}{}{}", syllables[next(10)], syllables[next(10)], syllables[next(10)]);
            writeln!(text, "{} karo {} {} lotu {} {}.", word(), word(), word(), word(), word()).unwrap();
        }
        docs.push(text.trim_end().to_owned());
    }
    docs
}

fn table(settings: &Settings, docs: &[(&str, String)]) -> String {
    let mut words = Words::default();
    for (language, text) in docs {
        words.add(language, text, settings.max_docs);
    }
    let mut scores = Scores::new(settings, words).unwrap();
    for (language, text) in docs {
        scores.add(language, text);
    }
    scores.table()
}

fn of(language: &'static str) -> Vec<(&'static str, String)> {
    corpus().into_iter().map(|text| (language, text)).collect()
}

#[test]
fn frequent_words_are_stop_words_and_lengths_have_limits() {
    let settings = Settings { max_stop_words: 2, ..Settings::default() };
    let text = table(&settings, &of("qaa"));
    assert!(text.contains("qaa: # 40 documents, 3360 words"), "{text}");
    assert!(text.contains("stop_words: &qaa [karo, lotu]"), "{text}");
    assert!(text.contains("stop_words: *qaa"), "{text}");
    // Words have 6 characters, two of seven have 4: a mean of 5.43, the same in every document.
    assert!(text.contains("min_mean_word_chars: 5.42 # few below 5.429, median 5.429"), "{text}");
    assert!(text.contains("max_mean_word_chars: 5.43 #"), "{text}");
    // One word in eight is a full stop; a tenth of all words is the least margin.
    assert!(text.contains("min_alphabetic_word_ratio: 0.775 #"), "{text}");
    // Nothing that the general options allow anyway.
    for option in ["max_newlines_per_word", "max_hashes", "min_punctuated"] {
        assert!(!text.contains(option), "{option}: {text}");
    }
}

#[test]
fn limits_are_widened_where_the_language_needs_it() {
    let docs: Vec<_> =
        of("qaa").into_iter().map(|(language, text)| (language, text.replace(" karo ", " 17 18 "))).collect();
    let text = table(&Settings::default(), &docs);
    assert!(text.contains("min_alphabetic_word_ratio: 0.566 #"), "{text}");
    let unmarked: Vec<_> =
        of("qaa").into_iter().map(|(language, text)| (language, text.replace('.', ""))).collect();
    let text = table(&Settings::default(), &unmarked);
    assert!(text.contains("min_punctuated_line_ratio: null"), "{text}");
}

#[test]
fn other_languages_make_no_difference() {
    let alone = table(&Settings::default(), &of("qaa"));
    let mut docs = of("qaa");
    docs.extend(
        corpus().into_iter().map(|text| ("qab", text.to_uppercase().to_lowercase().replace('a', "y"))),
    );
    let both = table(&Settings::default(), &docs);
    let entry = |text: &str| {
        let start = text.find("qaa:").unwrap();
        let rest = &text[start..];
        rest[..rest.find("\nq").map_or(rest.len(), |end| end + 1)].to_owned()
    };
    assert_eq!(entry(&alone), entry(&both));
    assert!(both.contains("qab:") && both.contains("kyro") && !both.contains("und:"), "{both}");
}

#[test]
fn few_documents_are_left_out_and_the_rest_is_cut() {
    let few: Vec<_> = of("qaa").into_iter().take(9).collect();
    assert!(!table(&Settings::default(), &few).contains("qaa"));
    let settings = Settings { max_docs: 20, ..Settings::default() };
    assert!(table(&settings, &of("qaa")).contains("qaa: # 20 documents"));
}

#[test]
fn a_filter_without_limits_is_a_mistake() {
    for name in ["keywords", "extract", "nothing"] {
        let settings = Settings { stages: vec![name.to_owned()], ..Settings::default() };
        let mut words = Words::default();
        for (language, text) in of("qaa") {
            words.add(language, &text, 100);
        }
        assert!(Scores::new(&settings, words).is_err(), "{name}");
    }
}

#[test]
fn a_filter_that_needs_options_says_so() {
    let settings = Settings { stages: vec!["perplexity".to_owned()], min_docs: 1, ..Settings::default() };
    let mut words = Words::default();
    words.add("en", "some text", 100);
    let Err(error) = Scores::new(&settings, words) else { panic!("there is no model") };
    let error = error.to_string();
    assert!(error.contains("`perplexity` cannot be measured with its default options"), "{error}");
    assert!(error.contains("there is no model") && error.contains("`mode: annotate`"), "{error}");
}

#[test]
fn empty_and_odd_texts_do_no_harm() {
    let mut docs = of("qaa");
    docs.extend(["", "\n\n", "\u{0}", "a", "!!!"].map(|text| ("qaa", text.to_owned())));
    assert!(table(&Settings::default(), &docs).contains("qaa: # 45 documents"));
}
