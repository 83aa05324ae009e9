//! N-grams of the highest order as integers whose order is the one that the estimator works in.
//!
//! The words of the context come first, the newest in front, then the word that follows: n-grams of one context
//! lie together, and so do the contexts that end alike. Each word takes as many bits as the vocabulary needs, so
//! that five-grams over a million words are sorted as `u128`.

#![expect(clippy::cast_possible_truncation, reason = "words are cut out of keys")]

/// Words of the longest n-gram.
pub const MAX_ORDER: usize = 7;
/// Room for the words of one n-gram: context, newest word first; then the word; then zeros.
pub(super) type Gram = [u32; MAX_ORDER + 1];

/// How a key is cut into words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shape {
    /// Words of an n-gram, 2 to [`MAX_ORDER`].
    pub(super) order: usize,
    /// Bits of a word.
    pub(super) bits: u32,
}

impl Shape {
    /// The shape for n-grams over so many words.
    pub(super) fn new(order: usize, words: usize) -> Self {
        Self { order, bits: (usize::BITS - (words.max(2) - 1).leading_zeros()).min(32) }
    }

    /// Bits of an n-gram.
    pub(super) fn key_bits(self) -> u32 {
        self.bits * self.order as u32
    }

    /// Bytes of the key that [`Shape::key_bits`] ask for.
    pub(super) fn key_bytes(self) -> usize {
        match self.key_bits() {
            0..=64 => 8,
            65..=128 => 16,
            _ => size_of::<Gram>(),
        }
    }
}

/// A packed n-gram or a packed context.
pub(super) trait Key: Copy + Ord + Default + Send + Sync {
    /// The context that holds one word and nothing before it.
    fn context(word: u32, shape: Shape) -> Self;
    /// This context, and the word that follows it.
    fn gram(self, word: u32, shape: Shape) -> Self;
    /// The context after one more word.
    fn then(self, word: u32, shape: Shape) -> Self;
    /// The words of an n-gram.
    fn unpack(self, shape: Shape) -> Gram;
}

macro_rules! packed {
    ($int:ty) => {
        impl Key for $int {
            #[inline]
            fn context(word: u32, shape: Shape) -> Self {
                Self::from(word) << (shape.bits * (shape.order as u32 - 2))
            }

            #[inline]
            fn gram(self, word: u32, shape: Shape) -> Self {
                (self << shape.bits) | Self::from(word)
            }

            #[inline]
            fn then(self, word: u32, shape: Shape) -> Self {
                (self >> shape.bits) | Self::context(word, shape)
            }

            #[inline]
            fn unpack(mut self, shape: Shape) -> Gram {
                let mut gram = Gram::default();
                let mask = ((1_u64 << shape.bits) - 1) as u32;
                for word in gram[..shape.order].iter_mut().rev() {
                    *word = self as u32 & mask;
                    self >>= shape.bits;
                }
                gram
            }
        }
    };
}

packed!(u64);
packed!(u128);

impl Key for Gram {
    fn context(word: u32, _: Shape) -> Self {
        let mut key = Self::default();
        key[0] = word;
        key
    }

    fn gram(mut self, word: u32, shape: Shape) -> Self {
        self[shape.order - 1] = word;
        self
    }

    fn then(mut self, word: u32, shape: Shape) -> Self {
        self.copy_within(0..shape.order - 2, 1);
        self[0] = word;
        self
    }

    fn unpack(self, _: Shape) -> Gram {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grams<K: Key>(words: &[u32], shape: Shape) -> Vec<Gram> {
        let mut context = K::context(1, shape);
        let mut keys = Vec::new();
        for &word in words {
            keys.push(context.gram(word, shape));
            context = context.then(word, shape);
        }
        keys.sort_unstable();
        keys.into_iter().map(|key| key.unpack(shape)).collect()
    }

    #[test]
    fn all_widths_agree() {
        let words: Vec<u32> = (0..500_u32).map(|n| n.wrapping_mul(2_654_435_761) >> 24).collect();
        for order in 2..=MAX_ORDER {
            let shape = Shape::new(order, 256);
            assert_eq!(shape.bits, 8);
            let expected = grams::<Gram>(&words, shape);
            assert_eq!(grams::<u64>(&words, shape), expected);
            assert_eq!(grams::<u128>(&words, Shape { order, bits: 18 }), expected);
        }
        let first = grams::<u128>(&[5, 6, 7], Shape::new(4, 100));
        assert_eq!(first[0], [1, 0, 0, 5, 0, 0, 0, 0]);
        assert_eq!(first[1], [5, 1, 0, 6, 0, 0, 0, 0]);
        assert_eq!(first[2], [6, 5, 1, 7, 0, 0, 0, 0]);
    }

    #[test]
    fn the_highest_number_fits() {
        assert_eq!(Shape::new(5, 4).bits, 2);
        assert_eq!(Shape::new(5, 5).bits, 3);
        assert_eq!(Shape::new(2, usize::MAX).bits, 32);
        let shape = Shape::new(2, u32::MAX as usize);
        assert_eq!(u64::context(u32::MAX, shape).gram(u32::MAX, shape).unpack(shape)[..2], [u32::MAX; 2]);
        assert_eq!((Shape::new(5, 1 << 20).key_bytes(), Shape::new(7, 1 << 19).key_bytes()), (16, 32));
    }
}
