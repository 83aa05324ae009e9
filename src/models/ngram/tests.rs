use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

const FABLE: [&str; 6] =
    ["fable.arpa", "fable.probing", "fable.trie", "fable.qtrie", "fable.atrie", "fable.qatrie"];
const ODD: [&str; 4] = ["odd.arpa", "odd.roomy", "odd.trie", "odd.qatrie"];

fn path(name: &str) -> PathBuf {
    Path::new("fixtures/models/ngram").join(name)
}

fn fixture(name: &str) -> Vec<u8> {
    crate::io::read_side_file(&path(name)).unwrap()
}

fn model(name: &str) -> Model {
    Model::from_bytes(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A line and what KenLM's `query` said of its words, `</s>` last: log10 probability, length, unknown.
type Expected = (String, Vec<(f32, usize, u8)>);

fn expected(name: &str) -> Vec<Expected> {
    let (of, form) = name.split_once('.').unwrap();
    let file = if form.starts_with('q') { name.to_owned() } else { format!("{of}.arpa") };
    let rows = String::from_utf8(fixture(&format!("{file}.expected.jsonl"))).unwrap();
    let rows: Vec<Expected> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert!(rows.len() >= 25);
    rows
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_ascii_whitespace()
}

#[test]
fn every_word_is_scored_as_kenlm_scores_it() {
    for name in FABLE.into_iter().chain(ODD) {
        let model = model(name);
        for (line, expected) in expected(name) {
            let mut state = model.begin_state();
            let mut sum = 0.0;
            let ids = words(&line).map(|word| model.word_id(word)).chain([model.end_id()]);
            let mut rest = expected.iter();
            for id in ids {
                let (prob, length, unknown) = rest.next().expect("as many words");
                let found = model.score(&state, id);
                let what = format!("{name}: `{line}`, id {id}: {found:?}, KenLM {prob} {length}");
                assert!((found.log10_prob - prob).abs() <= 1e-5 * prob.abs().max(1.0), "{what}");
                assert_eq!((found.matched, u8::from(id == UNKNOWN)), (*length, *unknown), "{what}");
                sum += f64::from(found.log10_prob);
                state = found.state;
            }
            assert!(rest.next().is_none(), "{name}: `{line}`");
            let score = model.score_sentence(words(&line), true, true);
            assert_eq!(score.log10_prob.to_bits(), sum.to_bits());
            assert_eq!(score.tokens, expected.len() as u64);
            assert_eq!(score.oovs, expected.iter().map(|(.., unknown)| u64::from(*unknown)).sum::<u64>());
        }
    }
}

#[test]
fn files_tell_what_they_are() {
    let trie = |quantised, array| Kind::Trie { quantised, array };
    let kinds = [
        Kind::Probing,
        Kind::Probing,
        trie(false, false),
        trie(true, false),
        trie(false, true),
        trie(true, true),
    ];
    for (name, kind) in FABLE.into_iter().zip(kinds) {
        let model = Model::open(path(name)).unwrap();
        assert_eq!((model.kind(), model.order()), (kind, 4), "{name}");
        assert_eq!(model.vocabulary_size(), u32::try_from(model.counts()[0]).unwrap());
        assert_eq!(model.counts(), Model::open(path("fable.arpa")).unwrap().counts(), "{name}");
    }
    for name in ODD {
        assert_eq!(model(name).order(), 7, "{name}");
        assert_eq!(model(name).vocabulary_size(), 9, "{name}");
    }
}

#[test]
fn unknown_words_and_ids() {
    for name in FABLE.into_iter().chain(ODD) {
        let model = model(name);
        for word in ["<unk>", "<UNK>", "unknown", "", "THE"] {
            assert_eq!(model.word_id(word), UNKNOWN, "{name}");
        }
        assert_eq!(model.word_id("<s>"), model.begin_id());
        let unknown = model.score(&State::EMPTY, UNKNOWN);
        for id in [model.vocabulary_size(), u32::MAX] {
            assert_eq!(model.score(&State::EMPTY, id).log10_prob.to_bits(), unknown.log10_prob.to_bits());
        }
    }
    assert!((model("odd.arpa").score(&State::EMPTY, UNKNOWN).log10_prob - -100.0).abs() < f32::EPSILON);
}

#[test]
fn perplexity_counts_the_end_of_the_sentence() {
    let score = SentenceScore { log10_prob: -6.0, tokens: 3, oovs: 0 };
    assert!((score.perplexity() - 100.0).abs() < 1e-9);
    assert!((SentenceScore::default().perplexity() - 1.0).abs() < f64::EPSILON);
    let model = model("fable.arpa");
    assert_eq!(model.score_sentence([], true, true).tokens, 1);
    assert_eq!(model.score_sentence([], true, false), SentenceScore::default());
    assert_eq!(model.score_sentence(["the", "fox"], false, false).tokens, 2);
}

/// What a [`Scorer`] gives, sentence by sentence.
fn together(model: &Model, sentences: &[(Vec<&str>, bool, bool)]) -> Vec<SentenceScore> {
    let mut scorer = Scorer::new(model);
    for (words, begin, end) in sentences {
        scorer.sentence(words, *begin, *end);
    }
    assert_eq!(scorer.pending(), sentences.len());
    let scores = scorer.finish();
    assert_eq!((scorer.pending(), scorer.finish()), (0, Vec::new()));
    scores
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn sentences_together_equal_sentences_alone(
        sentences in proptest::collection::vec(
            (proptest::collection::vec(0_usize..12, 0..30), any::<bool>(), any::<bool>(), 1_usize..200), 0..40),
        which in 0_usize..10,
    ) {
        let odd = ["a", "b", "c", "d", "жук", "z", "y", "<s>", "</s>", "a", "b", "c"];
        let fable = ["the", "miller", "sold", "old", "maps", "in", "the", "rain", "<s>", "fox", "x", "a"];
        let (name, list) = if which < 6 { (FABLE[which], fable) } else { (ODD[which - 6], odd) };
        let model = model(name);
        let sentences: Vec<(Vec<&str>, bool, bool)> = sentences
            .into_iter()
            .map(|(words, begin, end, times)| {
                (words.iter().map(|word| list[*word]).collect::<Vec<_>>().repeat(times), begin, end)
            })
            .collect();
        let alone: Vec<SentenceScore> = sentences
            .iter()
            .map(|(words, begin, end)| model.score_sentence(words.iter().copied(), *begin, *end))
            .collect();
        prop_assert_eq!(together(&model, &sentences), alone);
    }
}

/// Scores of some lines, as bits.
fn digest(model: &Model, name: &str) -> Vec<u64> {
    let mut scorer = Scorer::new(model);
    let lines = expected(name);
    for (line, _) in &lines {
        scorer.sentence(words(line), true, true);
    }
    let scores = scorer.finish();
    for ((line, _), score) in lines.iter().zip(&scores) {
        assert_eq!(model.score_sentence(words(line), true, true), *score);
        assert!(score.log10_prob.is_finite());
    }
    scores.iter().map(|score| score.log10_prob.to_bits()).collect()
}

#[test]
fn a_cut_file_is_an_error_at_every_length() {
    for name in FABLE.into_iter().chain(ODD) {
        let whole = fixture(name);
        // ARPA text ends with a line `\end\` and a blank one.
        let needed = if name.ends_with("arpa") { whole.trim_ascii_end().len() } else { whole.len() };
        let step = if name == "fable.arpa" { 7 } else { 1 };
        for length in (0..needed).step_by(step).chain(needed - 9..needed) {
            let cut = Model::from_bytes(whole[..length].to_vec());
            assert!(cut.is_err(), "{name} is read from its first {length} bytes of {}", whole.len());
        }
        assert!(Model::from_bytes(whole[..needed].to_vec()).is_ok());
        if !name.ends_with("arpa") {
            assert!(Model::from_bytes([&whole[..], b"\0"].concat()).is_err(), "{name} with a byte more");
            assert!(Model::from_bytes([&whole[..], b"word\0"].concat()).is_err(), "{name} with a word more");
        }
    }
}

/// Bytes before the values: header and, up to there, the vocabulary. Every change of one bit in it must be seen,
/// but in padding and in the table size, of which the last bits change nothing.
fn strict_bytes(name: &str) -> usize {
    let header = if name.starts_with("odd") { 168 } else { 144 };
    // A sorted vocabulary follows: its size and the hashes.
    let words = usize::try_from(model(name).vocabulary_size()).unwrap();
    if name.ends_with("trie") { header + 8 * words } else { header }
}

#[test]
fn every_changed_byte_is_seen_or_changes_values_only() {
    for name in FABLE.into_iter().chain(ODD).filter(|name| !name.ends_with("arpa")) {
        let whole = fixture(name);
        let right = digest(&model(name), name);
        let (mut seen, mut harmless, mut wrong) = (0, 0, 0);
        let strict = strict_bytes(name);
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            match Model::from_bytes(changed) {
                Err(_) => seen += 1,
                Ok(model) if digest(&model, name) == right => harmless += 1,
                Ok(_) => {
                    assert!(at >= strict, "{name}: byte {at} changed, and scores with it");
                    wrong += 1;
                }
            }
        }
        println!("{name}: {seen} changed bytes seen, {harmless} harmless, {wrong} values changed");
        assert!(seen > whole.len() / 5, "{name}: only {seen} of {} changes are seen", whole.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn damaged_files_never_panic(
        which in 0_usize..10,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
        early: bool,
    ) {
        let name = FABLE.into_iter().chain(ODD).nth(which).unwrap();
        let mut bytes = fixture(name);
        for (at, value) in changes {
            // Half of the files are changed where sizes and counts are.
            let end = if early { bytes.len().min(200) } else { bytes.len() };
            bytes[at.index(end)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(model) = Model::from_bytes(bytes) {
            digest(&model, name);
        }
    }
}

fn arpa(text: &str) -> Result<Model, String> {
    Model::from_bytes(text.as_bytes().to_vec()).map_err(|error| error.to_string())
}

const SMALL: &str = "\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n-99\t<s>\t-0.5\n-1\t</s>\n-0.5\ta\t-0.25\n-2\t<unk>\n\n\\2-grams:\n-0.125\t<s> a\n-0.75\ta </s>\n\n\\end\\\n";

#[test]
fn arpa_text_is_read_in_its_variants() {
    let plain = arpa(SMALL).unwrap();
    let score = |model: &Model| model.score_sentence(["a", "b"], true, true).log10_prob;
    assert!((score(&plain) - (-0.125 - 2.25 - 1.0)).abs() < 1e-6);
    for text in [
        SMALL.replace('\n', "\r\n"),
        format!("a preface\n\n{SMALL}"),
        SMALL.replace('\t', " "),
        SMALL.replace("\n\n", "\n"),
        SMALL.replace("ngram 1=4", "ngram 1= 4"),
        SMALL.replace("<unk>", "<UNK>"),
        SMALL.trim_end().to_owned(),
    ] {
        assert!((score(&arpa(&text).unwrap()) - score(&plain)).abs() < f64::EPSILON, "{text}");
    }
    let words_only = SMALL.split("\\2-grams").next().unwrap().replace("ngram 2=2\n", "") + "\\end\\\n";
    let words_only = arpa(&words_only).unwrap();
    assert_eq!(words_only.order(), 1);
    assert!((score(&words_only) - (-0.5 - 2.0 - 1.0)).abs() < 1e-6);
    let sentences = vec![(vec!["a", "b"], true, true), (vec!["a"; 5000], true, false)];
    let alone: Vec<_> = sentences
        .iter()
        .map(|(words, begin, end)| words_only.score_sentence(words.iter().copied(), *begin, *end))
        .collect();
    assert_eq!(together(&words_only, &sentences), alone);
}

#[test]
fn compressed_arpa_text_is_read() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().unwrap();
    let plain = model("fable.arpa");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&fixture("fable.arpa")).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::bulk::compress(&fixture("fable.arpa"), 3).unwrap();
    for (name, bytes) in [("m.arpa.gz", &gzip), ("m.arpa.zst", &zstd)] {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(digest(&Model::open(&path).unwrap(), "fable.arpa"), digest(&plain, "fable.arpa"));
        std::fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
        let error = Model::open(&path).unwrap_err();
        assert!(matches!(error, FileError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn mistakes_in_arpa_text_are_named_with_their_line() {
    for (from, to, message) in [
        ("\\data\\", "data", "this is no n-gram model"),
        ("ngram 1=4", "ngram 1=x", "line 2: `ngram 1=x` where `ngram N=COUNT` should stand"),
        ("ngram 2=2", "ngram 3=2", "line 3: `ngram 3=2` where order 2 should come"),
        ("ngram 1=4", "ngram 1=5", "line 11: 4 entries of order 1, but `ngram 1=5`"),
        ("ngram 1=4", "ngram 1=3", "line 11: 4 entries of order 1, but `ngram 1=3`"),
        ("ngram 2=2", "ngram 2=9", "line 15: 2 entries of order 2, but `ngram 2=9`"),
        ("ngram 2=2", "ngram 2=18446744073709551615", "line 15: 2 entries of order 2"),
        ("\\1-grams:", "\\one-grams:", "line 5: `\\one-grams:` where `\\1-grams:` should come"),
        ("\\end\\", "\\3-grams:", "line 15: `\\3-grams:` where `\\end\\` should come"),
        ("\\end\\\n", "", "line 15: the text ends where `\\end\\` should come"),
        ("-0.5\ta", "half\ta", "line 8: no log10 probability at the beginning of `half"),
        ("-0.5\ta", "0.5\ta", "line 8: no log10 probability"),
        ("-0.5\ta", "nan\ta", "line 8: no log10 probability"),
        ("-0.5\ta", "-inf\ta", "line 8: no log10 probability"),
        ("a\t-0.25", "a\tnone", "line 8: no log10 backoff at the end"),
        ("a\t-0.25", "a\tb c d\t-0.25", "line 8: 6 fields in an entry of order 1"),
        ("a </s>", "b </s>", "line 13: the word `b` is no unigram"),
        ("-0.5\ta", "-0.5\t</s>", "word number 3 was there before"),
        ("-0.5\ta", "-0.5\t<unk>", "line 9: `<unk>` for the second time"),
        ("-0.75\ta </s>", "-0.75\t<s> a", "n-gram number 2 of its order was there before"),
        ("<s>\t-0.5", "<S>\t-0.5", "line 12: the word `<s>` is no unigram"),
    ] {
        assert!(SMALL.contains(from), "{from}");
        let error = arpa(&SMALL.replacen(from, to, 1)).expect_err(to);
        assert!(error.starts_with(message), "{to}: {error}");
    }
    let no_context = SMALL
        .replace("ngram 2=2\n", "ngram 2=2\nngram 3=1\n")
        .replace("\\end\\", "\\3-grams:\n-1\ta a </s>\n\n\\end\\");
    let error = arpa(&no_context).unwrap_err();
    assert_eq!(error, "line 17: the context of `-1\ta a </s>` is no n-gram");
    let unmarked = SMALL.replace("<s>", "<S>");
    assert_eq!(arpa(&unmarked).unwrap_err(), "the word `<s>` is not in the vocabulary");
    let long = SMALL.replace(
        "ngram 2=2\n",
        &["2", "3", "4", "5", "6", "7", "8"].map(|n| "ngram ".to_owned() + n + "=0\n").concat(),
    );
    assert_eq!(arpa(&long).unwrap_err(), "unsupported n-gram model: order 8; up to 7 can be read");
}

#[test]
fn mistakes_in_binaries_are_named() {
    let change = |name: &str, at: usize, bytes: &[u8]| {
        let mut file = fixture(name);
        file[at..at + bytes.len()].copy_from_slice(bytes);
        Model::from_bytes(file).expect_err(name).to_string()
    };
    for (at, bytes, message) in [
        (49, &b"4"[..], "unsupported n-gram model: a KenLM binary of a version other than 5"),
        (64, &[0, 0, 0, 0x3f], "unsupported n-gram model: test values in the header"),
        (88, &[8], "unsupported n-gram model: order 8; 2 to 7 can be read"),
        (88, &[3], "vocabulary: 0 ids for 51 unigrams"),
        (92, &[0, 0, 0xc0, 0x7f], "header: NaN as size of the hash tables"),
        (96, &[1], "unsupported n-gram model: a probing binary with rest costs"),
        (96, &[9], "header: unknown kind of model 9"),
        (100, &[2], "header: 2 where 0 or 1 tells whether there are words"),
        (104, &[1], "unsupported n-gram model: search version 1; 0 is known"),
        (108, &[0; 8], "header: 0 words"),
        (116, &[255; 8], "header: 18446744073709551615 n-grams of one order"),
        (116, &[0, 0, 0, 0, 0, 0, 1, 0], "header: 281474976710656 n-grams"),
        (116, &[0, 0, 0, 0, 0, 255, 0, 0], "the model is cut short: the 2-grams would end at byte"),
        (144, &[1], "unsupported n-gram model: vocabulary version 1"),
    ] {
        let error = change("fable.probing", at, bytes);
        if at == 116 && bytes[6] == 1 {
            // The limit itself is allowed; the file is too short for it.
            assert!(error.starts_with("the model is cut short"), "{error}");
        } else {
            assert!(error.starts_with(message), "{at}: {error}");
        }
    }
    let error = change("fable.qtrie", 96, &[2]);
    assert!(!error.is_empty());
    for (name, bytes) in
        [("empty", &b""[..]), ("other", b"GGUF and more"), ("half", &fixture("fable.trie")[..40])]
    {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = Model::open(&path).unwrap_err();
        assert!(matches!(error, FileError::User(_)), "{name}: {error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
    let absent = Model::open("fixtures/models/ngram/absent").unwrap_err();
    assert!(matches!(absent, FileError::Io { .. }), "{absent:?}");
}
