//! datatrove's MinHash values, bit for bit: for signatures that shall find the same candidates as its pipelines.
//!
//! Source: datatrove 0.10 `MinhashDedupSignature`: an n-gram is its words joined by one space, hashed with xxh64
//! (seed 0); the value of a function is (h * a + b) modulo 2^64, modulo 2^61 - 1; a and b are drawn by numpy's
//! `RandomState(seed).randint`, all a first. The first wrap makes it no universal family, which
//! is kept. numpy's generator is MT19937 (Matsumoto and Nishimura 1998), its bounded numbers by masks and rejection.

use xxhash_rust::xxh64::xxh64;

use super::shingles::simplified;
use crate::text::words::Splitter;

/// 2^61 - 1, a prime.
const PRIME: u64 = (1 << 61) - 1;

/// datatrove's hash functions.
pub(super) struct Family {
    multipliers: Vec<u64>,
    offsets: Vec<u64>,
}

impl Family {
    /// The first `hashes` functions of `RandomState(seed)`.
    pub(super) fn new(hashes: usize, seed: u32) -> Self {
        let mut random = RandomState::new(seed);
        let multipliers = (0..hashes).map(|_| random.below(1, PRIME)).collect();
        let offsets = (0..hashes).map(|_| random.below(0, PRIME)).collect();
        Self { multipliers, offsets }
    }

    /// The smallest value of every function over a set of n-gram hashes that is not empty.
    pub(super) fn minima(&self, set: &[u64]) -> Vec<u64> {
        let functions = self.multipliers.iter().zip(&self.offsets);
        let least = |(&a, &b): (&u64, &u64)| {
            set.iter().map(|hash| modulo_prime(hash.wrapping_mul(a).wrapping_add(b))).min().unwrap_or(PRIME)
        };
        functions.map(least).collect()
    }
}

/// Modulo 2^61 - 1.
fn modulo_prime(x: u64) -> u64 {
    let folded = (x & PRIME) + (x >> 61);
    if folded >= PRIME { folded - PRIME } else { folded }
}

/// The different hashes of every `ngram_words` consecutive words; none for a shorter text.
pub(super) fn ngram_hashes(text: &str, ngram_words: usize) -> Vec<u64> {
    let simplified = simplified(text);
    // The words, each with a space behind it, and where they begin.
    let (mut joined, mut starts) = (String::with_capacity(simplified.len() + 16), Vec::new());
    Splitter::default().split(&simplified, |word| {
        starts.push(joined.len());
        joined.push_str(word.of(&simplified));
        joined.push(' ');
    });
    if ngram_words == 0 || starts.len() < ngram_words {
        return Vec::new();
    }
    starts.push(joined.len());
    let ngram = |ends: &[usize]| xxh64(&joined.as_bytes()[ends[0]..ends[ngram_words] - 1], 0);
    let mut hashes: Vec<u64> = starts.windows(ngram_words + 1).map(ngram).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// Words of the state of MT19937.
const STATE_WORDS: usize = 624;

/// numpy's generator of that name, as far as it is needed here.
struct RandomState {
    state: [u32; STATE_WORDS],
    next: usize,
}

impl RandomState {
    fn new(seed: u32) -> Self {
        let mut state = [seed; STATE_WORDS];
        for place in 1..STATE_WORDS {
            let last = state[place - 1];
            let number = u32::try_from(place).unwrap_or(0);
            state[place] = (last ^ (last >> 30)).wrapping_mul(1_812_433_253).wrapping_add(number);
        }
        Self { state, next: STATE_WORDS }
    }

    fn refill(&mut self) {
        for place in 0..STATE_WORDS {
            let joined =
                self.state[place] & 0x8000_0000 | self.state[(place + 1) % STATE_WORDS] & 0x7fff_ffff;
            let twisted = (joined >> 1) ^ if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[place] = self.state[(place + 397) % STATE_WORDS] ^ twisted;
        }
        self.next = 0;
    }

    fn word(&mut self) -> u64 {
        if self.next == STATE_WORDS {
            self.refill();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        u64::from(word ^ (word >> 18))
    }

    /// From `low` to `high` less one.
    fn below(&mut self, low: u64, high: u64) -> u64 {
        let most = high - 1 - low;
        let mask = u64::MAX >> most.leading_zeros();
        loop {
            let upper = self.word() << 32;
            let value = (upper | self.word()) & mask;
            if value <= most {
                return low + value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Parameters {
        a: Vec<u64>,
        b: Vec<u64>,
    }

    #[test]
    fn the_functions_are_numpys() {
        let family = Family::new(112, 1);
        assert_eq!(
            family.multipliers[..3],
            [775_169_054_918_279_404, 1_758_426_461_858_698_313, 2_109_959_069_025_162]
        );
        let Ok(bytes) = crate::io::read_side_file(std::path::Path::new("../shared/spec/minhash_params.json"))
        else {
            println!("skipped: ../shared/spec/minhash_params.json is absent");
            return;
        };
        let wanted: Parameters = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((family.multipliers, family.offsets), (wanted.a, wanted.b));
    }

    #[derive(Deserialize)]
    struct Case {
        text: String,
        seed: u32,
        ngram_words: usize,
        signature: Vec<u64>,
    }

    #[test]
    fn signatures_are_datatroves() {
        // What datatrove 0.10.1 computed for texts of ours.
        let bytes = crate::io::read_side_file(std::path::Path::new(
            "fixtures/stages/minhash_dedup/datatrove_signatures.jsonl",
        ))
        .unwrap();
        let lines = std::str::from_utf8(&bytes).unwrap().lines();
        let mut compared = 0;
        for case in lines.map(|line| serde_json::from_str::<Case>(line).unwrap()) {
            let set = ngram_hashes(&case.text, case.ngram_words);
            let found = if set.is_empty() {
                Vec::new()
            } else {
                Family::new(case.signature.len(), case.seed).minima(&set)
            };
            assert_eq!(found, case.signature, "{}", case.text);
            compared += 1;
        }
        assert!(compared >= 5);
    }

    #[test]
    fn the_modulus_is_that_of_a_division() {
        for x in [0, 1, PRIME - 1, PRIME, PRIME + 1, 2 * PRIME, u64::MAX, u64::MAX - 7, 7 * PRIME + 5] {
            assert_eq!(modulo_prime(x), x % PRIME);
        }
    }
}
