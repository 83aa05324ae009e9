//! Writes models as KenLM's probing binary, which KenLM, its Python module and we map into memory.
//!
//! The format is described in `docs/ngram-training.md`: a header, a hash table of words, single words by number, a
//! hash table per order, the words. KenLM fills its tables in memory. Here the entries of a table are dealt out by
//! their place, a range of places at a time is sorted and written, and an entry whose place is taken goes to the next free
//! one, as in any table with linear probing; so memory does not grow with the model, and the file depends on the model alone.
//! Tables have 1.5 places per entry, KenLM's own default.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "word numbers are below 2^32, ranges are few, and KenLM rounds the places of a table down"
)]

use std::path::Path;

use rayon::prelude::*;

use super::train::emit::{Batch, Names, Sink};
use crate::error::{Error, Result};
use crate::io::AtomicFile;
use crate::io::spool::{Buckets, Scratch};

/// First bytes of the file.
const MAGIC: &[u8] = b"mmap lm http://kheafield.com/code format version 5\n\0";
/// Places per entry.
const MULTIPLIER: f32 = 1.5;
/// Most ranges that a table is dealt out to.
const MAX_RANGES: u64 = 512;
/// Places of the smallest range, as a power of two.
const MIN_RANGE_BITS: u32 = 16;
/// Free places at the beginning of a table that are remembered for entries that run over its end.
const MAX_GAPS: usize = 1 << 16;

/// Places of a table for so many entries.
fn places(entries: u64) -> u64 {
    ((MULTIPLIER * entries as f32) as u64).max(entries + 1)
}

/// A model file that appears when it is finished.
pub struct ProbingWriter {
    out: Option<AtomicFile>,
    scratch: Scratch,
    counts: Vec<u64>,
    written: u64,
    table: Option<Table>,
}

/// A hash table of one order that is being gathered.
struct Table {
    order: usize,
    places: u64,
    range_bits: u32,
    record_bytes: usize,
    buckets: Buckets,
}

impl ProbingWriter {
    /// Starts the file; temporary files go to `scratch`.
    ///
    /// # Errors
    /// [`Error::Io`] where there can be no such file.
    pub fn create(path: impl AsRef<Path>, scratch: Scratch) -> Result<Self> {
        crate::io::remove_leftovers(&path)?;
        let mut out = AtomicFile::create(path)?;
        out.open()?;
        Ok(Self { out: Some(out), scratch, counts: Vec::new(), written: 0, table: None })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.written += bytes.len() as u64;
        self.out.as_mut().map_or(Ok(()), |out| out.write(bytes))
    }

    fn header(&mut self) -> Result<()> {
        let mut head = MAGIC.to_vec();
        head.resize(56, 0);
        for value in [0.0_f32, 1.0, -0.5] {
            head.extend_from_slice(&value.to_le_bytes());
        }
        for value in [1_u32, u32::MAX, 0] {
            head.extend_from_slice(&value.to_le_bytes());
        }
        head.extend_from_slice(&1_u64.to_le_bytes());
        head.extend_from_slice(&[self.counts.len() as u8, 0, 0, 0]);
        head.extend_from_slice(&MULTIPLIER.to_le_bytes());
        // A probing model, with its words, version 0.
        head.extend_from_slice(&0_u32.to_le_bytes());
        head.extend_from_slice(&[1, 0, 0, 0]);
        head.extend_from_slice(&0_u32.to_le_bytes());
        for count in &self.counts {
            head.extend_from_slice(&count.to_le_bytes());
        }
        head.resize(head.len().next_multiple_of(8), 0);
        self.write(&head)
    }

    /// The table from hashes of words to their numbers; `<unk>` is what is not in it.
    fn vocabulary(&mut self, names: &Names<'_>) -> Result<()> {
        let places = places(names.len() as u64);
        self.write(&0_u32.to_le_bytes())?;
        self.write(&(names.len() as u32).to_le_bytes())?;
        let mut entries: Vec<(u64, u64, u32)> = (1..names.len() as u32)
            .into_par_iter()
            .map(|number| {
                let hash = murmur(names.word(number));
                (hash % places, hash, number)
            })
            .collect();
        entries.par_sort_unstable();
        let mut probing = Probing::new(places, 12);
        let mut record = [0; 12];
        for (place, hash, number) in entries {
            record[..8].copy_from_slice(&hash.to_le_bytes());
            record[8..].copy_from_slice(&number.to_le_bytes());
            probing.put(self, place, &record)?;
        }
        probing.finish(self)
    }

    fn start_table(&mut self, order: usize) -> Result<()> {
        let places = places(self.counts[order - 1]);
        let mut range_bits = MIN_RANGE_BITS;
        while places >> range_bits >= MAX_RANGES {
            range_bits += 1;
        }
        let buckets = self.scratch.buckets((places >> range_bits) as usize + 1)?;
        let record_bytes = if order == self.counts.len() { 12 } else { 16 };
        self.table = Some(Table { order, places, range_bits, record_bytes, buckets });
        Ok(())
    }

    fn end_table(&mut self) -> Result<()> {
        let Some(mut table) = self.table.take() else { return Ok(()) };
        let (places, bytes) = (table.places, table.record_bytes);
        let mut probing = Probing::new(places, bytes);
        let group = rayon::current_num_threads();
        for start in (0..table.buckets.count()).step_by(group) {
            let mut ranges = Vec::new();
            for bucket in start..(start + group).min(table.buckets.count()) {
                let mut range = Vec::new();
                table.buckets.drain(bucket, |piece| {
                    range.extend_from_slice(piece);
                    Ok(())
                })?;
                ranges.push(range);
            }
            let sorted: Vec<Vec<(u64, u64, [u8; 8])>> =
                ranges.into_par_iter().with_max_len(1).map(|range| sort(&range, places, bytes)).collect();
            for (place, key, values) in sorted.into_iter().flatten() {
                let mut record = [0; 16];
                record[..8].copy_from_slice(&key.to_le_bytes());
                record[8..].copy_from_slice(&values);
                probing.put(self, place, &record[..bytes])?;
            }
        }
        probing.finish(self)
    }
}

/// Records of one range by place, and by key where places are equal.
fn sort(records: &[u8], places: u64, record_bytes: usize) -> Vec<(u64, u64, [u8; 8])> {
    let mut sorted: Vec<(u64, u64, [u8; 8])> = records
        .chunks_exact(record_bytes)
        .map(|record| {
            let mut whole = [0; 16];
            whole[..record_bytes].copy_from_slice(record);
            let whole = u128::from_le_bytes(whole);
            let key = whole as u64;
            (key % places, key, ((whole >> 64) as u64).to_le_bytes())
        })
        .collect();
    sorted.sort_unstable();
    sorted
}

/// Places records that come by their place.
struct Probing {
    start: Option<u64>,
    places: u64,
    record_bytes: usize,
    free: u64,
    gaps: Vec<u64>,
    over: Vec<u8>,
}

impl Probing {
    fn new(places: u64, record_bytes: usize) -> Self {
        Self { start: None, places, record_bytes, free: 0, gaps: Vec::new(), over: Vec::new() }
    }

    fn put(&mut self, out: &mut ProbingWriter, place: u64, record: &[u8]) -> Result<()> {
        self.skip(out, place)?;
        if self.free == self.places {
            self.over.extend_from_slice(record);
            return Ok(());
        }
        self.free += 1;
        out.write(record)
    }

    /// Leaves places free up to `place`.
    fn skip(&mut self, out: &mut ProbingWriter, place: u64) -> Result<()> {
        self.start.get_or_insert(out.written);
        while self.free < place {
            if self.gaps.len() < MAX_GAPS {
                self.gaps.push(self.free);
            }
            out.write(&[0; 16][..self.record_bytes])?;
            self.free += 1;
        }
        Ok(())
    }

    /// Fills the table up; what ran over its end goes to the first free places.
    fn finish(mut self, out: &mut ProbingWriter) -> Result<()> {
        self.skip(out, self.places)?;
        let start = self.start.unwrap_or(out.written);
        let mut gaps = self.gaps.iter();
        for record in self.over.chunks_exact(self.record_bytes) {
            let gap = gaps.next().ok_or_else(|| Error::Failed("a hash table is too crowded".to_owned()))?;
            if let Some(out) = &mut out.out {
                out.write_at(start + gap * self.record_bytes as u64, record)?;
            }
        }
        Ok(())
    }
}

impl Sink for ProbingWriter {
    fn begin(&mut self, counts: &[u64], names: &Names<'_>) -> Result<()> {
        if counts.len() < 2 {
            return Err(Error::User(
                "KenLM's binary format has no models of order 1; write an ARPA file".to_owned(),
            ));
        }
        self.counts = counts.to_vec();
        self.header()?;
        self.vocabulary(names)
    }

    fn entries(&mut self, batch: &Batch<'_>, _: &Names<'_>) -> Result<()> {
        let order = batch.order;
        if order == 1 {
            let mut bytes = Vec::with_capacity(8 * batch.probs.len() + 8);
            for (prob, backoff) in batch.probs.iter().zip(batch.backoffs) {
                bytes.extend_from_slice(&prob.to_le_bytes());
                bytes.extend_from_slice(&backoff.to_le_bytes());
            }
            bytes.extend_from_slice(&[0; 8]);
            return self.write(&bytes);
        }
        while self.table.as_ref().is_none_or(|table| table.order < order) {
            let next = self.table.as_ref().map_or(2, |table| table.order + 1);
            self.end_table()?;
            self.start_table(next)?;
        }
        let Some(table) = &mut self.table else { return Ok(()) };
        let mut record = [0; 16];
        for (place, words) in batch.words.chunks_exact(order).enumerate() {
            let key = key(words);
            record[..8].copy_from_slice(&key.to_le_bytes());
            record[8..12].copy_from_slice(&batch.probs[place].to_le_bytes());
            if let Some(backoff) = batch.backoffs.get(place) {
                record[12..].copy_from_slice(&backoff.to_le_bytes());
            }
            let range = (key % table.places) >> table.range_bits;
            table.buckets.push(range as usize, &record[..table.record_bytes])?;
        }
        Ok(())
    }

    fn finish(&mut self, names: &Names<'_>) -> Result<()> {
        let mut next = self.table.as_ref().map_or(2, |table| table.order + 1);
        self.end_table()?;
        while next <= self.counts.len() {
            self.start_table(next)?;
            self.end_table()?;
            next += 1;
        }
        for number in 0..names.len() as u32 {
            self.write(names.word(number))?;
            self.write(&[0])?;
        }
        self.out.take().map_or(Ok(()), AtomicFile::commit)
    }
}

/// The key of an n-gram, from its last word back to its first.
fn key(words: &[u32]) -> u64 {
    let mut backwards = words.iter().rev();
    let last = backwards.next().map_or(0, |&word| u64::from(word));
    backwards.fold(last, |key, &word| {
        key.wrapping_mul(8_978_948_897_894_561_157)
            ^ (1 + u64::from(word)).wrapping_mul(17_894_857_484_156_487_943)
    })
}

/// MurmurHash64A with seed 0 (Austin Appleby, public domain): KenLM's hash of words.
fn murmur(word: &[u8]) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let mix = |value: u64| {
        let value = value.wrapping_mul(M);
        (value ^ value >> 47).wrapping_mul(M)
    };
    let mut hash = (word.len() as u64).wrapping_mul(M);
    let mut eights = word.chunks_exact(8);
    for eight in &mut eights {
        let value = eight.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
        hash = (hash ^ mix(value)).wrapping_mul(M);
    }
    let rest = eights.remainder();
    if !rest.is_empty() {
        let value = rest.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
        hash = (hash ^ value).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 47).wrapping_mul(M);
    hash ^ hash >> 47
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::models::ngram::train::{TrainConfig, Trainer};

    /// Records of a table that are found from their place on without a free place in between.
    fn find(table: &[u8], record_bytes: usize, key: u64) -> Option<&[u8]> {
        let places = (table.len() / record_bytes) as u64;
        (0..places)
            .map(|step| {
                let at = ((key + step) % places) as usize;
                &table[at * record_bytes..(at + 1) * record_bytes]
            })
            .take_while(|record| record[..8] != [0; 8])
            .find(|record| record[..8] == key.to_le_bytes())
            .map(|record| &record[8..])
    }

    #[test]
    fn what_runs_over_the_end_goes_to_the_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let mut writer = ProbingWriter::create(&path, Scratch::new(dir.path()).unwrap()).unwrap();
        writer.write(b"head").unwrap();
        // Ten places; keys are their places plus tens.
        let keys = [20_u64, 11, 8, 18, 28, 9, 109];
        let mut sorted: Vec<(u64, u64)> = keys.iter().map(|&key| (key % 10, key)).collect();
        sorted.sort_unstable();
        let mut probing = Probing::new(10, 12);
        for (place, key) in sorted {
            let mut record = key.to_le_bytes().to_vec();
            record.extend((key as u32).to_le_bytes());
            probing.put(&mut writer, place, &record).unwrap();
        }
        probing.finish(&mut writer).unwrap();
        writer.write(b"tail").unwrap();
        writer.out.take().unwrap().commit().unwrap();
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(bytes.len(), 4 + 120 + 4);
        assert!(bytes.starts_with(b"head") && bytes.ends_with(b"tail"));
        for key in keys {
            assert_eq!(find(&bytes[4..124], 12, key), Some(&(key as u32).to_le_bytes()[..]), "{key}");
        }
        assert_eq!(find(&bytes[4..124], 12, 38), None);
    }

    #[test]
    fn words_hash_as_in_kenlm() {
        // Longer words: `tests/tools/compare_lmplz.py` holds whole tables against KenLM's.
        assert_eq!(murmur(b""), 0);
        assert_eq!(murmur(b"a"), 0x0717_17d2_d36b_6b11);
    }

    /// A model of two files: what ARPA says is found in the binary.
    #[test]
    #[expect(clippy::float_cmp, reason = "the very same number is meant")]
    fn every_entry_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let tokens: Vec<String> =
            (0..20_000_u32).map(|n| format!("w{}", n.wrapping_mul(2_654_435_761) >> 23)).collect();
        let mut config = TrainConfig::new(3, dir.path());
        (config.prune, config.discount_fallback) = (vec![0, 0, 1], Some([0.5, 1.0, 1.5]));
        let mut trainer = Trainer::new(config).unwrap();
        for sentence in tokens.chunks(9) {
            trainer.add_sentence(sentence).unwrap();
        }
        let paths = ["a", "b"].map(|name| dir.path().join(name));
        let mut arpa = crate::models::ngram::arpa_writer::ArpaWriter::create(&paths[0]).unwrap();
        let mut binary = ProbingWriter::create(&paths[1], Scratch::new(dir.path()).unwrap()).unwrap();
        trainer.finish(&mut [&mut arpa, &mut binary]).unwrap();
        let [arpa, binary] = paths.map(|path| std::fs::read(path).unwrap());

        let arpa = String::from_utf8(arpa).unwrap();
        let lines =
            || arpa.lines().map(|line| line.split('\t').collect::<Vec<_>>()).filter(|line| line.len() > 1);
        let count = |n: usize| lines().filter(|line| line[1].split(' ').count() == n).count();
        let counts = [count(1), count(2), count(3)];
        assert!(binary.starts_with(MAGIC) && binary[88] == 3);
        let mut at = (108_usize + 24).next_multiple_of(8) + 8;
        let mut section = |bytes: usize| {
            at += bytes;
            &binary[at - bytes..at]
        };
        let vocabulary = section(12 * places(counts[0] as u64) as usize);
        let unigrams = section(8 * (counts[0] + 1));
        let bigrams = section(16 * places(counts[1] as u64) as usize);
        let trigrams = section(12 * places(counts[2] as u64) as usize);
        let names = &binary[at..];
        assert_eq!(names.split(|&byte| byte == 0).count(), counts[0] + 1);
        let mut numbers = BTreeMap::new();
        for (number, name) in names.split(|&byte| byte == 0).enumerate().take(counts[0]) {
            let name = std::str::from_utf8(name).unwrap();
            numbers.insert(name, number as u32);
            let expected = (number > 0).then(|| (number as u32).to_le_bytes());
            assert_eq!(
                find(vocabulary, 12, murmur(name.as_bytes())),
                expected.as_ref().map(|bytes| &bytes[..])
            );
        }
        // N-grams with a longer one behind them, and with a longer one that ends in them.
        let mut extended: [std::collections::BTreeSet<Vec<u32>>; 2] = Default::default();
        let grams: Vec<(Vec<u32>, Vec<&str>)> =
            lines().map(|line| (line[1].split(' ').map(|word| numbers[word]).collect(), line)).collect();
        for (gram, _) in grams.iter().filter(|(gram, _)| gram.len() > 1) {
            extended[0].insert(gram[..gram.len() - 1].to_vec());
            extended[1].insert(gram[1..].to_vec());
        }
        for (gram, line) in &grams {
            let found = match gram.as_slice() {
                [word] => &unigrams[8 * *word as usize..8 * *word as usize + 8],
                [_, _] => find(bigrams, 16, key(gram)).unwrap(),
                _ => find(trigrams, 12, key(gram)).unwrap(),
            };
            let value = |at: usize| f32::from_le_bytes(found[at..at + 4].try_into().unwrap());
            let (prob, backoff): (f32, f32) =
                (line[0].parse().unwrap(), line.get(2).map_or(0.0, |text| text.parse().unwrap()));
            assert_eq!(-value(0).abs(), prob, "{line:?}");
            if gram.len() < 3 {
                assert_eq!(value(4), backoff);
                let goes_on = extended[0].contains(gram);
                assert_eq!(value(4).to_bits() == (-0.0_f32).to_bits(), !goes_on, "{line:?}");
                let special = gram == &[1];
                assert_eq!(value(0).is_sign_positive(), special || extended[1].contains(gram), "{line:?}");
            } else {
                assert!(value(0).is_sign_negative());
            }
        }
    }
}
