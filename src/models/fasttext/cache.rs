//! Sums of the rows of words that were met lately.
//!
//! Direct-mapped and exact: a slot holds the whole word and is used only where every byte agrees. A sum
//! is the same whether it was found here or made new.

/// Longest word that is kept, in bytes.
const MAX_WORD_BYTES: usize = 32;
/// Memory for the sums of one cache.
const MAX_SUMS_BYTES: usize = 1 << 20;
const MAX_SLOTS: usize = 1 << 13;

/// What is known of a token besides its vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    /// Rows that were summed.
    pub(super) rows: u64,
    /// The library's hash of the word.
    pub(super) hash: u32,
    /// Whether it is a word that takes part in word n-grams.
    pub(super) counts: bool,
}

const NOTHING: Word = Word { rows: 0, hash: 0, counts: false };

type Key = [u64; MAX_WORD_BYTES / 8];

pub(super) struct Cache {
    dim: usize,
    /// Bytes of the words, zero-padded (tokens hold no zero byte); all zero where a slot is free.
    keys: Vec<Key>,
    words: Vec<Word>,
    /// One sum per slot, then one for the word in hand when it is too long to keep.
    sums: Vec<f32>,
    current: usize,
}

impl Cache {
    pub(super) fn new(dim: usize) -> Self {
        let fitting = (MAX_SUMS_BYTES / (dim * 4)).clamp(1, MAX_SLOTS);
        let slots = 1 << fitting.ilog2();
        Self {
            dim,
            keys: vec![[0; 4]; slots],
            words: vec![NOTHING; slots],
            sums: vec![0.0; (slots + 1) * dim],
            current: 0,
        }
    }

    /// What is known of `token`, made by `look_up` (into a zeroed vector) where it is not in here.
    pub(super) fn word(&mut self, token: &[u8], look_up: impl FnOnce(&mut [f32]) -> Word) -> Word {
        let Some(key) = pack(token) else {
            self.current = self.keys.len();
            return look_up(self.zeroed());
        };
        self.current = self.slot(&key);
        if self.keys[self.current] == key {
            return self.words[self.current];
        }
        let word = look_up(self.zeroed());
        self.keys[self.current] = key;
        self.words[self.current] = word;
        word
    }

    /// Sum of the rows of the last word.
    pub(super) fn vector(&self) -> &[f32] {
        &self.sums[self.current * self.dim..(self.current + 1) * self.dim]
    }

    fn zeroed(&mut self) -> &mut [f32] {
        let vector = &mut self.sums[self.current * self.dim..(self.current + 1) * self.dim];
        vector.fill(0.0);
        vector
    }

    #[expect(clippy::cast_possible_truncation, reason = "only some bits are wanted")]
    fn slot(&self, key: &Key) -> usize {
        let mixed = fold(key[0] ^ 0x9E37_79B9_7F4A_7C15, key[1] ^ 0xD6E8_FEB8_6659_FD93)
            ^ fold(key[2] ^ 0xA076_1D64_78BD_642F, key[3] ^ 0xE703_7ED1_A0B4_28DB);
        mixed as usize & (self.keys.len() - 1)
    }
}

/// Both halves of the 128-bit product.
#[expect(clippy::cast_possible_truncation, reason = "the halves are folded together")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

fn pack(token: &[u8]) -> Option<Key> {
    let mut bytes = [0; MAX_WORD_BYTES];
    bytes.get_mut(..token.len())?.copy_from_slice(token);
    let mut key = [0; MAX_WORD_BYTES / 8];
    for (part, chunk) in key.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *part = u64::from_le_bytes(*chunk);
    }
    Some(key)
}
