//! The hashes of KenLM's files: of words (MurmurHash64A by Austin Appleby, public domain, seed 0) and of
//! n-grams.

/// MurmurHash64A with seed 0.
#[inline]
pub(super) fn word(bytes: &[u8]) -> u64 {
    const MULTIPLY: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = (bytes.len() as u64).wrapping_mul(MULTIPLY);
    let (chunks, rest) = bytes.as_chunks();
    for chunk in chunks {
        let mixed = u64::from_le_bytes(*chunk).wrapping_mul(MULTIPLY);
        hash = (hash ^ (mixed ^ mixed >> SHIFT).wrapping_mul(MULTIPLY)).wrapping_mul(MULTIPLY);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(MULTIPLY);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(MULTIPLY);
    hash ^ hash >> SHIFT
}

/// Key of an n-gram, from the key of the n-gram without its first word (a single word's key is its id) and that
/// first word.
#[inline]
pub(super) fn longer(key: u64, previous: u32) -> u64 {
    key.wrapping_mul(8_978_948_897_894_561_157)
        ^ (1 + u64::from(previous)).wrapping_mul(17_894_857_484_156_487_943)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_every_tail_length_differ() {
        let text = b"abcdefghijklmnopq";
        let mut hashes: Vec<u64> = (0..=text.len()).map(|end| word(&text[..end])).collect();
        assert_eq!(hashes[0], 0);
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), text.len() + 1);
    }
}
