//! How much the order of a text's letters says: the language-free sign that a text is not scrambled.
//!
//! In any language a letter tells something of the next one (Shannon 1951 counts how much); in letters that were
//! shuffled, keyed at random or encoded it tells nothing. The measure is the mutual information of neighbouring letters inside words,
//! in bits. Counted in a short text it is far above zero even for random letters, by an amount that depends on
//! the alphabet; so the text's own shuffle is counted too and the difference taken: both have the same letters, so it is the
//! entropy of the shuffle's pairs less that of the text's. Our own; stop words ask for a language that is known.
//!
//! Han, kana and Hangul are left out: with thousands of different characters a page holds hardly a pair twice.

use super::charsets::{Classes, Kind, kind_number};

/// Pairs from the start of the text that are counted.
const MAX_PAIRS: usize = 4096;
/// Fewer pairs than this tell nothing.
pub const MIN_PAIRS: usize = 200;
/// Different letters that are told apart; pairs with others are left out.
const MAX_LETTERS: usize = 255;

/// Buffers of the measure.
#[derive(Debug, Default)]
pub struct LetterOrder {
    letters: Vec<char>,
    /// Number of an ASCII letter in `letters` plus one, 0 for none yet.
    ascii: Vec<u8>,
    first: Vec<u8>,
    second: Vec<u8>,
    counts: Vec<u16>,
}

impl LetterOrder {
    /// Bits that a letter tells of the next one beyond what it does in a shuffle: about 0 for scrambled letters, 0.3 to 2 for
    /// languages; `None` where fewer than [`MIN_PAIRS`] pairs can be counted. Of the first 4,096 pairs.
    pub fn bits(&mut self, text: &str) -> Option<f64> {
        self.collect(text);
        if self.first.len() < MIN_PAIRS {
            return None;
        }
        let own = self.entropy();
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        for last in (1..self.second.len()).rev() {
            // xorshift64: any fixed order without a pattern does.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let other = ((random >> 32) * (last as u64 + 1)) >> 32;
            self.second.swap(last, other as usize);
        }
        Some(self.entropy() - own)
    }

    fn collect(&mut self, text: &str) {
        self.letters.clear();
        self.ascii.clear();
        self.ascii.resize(128, 0);
        self.first.clear();
        self.second.clear();
        let classes = Classes::get();
        let mut before = None;
        for c in text.chars() {
            let letter = self.letter(c, classes);
            if let (Some(first), Some(second)) = (before, letter) {
                self.first.push(first);
                self.second.push(second);
                if self.first.len() == MAX_PAIRS {
                    return;
                }
            }
            before = letter;
        }
    }

    /// The number of a letter, the same for both cases.
    fn letter(&mut self, c: char, classes: &Classes) -> Option<u8> {
        if c.is_ascii() {
            if !c.is_ascii_alphabetic() {
                return None;
            }
            let place = usize::from(c.to_ascii_lowercase() as u8);
            if self.ascii[place] > 0 {
                return Some(self.ascii[place] - 1);
            }
            let number = self.number(c.to_ascii_lowercase())?;
            self.ascii[place] = number + 1;
            return Some(number);
        }
        let kind = kind_number(classes.of(c));
        let is_letter = (Kind::Upper as usize..=Kind::Combining as usize).contains(&kind);
        if !is_letter || has_thousands(c) {
            return None;
        }
        let lower = c.to_lowercase().next().unwrap_or(c);
        match self.letters.iter().position(|known| *known == lower) {
            Some(number) => u8::try_from(number).ok(),
            None => self.number(lower),
        }
    }

    fn number(&mut self, letter: char) -> Option<u8> {
        if self.letters.len() == MAX_LETTERS {
            return None;
        }
        self.letters.push(letter);
        u8::try_from(self.letters.len() - 1).ok()
    }

    /// Entropy of the pairs in bits.
    fn entropy(&mut self) -> f64 {
        let width = self.letters.len();
        self.counts.clear();
        self.counts.resize(width * width, 0);
        for (&first, &second) in self.first.iter().zip(&self.second) {
            self.counts[usize::from(first) * width + usize::from(second)] += 1;
        }
        let counted = self.counts.iter().filter(|count| **count > 1).map(|&count| f64::from(count));
        let all = self.first.len() as f64;
        all.log2() - counted.map(|count| count * count.log2()).sum::<f64>() / all
    }
}

/// Whether a character's script has thousands of them.
const fn has_thousands(c: char) -> bool {
    matches!(c as u32, 0x2E80..=0x30FF | 0x3130..=0x9FFF | 0xA000..=0xA4CF | 0xAC00..=0xD7FF | 0xF900..=0xFAFF | 0xFF66..=0xFFDC | 0x1_7000..=0x1_8DFF | 0x1_B000..=0x1_B2FF | 0x2_0000..=0x3_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROSE: &str = "The ferry across the lower river ran for a hundred and twelve years, and most of that time nobody \
        thought about it at all. It took the farmers to market in the morning, the children to the school on the other \
        bank, and the doctor whenever he was called. When the bridge was opened in spring, the two brothers were asked what \
        would become of the boat.";

    #[test]
    fn prose_has_order_and_its_shuffle_has_none() {
        let mut measure = LetterOrder::default();
        let prose = measure.bits(PROSE).unwrap();
        assert!(prose > 0.4, "{prose}");
        let mut letters: Vec<char> = PROSE.chars().filter(|c| c.is_alphabetic()).collect();
        let mut random = 7_usize;
        for last in (1..letters.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            letters.swap(last, (random >> 33) % (last + 1));
        }
        let mut letters = letters.into_iter();
        let shuffled: String =
            PROSE.chars().map(|c| if c.is_alphabetic() { letters.next().unwrap() } else { c }).collect();
        let shuffled = measure.bits(&shuffled).unwrap();
        assert!(shuffled.abs() < 0.2, "{shuffled}");
        assert_eq!(measure.bits(PROSE), Some(prose), "nothing is left of the text before");
        assert_eq!(measure.bits(&PROSE.to_uppercase()), Some(prose));
    }

    #[test]
    fn short_texts_and_scripts_of_thousands_say_nothing() {
        let mut measure = LetterOrder::default();
        assert_eq!(measure.bits(""), None);
        assert_eq!(measure.bits(&"ab ".repeat(MIN_PAIRS - 1)), None);
        assert!(measure.bits(&"ab ".repeat(MIN_PAIRS)).is_some());
        assert_eq!(measure.bits(&"河边的渡船走了一百多年，".repeat(100)), None);
        assert_eq!(measure.bits(&"강을 건너는 배는 ".repeat(100)), None);
    }

    #[test]
    fn any_number_of_letters_is_counted() {
        let mut measure = LetterOrder::default();
        let many: String = (0x400..0x2E00).filter_map(char::from_u32).collect::<String>().repeat(3);
        assert!(measure.bits(&many).is_some_and(f64::is_finite));
    }
}
