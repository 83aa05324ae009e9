use serde_json::Value;

use super::*;

fn cases(path: &std::path::Path) -> Vec<Value> {
    let bytes = crate::io::read_side_file(path).unwrap();
    std::str::from_utf8(&bytes)
        .unwrap()
        .split_terminator('\n')
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn cut(model: &SentencePiece, text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    model.cut(text, |piece| pieces.push(piece.to_owned()));
    pieces
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/sentencepiece");
    crate::io::read_side_file(&folder.join(name)).unwrap()
}

#[test]
fn texts_are_cut_as_by_the_official_library() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/sentencepiece/cases.jsonl");
    let cases = cases(&path);
    assert!(cases.len() > 40);
    for case in cases {
        let name = case["model"].as_str().unwrap();
        let model = SentencePiece::from_bytes(&fixture(name)).unwrap();
        let text = case["text"].as_str().unwrap();
        assert_eq!(serde_json::json!(cut(&model, text)), case["pieces"], "{name}: {text:?}");
    }
}

/// Used by `tests/tools/make_sentencepiece_fixtures.py --compare`; without its variables there is nothing to do.
#[test]
fn other_models() {
    let (Ok(model), Ok(path)) =
        (std::env::var("TAMIS_SENTENCEPIECE_MODEL"), std::env::var("TAMIS_SENTENCEPIECE_CASES"))
    else {
        return;
    };
    let model =
        SentencePiece::from_bytes(&crate::io::read_side_file(std::path::Path::new(&model)).unwrap()).unwrap();
    let cases = cases(std::path::Path::new(&path));
    let start = cpu_time::ThreadTime::now();
    let (mut different, mut bytes) = (0, 0);
    for case in &cases {
        let text = case["text"].as_str().unwrap();
        bytes += text.len();
        let found = cut(&model, text);
        if serde_json::json!(found) != case["pieces"] {
            different += 1;
            if different < 5 {
                std::io::Write::write_fmt(
                    &mut std::io::stderr(),
                    format_args!("{text:?}\n {found:?}\n {}\n", case["pieces"]),
                )
                .unwrap();
            }
        }
    }
    let speed = bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
    assert_eq!(different, 0, "of {} lines, {speed:.1} MB/s", cases.len());
    std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("{} lines, {speed:.1} MB/s\n", cases.len()),
    )
    .unwrap();
}

#[test]
fn broken_files_are_errors_or_models() {
    let bytes = fixture("unigram-rules.model");
    for length in 0..bytes.len().min(4000) {
        drop(SentencePiece::from_bytes(&bytes[..length]).map(|model| cut(&model, "ﬁsh in the river １")));
    }
    let mut seed = 1_u64;
    for _ in 0..2000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut broken = bytes.clone();
        let place = (seed >> 20) as usize % broken.len();
        broken[place] ^= seed.to_be_bytes()[0] | 1;
        drop(SentencePiece::from_bytes(&broken).map(|model| cut(&model, "ﬁsh in the river １")));
    }
}
