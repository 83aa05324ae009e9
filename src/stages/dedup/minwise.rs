//! Min-wise hashing: for each of many hash functions, the smallest value over a shingle set.
//!
//! Method: Broder 1997. The family is ours: x -> a*x + b modulo 2^32 with odd a, a permutation of the
//! 32-bit words; shingle hashes are well mixed already, so that is enough (docs/dedup.md has the recall
//! against theory). Others compute modulo 2^61 - 1: half as many values to a vector, and more steps for each.
//!
//! The inner loop is plain code. The compiler makes it once for the baseline and once each for AVX2 and
//! AVX-512; the processor's best is taken at run time. Same operations, same result.

/// A seeded family of hash functions.
pub(super) struct Family {
    multipliers: Vec<u32>,
    offsets: Vec<u32>,
    /// Functions that were asked for; the vectors are padded.
    hashes: usize,
    kernel: Kernel,
}

/// Functions are computed in blocks of this many, the last in smaller ones.
const WIDTH: usize = 32;
/// The smallest block.
const PAD: usize = 8;

/// Which instructions the loop was compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    /// Those that this processor can run, the best last.
    fn available() -> Vec<Self> {
        let mut kernels = vec![Self::Plain];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                kernels.push(Self::Avx2);
            }
            if is_x86_feature_detected!("avx512f") {
                kernels.push(Self::Avx512);
            }
        }
        kernels
    }
}

impl Family {
    /// `hashes` functions drawn from `seed`, on the best kernel.
    pub(super) fn new(hashes: usize, seed: u64) -> Self {
        let kernel = Kernel::available().last().copied().unwrap_or(Kernel::Plain);
        Self::on(kernel, hashes, seed)
    }

    fn on(kernel: Kernel, hashes: usize, seed: u64) -> Self {
        let mut state = seed;
        let padded = hashes.next_multiple_of(PAD);
        let multipliers = (0..padded).map(|_| high_word(split_mix(&mut state)) | 1).collect();
        let offsets = (0..padded).map(|_| high_word(split_mix(&mut state))).collect();
        Self { multipliers, offsets, hashes, kernel }
    }

    /// The smallest value of every function over a set; `u32::MAX` for the empty set.
    pub(super) fn minima(&self, set: &[u32]) -> Vec<u32> {
        let mut minima = vec![u32::MAX; self.multipliers.len()];
        kernel::minima(self.kernel, set, &self.multipliers, &self.offsets, &mut minima);
        minima.truncate(self.hashes);
        minima
    }
}

/// The next number of the sequence SplitMix64 (Steele, Lea, Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn high_word(x: u64) -> u32 {
    (x >> 32) as u32
}

mod kernel {
    #![expect(unsafe_code, reason = "functions compiled for AVX may only run where the processor has it")]

    use super::{Kernel, PAD, WIDTH};

    pub(super) fn minima(kernel: Kernel, set: &[u32], a: &[u32], b: &[u32], minima: &mut [u32]) {
        match kernel {
            Kernel::Plain => all(set, a, b, minima),
            // SAFETY: `Kernel::available` gave this value after it had detected AVX2.
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => unsafe { all_avx2(set, a, b, minima) },
            // SAFETY: `Kernel::available` gave this value after it had detected AVX-512F.
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => unsafe { all_avx512(set, a, b, minima) },
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn all_avx2(set: &[u32], a: &[u32], b: &[u32], minima: &mut [u32]) {
        all(set, a, b, minima);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn all_avx512(set: &[u32], a: &[u32], b: &[u32], minima: &mut [u32]) {
        all(set, a, b, minima);
    }

    #[expect(clippy::inline_always, reason = "must be compiled into each of the above")]
    #[inline(always)]
    fn all(set: &[u32], a: &[u32], b: &[u32], minima: &mut [u32]) {
        let wide = minima.len() / WIDTH * WIDTH;
        blocks::<WIDTH>(set, &a[..wide], &b[..wide], &mut minima[..wide]);
        blocks::<PAD>(set, &a[wide..], &b[wide..], &mut minima[wide..]);
    }

    #[expect(clippy::inline_always, reason = "must be compiled into each of the above")]
    #[inline(always)]
    fn blocks<const N: usize>(set: &[u32], a: &[u32], b: &[u32], minima: &mut [u32]) {
        let parameters = a.as_chunks::<N>().0.iter().zip(b.as_chunks::<N>().0);
        for ((a, b), minima) in parameters.zip(minima.as_chunks_mut::<N>().0) {
            let (a, b) = (*a, *b);
            let mut least = *minima;
            for &x in set {
                for lane in 0..N {
                    let value = x.wrapping_mul(a[lane]).wrapping_add(b[lane]);
                    least[lane] = least[lane].min(value);
                }
            }
            *minima = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_gives_the_definition() {
        for hashes in [1, 7, 8, 33, 112, 286] {
            for set in [vec![], vec![5], (0..777_u32).map(|x| x.wrapping_mul(2_654_435_761)).collect()] {
                let plain = Family::on(Kernel::Plain, hashes, 9);
                let expected: Vec<u32> = (0..hashes)
                    .map(|i| {
                        let (a, b) = (plain.multipliers[i], plain.offsets[i]);
                        set.iter().map(|x: &u32| x.wrapping_mul(a).wrapping_add(b)).min().unwrap_or(u32::MAX)
                    })
                    .collect();
                for kernel in Kernel::available() {
                    assert_eq!(Family::on(kernel, hashes, 9).minima(&set), expected, "{kernel:?}");
                }
            }
        }
    }

    #[test]
    fn signatures_estimate_similarity() {
        let mut state = 1;
        let mut next = || high_word(split_mix(&mut state));
        let family = Family::new(4096, 1);
        for shared in [0, 300, 600, 900] {
            let common: Vec<u32> = (0..shared).map(|_| next()).collect();
            let mut side =
                || -> Vec<u32> { common.iter().copied().chain((shared..1000).map(|_| next())).collect() };
            let (a, b) = (family.minima(&side()), family.minima(&side()));
            let equal = a.iter().zip(&b).filter(|(x, y)| x == y).count() as f64 / 4096.0;
            let jaccard = f64::from(shared) / f64::from(2000 - shared);
            // Four standard deviations of 4,096 draws are at most 0.031.
            assert!((equal - jaccard).abs() < 0.035, "{equal} for {jaccard}");
        }
    }
}
