//! Anchors: places of a text that its content alone picks, so that equal stretches have them at equal places.
//!
//! Source: winnowing (Schleimer, Wilkerson, Aiken 2003) and minimizers (Roberts et al. 2004): of the grams in every
//! window of `min_bytes` bytes the one with the least hash is picked. Two equal windows pick the same gram at the same
//! place, so every repeat of `min_bytes` bytes shares an anchor with its first copy: none is missed. As in counters
//! of long k-mers (KMC 2, Deorowicz et al. 2015) each anchor also says which windows picked it, so each window of the
//! corpus is looked at under one anchor only. Where we differ: grams are half a window long. That makes more
//! anchors (one in about `min_bytes / 4` bytes) than short grams would, and far fewer that are shared by chance.
//!
//! Of equal hashes the rightmost is picked. In periodic text this costs an anchor per period and no second look.

/// Factor of the rolling hash.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
const MIX: u64 = 0xD6E8_FEB8_6659_FD93;
const SPREAD: u64 = 0xA076_1D64_78BD_642F;
/// Grams that are hashed at a time.
const BLOCK: usize = 1 << 13;

/// How anchors are picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sampling {
    /// Bytes of a window: the shortest repeat that is found.
    pub(super) window: usize,
    /// Bytes of a gram.
    pub(super) gram: usize,
    /// Largest distance of a gram's start from the start of a window that holds it.
    pub(super) reach: usize,
    /// `FACTOR` to the power of `gram`.
    power: u64,
}

/// A picked gram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Anchor {
    /// Where the gram begins.
    pub(super) at: usize,
    /// Hash of the gram, spread over all 64 bits.
    pub(super) key: u64,
    /// The windows that picked it begin from `high` to `low` bytes before it.
    pub(super) low: u16,
    pub(super) high: u16,
}

/// A stretch of windows that pick the same gram.
struct Held {
    at: usize,
    order: u64,
    since: usize,
}

impl Sampling {
    /// For repeats of so many bytes, 16 to 65,536.
    pub(super) fn new(window: usize) -> Self {
        let gram = window / 2;
        let power = (0..gram).fold(1_u64, |power, _| power.wrapping_mul(FACTOR));
        Self { window, gram, reach: window - gram, power }
    }

    /// Calls `found` with every anchor of a text, in order.
    pub(super) fn each(&self, text: &[u8], mut found: impl FnMut(Anchor)) {
        if text.len() < self.window {
            return;
        }
        let grams = text.len() - self.gram + 1;
        let mut hash = text[..self.gram].iter().fold(0_u64, |hash, &byte| push(hash, byte));
        // Hashes of the grams from number `base` on.
        let mut orders: Vec<u64> = Vec::with_capacity(self.reach + BLOCK);
        let mut base = 0;
        let mut next = 0;
        let mut held: Option<Held> = None;
        while next < grams {
            if orders.len() > self.reach {
                // Windows to come look back at most `reach` grams.
                let old = orders.len() - self.reach;
                orders.drain(..old);
                base += old;
            }
            let end = (next + BLOCK).min(grams);
            orders.push(mix(hash));
            for (&gone, &come) in text[next..end - 1].iter().zip(&text[next + self.gram..end - 1 + self.gram])
            {
                hash = self.roll(hash, gone, come);
                orders.push(mix(hash));
            }
            if end < grams {
                hash = self.roll(hash, text[end - 1], text[end - 1 + self.gram]);
            }
            for gram in next.max(self.reach)..end {
                let start = gram - self.reach;
                let order = orders[gram - base];
                let picked = match &held {
                    Some(held) if order <= held.order => (gram, order),
                    Some(held) if held.at >= start => continue,
                    _ => rightmost_least(&orders[start - base..=gram - base], start),
                };
                if let Some(held) = held.replace(Held { at: picked.0, order: picked.1, since: start }) {
                    found(held.anchor(start - 1));
                }
            }
            next = end;
        }
        if let Some(held) = held {
            found(held.anchor(text.len() - self.window));
        }
    }

    fn roll(&self, hash: u64, gone: u8, come: u8) -> u64 {
        push(hash, come).wrapping_sub((u64::from(gone) + 1).wrapping_mul(self.power))
    }
}

impl Held {
    /// With the last window that picked it.
    fn anchor(&self, last: usize) -> Anchor {
        let distance = |window: usize| u16::try_from(self.at - window).unwrap_or(u16::MAX);
        // The least of many hashes is small; the key spreads them over all ranges again.
        let key = self.order.wrapping_mul(SPREAD);
        Anchor { at: self.at, key, low: distance(last), high: distance(self.since) }
    }
}

fn push(hash: u64, byte: u8) -> u64 {
    hash.wrapping_mul(FACTOR).wrapping_add(u64::from(byte) + 1)
}

/// The low bits of the rolling hash follow from the low bits of the bytes alone.
fn mix(hash: u64) -> u64 {
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(MIX);
    mixed ^ (mixed >> 29)
}

/// The last place of the least value, counted from `start`.
fn rightmost_least(orders: &[u64], start: usize) -> (usize, u64) {
    let (mut place, mut least) = (0, u64::MAX);
    for (number, &order) in orders.iter().enumerate() {
        if order <= least {
            (place, least) = (number, order);
        }
    }
    (start + place, least)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn anchors(sampling: Sampling, text: &[u8]) -> Vec<Anchor> {
        let mut all = Vec::new();
        sampling.each(text, |anchor| all.push(anchor));
        all
    }

    #[test]
    fn a_long_text_is_the_same_in_blocks() {
        let text: Vec<u8> = (0..60_000_u32).map(|n| (n.wrapping_mul(n) >> 7).to_le_bytes()[0]).collect();
        for window in [16, 200, 5000] {
            let sampling = Sampling::new(window);
            let all = anchors(sampling, &text);
            let share = all.len() * window / text.len();
            assert!((3..6).contains(&share), "{window}: {}", all.len());
            // The same text further back is picked apart in the same way.
            let back = [&text[30_000..], &text].concat();
            let shifted: Vec<Anchor> = anchors(sampling, &back)
                .into_iter()
                .filter(|anchor| anchor.at - usize::from(anchor.high) > 30_000)
                .map(|anchor| Anchor { at: anchor.at - 30_000, ..anchor })
                .collect();
            assert_eq!(shifted, all[all.len() - shifted.len()..]);
            assert!(shifted.len() + 2 >= all.len());
        }
    }

    proptest! {
        #[test]
        fn each_window_picks_one_by_its_content_alone(
            text in prop_oneof![
                prop::collection::vec(0_u8..2, 0..300),
                prop::collection::vec(any::<u8>(), 0..300),
                (prop::collection::vec(any::<u8>(), 1..40), 1_usize..40).prop_map(|(unit, times)| unit.repeat(times)),
            ],
            window in 16_usize..40,
        ) {
            let sampling = Sampling::new(window);
            let all = anchors(sampling, &text);
            let mut next = 0;
            for anchor in &all {
                let (first, last) = (anchor.at - usize::from(anchor.high), anchor.at - usize::from(anchor.low));
                prop_assert_eq!(first, next);
                next = last + 1;
                for start in first..=last {
                    let alone = anchors(sampling, &text[start..start + window]);
                    prop_assert_eq!(alone.len(), 1);
                    prop_assert_eq!((alone[0].at + start, alone[0].key), (anchor.at, anchor.key));
                    prop_assert!(anchor.at + sampling.gram <= start + window);
                }
            }
            prop_assert_eq!(next, (text.len() + 1).saturating_sub(window));
        }
    }
}
