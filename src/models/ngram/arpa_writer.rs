//! Writes models as ARPA text, as KenLM does: log10 with at most seven decimals, entries by last word, a backoff
//! weight in every line but those of the highest order.
//!
//! The format: Doug Paul, "A proposal for grammar interchange", as described by SRILM's `ngram-format` page.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "steps of a logarithm of at most 99, and single digits"
)]

use std::path::Path;

use rayon::prelude::*;

use super::train::STEPS;
use super::train::emit::{Batch, Names, Sink};
use crate::error::Result;
use crate::io::AtomicFile;

/// Entries that one thread formats in one go.
const CHUNK: usize = 1 << 13;

/// A model file that appears when it is finished.
pub struct ArpaWriter {
    out: Option<AtomicFile>,
    order: usize,
    highest: usize,
}

impl ArpaWriter {
    /// Starts the file.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where there can be no such file.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        crate::io::remove_leftovers(&path)?;
        let mut out = AtomicFile::create(path)?;
        out.open()?;
        Ok(Self { out: Some(out), order: 0, highest: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.as_mut().map_or(Ok(()), |out| out.write(bytes))
    }
}

impl Sink for ArpaWriter {
    fn begin(&mut self, counts: &[u64], _: &Names<'_>) -> Result<()> {
        self.highest = counts.len();
        self.write(b"\\data\\\n")?;
        for (place, count) in counts.iter().enumerate() {
            self.write(format!("ngram {}={count}\n", place + 1).as_bytes())?;
        }
        Ok(())
    }

    fn entries(&mut self, batch: &Batch<'_>, names: &Names<'_>) -> Result<()> {
        while self.order < batch.order {
            self.order += 1;
            let title = format!("\n\\{}-grams:\n", self.order);
            self.write(title.as_bytes())?;
        }
        let order = batch.order;
        let group = CHUNK * rayon::current_num_threads();
        for start in (0..batch.probs.len()).step_by(group) {
            let end = (start + group).min(batch.probs.len());
            let chunk = |first: usize| {
                let range = first..(first + CHUNK).min(end);
                let words = &batch.words[range.start * order..range.end * order];
                let backoffs = if batch.backoffs.is_empty() { &[] } else { &batch.backoffs[range.clone()] };
                lines(order, words, &batch.probs[range], backoffs, names)
            };
            let starts: Vec<usize> = (start..end).step_by(CHUNK).collect();
            let texts: Vec<Vec<u8>> = starts.into_par_iter().with_max_len(1).map(chunk).collect();
            for text in texts {
                self.write(&text)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &Names<'_>) -> Result<()> {
        while self.order < self.highest {
            self.order += 1;
            let title = format!("\n\\{}-grams:\n", self.order);
            self.write(title.as_bytes())?;
        }
        self.write(b"\n\\end\\\n")?;
        self.out.take().map_or(Ok(()), AtomicFile::commit)
    }
}

fn lines(order: usize, words: &[u32], probs: &[f32], backoffs: &[f32], names: &Names<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(probs.len() * (24 + 7 * order));
    for (place, (entry, prob)) in words.chunks_exact(order).zip(probs).enumerate() {
        put_negative(&mut out, prob.abs());
        let mut before = b'\t';
        for &word in entry {
            out.push(before);
            out.extend_from_slice(names.word(word));
            before = b' ';
        }
        if let Some(backoff) = backoffs.get(place) {
            out.push(b'\t');
            put_negative(&mut out, backoff.abs());
        }
        out.push(b'\n');
    }
    out
}

/// Writes `-magnitude` with the decimals that it needs, at most seven. Exactly what was rounded to seven
/// decimals, or another decimal that reads as the same `f32`.
fn put_negative(out: &mut Vec<u8>, magnitude: f32) {
    let steps = (f64::from(magnitude) * STEPS).round() as u64;
    if steps == 0 {
        out.push(b'0');
        return;
    }
    let mut digits = [0; 20];
    let mut at = digits.len();
    let (mut whole, mut part) = (steps / 10_000_000, steps % 10_000_000);
    if part > 0 {
        let mut decimals = 7;
        while part % 10 == 0 {
            part /= 10;
            decimals -= 1;
        }
        for _ in 0..decimals {
            at -= 1;
            digits[at] = b'0' + (part % 10) as u8;
            part /= 10;
        }
        at -= 1;
        digits[at] = b'.';
    }
    loop {
        at -= 1;
        digits[at] = b'0' + (whole % 10) as u8;
        whole /= 10;
        if whole == 0 {
            break;
        }
    }
    at -= 1;
    digits[at] = b'-';
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "the very same number is meant")]
    fn decimals_read_back_as_the_same_number() {
        let text = |magnitude: f32| {
            let mut out = Vec::new();
            put_negative(&mut out, magnitude);
            String::from_utf8(out).unwrap()
        };
        for (value, expected) in [(0.0, "0"), (2.0, "-2"), (0.5, "-0.5"), (10.25, "-10.25"), (99.0, "-99")] {
            assert_eq!(text(value), expected);
        }
        assert_eq!(text((1.0 / STEPS) as f32), "-0.0000001");
        for number in 0..2_000_000_u64 {
            let steps = number * number % 1_000_000_007;
            let value = (steps as f64 / STEPS) as f32;
            assert_eq!(text(value).parse::<f32>().unwrap(), if steps == 0 { 0.0 } else { -value });
        }
    }
}
