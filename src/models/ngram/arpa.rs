//! ARPA text (Doug Paul's format, as SRILM, KenLM and ours write it) to hash tables in memory.
//!
//! `\data\`, a line `ngram N=COUNT` per order, `\N-grams:` with one n-gram a line (log10 probability, words, log10
//! backoff where it is not 0), `\end\`. Fields are separated by spaces or tabs; what stands before `\data\` is passed
//! over. As in KenLM, a count that does not fit, a probability above 1, a word that is no unigram, a context that is
//! no n-gram are errors, and so are a missing `<s>` or `</s>`; a missing `<unk>` gets log10 probability -100.
//!
//! A search for an n-gram goes through all its endings. Where pruning left one out (the n-gram `a b c` without `b c`),
//! it is put in with the probability that backing off gives it, so that scores stay the same.

use std::collections::BTreeMap;
use std::path::Path;

use super::format::{Block, Error, MAX_ORDER, Source, f32_at};
use super::hash;
use super::probing::{Probing, longest_entry, middle_entry};
use super::search::is_context;
use super::table::{Filling, Table};
use super::vocabulary::{UNKNOWN, Vocabulary, is_unknown};
use crate::io::codec::{Begin, Fill, Input};

/// What was read.
pub(super) struct Read {
    pub(super) vocabulary: Vocabulary,
    pub(super) probing: Probing,
    pub(super) counts: Vec<u64>,
}

/// Reads a file, compressed or not.
pub(super) fn read_file(path: &Path) -> Result<Read, Error> {
    read(Text::new(FileLines { input: Input::open(path)?, spent: 0 }))
}

/// Reads text from memory.
pub(super) fn read_bytes(bytes: &[u8]) -> Result<Read, Error> {
    read(Text::new(bytes))
}

/// No n-gram is so long.
const MAX_LINE_BYTES: usize = 1 << 20;
/// Lines before `\data\`.
const MAX_PREFACE_LINES: u64 = 1000;

/// Where lines come from.
trait Lines {
    /// The next line without its end, or `None` behind the last. In errors lines have no number.
    fn next(&mut self) -> Result<Option<&[u8]>, Error>;
}

impl Lines for &[u8] {
    fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        if self.is_empty() {
            return Ok(None);
        }
        let end = memchr::memchr(b'\n', self).unwrap_or(self.len());
        let (line, rest) = self.split_at(end);
        *self = rest.get(1..).unwrap_or_default();
        Ok(Some(line))
    }
}

struct FileLines {
    input: Input,
    spent: usize,
}

impl Lines for FileLines {
    fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        self.input.consume(std::mem::take(&mut self.spent));
        let mut scanned = 0;
        let (end, spent) = loop {
            let bytes = self.input.bytes();
            if let Some(found) = memchr::memchr(b'\n', &bytes[scanned..]) {
                break (scanned + found, scanned + found + 1);
            }
            scanned = bytes.len();
            if scanned > MAX_LINE_BYTES {
                return Err(Error::Line { line: 0, what: format!("more than {MAX_LINE_BYTES} bytes") });
            }
            match self.input.fill()? {
                Fill::Bytes => continue,
                Fill::Damaged(damage) => return Err(Error::Damaged(damage.detail)),
                Fill::Boundary => {}
            }
            match self.input.begin()? {
                Begin::Member => {}
                Begin::Damaged(damage) => return Err(Error::Damaged(damage.detail)),
                Begin::End if scanned == 0 => return Ok(None),
                Begin::End => break (scanned, scanned),
            }
        };
        self.spent = spent;
        Ok(Some(&self.input.bytes()[..end]))
    }
}

/// The current line, with its number.
struct Text<L> {
    lines: L,
    line: Vec<u8>,
    number: u64,
}

impl<L: Lines> Text<L> {
    fn new(lines: L) -> Self {
        Self { lines, line: Vec::new(), number: 0 }
    }

    fn wrong<T>(&self, what: impl Into<String>) -> Result<T, Error> {
        Err(Error::Line { line: self.number, what: what.into() })
    }

    /// Goes to the next line that is not blank; `what` was to come.
    fn advance(&mut self, what: &str) -> Result<(), Error> {
        loop {
            self.number += 1;
            let line = self.lines.next().map_err(|error| match error {
                Error::Line { what, .. } => Error::Line { line: self.number, what },
                other => other,
            })?;
            let Some(line) = line else {
                return self.wrong(format!("the text ends where {what} should come"));
            };
            let line = line.trim_ascii();
            if !line.is_empty() {
                self.line.clear();
                self.line.extend_from_slice(line);
                return Ok(());
            }
        }
    }

    fn show(&self) -> String {
        String::from_utf8_lossy(&self.line).chars().take(80).collect()
    }
}

/// Values of an n-gram as they will be stored.
#[derive(Debug, Clone, Copy)]
struct Values {
    prob: f32,
    backoff: f32,
}

/// Log10 probability of unknown words where the text has no `<unk>`.
const UNKNOWN_PROB: f32 = -100.0;
/// Size of the tables over number of entries, KenLM's default.
const MULTIPLIER: f32 = 1.5;
/// Entries that are made room for on the text's word alone.
const TRUSTED: u64 = 1 << 16;

fn read<L: Lines>(mut text: Text<L>) -> Result<Read, Error> {
    while text.number < MAX_PREFACE_LINES && text.line != b"\\data\\" {
        match text.advance("`\\data\\`") {
            Err(Error::Line { .. }) => return Err(Error::NotAModel),
            other => other?,
        }
    }
    if text.line != b"\\data\\" {
        return Err(Error::NotAModel);
    }
    let mut counts = counts(&mut text)?;
    let mut builder = unigrams(&mut text, &mut counts)?;
    for order in 2..=counts.len() {
        section(&mut text, order)?;
        builder.ngrams(&mut text, order, counts[order - 1], order == counts.len())?;
    }
    if text.line != b"\\end\\" {
        return text.wrong(format!("`{}` where `\\end\\` should come", text.show()));
    }
    builder.finish(counts)
}

/// The lines `ngram N=COUNT`.
fn counts<L: Lines>(text: &mut Text<L>) -> Result<Vec<u64>, Error> {
    let mut counts = Vec::new();
    loop {
        text.advance("`ngram N=COUNT`")?;
        if text.line.starts_with(b"\\") {
            break;
        }
        let line = text.show();
        let fields = line.strip_prefix("ngram ").and_then(|rest| rest.split_once('='));
        let numbers = fields.map(|(order, count)| (order.trim().parse(), count.trim().parse()));
        let Some((Ok::<usize, _>(order), Ok::<u64, _>(count))) = numbers else {
            return text.wrong(format!("`{line}` where `ngram N=COUNT` should stand"));
        };
        if order != counts.len() + 1 {
            return text.wrong(format!("`{line}` where order {} should come", counts.len() + 1));
        }
        if order > MAX_ORDER {
            return Err(Error::Unsupported(format!("order {order}; up to {MAX_ORDER} can be read")));
        }
        counts.push(count);
    }
    if counts.is_empty() { text.wrong("no line `ngram 1=COUNT`") } else { Ok(counts) }
}

/// Checks that the current line opens the section of an order.
fn section<L: Lines>(text: &mut Text<L>, order: usize) -> Result<(), Error> {
    let wanted = format!("\\{order}-grams:");
    if text.line == wanted.as_bytes() {
        return Ok(());
    }
    text.wrong(format!("`{}` where `{wanted}` should come", text.show()))
}

/// Reads the entries of one order up to the line that opens the next section.
fn entries<L: Lines>(
    text: &mut Text<L>,
    order: usize,
    count: u64,
    mut entry: impl FnMut(&Text<L>, &[&[u8]], Values) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut found = 0_u64;
    loop {
        text.advance("`\\end\\`")?;
        if text.line.starts_with(b"\\") && !text.line.contains(&b'\t') {
            break;
        }
        found += 1;
        let mut fields: [&[u8]; MAX_ORDER + 2] = [b""; MAX_ORDER + 2];
        let mut number = 0;
        let split = text.line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|field| !field.is_empty());
        for (place, field) in split.enumerate() {
            if let Some(slot) = fields.get_mut(place) {
                *slot = field;
            }
            number = place + 1;
        }
        if number != order + 1 && number != order + 2 {
            return text.wrong(format!("{number} fields in an entry of order {order}: `{}`", text.show()));
        }
        let prob = float(fields[0]).filter(|prob| *prob <= 0.0);
        let Some(prob) = prob else {
            return text.wrong(format!("no log10 probability at the beginning of `{}`", text.show()));
        };
        let backoff = if number == order + 2 { float(fields[order + 1]) } else { Some(0.0) };
        let Some(backoff) = backoff else {
            return text.wrong(format!("no log10 backoff at the end of `{}`", text.show()));
        };
        // Marks: nothing follows, nothing extends it to the left, until something is seen that does.
        let backoff = if backoff == 0.0 { -0.0 } else { backoff };
        entry(text, &fields[1..=order], Values { prob: -prob.abs(), backoff })?;
    }
    if found == count {
        return Ok(());
    }
    text.wrong(format!("{found} entries of order {order}, but `ngram {order}={count}`"))
}

fn float(field: &[u8]) -> Option<f32> {
    std::str::from_utf8(field).ok()?.parse().ok().filter(|value: &f32| value.is_finite())
}

fn unigrams<L: Lines>(text: &mut Text<L>, counts: &mut [u64]) -> Result<Builder, Error> {
    section(text, 1)?;
    let mut hashes = Vec::with_capacity(usize::try_from(counts[0].min(TRUSTED)).unwrap_or(0));
    let mut unigrams = vec![Values { prob: UNKNOWN_PROB, backoff: -0.0 }];
    let mut unknown_seen = false;
    entries(text, 1, counts[0], |text, words, values| {
        if is_unknown(words[0]) {
            if unknown_seen {
                return text.wrong("`<unk>` for the second time");
            }
            unknown_seen = true;
            unigrams[0] = values;
        } else {
            if hashes.len() >= u32::MAX as usize - 1 {
                return Err(Error::Unsupported("more words than 32 bits can count".to_owned()));
            }
            hashes.push(hash::word(words[0]));
            unigrams.push(values);
        }
        Ok(())
    })?;
    counts[0] += u64::from(!unknown_seen);
    let vocabulary = Vocabulary::build(&hashes, MULTIPLIER)
        .map_err(|place| Error::Damaged(format!("word number {} was there before", place + 1)))?;
    Ok(Builder { vocabulary, unigrams, middles: Vec::new(), longest: None })
}

/// N-grams of a middle order: those of the text and those that had to be put in.
struct Middle {
    read: Filling<16>,
    added: BTreeMap<u64, [u8; 16]>,
}

impl Middle {
    fn entry(&mut self, key: u64) -> Option<&mut [u8; 16]> {
        match self.read.find_mut(key) {
            Some(entry) => Some(entry),
            None => self.added.get_mut(&key),
        }
    }

    fn finish(self) -> Result<Table<16>, Error> {
        if self.added.is_empty() {
            return Ok(self.read.finish());
        }
        let mut entries = self.read.entries();
        entries.extend(self.added.into_values());
        Ok(filling(&entries)?.finish())
    }
}

fn filling<const STRIDE: usize>(entries: &[[u8; STRIDE]]) -> Result<Filling<STRIDE>, Error> {
    Filling::new(entries, MULTIPLIER)
        .map_err(|place| Error::Damaged(format!("n-gram number {} of its order was there before", place + 1)))
}

struct Builder {
    vocabulary: Vocabulary,
    unigrams: Vec<Values>,
    middles: Vec<Middle>,
    longest: Option<Table<12>>,
}

/// Key of an n-gram from its ids, first word first.
fn key_of(ids: &[u32]) -> u64 {
    let mut backwards = ids.iter().rev();
    let last = backwards.next().map_or(0, |id| u64::from(*id));
    backwards.fold(last, |key, id| hash::longer(key, *id))
}

impl Builder {
    fn ngrams<L: Lines>(
        &mut self,
        text: &mut Text<L>,
        order: usize,
        count: u64,
        last: bool,
    ) -> Result<(), Error> {
        let room = usize::try_from(count.min(TRUSTED)).unwrap_or(0);
        let (mut middle, mut longest) = (Vec::new(), Vec::new());
        if last {
            longest.reserve(room);
        } else {
            middle.reserve(room);
        }
        entries(text, order, count, |text, words, values| {
            let mut ids = [UNKNOWN; MAX_ORDER];
            let view = self.vocabulary.view();
            for (id, word) in ids.iter_mut().zip(words) {
                *id = view.id(hash::word(word));
                if *id == UNKNOWN && !is_unknown(word) {
                    let word = String::from_utf8_lossy(word);
                    return text.wrong(format!("the word `{word}` is no unigram"));
                }
            }
            let ids = &ids[..order];
            if !self.mark_context(&ids[..order - 1]) {
                return text.wrong(format!("the context of `{}` is no n-gram", text.show()));
            }
            self.mark_ending(&ids[1..]);
            let key = key_of(ids);
            if last {
                longest.push(longest_entry(key, values.prob));
            } else {
                middle.push(middle_entry(key, values.prob, values.backoff));
            }
            Ok(())
        })?;
        if last {
            self.longest = Some(filling(&longest)?.finish());
        } else {
            self.middles.push(Middle { read: filling(&middle)?, added: BTreeMap::new() });
        }
        Ok(())
    }

    /// Values of an n-gram that was read, as they are stored.
    fn values(&mut self, ids: &[u32]) -> Option<Values> {
        if let [id] = ids {
            return self.unigrams.get(*id as usize).copied();
        }
        let entry = self.middles.get_mut(ids.len() - 2)?.entry(key_of(ids))?;
        Some(Values { prob: f32_at(entry, 8), backoff: f32_at(entry, 12) })
    }

    fn store(&mut self, ids: &[u32], values: Values) {
        if let [id] = ids {
            self.unigrams[*id as usize] = values;
        } else if let Some(middle) = self.middles.get_mut(ids.len() - 2) {
            let key = key_of(ids);
            let stored = middle_entry(key, values.prob, values.backoff);
            match middle.entry(key) {
                Some(entry) => *entry = stored,
                None => drop(middle.added.insert(key, stored)),
            }
        }
    }

    /// Marks that something follows an n-gram; false where it is none.
    fn mark_context(&mut self, ids: &[u32]) -> bool {
        let Some(mut values) = self.values(ids) else { return false };
        if !is_context(values.backoff) {
            values.backoff = 0.0;
            self.store(ids, values);
        }
        true
    }

    /// Marks that something extends an n-gram to the left, and puts it in where it was left out.
    fn mark_ending(&mut self, ids: &[u32]) {
        let values = self.values(ids).unwrap_or_else(|| {
            self.mark_ending(&ids[1..]);
            self.mark_context(&ids[..ids.len() - 1]);
            let shorter = self.values(&ids[1..]).map_or(0.0, |values| values.prob);
            let backoff = self.values(&ids[..ids.len() - 1]).map_or(0.0, |values| values.backoff);
            // A positive backoff could make more than 1 of it, which no entry can hold.
            Values { prob: (backoff - shorter.abs()).min(-0.0), backoff: -0.0 }
        });
        if values.prob.is_sign_negative() {
            self.store(ids, Values { prob: values.prob.abs(), backoff: values.backoff });
        }
    }

    fn finish(self, counts: Vec<u64>) -> Result<Read, Error> {
        let mut unigrams = Vec::with_capacity(8 * self.unigrams.len());
        for values in &self.unigrams {
            unigrams.extend_from_slice(&values.prob.to_le_bytes());
            unigrams.extend_from_slice(&values.backoff.to_le_bytes());
        }
        let middles = self.middles.into_iter().map(Middle::finish).collect::<Result<_, _>>()?;
        let unigrams = Block::whole(Source::Memory(unigrams));
        let probing = Probing { unigrams, middles, longest: self.longest };
        Ok(Read { vocabulary: self.vocabulary, probing, counts })
    }
}
