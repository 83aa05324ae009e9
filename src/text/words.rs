//! Words of a text, as datatrove counts them: the tokens of spaCy's English tokenizer, whatever the language.
//!
//! The text is cut at white space into chunks. A chunk that is a known exception (`don't`, `Mr.`, `:-)`) is
//! cut as that says; of any other, affixes are peeled off (`(word).` is `(`, `word`, `)`, `.`) until nothing
//! more comes off or an exception is left, and what remains is cut at infixes (`mother-in-law` is five
//! words) unless it is an address (`example.com/a-b` is one). Punctuation marks are words of their own.
//! The rules are those of spaCy 3.8 (see `affixes` and `exceptions`), written as a scanner; typical words
//! (letters, then white space or one mark) take a short cut with the same result.
//!
//! We differ in one thing on purpose: letters of scripts without spaces (Chinese, Japanese, Thai, Lao,
//! Khmer, Burmese) are cut by a dictionary, see `spaceless`, so that such text has sensible word counts.
//!
//! Only the first 4 GiB of a text are looked at.

use super::affixes::{is_address, next_infix, prefix_bytes, suffix_bytes};
use super::charsets::{Classes, LETTER, PLAIN, PUNCTUATION, SPACE, SPACELESS, TERMINAL};
use super::exceptions::{Exceptions, MAX_BYTES};
use super::spaceless;

/// One word: where it stands, how long it is, what it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// First byte.
    pub start: u32,
    /// The byte behind the last.
    pub end: u32,
    /// Hash of its bytes, see [`tag`]; equal words have equal tags, the reverse is only likely.
    pub tag: u32,
    /// Length in characters, with flags in the upper four bits.
    bits: u32,
}

const OPENS_CHUNK: u32 = 1 << 31;
const HAS_LETTER: u32 = 1 << 30;
const HAS_NON_SYMBOL: u32 = 1 << 29;
const CHARS: u32 = (1 << 28) - 1;

impl Word {
    /// The word itself, out of the text that it was found in.
    #[must_use]
    pub fn of<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start as usize..self.end as usize]
    }

    /// Length in characters (at most 268 million).
    #[must_use]
    pub fn chars(&self) -> u32 {
        self.bits & CHARS
    }

    /// Whether white space or the start of the text stands before it: it opens an item of `split()`.
    #[must_use]
    pub fn opens_chunk(&self) -> bool {
        self.bits & OPENS_CHUNK != 0
    }

    /// Whether it holds a letter (Unicode category `L*`).
    #[must_use]
    pub fn has_letter(&self) -> bool {
        self.bits & HAS_LETTER != 0
    }

    /// Whether it holds a character outside datatrove's punctuation and terminal punctuation.
    #[must_use]
    pub fn has_non_symbol(&self) -> bool {
        self.bits & HAS_NON_SYMBOL != 0
    }
}

/// Hash of a word: same on every machine.
#[must_use]
#[inline]
pub fn tag(bytes: &[u8]) -> u32 {
    const K: u64 = 0x9E37_79B9_7F4A_7C15;
    let length = bytes.len() as u64;
    let mixed = match bytes.len() {
        0..=3 => bytes.iter().fold(length, |value, &b| value << 8 | u64::from(b)),
        4..=8 => u64::from(first4(bytes)) << 32 ^ u64::from(first4(&bytes[bytes.len() - 4..])) ^ length << 29,
        _ => xxhash_rust::xxh3::xxh3_64(bytes),
    };
    (mixed.wrapping_mul(K) >> 32) as u32
}

fn first4(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |&four| u32::from_le_bytes(four))
}

/// Puts the byte ranges of all words of `text` into `out`, which is emptied first.
pub fn words(text: &str, out: &mut Vec<(u32, u32)>) {
    out.clear();
    Splitter::default().split(text, |word| out.push((word.start, word.end)));
}

/// Buffers for more pieces of a chunk than this are freed after use.
const MAX_KEPT_PIECES: usize = 1 << 16;

/// Working memory of the splitter, for use with one text after the other.
#[derive(Debug, Default)]
pub struct Splitter {
    /// Pieces of the chunk in hand, relative to it.
    pieces: Vec<(u32, u32)>,
    /// Pieces that came off at its end, last one first.
    suffixes: Vec<(u32, u32)>,
    /// Runs of pieces that are one exception: number of pieces, first piece.
    merges: Vec<(usize, usize)>,
}

/// Bytes of ASCII letters at the start of `bytes`.
#[inline]
fn ascii_letters(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let lower = (word & !HIGH) | (0x20 * ONES);
        let from_a = lower + (0x80 - u64::from(b'a')) * ONES;
        let behind_z = lower + (0x7F - u64::from(b'z')) * ONES;
        let others = !(from_a & !behind_z & !word) & HIGH;
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|b| b.is_ascii_alphabetic()).count()
}

fn is_ascii_space(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13 | 0x1C..=0x1F)
}

impl Splitter {
    /// Gives every word of the text in order.
    pub fn split(&mut self, text: &str, mut found: impl FnMut(Word)) {
        let classes = Classes::get();
        let exceptions = Exceptions::get();
        let bytes = text.as_bytes();
        let bytes = &bytes[..bytes.len().min(u32::MAX as usize)];
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if is_ascii_space(byte) {
                at += 1;
                continue;
            }
            let letters_end = at + ascii_letters(&bytes[at..]);
            if letters_end > at {
                let next = bytes.get(letters_end).copied().unwrap_or(b' ');
                if is_ascii_space(next)
                    && let Some(word) = ordinary_word(exceptions, bytes, at, letters_end)
                {
                    found(word);
                    at = letters_end + 1;
                    continue;
                }
                let mark = matches!(next, b',' | b'.' | b':' | b';' | b'!' | b'?' | b')' | b'"');
                if mark
                    && bytes.get(letters_end + 1).is_none_or(|&b| is_ascii_space(b))
                    && let Some(word) = ordinary_word(exceptions, bytes, at, letters_end)
                    && (next != b'.' || period_comes_off(exceptions, bytes, at, letters_end))
                {
                    found(word);
                    found(ascii_mark(bytes, letters_end));
                    at = letters_end + 2;
                    continue;
                }
            }
            at = self.split_at(classes, exceptions, text, at, bytes.len(), &mut found);
        }
    }

    /// Frees what an unusually long chunk has left behind.
    pub fn trim(&mut self) {
        if self.pieces.capacity() + self.suffixes.capacity() > MAX_KEPT_PIECES {
            *self = Self::default();
        }
    }

    /// Splits the chunk (or skips the white space) that starts at byte `start`; returns where to go on.
    fn split_at(
        &mut self,
        classes: &Classes,
        exceptions: &Exceptions,
        text: &str,
        start: usize,
        limit: usize,
        found: &mut impl FnMut(Word),
    ) -> usize {
        let mut all = u32::MAX;
        let mut any = 0;
        let mut end = start;
        for c in text[start..].chars() {
            let class = classes.of(c);
            if class & SPACE != 0 || end + c.len_utf8() > limit {
                if end == start {
                    return end + c.len_utf8();
                }
                break;
            }
            all &= class;
            any |= class;
            end += c.len_utf8();
        }
        let chunk = &text[start..end];
        if all & PLAIN != 0 && !chunk.is_ascii() {
            // No rule looks at any of these characters, and no exception is made of them alone.
            found(measured(classes, text, start, end, true));
            return end;
        }
        self.split_chunk(classes, Some(exceptions), chunk);
        if self.pieces.len() > 1 {
            self.merge(exceptions, chunk);
        }
        let mut opens = true;
        for &(from, to) in &self.pieces {
            let (from, to) = (start + from as usize, start + to as usize);
            if any & SPACELESS != 0 && text[from..to].chars().any(|c| classes.of(c) & SPACELESS != 0) {
                spaceless::split(classes, &text[from..to], |piece_start, piece_end| {
                    found(measured(classes, text, from + piece_start, from + piece_end, opens));
                    opens = false;
                });
            } else {
                found(measured(classes, text, from, to, opens));
                opens = false;
            }
        }
        end
    }

    /// Fills `pieces` with the cuts of one chunk; without `exceptions`, those of the rules alone.
    fn split_chunk(&mut self, classes: &Classes, exceptions: Option<&Exceptions>, chunk: &str) {
        self.pieces.clear();
        self.suffixes.clear();
        let find = |from: usize, to: usize| {
            let part = &chunk.as_bytes()[from..to];
            match exceptions {
                Some(exceptions) if part.len() <= MAX_BYTES => exceptions.find(part, tag(part)),
                _ => None,
            }
        };
        let (mut start, mut end) = (0, chunk.len());
        let mut last_length = usize::MAX;
        while start < end && end - start != last_length {
            if find(start, end).is_some() {
                break;
            }
            last_length = end - start;
            let prefix = prefix_bytes(classes, &chunk[start..end]);
            if prefix > 0 && start + prefix < end && find(start + prefix, end).is_some() {
                self.pieces.push(range(start, start + prefix));
                start += prefix;
                break;
            }
            let suffix = suffix_bytes(classes, &chunk[start + prefix..end]);
            if suffix > 0 && start < end - suffix && find(start, end - suffix).is_some() {
                self.suffixes.push(range(end - suffix, end));
                end -= suffix;
                break;
            }
            if prefix > 0 {
                self.pieces.push(range(start, start + prefix));
                start += prefix;
            }
            if suffix > 0 {
                self.suffixes.push(range(end - suffix, end));
                end -= suffix;
            }
        }
        if start < end {
            match find(start, end) {
                Some(entry) => self.push_cut(entry.cuts, start, end),
                None => self.push_core(classes, chunk, start, end),
            }
        }
        while let Some(suffix) = self.suffixes.pop() {
            self.pieces.push(suffix);
        }
    }

    /// Adds an exception's pieces.
    fn push_cut(&mut self, cuts: u64, start: usize, end: usize) {
        let mut from = start;
        for to in start + 1..end {
            if cuts & 1 << (to - start) != 0 {
                self.pieces.push(range(from, to));
                from = to;
            }
        }
        self.pieces.push(range(from, end));
    }

    /// Adds what is left of a chunk after its affixes: an address whole, else cut at its infixes.
    fn push_core(&mut self, classes: &Classes, chunk: &str, start: usize, end: usize) {
        let core = &chunk[start..end];
        let mut from = 0;
        let mut infix = next_infix(classes, core, 0);
        if infix.is_some() && is_address(classes, core) {
            infix = None;
        }
        while let Some((infix_start, infix_end)) = infix {
            if infix_start > 0 {
                if infix_start > from {
                    self.pieces.push(range(start + from, start + infix_start));
                }
                self.pieces.push(range(start + infix_start, start + infix_end));
                from = infix_end;
            }
            infix = next_infix(classes, core, infix_end);
        }
        if from < core.len() {
            self.pieces.push(range(start + from, end));
        }
    }

    /// Joins pieces that together are an exception which the rules have cut, the longest first.
    fn merge(&mut self, exceptions: &Exceptions, chunk: &str) {
        let bytes = chunk.as_bytes();
        self.merges.clear();
        for first in 0..self.pieces.len() - 1 {
            let (start, second) = (self.pieces[first].0 as usize, self.pieces[first + 1].0 as usize);
            if !exceptions.may_merge(bytes[start], bytes[second]) {
                continue;
            }
            let mut cuts = 0;
            for last in first + 1..self.pieces.len() {
                let end = self.pieces[last].1 as usize;
                if end - start > MAX_BYTES {
                    break;
                }
                cuts |= 1 << (self.pieces[last].0 as usize - start);
                let part = &bytes[start..end];
                if exceptions.find(part, tag(part)).is_some_and(|entry| entry.rule_cuts == Some(cuts)) {
                    self.merges.push((last + 1 - first, first));
                }
            }
        }
        if !self.merges.is_empty() {
            self.apply_merges(exceptions, bytes);
        }
    }

    fn apply_merges(&mut self, exceptions: &Exceptions, bytes: &[u8]) {
        let mut merges = std::mem::take(&mut self.merges);
        merges.sort_unstable_by_key(|&(count, first)| (usize::MAX - count, first));
        let old = std::mem::take(&mut self.pieces);
        let mut taken = vec![false; old.len()];
        merges.retain(|&(count, first)| {
            let free = !taken[first] && !taken[first + count - 1];
            // As in spaCy, a candidate that overlaps a longer one still blocks those after it.
            taken[first..first + count].fill(true);
            free
        });
        merges.sort_unstable_by_key(|&(_, first)| first);
        let mut next = 0;
        for &(count, first) in &merges {
            self.pieces.extend_from_slice(&old[next..first]);
            let (start, end) = (old[first].0 as usize, old[first + count - 1].1 as usize);
            let cuts = exceptions.find(&bytes[start..end], tag(&bytes[start..end])).map_or(0, |e| e.cuts);
            self.push_cut(cuts, start, end);
            next = first + count;
        }
        self.pieces.extend_from_slice(&old[next..]);
        self.merges = merges;
    }

    /// The cuts that the affix rules make in an exception, as a bit set, and the first byte of the second
    /// piece; `None` where they make none.
    pub(super) fn rule_cuts(&mut self, text: &str) -> Option<(u64, u8)> {
        self.split_chunk(Classes::get(), None, text);
        let &(second, _) = self.pieces.get(1)?;
        let cuts = self.pieces[1..].iter().fold(0, |cuts, &(start, _)| cuts | 1 << start);
        Some((cuts, text.as_bytes()[second as usize]))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the splitter looks at the first 4 GiB only")]
fn range(start: usize, end: usize) -> (u32, u32) {
    (start as u32, end as u32)
}

fn word(start: usize, end: usize, tag: u32, chars: usize, flags: u32) -> Word {
    let (start, end) = range(start, end);
    let chars = u32::try_from(chars).unwrap_or(CHARS).min(CHARS);
    Word { start, end, tag, bits: chars | flags }
}

/// A word with its length and flags counted from its characters.
fn measured(classes: &Classes, text: &str, start: usize, end: usize, opens_chunk: bool) -> Word {
    let part = &text[start..end];
    let mut flags = if opens_chunk { OPENS_CHUNK } else { 0 };
    let mut chars = 0;
    for c in part.chars() {
        let class = classes.of(c);
        chars += 1;
        if class & LETTER != 0 {
            flags |= HAS_LETTER;
        }
        if class & (PUNCTUATION | TERMINAL) == 0 {
            flags |= HAS_NON_SYMBOL;
        }
    }
    word(start, end, tag(part.as_bytes()), chars, flags)
}

/// A chunk of ASCII letters that is one word; `None` where it is an exception.
#[inline]
fn ordinary_word(exceptions: &Exceptions, bytes: &[u8], start: usize, end: usize) -> Option<Word> {
    let hash = tag(&bytes[start..end]);
    if exceptions.find(&bytes[start..end], hash).is_some() {
        return None;
    }
    Some(word(start, end, hash, end - start, OPENS_CHUNK | HAS_LETTER | HAS_NON_SYMBOL))
}

/// Whether the period behind a word of ASCII letters is a word of its own.
#[inline]
fn period_comes_off(exceptions: &Exceptions, bytes: &[u8], start: usize, end: usize) -> bool {
    let letters = &bytes[start..end];
    let by_rule = match letters {
        [.., a, b] if b.is_ascii_uppercase() => a.is_ascii_uppercase(),
        [.., b] => b.is_ascii_lowercase(),
        [] => false,
    };
    by_rule
        && (letters.len() >= MAX_BYTES
            || exceptions.find(&bytes[start..=end], tag(&bytes[start..=end])).is_none())
}

fn ascii_mark(bytes: &[u8], at: usize) -> Word {
    word(at, at + 1, tag(&bytes[at..=at]), 1, 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        let mut out = vec![(1, 1)];
        words(text, &mut out);
        out.iter().map(|&(start, end)| &text[start as usize..end as usize]).collect()
    }

    /// `text` with its words separated by `|`.
    fn marked(text: &str) -> String {
        cut(text).join("|")
    }

    #[test]
    fn english() {
        for (text, expected) in [
            ("", ""),
            (" \n\t", ""),
            ("Plain words, here.", "Plain|words|,|here|."),
            ("Don't we'll i'm DON'T", "Do|n't|we|'ll|i|'m|DON'T"),
            ("dont wont cannot its were", "do|nt|wo|nt|can|not|its|were"),
            ("id. im. ok.", "i|d.|i|m.|ok|."),
            ("Mr. Smith, Mr.Smith and A. B.", "Mr.|Smith|,|Mr.|Smith|and|A.|B."),
            ("U.S.A. e.g. etc. USA. McD.", "U.S.A.|e.g.|etc|.|USA|.|McD."),
            ("(see \"this\")...", "(|see|\"|this|\"|)|..."),
            ("mother-in-law's 5-year 5-6 1998-99", "mother|-|in|-|law|'s|5|-|year|5|-|6|1998|-|99"),
            ("10km 10am 5% $3.50 3.50$ US$5 5+", "10|km|10|am|5|%|$|3.50|3.50|$|US$|5|5|+"),
            ("end.Next end.next 7-8)", "end|.|Next|end.next|7|-|8)"),
            ("and/or either/or w/o a:b a,b 1,000", "and/or|either|/|or|w/o|a|:|b|a|,|b|1,000"),
            ("wait--what — yes…no", "wait|--|what|—|yes|…|no"),
            (":-) great:) '' x''", ":-)|great|:)|''|x|''"),
            ("20°C. ©2019 I♥NY", "20|°|C|.|©|2019|I|♥|NY"),
        ] {
            assert_eq!(marked(text), expected, "{text}");
        }
    }

    #[test]
    fn addresses() {
        for whole in [
            "http://example.com/a-b?c=d#e",
            "example.com/x-y",
            "a.b-c@d-e.org",
            "mailto-x+y@site.co.uk:8080/p-q",
            "8.8.8.8/a-b",
            "www.x-y.info",
        ] {
            assert_eq!(cut(whole), [whole]);
        }
        assert_eq!(marked("192.168.0.1/a-b"), "192.168.0.1|/|a|-|b");
        assert_eq!(marked("example.com-x"), "example.com|-|x");
        assert_eq!(marked("x-y@.org-z"), "x|-|y@.org|-|z");
    }

    #[test]
    fn other_scripts() {
        assert_eq!(marked("Привет, мир. «Да»"), "Привет|,|мир|.|«|Да|»");
        assert_eq!(marked("مرحبا بالعالم؟"), "مرحبا|بالعالم|؟");
        assert_eq!(marked("안녕하세요 세계."), "안녕하세요|세계|.");
        assert_eq!(
            marked("今天天气很好。我们2019年去iPhone店"),
            "今天|天气|很好|。|我们|2019|年|去|iPhone|店"
        );
        assert_eq!(marked("東京に行きます！"), "東京|に|行き|ます|！");
        assert_eq!(marked("ภาษาไทยง่าย"), "ภาษา|ไทย|ง่าย");
    }

    #[test]
    fn sentence_marks_of_other_scripts_end_lines() {
        // Hindi, Bengali, Urdu, Arabic, Armenian, Amharic, Burmese, Khmer, Chinese, Japanese.
        for (text, words) in [
            ("यह एक नदी है।", 5),
            ("এটি একটি নদী।", 4),
            ("یہ ایک دریا ہے۔", 5),
            ("هل هذا نهر؟", 4),
            ("Սա գետ է։", 4),
            ("ይህ ወንዝ ነው።", 4),
            ("ဒါက မြစ်တစ်ခု ဖြစ်သည်။", 6),
            ("នេះ ជា ទន្លេ។", 4),
            ("这是一条河。", 5),
            ("これは川です！", 5),
        ] {
            let found = cut(text);
            assert!(Classes::get().of_last(text) & TERMINAL != 0, "{text}");
            // spaCy's English rules leave the marks of Armenian and Ethiopic at the word, and so do we.
            let sticks = text.ends_with(['։', '።']);
            assert_eq!(found.last().map(|last| last.chars().count() > 1), Some(sticks), "{found:?}");
            assert!(found.len().abs_diff(words) <= 2, "{found:?} are not about {words} words");
        }
        // Scripts without sentence marks are cut by the dictionary all the same.
        for (text, words) in [("แม่น้ำสายนี้กว้างมาก", 4..=6), ("ແມ່ນ້ຳນີ້ກວ້າງຫຼາຍ", 3..=6)]
        {
            assert!(words.contains(&cut(text).len()), "{:?}", cut(text));
        }
    }

    #[test]
    fn length_and_flags() {
        let mut found = Vec::new();
        Splitter::default().split("Ünï-x… 42 •", |word| found.push(word));
        let facts: Vec<_> = found
            .iter()
            .map(|word| (word.chars(), word.opens_chunk(), word.has_letter(), word.has_non_symbol()))
            .collect();
        assert_eq!(
            facts,
            [
                (3, true, true, true),
                (1, false, false, false),
                (1, false, true, true),
                (1, false, false, false),
                (2, true, false, true),
                (1, true, false, true),
            ]
        );
    }

    #[test]
    fn the_published_examples() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/spec/text_vectors.json");
        let Ok(bytes) = crate::io::read_side_file(std::path::Path::new(path)) else {
            println!("skipped: `{path}` is absent");
            return;
        };
        let examples: Vec<serde_json::Value> = serde_json::from_slice(&bytes).unwrap();
        let mut simplified = String::new();
        for example in &examples {
            let text = example["text"].as_str().unwrap();
            crate::text::simplify::simplify(text, &mut simplified);
            assert_eq!(simplified, example["simplified"].as_str().unwrap());
            if text.contains('日') {
                continue; // We cut Japanese and Chinese into words, see the head of this file.
            }
            assert_eq!(serde_json::json!(cut(text)), example["words"]);
            assert_eq!(serde_json::json!(cut(&simplified)), example["words_of_simplified"]);
            let mut found = Vec::new();
            Splitter::default().split(text, |word| found.push(word));
            let mut sentences = Vec::new();
            crate::text::sentences::sentences(text, &found, &mut sentences);
            let sentences: Vec<_> = sentences.iter().map(|&(start, end)| &text[start..end]).collect();
            assert_eq!(serde_json::json!(sentences), example["sentences"]);
        }
    }

    proptest! {
        #[test]
        fn words_hold_all_but_the_white_space(text in "(\\PC|[a-z.,:'-]{1,6}|\\s|don't|8\\)|日本)*") {
            let classes = Classes::get();
            let mut found = Vec::new();
            Splitter::default().split(&text, |word| found.push(word));
            let visible: String = text.chars().filter(|&c| classes.of(c) & SPACE == 0).collect();
            let joined: String = found.iter().map(|word| word.of(&text)).collect();
            prop_assert_eq!(visible, joined);
            for word in &found {
                prop_assert_eq!(word.chars() as usize, word.of(&text).chars().count());
                prop_assert_eq!(word.tag, tag(word.of(&text).as_bytes()));
            }
        }
    }
}
