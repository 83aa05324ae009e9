//! Step 3: the discounts of modified Kneser-Ney.
//!
//! Chen & Goodman 1998, section 3: with n_k n-grams of adjusted count k and y = n1 / (n1 + 2 n2), what an n-gram of
//! count 1, 2, or 3 and more gives up is D_k = k - (k + 1) y n_{k+1} / n_k. The formula needs n1, n2 and n3, and gives
//! nonsense on text that has been duplicated or made by a machine; then the user may name discounts instead.

use serde::Serialize;

use crate::error::{Error, Result};

/// Discounts where the closed form fails and [`fallback`](super::TrainConfig::discount_fallback) is on without numbers.
pub const DEFAULT_FALLBACK: [f64; 3] = [0.5, 1.0, 1.5];

/// How many n-grams of one order have an adjusted count of 1, 2, 3 or 4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CountOfCounts {
    /// Those with a count of exactly 1 to 4.
    pub n: [u64; 4],
    /// All n-grams.
    pub all: u64,
    /// Those that are not pruned.
    pub kept: u64,
}

impl CountOfCounts {
    /// Takes one n-gram.
    #[inline]
    pub fn add(&mut self, adjusted: u64, kept: bool) {
        match adjusted {
            1 => self.n[0] += 1,
            2 => self.n[1] += 1,
            3 => self.n[2] += 1,
            4 => self.n[3] += 1,
            _ => {}
        }
        self.all += 1;
        self.kept += u64::from(kept);
    }
}

/// Which of the three discounts an adjusted count has.
#[inline]
pub(super) fn class(adjusted: u64) -> usize {
    match adjusted {
        0 | 1 => 0,
        2 => 1,
        _ => 2,
    }
}

/// Discounts of one order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Discounts {
    /// For adjusted counts of 1, 2, and 3 or more.
    pub d: [f64; 3],
    /// Whether the closed form failed and these are the user's.
    pub fallback: bool,
}

impl Discounts {
    /// The discount of an n-gram.
    #[inline]
    pub fn of(&self, adjusted: u64) -> f64 {
        self.d[class(adjusted)]
    }

    /// The closed form, or `fallback` where it fails.
    ///
    /// # Errors
    /// [`Error::User`] where it fails and there is no fallback.
    pub fn estimate(order: usize, counts: &CountOfCounts, fallback: Option<[f64; 3]>) -> Result<Self> {
        let failure = match closed_form(counts.n) {
            Ok(d) => return Ok(Self { d, fallback: false }),
            Err(failure) => failure,
        };
        if let Some(d) = fallback {
            return Ok(Self { d, fallback: true });
        }
        let [n1, n2, n3, n4] = counts.n;
        Err(Error::User(format!(
            "the discounts of order {order} cannot be estimated: {failure} (of its {} n-grams {n1} have an adjusted count of 1, {n2} of 2, {n3} of 3, {n4} of 4)\n = hint: the text is very small, or much of it comes more than once; remove duplicates, or give `--discount-fallback` to use {:?}",
            counts.all, DEFAULT_FALLBACK
        )))
    }
}

fn closed_form(n: [u64; 4]) -> Result<[f64; 3], String> {
    if let Some(k) = n[..3].iter().position(|&count| count == 0) {
        return Err(format!("no n-gram has an adjusted count of {}", k + 1));
    }
    let n = n.map(|count| count as f64);
    let y = n[0] / (n[0] + 2.0 * n[1]);
    let mut d = [0.0; 3];
    for (place, discount) in d.iter_mut().enumerate() {
        let k = (place + 1) as f64;
        *discount = k - (k + 1.0) * y * n[place + 1] / n[place];
        if !(0.0..=k).contains(discount) {
            return Err(format!("the discount of an adjusted count of {k} would be {discount:.4}"));
        }
    }
    Ok(d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "the very same number is meant")]
    fn the_closed_form_by_hand() {
        // y = 60 / (60 + 40) = 0.6; 1 - 2 y 20/60 = 0.6; 2 - 3 y 10/20 = 1.1; 3 - 4 y 5/10 = 1.8.
        let counts = CountOfCounts { n: [60, 20, 10, 5], all: 100, kept: 100 };
        let found = Discounts::estimate(2, &counts, None).unwrap();
        assert!(!found.fallback);
        for (found, expected) in found.d.iter().zip([0.6, 1.1, 1.8]) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert_eq!(
            [1, 2, 3, 900].map(|count| found.of(count)),
            [found.d[0], found.d[1], found.d[2], found.d[2]]
        );
        // No n-gram of count 4 is fine.
        let counts = CountOfCounts { n: [3, 1, 1, 0], all: 5, kept: 5 };
        assert_eq!(Discounts::estimate(1, &counts, None).unwrap().d[2], 3.0);
    }

    #[test]
    fn failures_name_order_and_counts() {
        let cases = [([5, 4, 0, 7], "no n-gram has an adjusted count of 3"), ([5, 4, 30, 1], "would be -")];
        for (n, expected) in cases {
            let counts = CountOfCounts { n, all: 99, kept: 99 };
            let error = Discounts::estimate(4, &counts, None).unwrap_err().to_string();
            for piece in ["order 4", expected, "99 n-grams", "--discount-fallback"] {
                assert!(error.contains(piece), "{error}");
            }
            let found = Discounts::estimate(4, &counts, Some(DEFAULT_FALLBACK)).unwrap();
            assert_eq!(found, Discounts { d: [0.5, 1.0, 1.5], fallback: true });
        }
    }
}
