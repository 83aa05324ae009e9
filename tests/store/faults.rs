//! How a store misbehaves, and the draws that decide for one request.

use std::time::Duration;

/// The misbehaviour of a store. A share is the probability, from 0 to 1, for one request; all are 0 and
/// all limits absent at first.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// Share of requests answered 500 `InternalError`, not carried out.
    pub(crate) fail: f64,
    /// Share of requests answered 503 `SlowDown`, not carried out.
    pub(crate) throttle: f64,
    /// Value of `Retry-After` in those answers.
    pub(crate) retry_after_secs: u64,
    /// Share of bodies of successful GETs that end early: the connection is closed somewhere inside.
    pub(crate) cut: f64,
    /// Share of PUTs whose connection is closed when half of the body has been read; nothing is stored.
    pub(crate) cut_put: f64,
    /// Share of PUTs, POSTs and DELETEs that are carried out, the connection being closed instead of an
    /// answer.
    pub(crate) lost: f64,
    /// Share of successful GETs that announce 1000 bytes more than they send before the connection closes.
    pub(crate) wrong_length: f64,
    /// Share of GETs of objects answered 200 with a page that is not the object.
    pub(crate) html_error: f64,
    /// Bytes per second of one body, in either direction; no limit if absent.
    pub(crate) slow: Option<u64>,
    /// Time before a request is looked at, as a distant store has it.
    pub(crate) delay: Duration,
    /// Bytes that fit into the store; a PUT beyond is answered 507 `StorageFull`.
    pub(crate) capacity_bytes: Option<u64>,
    /// Keys and listed prefixes that start like this are answered 403 `AccessDenied`.
    pub(crate) forbid: Option<String>,
    /// How far the store's clock goes ahead.
    pub(crate) clock_offset_secs: i64,
}

/// The draws of one request: they depend on the seed and on the number of the request only.
pub(super) struct Draws {
    seed: u64,
    number: u64,
}

/// What is drawn, each by itself.
#[derive(Clone, Copy)]
pub(super) enum Draw {
    Fail = 1,
    Throttle,
    Cut,
    CutAt,
    CutPut,
    Lost,
    WrongLength,
    HtmlError,
}

impl Draws {
    /// The draws of the request of that number.
    pub(super) fn new(seed: u64, number: u64) -> Self {
        Self { seed, number }
    }

    /// Whether it happens, with a probability of `share`.
    pub(super) fn hit(&self, draw: Draw, share: f64) -> bool {
        let fraction = (self.bits(draw) >> 11) as f64 / (1_u64 << 53) as f64;
        fraction < share
    }

    /// A number below `bound`, which is positive.
    pub(super) fn below(&self, draw: Draw, bound: u64) -> u64 {
        let product = u128::from(self.bits(draw)) * u128::from(bound);
        u64::try_from(product >> 64).expect("the product's upper half is below the bound")
    }

    fn bits(&self, draw: Draw) -> u64 {
        mix(mix(mix(self.seed).wrapping_add(self.number)).wrapping_add(draw as u64))
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Draw, Draws};

    #[test]
    fn shares_are_kept() {
        let hits = |share| (0..10_000).filter(|&number| Draws::new(7, number).hit(Draw::Cut, share)).count();
        assert_eq!((hits(0.0), hits(1.0)), (0, 10_000));
        assert!((400..600).contains(&hits(0.05)), "{}", hits(0.05));
        assert!((0..1000).all(|number| Draws::new(7, number).below(Draw::CutAt, 3) < 3));
    }
}
