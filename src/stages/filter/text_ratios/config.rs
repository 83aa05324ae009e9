//! Options of `text_ratios`: a limit for each measure, and what the measures go by.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::rules::count;
use super::checks::LIMITS;

/// Options of `text_ratios`. `null` switches a check off; a page exactly at a limit is kept. The limits that are
/// set are those that NeMo Curator publishes. Lines are what stands between newlines, blank ones left out;
/// paragraphs what stands between runs of two or more newlines.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Largest share of characters that are neither letters (with their accents and vowel signs), numbers, newlines, commas
    /// nor sentence marks; a blank counts. NeMo Curator: `NonAlphaNumericFilter`, 0.25, which knows only `a-z`, `A-Z`,
    /// `0-9`, `?!,.` and so calls Russian or Chinese text non-alphanumeric; `ascii_letters_only` does the same.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_non_alphanumeric_ratio: Option<f64>,
    /// Largest share of characters that are decimal digits, of any script. NeMo Curator: `NumbersFilter`, 0.15.
    /// RedPajama-v2 has it per line (`rps_lines_numerical_chars_fraction`).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_number_ratio: Option<f64>,
    /// Largest share of characters in web addresses: from `http://` or `https://` to white space, a quotation mark, `<`, `>`
    /// or a character beyond ASCII, marks at the end left out. NeMo Curator: `UrlsFilter`, 0.2, whose pattern ends at the
    /// first `/`, `?`, `=` or `~` behind the host, so that it counts less.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_url_ratio: Option<f64>,
    /// Largest share of characters that are white space. NeMo Curator: `WhiteSpaceFilter`, 0.25, which counts blank, tab,
    /// `\n`, `\r` and backspace; here it is Unicode's white space and U+001C to U+001F.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_white_space_ratio: Option<f64>,
    /// Largest share of characters that are `(`, `)`, `[`, `]`, `{`, `}`, `⟨`, `⟩` or the wide forms of these.
    /// NeMo Curator: `ParenthesesFilter`, 0.1, without wide forms.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_parenthesis_ratio: Option<f64>,
    /// Largest share of paragraphs with one of `boilerplate_strings` in it; 1 for a page with `lorem ipsum` anywhere.
    /// NeMo Curator: `BoilerPlateStringFilter`, 0.4, which cuts at every second newline (here: at runs of two or more).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_boilerplate_paragraph_ratio: Option<f64>,
    /// Smallest share of lines that are no copy of an earlier line. NeMo Curator: `RepeatedLinesFilter`, 0.7.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_unique_line_ratio: Option<f64>,
    /// The same for paragraphs. NeMo Curator: `RepeatedParagraphsFilter`, 0.7, which cuts at every second newline.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_unique_paragraph_ratio: Option<f64>,
    /// Smallest share of the lines' characters that are not in a copy. NeMo Curator: `RepeatedLinesByCharFilter`, 0.8.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_unique_line_char_ratio: Option<f64>,
    /// The same for paragraphs. NeMo Curator: `RepeatedParagraphsByCharFilter`, 0.8.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_unique_paragraph_char_ratio: Option<f64>,
    /// Largest share of lines that do not end, before white space, with a mark of `terminal_punctuation`. NeMo Curator:
    /// `PunctuationFilter`, 0.85, with `.`, `?`, `!`, `"` and `'`. RedPajama-v2 has it per line.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_unpunctuated_line_ratio: Option<f64>,
    /// Largest share of words between white space without a letter; words that a dictionary cut out of Chinese,
    /// Japanese or Thai count one by one. NeMo Curator: `WordsWithoutAlphabetsFilter`, 0.2 (as 0.8 with a letter). In
    /// `gopher_quality`, punctuation marks are words of their own.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_letterless_word_ratio: Option<f64>,
    /// Most characters of a word between white space (Chinese, Japanese and Thai as above). NeMo Curator:
    /// `LongWordFilter`, 1000.
    pub max_word_chars: Option<u64>,
    /// Fewest characters. Data-Juicer: `text_length_filter`, 10; cc_net: 300. Off.
    pub min_chars: Option<u64>,
    /// Most characters. Data-Juicer: `text_length_filter`, 10000 in its list of all operators; DCLM's C4: 190000. Off.
    pub max_chars: Option<u64>,
    /// Smallest share of characters that are letters, accents and vowel signs of letters, or numbers. Data-Juicer:
    /// `alphanumeric_filter`, 0.25, without vowel signs, which Hindi and Thai are full of. Off.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_alphanumeric_ratio: Option<f64>,
    /// Largest share of characters that are no letter and no accent or vowel sign of one: white space, digits, marks,
    /// symbols, emoji. Data-Juicer: `special_characters_filter`, 0.25, with a list of characters. Off.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_special_char_ratio: Option<f64>,
    /// Largest share of characters that are upper-case letters. RedPajama-v2: `rps_lines_uppercase_letter_fraction`, per
    /// line; DCLM drops lines above 0.5. Off.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_uppercase_ratio: Option<f64>,
    /// Largest share of characters that are `{` or `}`. RedPajama-v2: `rps_doc_curly_bracket`. Off.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_curly_bracket_ratio: Option<f64>,
    /// Largest share of the most frequent punctuation mark among all of them; 0 for a page without any. For lists and menus
    /// held together by one mark; short pages easily reach 1. Our own. Off.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_same_punctuation_ratio: Option<f64>,
    /// Largest share of words (punctuation marks included) with a capital and no lower-case letter. RedPajama-v2:
    /// `rps_doc_frac_all_caps_words`, over `\w+|[^\w\s]+`. Off.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_all_caps_word_ratio: Option<f64>,
    /// Fewest different words per word, in lower case and without punctuation; long pages have less. RedPajama-v2:
    /// `rps_doc_frac_unique_words`. Off.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_unique_word_ratio: Option<f64>,
    /// Smallest entropy of the words in nats, in lower case and without punctuation. RedPajama-v2:
    /// `rps_doc_unigram_entropy`. Off.
    #[schemars(range(min = 0.0))]
    pub min_word_entropy: Option<f64>,
    /// Largest entropy of the words, for word lists and hashes. RedPajama-v2: `rps_doc_unigram_entropy`. Off.
    #[schemars(range(min = 0.0))]
    pub max_word_entropy: Option<f64>,
    /// Smallest share of words (without punctuation, in lower case) in `stop_words`. Data-Juicer: `stopwords_filter`, 0.3;
    /// RedPajama-v2: `rps_doc_stop_word_fraction`. Off.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_stop_word_ratio: Option<f64>,
    /// Fewest words (without punctuation) per sentence; newlines end none. RedPajama-v2 has the two numbers
    /// (`rps_doc_word_count`, `rps_doc_num_sentences`). Off.
    #[schemars(range(min = 0.0))]
    pub min_mean_sentence_words: Option<f64>,
    /// Most words per sentence, for pages without sentence marks. Off.
    #[schemars(range(min = 0.0))]
    pub max_mean_sentence_words: Option<f64>,
    /// Smallest mean length of a line in characters. Data-Juicer: `average_line_length_filter`, 10, which counts blank
    /// lines and newlines. Off.
    #[schemars(range(min = 0.0))]
    pub min_mean_line_chars: Option<f64>,
    /// Largest mean length of a line in characters. Data-Juicer: `average_line_length_filter`, 10000 in its list. Off.
    #[schemars(range(min = 0.0))]
    pub max_mean_line_chars: Option<f64>,
    /// Fewest characters of the longest line. Data-Juicer: `maximum_line_length_filter`, 10. Off.
    pub min_longest_line_chars: Option<u64>,
    /// Most characters of the longest line. Data-Juicer: `maximum_line_length_filter`, 10000 in its list. Off.
    pub max_longest_line_chars: Option<u64>,
    /// Fewest words (without punctuation) per line. RedPajama-v2: `rps_lines_num_words`, per line; Dolma's C4 tagger
    /// counts lines of less than 3. Off.
    #[schemars(range(min = 0.0))]
    pub min_mean_line_words: Option<f64>,
    /// Largest share of lines without a letter or number. Dolma: `not_alphanum_paragraph_v1` marks such lines where they
    /// are punctuation and emoji only. Off.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_symbol_line_ratio: Option<f64>,
    /// Largest share of places where one of the most frequent runs of `repeated_chars` characters starts: as many runs as
    /// the square root of the number of different ones, at most those that occur twice. Of the first 1,048,576
    /// characters. Data-Juicer: `character_repetition_filter`, 0.5. Off.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_char_repetition_ratio: Option<f64>,
    /// Largest share of places where a run of `repeated_words` words starts that occurs more than once. Data-Juicer:
    /// `word_repetition_filter`, 0.5, in lower case and without punctuation, which are words here. Off.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_word_repetition_ratio: Option<f64>,
    /// Fewest bits, 0 to 8, that a letter tells of the next one in its word, beyond what it does when the page's letters are
    /// shuffled: about 0 for scrambled or random letters, 0.3 to 2 for text of any language. Of the first 4,096 pairs; a page
    /// with fewer than 200, or in Chinese, Japanese or Korean script, counts as 8. Ours. Off.
    #[schemars(range(min = 0.0, max = 8.0))]
    pub min_letter_order_bits: Option<f64>,
    /// Smallest share of Chinese characters (U+4E00 to U+9FFF) among all characters, marks and white space included.
    /// ChineseWebText (Chen et al. 2023): 0.3. Off.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_han_ratio: Option<f64>,
    /// Takes only letters and digits of ASCII, `?!,.` and newlines for alphanumeric in
    /// `max_non_alphanumeric_ratio`, as NeMo Curator does. Default: false.
    pub ascii_letters_only: bool,
    /// What marks a paragraph as boilerplate, found anywhere in it; ASCII letters in any case, other letters as they
    /// are, no newlines. Default: phrases of cookie notices and legal pages in English, after NeMo Curator's list.
    pub boilerplate_strings: Vec<String>,
    /// Strings that end a line properly; `null` for the 159 sentence marks of all scripts and closing quotes
    /// and brackets.
    pub terminal_punctuation: Option<Vec<String>>,
    /// The stop words, in lower case. At most 1,024. Default: frequent function words of English.
    #[schemars(length(max = 1024))]
    pub stop_words: Vec<String>,
    /// Length of the runs of `max_char_repetition_ratio` in characters. Data-Juicer: `rep_len`, 10.
    #[schemars(range(min = 1, max = 64))]
    pub repeated_chars: u64,
    /// Length of the runs of `max_word_repetition_ratio` in words. Data-Juicer: `rep_len`, 10.
    #[schemars(range(min = 2, max = 10))]
    pub repeated_words: u64,
    /// Measures and stores everything, checked or not, so that limits can be chosen afterwards. Default: false, only
    /// what is checked is measured.
    pub measure_all: bool,
}

/// After NeMo Curator's list, its long notices cut down to what tells them.
const BOILERPLATE: [&str; 13] = [
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "privacy overview",
    "use of cookies",
    "use cookies",
    "privacy & cookies policy",
    "privacy and cookies policy",
    "necessary cookies are absolutely essential",
    "procure user consent prior to running these cookies",
    "without changing your cookie settings",
    "change your cookie settings",
];

/// The most frequent function words of English.
const STOP_WORDS: &str = "a about after all also an and any are as at be because been but by can could did do does \
    for from had has have he her his how i if in into is it its just like may me more most my n't no not of on one only or \
    other our out over 's she should so some than that the their them then there these they this those to up us was we \
    were what when where which while who will with would you your";

impl Default for Config {
    fn default() -> Self {
        Self {
            max_non_alphanumeric_ratio: Some(0.25),
            max_number_ratio: Some(0.15),
            max_url_ratio: Some(0.2),
            max_white_space_ratio: Some(0.25),
            max_parenthesis_ratio: Some(0.1),
            max_boilerplate_paragraph_ratio: Some(0.4),
            min_unique_line_ratio: Some(0.7),
            min_unique_paragraph_ratio: Some(0.7),
            min_unique_line_char_ratio: Some(0.8),
            min_unique_paragraph_char_ratio: Some(0.8),
            max_unpunctuated_line_ratio: Some(0.85),
            max_letterless_word_ratio: Some(0.2),
            max_word_chars: Some(1000),
            min_chars: None,
            max_chars: None,
            min_alphanumeric_ratio: None,
            max_special_char_ratio: None,
            max_uppercase_ratio: None,
            max_curly_bracket_ratio: None,
            max_same_punctuation_ratio: None,
            max_all_caps_word_ratio: None,
            min_unique_word_ratio: None,
            min_word_entropy: None,
            max_word_entropy: None,
            min_stop_word_ratio: None,
            min_mean_sentence_words: None,
            max_mean_sentence_words: None,
            min_mean_line_chars: None,
            max_mean_line_chars: None,
            min_longest_line_chars: None,
            max_longest_line_chars: None,
            min_mean_line_words: None,
            max_symbol_line_ratio: None,
            max_char_repetition_ratio: None,
            max_word_repetition_ratio: None,
            min_letter_order_bits: None,
            min_han_ratio: None,
            ascii_letters_only: false,
            boilerplate_strings: BOILERPLATE.map(str::to_owned).to_vec(),
            terminal_punctuation: None,
            stop_words: STOP_WORDS.split(' ').map(str::to_owned).collect(),
            repeated_chars: 10,
            repeated_words: 10,
            measure_all: false,
        }
    }
}

impl Config {
    /// What the options of [`LIMITS`] hold, in that order.
    pub(super) fn bounds(&self) -> [Option<f64>; LIMITS.len()] {
        [
            self.max_non_alphanumeric_ratio,
            self.max_number_ratio,
            self.max_url_ratio,
            self.max_white_space_ratio,
            self.max_parenthesis_ratio,
            self.max_boilerplate_paragraph_ratio,
            self.min_unique_line_ratio,
            self.min_unique_paragraph_ratio,
            self.min_unique_line_char_ratio,
            self.min_unique_paragraph_char_ratio,
            self.max_unpunctuated_line_ratio,
            self.max_letterless_word_ratio,
            count(self.max_word_chars),
            count(self.min_chars),
            count(self.max_chars),
            self.min_alphanumeric_ratio,
            self.max_special_char_ratio,
            self.max_uppercase_ratio,
            self.max_curly_bracket_ratio,
            self.max_same_punctuation_ratio,
            self.max_all_caps_word_ratio,
            self.min_unique_word_ratio,
            self.min_word_entropy,
            self.max_word_entropy,
            self.min_stop_word_ratio,
            self.min_mean_sentence_words,
            self.max_mean_sentence_words,
            self.min_mean_line_chars,
            self.max_mean_line_chars,
            count(self.min_longest_line_chars),
            count(self.max_longest_line_chars),
            self.min_mean_line_words,
            self.max_symbol_line_ratio,
            self.max_char_repetition_ratio,
            self.max_word_repetition_ratio,
            self.min_letter_order_bits,
            self.min_han_ratio,
        ]
    }
}
