//! From a text to its set of word n-grams, each as a 32-bit hash.
//!
//! Words are those of the simplified text (lower case, numbers alike, no punctuation, no accents), as in
//! datatrove's MinHash. There an n-gram is joined with spaces and hashed as a string; here each word is
//! hashed once and the n hashes are combined by a rolling polynomial modulo 2^64, whose well-mixed upper
//! half counts. Two different n-grams get the same 32 bits once in 4 * 10^9, which moves the Jaccard
//! similarity of two texts of n words by about n / 2^32. (Words have 32-bit hashes too; that changes an
//! n-gram only where all its other words agree.)

use xxhash_rust::xxh3::xxh3_64;

use crate::text::simplify::simplify;
use crate::text::words::Splitter;

/// The text after normalisation.
pub(super) fn simplified(text: &str) -> String {
    let mut out = String::new();
    simplify(text, &mut out);
    out
}

/// Multiplier of the polynomial: odd, with well spread bits.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// The sorted, distinct hashes of every `ngram_words` consecutive words; none for a shorter text.
pub(super) fn shingle_set(text: &str, ngram_words: usize) -> Vec<u32> {
    let simplified = simplified(text);
    let mut words: Vec<u32> = Vec::with_capacity(simplified.len() / 5);
    Splitter::default().split(&simplified, |word| words.push(word.tag));
    if words.len() < ngram_words || ngram_words == 0 {
        return Vec::new();
    }
    let mut set = Vec::with_capacity(words.len() + 1 - ngram_words);
    // What a word has been multiplied with when it leaves the window.
    let leaving = (0..ngram_words).fold(1_u64, |power, _| power.wrapping_mul(BASE));
    let mut window = 0_u64;
    for (number, &tag) in words.iter().enumerate() {
        window = window.wrapping_mul(BASE).wrapping_add(u64::from(tag));
        if let Some(left) = number.checked_sub(ngram_words) {
            window = window.wrapping_sub(u64::from(words[left]).wrapping_mul(leaving));
        }
        if number + 1 >= ngram_words {
            set.push(mixed(window));
        }
    }
    set.sort_unstable();
    set.dedup();
    set
}

/// The same for every `ngram_chars` consecutive characters of the simplified text, white space of any length as one.
pub(super) fn shingles_of_chars(text: &str, ngram_chars: usize) -> Vec<u32> {
    let simplified = simplified(text);
    let mut joined = String::with_capacity(simplified.len());
    for word in simplified.split_whitespace() {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(word);
    }
    let starts: Vec<usize> = joined.char_indices().map(|(at, _)| at).chain([joined.len()]).collect();
    if ngram_chars == 0 || starts.len() <= ngram_chars {
        return Vec::new();
    }
    let shingle = |ends: &[usize]| mixed(xxh3_64(&joined.as_bytes()[ends[0]..ends[ngram_chars]]));
    let mut set: Vec<u32> = starts.windows(ngram_chars + 1).map(shingle).collect();
    set.sort_unstable();
    set.dedup();
    set
}

/// The upper half of a 64-bit word after its bits were mixed (the finaliser of MurmurHash3).
fn mixed(mut x: u64) -> u32 {
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (x >> 32) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn slow(text: &str, n: usize) -> BTreeSet<Vec<String>> {
        let simplified = simplified(text);
        let mut words = Vec::new();
        Splitter::default().split(&simplified, |word| words.push(word.of(&simplified).to_owned()));
        words.windows(n).map(<[String]>::to_vec).collect()
    }

    proptest! {
        #[test]
        fn one_hash_per_distinct_ngram(text in "([abc]{1,2} ){0,60}", n in 1_usize..8) {
            prop_assert_eq!(shingle_set(&text, n).len(), slow(&text, n).len());
        }

        #[test]
        fn equal_ngrams_have_equal_hashes_wherever_they_stand(head in "([abc] ){0,9}", n in 1_usize..8) {
            let tail = "one two three four five six seven eight";
            let alone = shingle_set(tail, n);
            let after: BTreeSet<u32> = shingle_set(&format!("{head}{tail}"), n).into_iter().collect();
            prop_assert!(alone.iter().all(|hash| after.contains(hash)));
        }
    }

    #[test]
    fn too_short_texts_have_none() {
        assert!(shingle_set("", 5).is_empty());
        assert!(shingle_set("one two three four", 5).is_empty());
        assert_eq!(shingle_set("one two three four five", 5).len(), 1);
        assert_ne!(shingle_set("a b", 2), shingle_set("b a", 2));
        assert_eq!(shingle_set("A, b!", 2), shingle_set("a b", 2));
        assert!(shingles_of_chars("abcd", 5).is_empty());
        assert_eq!(shingles_of_chars("A,  bé c!", 5).len(), 2);
        assert_eq!(shingles_of_chars("A,  bé c!", 5), shingles_of_chars("a be c", 5));
    }
}
