//! How many characters of each sort a text has, counted in one pass for all filters that ask.
//!
//! ASCII is counted by character, eight at a time; of other characters the [`Kind`] is counted, and punctuation
//! marks by character, so that brackets or sentence marks of any script can be told apart later.

use super::charsets::{Classes, KINDS, Kind, kind_number};

/// The counts.
#[derive(Debug, Clone)]
pub struct CharCounts {
    /// All characters.
    pub chars: u64,
    kinds: [u64; KINDS],
    ascii: [u64; 128],
    /// Punctuation marks beyond ASCII, sorted by character.
    marks: Vec<(char, u64)>,
}

impl Default for CharCounts {
    fn default() -> Self {
        Self { chars: 0, kinds: [0; KINDS], ascii: [0; 128], marks: Vec::new() }
    }
}

impl CharCounts {
    /// Counts a text; what was counted before is forgotten.
    pub(super) fn count(&mut self, text: &str) {
        self.kinds = [0; KINDS];
        self.marks.clear();
        let classes = Classes::get();
        // Neighbours count in different tables, so that one need not wait for the other.
        let mut tables = [[0_u64; 128]; 4];
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            if let Some(eight) = bytes[at..].first_chunk::<8>()
                && u64::from_le_bytes(*eight) & 0x8080_8080_8080_8080 == 0
            {
                for (place, byte) in eight.iter().enumerate() {
                    tables[place & 3][usize::from(*byte & 127)] += 1;
                }
                at += 8;
            } else if bytes[at] < 0x80 {
                tables[0][usize::from(bytes[at])] += 1;
                at += 1;
            } else {
                at += self.count_other(classes, &text[at..]);
            }
        }
        for (byte, c) in (0..128_u8).enumerate() {
            let count = tables.iter().map(|table| table[byte]).sum();
            self.ascii[byte] = count;
            self.kinds[kind_number(classes.of(char::from(c)))] += count;
        }
        self.chars = self.kinds.iter().sum();
    }

    /// Counts the first character; returns its bytes.
    fn count_other(&mut self, classes: &Classes, text: &str) -> usize {
        let Some(c) = text.chars().next() else { return 0 };
        let kind = kind_number(classes.of(c));
        self.kinds[kind] += 1;
        if kind == Kind::Punctuation as usize {
            match self.marks.binary_search_by_key(&c, |&(mark, _)| mark) {
                Ok(place) => self.marks[place].1 += 1,
                Err(place) => self.marks.insert(place, (c, 1)),
            }
        }
        c.len_utf8()
    }

    /// Characters of one kind.
    #[must_use]
    pub fn of_kind(&self, kind: Kind) -> u64 {
        self.kinds[kind as usize]
    }

    /// Letters and the marks that belong to them.
    #[must_use]
    pub fn letters(&self) -> u64 {
        [Kind::Upper, Kind::Lower, Kind::Uncased, Kind::Combining].map(|kind| self.of_kind(kind)).iter().sum()
    }

    /// Digits and other numbers.
    #[must_use]
    pub fn numbers(&self) -> u64 {
        self.of_kind(Kind::Decimal) + self.of_kind(Kind::Number)
    }

    /// How often a character of ASCII occurs; 0 for any other.
    #[must_use]
    pub fn of_ascii(&self, c: char) -> u64 {
        self.ascii.get(c as usize).copied().unwrap_or(0)
    }

    /// Letters and digits of ASCII.
    #[must_use]
    pub fn ascii_alphanumerics(&self) -> u64 {
        (0..128_u8).filter(u8::is_ascii_alphanumeric).map(|byte| self.ascii[usize::from(byte)]).sum()
    }

    /// Punctuation marks (`P*`) that occur, with their number.
    pub fn marks(&self) -> impl Iterator<Item = (char, u64)> {
        let ascii = (0..128_u8).map(char::from).zip(self.ascii);
        ascii.filter(|(c, count)| *count > 0 && is_ascii_mark(*c)).chain(self.marks.iter().copied())
    }
}

/// ASCII characters of category `P*`: the rest of ASCII's punctuation are symbols.
fn is_ascii_mark(c: char) -> bool {
    c.is_ascii_punctuation() && !matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_are_those_of_the_characters(text in any::<String>(), words in "[a-z ,.]{0,40}") {
            let text = format!("{words}{text}{words}、（é");
            let mut counts = CharCounts::default();
            counts.count("something else！");
            counts.count(&text);
            let classes = Classes::get();
            prop_assert_eq!(counts.chars, text.chars().count() as u64);
            for number in 0..KINDS {
                let plain = text.chars().filter(|&c| kind_number(classes.of(c)) == number).count() as u64;
                prop_assert_eq!(counts.kinds[number], plain, "kind {}", number);
            }
            for c in ('\0'..'\u{80}').filter(|&c| text.contains(c)) {
                prop_assert_eq!(counts.of_ascii(c), text.chars().filter(|&other| other == c).count() as u64);
            }
            let marks: u64 = counts.marks().map(|(_, count)| count).sum();
            prop_assert_eq!(marks, counts.of_kind(Kind::Punctuation));
            prop_assert!(counts.marks().any(|(c, count)| c == '（' && count >= 1));
        }
    }
}
