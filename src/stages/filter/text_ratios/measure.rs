//! Takes the measures of `text_ratios`, those that are wanted, from the features that all filters share.

use aho_corasick::AhoCorasick;

use super::checks::{MEASURES, Measure};
use super::{Settings, rules::ratio};
use crate::stage::Context;
use crate::text::char_counts::CharCounts;
use crate::text::charsets::{Classes, Kind, SENTENCE_END, TERMINAL, kind_number};
use crate::text::line_index::LineIndex;
use crate::text::lines::strip_end;

/// Closing quotes and brackets, which may stand behind the mark that ends a sentence.
const CLOSING: [char; 11] = ['"', '\'', '”', '’', '»', '›', '」', '』', ')', '）', '…'];
/// Commas beyond ASCII.
const COMMAS: [char; 7] = ['，', '、', '،', '﹐', '､', '՝', '߸'];
/// Wide forms of brackets, and mathematical ones.
const WIDE_BRACKETS: [char; 8] = ['⟨', '⟩', '（', '）', '［', '］', '｛', '｝'];

/// What a page counts as whose letters are too few to tell.
const UNTOLD_BITS: f64 = 8.0;

/// Length of all boilerplate strings together up to which their automaton is a full table.
const MAX_DFA_BYTES: usize = 4096;

/// The values, NaN for what is not wanted.
pub(super) struct Values<'w> {
    wanted: &'w [bool; MEASURES],
    pub(super) values: [f64; MEASURES],
}

impl Values<'_> {
    fn wants(&self, measures: &[Measure]) -> bool {
        measures.iter().any(|&measure| self.wanted[measure as usize])
    }

    fn set(&mut self, measure: Measure, value: f64) {
        if self.wanted[measure as usize] {
            self.values[measure as usize] = value;
        }
    }
}

/// Measures a text that is more than white space.
pub(super) fn measure(settings: &Settings, text: &str, cx: &mut Context) -> [f64; MEASURES] {
    use Measure as M;
    let mut values = Values { wanted: &settings.wanted, values: [f64::NAN; MEASURES] };
    if values.wants(&[
        M::NonAlphanumericRatio,
        M::NumberRatio,
        M::WhiteSpaceRatio,
        M::ParenthesisRatio,
        M::AlphanumericRatio,
        M::SpecialCharRatio,
        M::UppercaseRatio,
        M::CurlyBracketRatio,
        M::SamePunctuationRatio,
    ]) {
        characters(settings, cx.features.char_counts(text), &mut values);
    }
    let chars = cx.features.chars(text);
    values.set(M::Chars, chars as f64);
    if values.wants(&[M::UrlRatio]) {
        values.set(M::UrlRatio, ratio(url_chars(text), chars));
    }
    if values.wants(&[M::BoilerplateParagraphRatio]) {
        let share = boilerplate(settings, text, &cx.features.lines(text).paragraphs);
        values.set(M::BoilerplateParagraphRatio, share);
    }
    paragraphs(text, cx, &mut values);
    words(settings, text, cx, &mut values);
    lines(settings, text, cx, &mut values);
    if values.wants(&[M::CharRepetitionRatio]) {
        let found = cx.features.char_repetition(text, settings.repeated_chars);
        values.set(M::CharRepetitionRatio, found);
    }
    if values.wants(&[M::WordRepetitionRatio]) {
        let n = settings.repeated_words;
        let places = (cx.features.word_counts(text).words + 1).saturating_sub(n as u64);
        let repeated = cx.features.repeated_words(text, n);
        values.set(M::WordRepetitionRatio, ratio(repeated, places));
    }
    if values.wants(&[M::LetterOrderBits]) {
        let bits = cx.features.letter_order(text);
        values.set(M::LetterOrderBits, bits.map_or(UNTOLD_BITS, |bits| bits.clamp(0.0, UNTOLD_BITS)));
    }
    if values.wants(&[M::HanRatio]) {
        let han = text.chars().filter(|c| ('\u{4e00}'..='\u{9fff}').contains(c)).count();
        values.set(M::HanRatio, ratio(han as u64, chars));
    }
    values.values
}

fn characters(settings: &Settings, counts: &CharCounts, values: &mut Values) {
    use Measure as M;
    let share = |part: u64| ratio(part, counts.chars);
    let (mut marks, mut most, mut prose, mut brackets) = (0, 0, 0, 0);
    for (mark, count) in counts.marks() {
        marks += count;
        most = most.max(count);
        let is_bracket = matches!(mark, '(' | ')' | '[' | ']' | '{' | '}') || WIDE_BRACKETS.contains(&mark);
        brackets += if is_bracket { count } else { 0 };
        let ends = mark == ',' || COMMAS.contains(&mark) || Classes::get().of(mark) & SENTENCE_END != 0;
        prose += if ends { count } else { 0 };
    }
    let plain = if settings.ascii_letters_only {
        counts.ascii_alphanumerics()
            + ['?', '!', ',', '.'].map(|mark| counts.of_ascii(mark)).iter().sum::<u64>()
    } else {
        counts.letters() + counts.numbers() + prose
    };
    values.set(M::NonAlphanumericRatio, share(counts.chars - plain - counts.of_ascii('\n')));
    values.set(M::NumberRatio, share(counts.of_kind(Kind::Decimal)));
    values.set(M::WhiteSpaceRatio, share(counts.of_kind(Kind::Space)));
    values.set(M::ParenthesisRatio, share(brackets));
    values.set(M::AlphanumericRatio, share(counts.letters() + counts.numbers()));
    values.set(M::SpecialCharRatio, share(counts.chars - counts.letters()));
    values.set(M::UppercaseRatio, share(counts.of_kind(Kind::Upper)));
    values.set(M::CurlyBracketRatio, share(counts.of_ascii('{') + counts.of_ascii('}')));
    values.set(M::SamePunctuationRatio, ratio(most, marks));
}

fn paragraphs(text: &str, cx: &mut Context, values: &mut Values) {
    use Measure as M;
    if !values.wants(&[M::UniqueParagraphRatio, M::UniqueParagraphCharRatio]) {
        return;
    }
    let found = cx.features.paragraph_duplicates(text);
    values.set(M::UniqueParagraphRatio, ratio(found.total - found.duplicates, found.total));
    values.set(M::UniqueParagraphCharRatio, {
        let all = if found.duplicates == 0 { 1 } else { paragraph_chars(text, cx.features.lines(text)) };
        ratio(all - found.duplicate_chars, all)
    });
}

/// Characters of all paragraphs.
fn paragraph_chars(text: &str, index: &LineIndex) -> u64 {
    let parts = index.paragraphs.iter().map(|&(start, end)| &text[start as usize..end as usize]);
    parts.map(|part| crate::text::lines::chars(part) as u64).sum()
}

fn words(settings: &Settings, text: &str, cx: &mut Context, values: &mut Values) {
    use Measure as M;
    if values.wants(&[M::LetterlessWordRatio, M::LongestWordChars, M::AllCapsWordRatio]) {
        let shapes = cx.features.word_shapes(text);
        values.set(M::LetterlessWordRatio, ratio(shapes.letterless_words, shapes.spaced_words));
        values.set(M::LongestWordChars, shapes.longest_chars as f64);
        values.set(M::AllCapsWordRatio, ratio(shapes.all_caps_words, cx.features.word_counts(text).words));
    }
    if values.wants(&[M::UniqueWordRatio, M::WordEntropy, M::StopWordRatio]) {
        let terms = cx.features.terms(text);
        values.set(M::UniqueWordRatio, ratio(terms.different(), terms.total()));
        if values.wants(&[M::WordEntropy]) {
            values.set(M::WordEntropy, terms.entropy());
        }
        if values.wants(&[M::StopWordRatio]) {
            let stop_words = &settings.stop_words;
            let found = terms.iter().filter(|(word, term)| stop_words.find(word, term.tag).is_some());
            let found: u64 = found.map(|(_, term)| u64::from(term.count)).sum();
            values.set(M::StopWordRatio, ratio(found, terms.total()));
        }
    }
    if values.wants(&[M::MeanSentenceWords]) {
        let sentences = cx.features.sentences(text);
        values.set(M::MeanSentenceWords, ratio(cx.features.word_counts(text).non_symbol_words, sentences));
    }
}

fn lines(settings: &Settings, text: &str, cx: &mut Context, values: &mut Values) {
    use Measure as M;
    let wants_copies = values.wants(&[M::UniqueLineRatio, M::UniqueLineCharRatio]);
    let wants_ends = values.wants(&[M::UnpunctuatedLineRatio]);
    let wants_symbols = values.wants(&[M::SymbolLineRatio]);
    let wants_words = values.wants(&[M::MeanLineWords]);
    let wants_lengths = values.wants(&[M::MeanLineChars, M::LongestLineChars]);
    if !(wants_copies || wants_ends || wants_symbols || wants_words || wants_lengths) {
        return;
    }
    let words = if wants_words { cx.features.word_counts(text).non_symbol_words } else { 0 };
    let index = if wants_copies { cx.features.line_copies(text) } else { cx.features.lines(text) };
    let classes = Classes::get();
    let (mut all, mut chars, mut longest) = (0, 0, 0);
    let (mut copies, mut copied_chars, mut unpunctuated, mut symbols) = (0, 0, 0, 0);
    for line in index.full_lines() {
        let length = u64::from(line.chars);
        all += 1;
        chars += length;
        longest = length.max(longest);
        if line.is_copy {
            copies += 1;
            copied_chars += length;
        }
        if wants_ends {
            unpunctuated += u64::from(!settings.ends_properly(classes, strip_end(line.of(text))));
        }
        if wants_symbols {
            symbols += u64::from(!line.of(text).chars().any(|c| is_alphanumeric(classes, c)));
        }
    }
    values.set(M::UniqueLineRatio, ratio(all - copies, all));
    values.set(M::UniqueLineCharRatio, ratio(chars - copied_chars, chars));
    values.set(M::UnpunctuatedLineRatio, ratio(unpunctuated, all));
    values.set(M::MeanLineChars, ratio(chars, all));
    values.set(M::LongestLineChars, longest as f64);
    values.set(M::MeanLineWords, ratio(words, all));
    values.set(M::SymbolLineRatio, ratio(symbols, all));
}

fn is_alphanumeric(classes: &Classes, c: char) -> bool {
    let kind = kind_number(classes.of(c));
    (Kind::Upper as usize..=Kind::Number as usize).contains(&kind)
}

impl Settings {
    fn ends_properly(&self, classes: &Classes, line: &str) -> bool {
        match &self.terminal_punctuation {
            None => classes.of_last(line) & TERMINAL != 0 || line.ends_with(CLOSING),
            Some(marks) => marks.iter().any(|mark| line.ends_with(mark.as_str())),
        }
    }
}

/// The automaton for boilerplate; `lorem ipsum` is its first pattern.
pub(super) fn boilerplate_automaton(strings: &[String]) -> Result<AhoCorasick, aho_corasick::BuildError> {
    let patterns = std::iter::once("lorem ipsum").chain(strings.iter().map(String::as_str));
    let bytes: usize = strings.iter().map(String::len).sum();
    // Faster, but too large for long lists.
    let kind = (bytes <= MAX_DFA_BYTES).then_some(aho_corasick::AhoCorasickKind::DFA);
    AhoCorasick::builder().ascii_case_insensitive(true).kind(kind).build(patterns)
}

/// Share of paragraphs that hold one of the strings, 1 where the text is a dummy.
fn boilerplate(settings: &Settings, text: &str, paragraphs: &[(u32, u32)]) -> f64 {
    let (mut found, mut next) = (0, 0);
    let mut at = 0;
    while let Some(hit) = settings.boilerplate.find(&text[at..]) {
        if hit.pattern().as_usize() == 0 {
            return 1.0;
        }
        let place = at + hit.start();
        let behind = paragraphs[next..].partition_point(|&(_, end)| end as usize <= place);
        next += behind;
        let Some(&(_, end)) = paragraphs.get(next) else { break };
        // Only a dummy text is still of interest in the rest of the paragraph.
        found += 1;
        let rest = &text[at + hit.end()..end as usize];
        if settings.boilerplate.find_iter(rest).any(|hit| hit.pattern().as_usize() == 0) {
            return 1.0;
        }
        next += 1;
        at = end as usize;
    }
    ratio(found, paragraphs.len() as u64)
}

/// Characters of web addresses.
fn url_chars(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let (mut total, mut done) = (0, 0);
    for colon in memchr::memmem::find_iter(bytes, "://") {
        let before = &bytes[done.min(colon)..colon];
        let scheme = ["https", "http"].iter().find(|scheme| {
            before.len() >= scheme.len()
                && before[before.len() - scheme.len()..].eq_ignore_ascii_case(scheme.as_bytes())
        });
        let Some(scheme) = scheme.filter(|_| colon >= done) else { continue };
        let start = colon - scheme.len();
        let is_part = |&&byte: &&u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'`');
        let length = bytes[colon + 3..].iter().take_while(is_part).count();
        let address = &bytes[start..colon + 3 + length];
        let marks = |&&byte: &&u8| matches!(byte, b'.' | b',' | b';' | b':' | b'!' | b'?' | b')' | b'\'');
        let trailing = address.iter().rev().take_while(marks).count();
        total += (address.len() - trailing) as u64;
        done = colon + 3 + length;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, address) in [
            ("see http://a.org/b?c=d#e, or", "http://a.org/b?c=d#e"),
            ("(HTTPS://a.org).", "HTTPS://a.org"),
            ("\"http://a.org\"", "http://a.org"),
            ("看http://a.org看", "http://a.org"),
            ("ftp://a.org www.a.org", ""),
            ("http://a.org/http://b.org", "http://a.org/http://b.org"),
            ("http://", "http"),
        ] {
            assert_eq!(url_chars(text), address.len() as u64 + u64::from(text == "http://") * 3, "{text}");
        }
    }
}
