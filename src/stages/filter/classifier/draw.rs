//! GPT-3's draw: keep a score `s` where a Lomax variable is above `1 - s`.
//!
//! `P(X > x) = (1 + x)^-alpha`, so a share `(2 - s)^-alpha` of the documents with score `s` is kept, and the draw can
//! be a number between 0 and 1 that is compared with this share. Logarithm and exponential are made of the four basic
//! operations, whose results are the same bits on every machine; the C library's are not.

/// Share of the documents with this score that is kept: 1 for a score of 1, `2^-alpha` for 0.
pub(super) fn kept_share(score: f64, alpha: f64) -> f64 {
    exp_of_minus(alpha * ln(2.0 - score.clamp(0.0, 1.0)))
}

/// A number from 0 up to but not 1 that id and seed determine.
pub(super) fn uniform(id: &str, seed: u64) -> f64 {
    (xxhash_rust::xxh3::xxh3_64_with_seed(id.as_bytes(), seed) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Natural logarithm of a number from 1 to 2: `2 artanh((x - 1) / (x + 1))`.
fn ln(x: f64) -> f64 {
    let y = (x - 1.0) / (x + 1.0);
    let square = y * y;
    // y is at most 1/3: the nineteenth term is below 1e-17.
    let mut sum = 0.0;
    for n in (0..=18_u8).rev() {
        sum = sum * square + 1.0 / f64::from(2 * n + 1);
    }
    2.0 * y * sum
}

/// `e^-x` for `x` of at least 0.
fn exp_of_minus(x: f64) -> f64 {
    if x > 700.0 {
        return 0.0;
    }
    // e^-x = (e^-(x / 1024))^1024, with a series whose argument is below 0.7.
    let small = x / 1024.0;
    let mut sum = 1.0;
    for n in (1..=18_u8).rev() {
        sum = 1.0 - small * sum / f64::from(n);
    }
    for _ in 0..10 {
        sum *= sum;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_the_formula() {
        for step in 0..=100_u8 {
            let score = f64::from(step) / 100.0;
            for alpha in [0.001, 0.5, 1.0, 3.0, 9.0, 100.0] {
                let exact = (2.0 - score).powf(-alpha);
                let found = kept_share(score, alpha);
                assert!((found - exact).abs() <= 1e-12 * exact, "{score}, {alpha}: {found} for {exact}");
            }
        }
        assert_eq!(kept_share(1.0, 9.0).to_bits(), 1.0_f64.to_bits());
        assert_eq!(kept_share(0.0, 1000.0).to_bits(), exp_of_minus(1000.0 * ln(2.0)).to_bits());
        assert!(kept_share(0.0, 1000.0) < 1e-290);
    }

    #[test]
    fn draws_are_spread_evenly_and_differ_by_seed() {
        let mut bins = [0_u32; 10];
        let tenths: [f64; 10] = std::array::from_fn(|n| (n + 1) as f64 / 10.0);
        let mut equal = 0;
        for number in 0..10_000 {
            let id = format!("doc-{number}");
            let draw = uniform(&id, 42);
            assert!((0.0..1.0).contains(&draw));
            bins[tenths.partition_point(|&tenth| tenth <= draw)] += 1;
            equal += u32::from(draw.to_bits() == uniform(&id, 43).to_bits());
        }
        assert!(bins.iter().all(|count| (880..1120).contains(count)), "{bins:?}");
        assert_eq!(equal, 0);
        // The share of kept documents is that of the formula: 10,000 draws, alpha 3, score 0.5.
        let kept = (0..10_000).filter(|n| uniform(&format!("x{n}"), 1) < kept_share(0.5, 3.0)).count();
        assert!((2820..3110).contains(&kept), "{kept} for 2963");
    }
}
