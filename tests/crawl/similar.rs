//! How similar two texts are: exact Jaccard similarity of their sets of five consecutive words, the
//! measure that near-duplicate detection estimates (Broder 1997).

use icu_segmenter::{WordSegmenter, options::WordBreakInvariantOptions};
use xxhash_rust::xxh3::xxh3_64;

/// Sorted hashes of a text's word 5-grams; words are those of Unicode segmentation, in lower case.
pub(super) fn shingles(text: &str) -> Vec<u64> {
    let text = text.to_lowercase();
    let mut words = Vec::new();
    let mut start = 0;
    let mut breaks = WordSegmenter::new_dictionary(WordBreakInvariantOptions::default())
        .segment_str(&text)
        .iter_with_word_type();
    for (end, kind) in &mut breaks {
        if kind.is_word_like() {
            words.push(text.get(start..end).expect("words end at character borders"));
        }
        start = end;
    }
    let mut hashes: Vec<u64> = words.windows(5).map(|five| xxh3_64(five.join(" ").as_bytes())).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// Shared over all, for two sorted sets; 0 where both are empty.
pub(super) fn jaccard(left: &[u64], right: &[u64]) -> f64 {
    let (mut i, mut j, mut shared) = (0, 0, 0_usize);
    while i < left.len() && j < right.len() {
        match left[i].cmp(&right[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                (i, j, shared) = (i + 1, j + 1, shared + 1);
            }
        }
    }
    let all = left.len() + right.len() - shared;
    if all == 0 { 0.0 } else { shared as f64 / all as f64 }
}
