//! Words, labels and n-grams of a model: from a token to the rows of the input matrix.

use super::format::{Args, Cursor, Error};

/// The token that ends a line.
pub(super) const EOS: &[u8] = b"</s>";
/// How a label starts; the file does not say, this is the library's default.
pub(super) const LABEL_PREFIX: &[u8] = b"__label__";
/// Words up to this length, brackets included, are taken apart without an allocation.
const SHORT_WORD_BYTES: usize = 128;
const HASH_START: u32 = 2_166_136_261;
/// Bytes of the smallest dictionary entry: an empty string's end, a count, a type.
const MIN_ENTRY_BYTES: usize = 10;

/// The library's word hash: FNV-1a on sign-extended bytes.
pub(super) fn hash(bytes: &[u8]) -> u32 {
    extend_hash(HASH_START, bytes)
}

fn extend_hash(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |h, &byte| {
        let signed = i32::from(byte.cast_signed()).cast_unsigned();
        (h ^ signed).wrapping_mul(16_777_619)
    })
}

/// Where n-gram buckets are in the input matrix.
enum Buckets {
    /// Bucket `b` is row `words + b`.
    All,
    /// None was kept.
    None,
    /// Only some were kept.
    Some(Pruned),
}

pub(super) struct Dictionary {
    /// Bytes of all words, one after the other.
    bytes: Vec<u8>,
    /// Where each word ends in `bytes`.
    ends: Vec<usize>,
    /// Open addressing by the word's hash: word number + 1, or 0.
    slots: Vec<u32>,
    words: usize,
    labels: Vec<String>,
    label_counts: Vec<i64>,
    buckets: Buckets,
    bucket: u32,
    minn: usize,
    maxn: usize,
    word_ngrams: usize,
}

impl Dictionary {
    pub(super) fn read(cursor: &mut Cursor, args: &Args) -> Result<Self, Error> {
        const WHAT: &str = "dictionary";
        let entries = cursor.count32(WHAT)?;
        let words = cursor.count32(WHAT)?;
        let label_count = cursor.count32(WHAT)?;
        cursor.i64(WHAT)?; // tokens seen in training
        let pruned = cursor.i64(WHAT)?;
        if words.checked_add(label_count) != Some(entries) {
            return Err(Error::Invalid("a dictionary whose words and labels do not add up"));
        }
        if entries > cursor.left() / MIN_ENTRY_BYTES {
            return Err(Error::Truncated(WHAT));
        }
        if label_count == 0 {
            return Err(Error::Invalid("a classifier without labels"));
        }
        let mut dictionary = Self::empty(words, label_count, args);
        for entry in 0..entries {
            let word = cursor.string(WHAT)?;
            let count = cursor.i64(WHAT)?;
            let is_label = match cursor.byte(WHAT)? {
                0 => false,
                1 => true,
                _ => return Err(Error::Invalid("a dictionary entry that is neither word nor label")),
            };
            if is_label != (entry >= words) {
                return Err(Error::Invalid("a dictionary in which labels do not follow the words"));
            }
            if is_label {
                let label =
                    std::str::from_utf8(word).map_err(|_| Error::Invalid("a label that is not UTF-8"))?;
                dictionary.labels.push(label.to_owned());
                dictionary.label_counts.push(count);
            }
            dictionary.insert(word);
        }
        dictionary.buckets = match usize::try_from(pruned) {
            Err(_) => Buckets::All,
            Ok(0) => Buckets::None,
            Ok(kept) => Buckets::Some(Pruned::read(cursor, kept)?),
        };
        Ok(dictionary)
    }

    /// A dictionary of these words and labels, none pruned.
    pub(super) fn new<'w>(
        words: impl ExactSizeIterator<Item = &'w [u8]>,
        labels: impl ExactSizeIterator<Item = (&'w str, u64)>,
        args: &Args,
    ) -> Self {
        let mut dictionary = Self::empty(words.len(), labels.len(), args);
        for word in words {
            dictionary.insert(word);
        }
        for (label, count) in labels {
            dictionary.labels.push(label.to_owned());
            dictionary.label_counts.push(i64::try_from(count).unwrap_or(i64::MAX));
            dictionary.insert(label.as_bytes());
        }
        if args.bucket == 0 {
            dictionary.buckets = Buckets::None;
        }
        dictionary
    }

    fn empty(words: usize, labels: usize, args: &Args) -> Self {
        let entries = words + labels;
        Self {
            bytes: Vec::new(),
            ends: Vec::with_capacity(entries),
            slots: vec![0; (entries * 2).next_power_of_two()],
            words,
            labels: Vec::with_capacity(labels),
            label_counts: Vec::with_capacity(labels),
            buckets: Buckets::All,
            bucket: args.bucket,
            minn: args.minn,
            maxn: args.maxn,
            word_ngrams: args.word_ngrams,
        }
    }

    fn insert(&mut self, word: &[u8]) {
        let mask = self.slots.len() - 1;
        let mut slot = hash(word) as usize & mask;
        while self.slots[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len());
        // Entry counts are 31-bit in the file.
        self.slots[slot] = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
    }

    /// Whether n-grams were removed, which only quantising does.
    pub(super) fn is_pruned(&self) -> bool {
        !matches!(self.buckets, Buckets::All)
    }

    pub(super) fn labels(&self) -> &[String] {
        &self.labels
    }

    pub(super) fn label_counts(&self) -> &[i64] {
        &self.label_counts
    }

    pub(super) fn word_ngrams(&self) -> usize {
        self.word_ngrams
    }

    /// Checks that every row that a token can name exists.
    pub(super) fn check_rows(&mut self, rows: usize) -> Result<(), Error> {
        let needed = match &self.buckets {
            Buckets::All if self.bucket > 0 && (self.maxn > 0 || self.word_ngrams > 1) => {
                self.words.checked_add(self.bucket as usize)
            }
            Buckets::Some(pruned) => self.words.checked_add(pruned.rows),
            Buckets::All | Buckets::None => Some(self.words),
        };
        if needed.is_none_or(|needed| needed > rows) {
            return Err(Error::Invalid("an input matrix that is too small for the dictionary"));
        }
        if self.bucket == 0 {
            self.buckets = Buckets::None;
        }
        Ok(())
    }

    /// Number of a word or label.
    fn find(&self, token: &[u8], hash: u32) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        while let Some(number) = (self.slots[slot] as usize).checked_sub(1) {
            let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
            if &self.bytes[start..self.ends[number]] == token {
                return Some(number);
            }
            slot = (slot + 1) & mask;
        }
        None
    }

    /// Hands on the rows of one token; true where it is a word (not a label), known or not.
    pub(super) fn rows_of(&self, token: &[u8], hash: u32, mut row: impl FnMut(usize)) -> bool {
        match self.find(token, hash) {
            Some(number) if number >= self.words => return false,
            Some(number) => row(number),
            None if token.starts_with(LABEL_PREFIX) => return false,
            None => {}
        }
        if self.maxn > 0 && token != EOS {
            self.char_ngrams(token, row);
        }
        true
    }

    /// Hands on the rows of all character n-grams of `<token>`.
    fn char_ngrams(&self, token: &[u8], row: impl FnMut(usize)) {
        let bytes = token.len() + 2;
        let mut short = [0; SHORT_WORD_BYTES];
        if let Some(word) = short.get_mut(..bytes) {
            word[0] = b'<';
            word[1..bytes - 1].copy_from_slice(token);
            word[bytes - 1] = b'>';
            self.ngrams_of(word, row);
        } else {
            self.ngrams_of(&[b"<", token, b">"].concat(), row);
        }
    }

    fn ngrams_of(&self, word: &[u8], mut row: impl FnMut(usize)) {
        let continues = |place: usize| word.get(place).is_some_and(|byte| byte & 0xC0 == 0x80);
        for start in 0..word.len() {
            if continues(start) {
                continue;
            }
            let (mut end, mut hash) = (start, HASH_START);
            for chars in 1..=self.maxn {
                let Some(&first) = word.get(end) else { break };
                hash = extend_hash(hash, &[first]);
                end += 1;
                while continues(end) {
                    hash = extend_hash(hash, &word[end..=end]);
                    end += 1;
                }
                // A bracket alone is no n-gram.
                let is_bracket = chars == 1 && (start == 0 || end == word.len());
                if chars >= self.minn
                    && !is_bracket
                    && let Some(found) = self.ngram_row(u64::from(hash))
                {
                    row(found);
                }
            }
        }
    }

    /// Row of an n-gram by its hash, where the model kept one.
    pub(super) fn ngram_row(&self, hash: u64) -> Option<usize> {
        let row = match &self.buckets {
            Buckets::None => return None,
            Buckets::All => reduce(hash, self.bucket),
            Buckets::Some(pruned) => pruned.find(reduce(hash, self.bucket))?,
        };
        Some(self.words + row as usize)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder of a 32-bit number")]
pub(super) fn reduce(hash: u64, bucket: u32) -> u32 {
    match u32::try_from(hash) {
        Ok(hash) => hash % bucket,
        Err(_) => (hash % u64::from(bucket)) as u32,
    }
}

/// Buckets that a pruned model kept: open addressing from bucket to row.
struct Pruned {
    /// (bucket + 1 or 0, row)
    slots: Vec<(u32, u32)>,
    shift: u32,
    /// One more than the largest row.
    rows: usize,
}

impl Pruned {
    fn read(cursor: &mut Cursor, kept: usize) -> Result<Self, Error> {
        const WHAT: &str = "list of kept n-grams";
        if kept > cursor.left() / 8 {
            return Err(Error::Truncated(WHAT));
        }
        let size = (kept * 2).next_power_of_two().max(2);
        let mut pruned =
            Self { slots: vec![(0, 0); size], shift: 32 - size.trailing_zeros().min(31), rows: 0 };
        for _ in 0..kept {
            let bucket = cursor.i32(WHAT)?;
            let row = cursor.i32(WHAT)?;
            let (Ok(bucket), Ok(row)) = (u32::try_from(bucket), u32::try_from(row)) else {
                return Err(Error::Invalid("a negative n-gram"));
            };
            pruned.rows = pruned.rows.max(row as usize + 1);
            let mut slot = pruned.slot(bucket);
            while pruned.slots[slot].0 != 0 && pruned.slots[slot].0 != bucket + 1 {
                slot = (slot + 1) & (size - 1);
            }
            pruned.slots[slot] = (bucket + 1, row);
        }
        Ok(pruned)
    }

    fn slot(&self, bucket: u32) -> usize {
        (bucket.wrapping_mul(0x9E37_79B1) >> self.shift) as usize
    }

    fn find(&self, bucket: u32) -> Option<u32> {
        let mut slot = self.slot(bucket);
        loop {
            let (key, row) = self.slots[slot];
            if key == bucket + 1 {
                return Some(row);
            }
            if key == 0 {
                return None;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }
}
