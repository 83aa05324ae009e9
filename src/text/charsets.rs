//! Character classes that the word splitter, the sentence splitter and the filters share.
//!
//! Two of the sets are fixed lists of datatrove 0.10 (`PUNCTUATION`, `TERMINAL_PUNCTUATION`), one is the
//! list of sentence-ending marks of spaCy's sentencizer. The classes of the word splitter (letters, symbols,
//! quotes, ...) are those of spaCy 3.8, expressed through Unicode properties: a letter of a cased script is
//! lower or upper by its Unicode property, a symbol is general category `So`. Against spaCy's own tables this
//! differs in U+0294, which is a letter without case here, and in symbols added after Unicode 11, which
//! count as symbols here and as ordinary characters there.
//!
//! All classes of a character are bits of one `u32`, looked up in a two-level table that is built on first use.

use std::sync::LazyLock;

use unicode_general_category::{GeneralCategory as Gc, get_general_category};

/// White space as Python's `str.isspace` has it: `White_Space` plus U+001C to U+001F.
pub const SPACE: u32 = 1;
/// Letter of a script that the word rules know.
pub const ALPHA: u32 = 1 << 1;
/// Of those: lower case or without case.
pub const LOWER: u32 = 1 << 2;
/// Of those: upper case or without case.
pub const UPPER: u32 = 1 << 3;
/// Symbol (`So`): emoji, dingbats, `©`, `°`.
pub const SYMBOL: u32 = 1 << 4;
/// Quotation mark or bracket of the word rules.
pub const QUOTE: u32 = 1 << 5;
/// Punctuation mark of the word rules.
pub const MARK: u32 = 1 << 6;
/// Splits off at the start of a chunk, whatever follows.
pub const PREFIX: u32 = 1 << 7;
/// Splits off at the end of a chunk, whatever precedes.
pub const SUFFIX: u32 = 1 << 8;
/// Takes part in no rule: a run of such characters is never cut.
pub const PLAIN: u32 = 1 << 9;
/// Python's `str.isalpha`: general category `L*`.
pub const LETTER: u32 = 1 << 10;
/// General category `P*`.
pub const PUNCT_CATEGORY: u32 = 1 << 11;
/// Ends a sentence (spaCy's sentencizer).
pub const SENTENCE_END: u32 = 1 << 12;
/// In datatrove's `PUNCTUATION`: becomes a space in simplified text.
pub const PUNCTUATION: u32 = 1 << 13;
/// In datatrove's `TERMINAL_PUNCTUATION`: ends a line properly.
pub const TERMINAL: u32 = 1 << 14;
/// Letter of a script that puts no spaces between words (Han, kana, Thai, Lao, Khmer, Burmese), or a mark
/// inside such words.
pub const SPACELESS: u32 = 1 << 15;
/// ASCII digit.
pub const DIGIT: u32 = 1 << 16;
/// Currency sign that splits off after a digit.
pub const CURRENCY: u32 = 1 << 17;
/// General category `Nd`.
pub const DECIMAL: u32 = 1 << 18;
/// General category `Mn`.
pub const NONSPACING: u32 = 1 << 19;
/// Ends a line in Python's `str.splitlines`.
pub const LINE_END: u32 = 1 << 20;

/// What sort of character one is; every character is of exactly one. Kept in the upper bits of the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Control, format, private or unassigned.
    Other,
    /// Upper-case letter.
    Upper,
    /// Lower-case letter.
    Lower,
    /// Letter without case, or title case.
    Uncased,
    /// Mark that belongs to the letter before it (`M*`): accents, vowel signs.
    Combining,
    /// Decimal digit (`Nd`).
    Decimal,
    /// Other number (`Nl`, `No`).
    Number,
    /// White space, see [`SPACE`].
    Space,
    /// Punctuation (`P*`).
    Punctuation,
    /// Symbol (`S*`).
    Symbol,
}

/// Number of kinds.
pub const KINDS: usize = 10;
const KIND_SHIFT: u32 = 24;

/// Marks of the word rules.
const MARKS: &str = "!#&()*,:;<>?[]_{}¡·¿،؛؟٪۔।…、。！，：；？～";
/// Quotes and brackets of the word rules.
const QUOTES: &str = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉\u{2329}\u{232A}⟦⟧";
/// Further characters that split off in front.
const PREFIXES: &str = "§%=—–";
/// Further characters that split off at the end.
const SUFFIXES: &str = "—–";
/// Characters that rules look at although they split off in neither place on their own.
const CONDITIONAL: &str = ".+-^/@~\\=%³²0123456789";

/// datatrove `PUNCTUATION`.
const PUNCTUATION_RANGES: &[(u32, u32)] = &[
    (0x0000, 0x0008),
    (0x000B, 0x001F),
    (0x0021, 0x002F),
    (0x003A, 0x0040),
    (0x005B, 0x0060),
    (0x007B, 0x009F),
    (0x00AB, 0x00AB),
    (0x00B4, 0x00B4),
    (0x00BB, 0x00BB),
    (0x2013, 0x2014),
    (0x2019, 0x2019),
    (0x201C, 0x201E),
    (0x2026, 0x2026),
    (0x2236, 0x2236),
    (0x2501, 0x2501),
    (0x25BA, 0x25BA),
    (0x3001, 0x3002),
    (0x3008, 0x300D),
    (0x3010, 0x3011),
    (0xFF01, 0xFF01),
    (0xFF05, 0xFF05),
    (0xFF08, 0xFF09),
    (0xFF0C, 0xFF0C),
    (0xFF0E, 0xFF0E),
    (0xFF11, 0xFF11),
    (0xFF1A, 0xFF1B),
    (0xFF1F, 0xFF1F),
    (0xFF5E, 0xFF5E),
];

/// Marks that end a sentence both for spaCy and for datatrove (128 of them).
const SENTENCE_END_RANGES: &[(u32, u32)] = &[
    (0x0021, 0x0021),
    (0x002E, 0x002E),
    (0x003F, 0x003F),
    (0x0589, 0x0589),
    (0x061F, 0x061F),
    (0x06D4, 0x06D4),
    (0x0700, 0x0702),
    (0x07F9, 0x07F9),
    (0x0964, 0x0965),
    (0x104A, 0x104B),
    (0x1362, 0x1362),
    (0x1367, 0x1368),
    (0x166E, 0x166E),
    (0x1735, 0x1736),
    (0x1803, 0x1803),
    (0x1809, 0x1809),
    (0x1944, 0x1945),
    (0x1AA8, 0x1AAB),
    (0x1B5A, 0x1B5B),
    (0x1B5E, 0x1B5F),
    (0x1C3B, 0x1C3C),
    (0x1C7E, 0x1C7F),
    (0x203C, 0x203D),
    (0x2047, 0x2049),
    (0x2E2E, 0x2E2E),
    (0x2E3C, 0x2E3C),
    (0x3002, 0x3002),
    (0xA4FF, 0xA4FF),
    (0xA60E, 0xA60F),
    (0xA6F3, 0xA6F3),
    (0xA6F7, 0xA6F7),
    (0xA876, 0xA877),
    (0xA8CE, 0xA8CF),
    (0xA92F, 0xA92F),
    (0xA9C8, 0xA9C9),
    (0xAA5D, 0xAA5F),
    (0xAAF0, 0xAAF1),
    (0xABEB, 0xABEB),
    (0xFE52, 0xFE52),
    (0xFE56, 0xFE57),
    (0xFF01, 0xFF01),
    (0xFF0E, 0xFF0E),
    (0xFF1F, 0xFF1F),
    (0xFF61, 0xFF61),
    (0x10A56, 0x10A57),
    (0x11047, 0x11048),
    (0x110BE, 0x110C1),
    (0x11141, 0x11143),
    (0x111C5, 0x111C6),
    (0x111CD, 0x111CD),
    (0x111DE, 0x111DF),
    (0x11238, 0x11239),
    (0x1123B, 0x1123C),
    (0x112A9, 0x112A9),
    (0x1144B, 0x1144C),
    (0x115C2, 0x115C3),
    (0x115C9, 0x115D7),
    (0x11641, 0x11642),
    (0x1173C, 0x1173E),
    (0x11A42, 0x11A43),
    (0x11A9B, 0x11A9C),
    (0x11C41, 0x11C42),
    (0x16A6E, 0x16A6F),
    (0x16AF5, 0x16AF5),
    (0x16B37, 0x16B38),
    (0x16B44, 0x16B44),
    (0x1BC9F, 0x1BC9F),
    (0x1DA88, 0x1DA88),
];

/// datatrove `TERMINAL_PUNCTUATION` beyond the marks that end a sentence.
const TERMINAL_ONLY_RANGES: &[(u32, u32)] = &[
    (0x061D, 0x061E),
    (0x0837, 0x0837),
    (0x0839, 0x0839),
    (0x083D, 0x083E),
    (0x17D4, 0x17D6),
    (0x17D9, 0x17DA),
    (0x1B7D, 0x1B7E),
    (0x2E53, 0x2E54),
    (0x10F55, 0x10F59),
    (0x10F86, 0x10F89),
    (0x11944, 0x11944),
    (0x11946, 0x11946),
    (0x11EF7, 0x11EF8),
    (0x11F43, 0x11F44),
    (0x16E98, 0x16E98),
];

/// Letters with case that the word rules know: Latin, Greek and Cyrillic with their extensions. The Greek and
/// Cyrillic parts are the letters of modern languages only, as in spaCy.
const CASED_RANGES: &[(u32, u32)] = &[
    (0x41, 0x5A),
    (0x61, 0x7A),
    (0xC0, 0xD6),
    (0xD8, 0xF6),
    (0xF8, 0x1BF),
    (0x1C4, 0x2AF),
    (0x386, 0x386),
    (0x388, 0x38A),
    (0x38C, 0x38C),
    (0x38E, 0x38F),
    (0x391, 0x3A9),
    (0x3AC, 0x3AF),
    (0x3B1, 0x3C9),
    (0x3CC, 0x3CE),
    (0x400, 0x401),
    (0x403, 0x40A),
    (0x40C, 0x40D),
    (0x410, 0x451),
    (0x453, 0x45A),
    (0x45C, 0x45D),
    (0x490, 0x491),
    (0x496, 0x497),
    (0x4A2, 0x4A3),
    (0x4AE, 0x4AF),
    (0x4BA, 0x4BB),
    (0x4D8, 0x4D9),
    (0x4E8, 0x4E9),
    (0x1D00, 0x1D25),
    (0x1D6B, 0x1D77),
    (0x1D79, 0x1D9A),
    (0x1E00, 0x1EFF),
    (0x2C60, 0x2C7B),
    (0x2C7E, 0x2C7F),
    (0xA722, 0xA76F),
    (0xA771, 0xA787),
    (0xA78B, 0xA78E),
    (0xA790, 0xA7B9),
    (0xA7FA, 0xA7FA),
    (0xAB30, 0xAB5A),
    (0xAB60, 0xAB64),
    (0xFF21, 0xFF3A),
    (0xFF41, 0xFF5A),
];

/// Blocks without case that the word rules take for letters as a whole, marks and signs included: Hebrew,
/// Arabic, Devanagari, Bengali, Tamil, Telugu, Kannada, Sinhala, Ethiopic, Hangul, kana, CJK.
const UNCASED_RANGES: &[(u32, u32)] = &[
    (0x591, 0x5F4),
    (0x620, 0x64A),
    (0x66E, 0x6D5),
    (0x6E5, 0x6FF),
    (0x750, 0x77F),
    (0x8A0, 0x8BD),
    (0x900, 0x9FF),
    (0xB80, 0xCFF),
    (0xD80, 0xDFF),
    (0x1100, 0x137F),
    (0x2E80, 0x2FDF),
    (0x2FF0, 0x30FF),
    (0x31C0, 0x31EF),
    (0x3200, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7AF),
    (0xF900, 0xFAFF),
    (0xFB1D, 0xFBB1),
    (0xFBD3, 0xFD3D),
    (0xFD50, 0xFDC7),
    (0xFDF0, 0xFDFB),
    (0xFE30, 0xFE4F),
    (0xFE70, 0xFEFC),
    (0x1EE00, 0x1EEBB),
    (0x1F200, 0x1F2FF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2EBEF),
    (0x2F800, 0x2FA1F),
];

/// Blocks of scripts without spaces between words; only letters and marks of them count.
const SPACELESS_RANGES: &[(u32, u32)] = &[
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x19E0, 0x19FF),
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3031, 0x3035),
    (0x3038, 0x303C),
    (0x3041, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF),
    (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x1AFF0, 0x1B16F),
    (0x20000, 0x323AF),
];

fn within(ranges: &[(u32, u32)], c: u32) -> bool {
    let place = ranges.partition_point(|&(_, last)| last < c);
    ranges.get(place).is_some_and(|&(first, _)| first <= c)
}

/// Whether Python's `str.isspace` holds for the character.
#[must_use]
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1C}'..='\u{1F}')
}

fn classify(c: char) -> u32 {
    let code = u32::from(c);
    let category = get_general_category(c);
    let mut class = 0;
    let mut set = |bit: u32, holds: bool| {
        if holds {
            class |= bit;
        }
    };
    let cased = within(CASED_RANGES, code);
    let uncased = within(UNCASED_RANGES, code);
    let symbol = category == Gc::OtherSymbol;
    let quote = QUOTES.contains(c);
    let mark = MARKS.contains(c);
    let currency = matches!(c, '$' | '£' | '¥' | '฿' | '﷼' | '\u{20A0}'..='\u{20BF}');
    let sentence_end = within(SENTENCE_END_RANGES, code);
    let letter = matches!(
        category,
        Gc::UppercaseLetter
            | Gc::LowercaseLetter
            | Gc::TitlecaseLetter
            | Gc::ModifierLetter
            | Gc::OtherLetter
    );
    let combining = matches!(category, Gc::NonspacingMark | Gc::SpacingMark | Gc::EnclosingMark);
    let prefix = symbol || quote || mark || currency || PREFIXES.contains(c);
    let suffix = symbol || quote || mark || SUFFIXES.contains(c);
    let spaceless = within(SPACELESS_RANGES, code) && (letter || combining || c == '\u{3007}');

    set(SPACE, is_space(c));
    set(ALPHA, cased || uncased);
    set(LOWER, uncased || (cased && c.is_lowercase()));
    set(UPPER, uncased || (cased && c.is_uppercase()));
    set(SYMBOL, symbol);
    set(QUOTE, quote);
    set(MARK, mark);
    set(PREFIX, prefix);
    set(SUFFIX, suffix);
    set(CURRENCY, currency);
    set(PLAIN, !prefix && !suffix && !is_space(c) && !spaceless && !CONDITIONAL.contains(c));
    set(LETTER, letter);
    set(NONSPACING, category == Gc::NonspacingMark);
    set(DECIMAL, category == Gc::DecimalNumber);
    set(SENTENCE_END, sentence_end);
    set(PUNCTUATION, within(PUNCTUATION_RANGES, code));
    set(TERMINAL, sentence_end || within(TERMINAL_ONLY_RANGES, code));
    set(SPACELESS, spaceless);
    set(DIGIT, c.is_ascii_digit());
    let kind = match category {
        _ if is_space(c) => Kind::Space,
        _ if letter && c.is_uppercase() => Kind::Upper,
        _ if letter && c.is_lowercase() => Kind::Lower,
        _ if letter => Kind::Uncased,
        _ if combining => Kind::Combining,
        Gc::DecimalNumber => Kind::Decimal,
        Gc::LetterNumber | Gc::OtherNumber => Kind::Number,
        Gc::ConnectorPunctuation
        | Gc::DashPunctuation
        | Gc::OpenPunctuation
        | Gc::ClosePunctuation
        | Gc::InitialPunctuation
        | Gc::FinalPunctuation
        | Gc::OtherPunctuation => Kind::Punctuation,
        Gc::MathSymbol | Gc::CurrencySymbol | Gc::ModifierSymbol | Gc::OtherSymbol => Kind::Symbol,
        _ => Kind::Other,
    };
    set(LINE_END, matches!(c, '\n'..='\r' | '\u{1C}'..='\u{1E}' | '\u{85}' | '\u{2028}' | '\u{2029}'));
    set(PUNCT_CATEGORY, kind == Kind::Punctuation);
    class | (kind as u32) << KIND_SHIFT
}

/// Number of the [`Kind`] in class bits.
#[must_use]
#[inline]
pub fn kind_number(class: u32) -> usize {
    (class >> KIND_SHIFT) as usize
}

/// Characters below this have an entry in the table; the few above it are classified when asked for.
const TABLE_END: u32 = 0x20000;

/// The classes of all characters.
pub struct Classes {
    /// Number of the page that holds each block of 256 characters.
    pages: Vec<u16>,
    /// Distinct pages, one after the other.
    bits: Vec<u32>,
}

static CLASSES: LazyLock<Classes> = LazyLock::new(Classes::build);

impl Classes {
    /// The table; built by the first caller.
    #[must_use]
    pub fn get() -> &'static Self {
        &CLASSES
    }

    fn build() -> Self {
        let mut pages = Vec::new();
        let mut bits: Vec<u32> = Vec::new();
        for block in 0..TABLE_END / 256 {
            let page: Vec<u32> =
                (block * 256..block * 256 + 256).map(|c| char::from_u32(c).map_or(0, classify)).collect();
            let known = bits.chunks(256).position(|other| other == page);
            let number = known.unwrap_or_else(|| {
                bits.extend_from_slice(&page);
                bits.len() / 256 - 1
            });
            pages.push(u16::try_from(number).expect("at most 512 pages"));
        }
        Self { pages, bits }
    }

    /// The class bits of a character.
    #[must_use]
    #[inline]
    pub fn of(&self, c: char) -> u32 {
        let code = u32::from(c) as usize;
        match self.pages.get(code >> 8) {
            Some(&page) => self.bits[usize::from(page) << 8 | (code & 255)],
            None => classify(c),
        }
    }

    /// The class bits of the last character, 0 for an empty text.
    #[must_use]
    #[inline]
    pub fn of_last(&self, text: &str) -> u32 {
        text.chars().next_back().map_or(0, |c| self.of(c))
    }

    /// The class bits of the first character, 0 for an empty text.
    #[must_use]
    #[inline]
    pub fn of_first(&self, text: &str) -> u32 {
        text.chars().next().map_or(0, |c| self.of(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_have_the_published_sizes() {
        let count = |bit: u32| {
            (0..0x11_0000).filter_map(char::from_u32).filter(|&c| Classes::get().of(c) & bit != 0).count()
        };
        assert_eq!(count(PUNCTUATION), 129);
        assert_eq!(count(TERMINAL), 159);
        assert_eq!(count(SENTENCE_END), 128);
        assert_eq!(count(PUNCTUATION | TERMINAL), 281);
        assert_eq!(count(SPACE), 29);
        assert_eq!(count(LINE_END), 10);
    }

    #[test]
    fn kinds_of_some_characters() {
        let of = |c| kind_number(Classes::get().of(c));
        for (c, kind) in [
            ('\u{0}', Kind::Other),
            ('Ж', Kind::Upper),
            ('ß', Kind::Lower),
            ('漢', Kind::Uncased),
            ('ǅ', Kind::Uncased),
            ('\u{301}', Kind::Combining),
            ('٣', Kind::Decimal),
            ('½', Kind::Number),
            ('\u{3000}', Kind::Space),
            ('«', Kind::Punctuation),
            ('€', Kind::Symbol),
        ] {
            assert_eq!(of(c), kind as usize, "{c}");
        }
        assert_eq!(Kind::Symbol as usize + 1, KINDS);
    }

    #[test]
    fn classes_of_some_characters() {
        let of = |c| Classes::get().of(c);
        assert_eq!(of('a') & (PLAIN | ALPHA | LOWER | UPPER), PLAIN | ALPHA | LOWER);
        assert_eq!(of('Ж') & (PLAIN | ALPHA | LOWER | UPPER), PLAIN | ALPHA | UPPER);
        assert_eq!(of('ب') & (ALPHA | LOWER | UPPER), ALPHA | LOWER | UPPER);
        assert_eq!(of('°') & (PREFIX | SUFFIX | SYMBOL | PLAIN), PREFIX | SUFFIX | SYMBOL);
        assert_eq!(of('ー') & SPACELESS, SPACELESS);
        assert_eq!(of('。') & (SPACELESS | SENTENCE_END), SENTENCE_END);
        assert_eq!(of('한') & SPACELESS, 0);
        assert_eq!(of('\u{2F81A}') & (SPACELESS | ALPHA), SPACELESS | ALPHA);
    }
}
