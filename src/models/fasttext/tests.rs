use std::path::Path;

use proptest::prelude::*;

use super::*;

const MODELS: [&str; 6] =
    ["softmax.bin", "tree.bin", "negative.bin", "one_vs_all.bin", "tree_pruned.ftz", "tree_whole.ftz"];

fn fixture(name: &str) -> Vec<u8> {
    crate::io::read_side_file(&Path::new("fixtures/models").join(name)).unwrap()
}

fn model(name: &str) -> FastText {
    FastText::from_bytes(&fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Compares with what `tests/tools/make_fasttext_fixtures.py` had the official library say.
fn agrees(name: &str, model: &FastText) {
    let expected = String::from_utf8(fixture(&format!("{name}.expected.jsonl"))).unwrap();
    assert!(expected.lines().count() >= 30);
    for line in expected.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = row["text"].as_str().unwrap();
        let best: Vec<(String, f32)> = serde_json::from_value(row["best"].clone()).unwrap();
        let found = model.predict(text, best.len(), 0.0);
        assert_eq!(found.len(), best.len(), "{name}: {text}");
        for (prediction, (label, probability)) in found.iter().zip(&best) {
            let off = (prediction.probability - probability).abs();
            assert!(
                off <= 1e-5,
                "{name}: `{text}`: {probability} expected, {} found",
                prediction.probability
            );
            let same = model.labels()[prediction.label] == *label;
            let tied = best.iter().filter(|(_, other)| (other - probability).abs() < 2e-6).count() > 1;
            assert!(
                same || tied,
                "{name}: `{text}`: {label} expected, {} found",
                model.labels()[prediction.label]
            );
        }
    }
}

#[test]
fn small_models_agree_with_the_official_library() {
    for name in MODELS {
        agrees(name, &model(name));
    }
}

/// lid.176.ftz from the shared data, which is not everywhere.
pub(crate) fn lid_176() -> Option<Vec<u8>> {
    let archive = Path::new("../shared/data/models.tar.zst");
    let Ok(packed) = crate::io::read_side_file(archive) else {
        println!("skipped: {} is not here", archive.display());
        return None;
    };
    let tar = zstd::bulk::decompress(&packed, 64 << 20).unwrap();
    Some(entry(&tar, "lid.176.ftz").expect("the archive holds the model").to_vec())
}

#[test]
fn lid_176_agrees_with_the_official_library() {
    let Some(lid) = lid_176() else { return };
    let model = FastText::from_bytes(&lid).unwrap();
    assert_eq!(model.labels().len(), 176);
    agrees("lid.176.ftz", &model);
}

/// The content of a file in a tar archive, by the end of its name.
fn entry<'a>(mut tar: &'a [u8], suffix: &str) -> Option<&'a [u8]> {
    let text = |field: &[u8]| {
        let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
        String::from_utf8_lossy(&field[..end]).trim().to_owned()
    };
    while tar.len() >= 512 {
        let (header, rest) = tar.split_at(512);
        let size = usize::from_str_radix(&text(&header[124..136]), 8).ok()?;
        if text(&header[..100]).ends_with(suffix) {
            return rest.get(..size);
        }
        tar = rest.get(size.next_multiple_of(512)..)?;
    }
    None
}

#[test]
fn a_line_break_is_a_space_and_parts_are_one_text() {
    let model = model("tree.bin");
    let bits =
        |parts: &[&str]| -> Vec<u32> { model.probabilities(parts).iter().map(|p| p.to_bits()).collect() };
    let line = bits(&["the old bridge is green"]);
    assert_eq!(bits(&["the old\nbridge\r\nis\t\tgreen\n"]), line);
    assert_eq!(bits(&["the old bridge", "is green"]), line);
    assert_eq!(bits(&["the old bridge is green </s> alles andere zählt nicht"]), line);
    assert_eq!(bits(&["the old bridge is green </s>", "alles andere"]), line);
}

#[test]
fn the_word_cache_never_changes_a_result() {
    for name in MODELS {
        let (warm, text) = (model(name), String::from_utf8(fixture("sentences.tsv")).unwrap());
        for line in text.lines().chain(text.lines()) {
            let fresh = model(name).probabilities(&[line]);
            let cached = warm.probabilities(&[line]);
            assert!(fresh.iter().zip(&cached).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}: {line}");
        }
    }
}

#[test]
fn every_cut_is_found() {
    for name in MODELS {
        let bytes = fixture(name);
        for length in (0..bytes.len()).step_by(13).chain(bytes.len() - 9..bytes.len()) {
            let error = FastText::from_bytes(&bytes[..length]).err();
            assert!(error.is_some(), "{name} cut to {length} bytes was read");
        }
    }
}

#[test]
fn messages_say_what_is_wrong() {
    let message = |bytes: &[u8]| FastText::from_bytes(bytes).err().unwrap().to_string();
    assert_eq!(message(b""), "this is not a fastText model (its first bytes are not fastText's mark)");
    assert_eq!(
        message(b"PK\x03\x04...."),
        "this is not a fastText model (its first bytes are not fastText's mark)"
    );
    let bytes = fixture("tree.bin");
    assert_eq!(message(&bytes[..400]), "the fastText model is cut short: it ends inside the dictionary");
    assert_eq!(
        message(&bytes[..bytes.len() - 1]),
        "the fastText model is cut short: it ends inside the output matrix"
    );
    let mut vectors = bytes.clone();
    vectors[8 + 7 * 4] = 2;
    assert_eq!(message(&vectors), "this fastText model holds word vectors, not a classifier");
    let mut newer = bytes;
    newer[4] = 13;
    assert_eq!(message(&newer), "fastText file version 13 is not supported (11 and 12 are)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damage_gives_an_error_or_a_model_that_works(
        which in 0..MODELS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        head in any::<bool>(),
    ) {
        let mut bytes = fixture(MODELS[which]);
        // Half of the time only the lengths and flags at the beginning.
        let reach = if head { 100 } else { bytes.len() };
        for (place, value) in changes {
            bytes[place.index(reach)] = value;
        }
        if let Ok(model) = FastText::from_bytes(&bytes) {
            let _unused = model.predict("Die alte Brücke 橋 __label__en", 3, 0.0);
        }
    }

    #[test]
    fn any_text_has_an_answer(which in 0..MODELS.len(), text in "\\PC{0,200}|[ a-z\\n\\t\\x00</>s]{0,100}") {
        let model = model(MODELS[which]);
        let found = model.predict(&text, 8, 0.0);
        prop_assert!(found.len() == 8);
        prop_assert!(found.iter().all(|prediction| (0.0..=1.01).contains(&prediction.probability)));
    }
}
