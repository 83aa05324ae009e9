//! What splits off at the ends of a chunk, what splits it inside, and which chunks are addresses.
//!
//! The rules are those of spaCy 3.8's English tokenizer, written as a scanner over character classes
//! instead of regular expressions. A chunk is a run without white space; lengths and places are bytes.

use super::charsets::{
    ALPHA, CURRENCY, Classes, DIGIT, LOWER, MARK, NONSPACING, PREFIX, QUOTE, SUFFIX, SYMBOL, UPPER,
};

/// Units that split off after a digit.
const UNITS: &str = "km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h \
    kmh mph hPa Pa mbar mb MB kb KB gb GB tb TB T G M K % км км² км³ м м² м³ дм дм² дм³ см см² см³ мм мм² мм³ нм кг г мг \
    м/с км/ч кПа Па мбар Кб КБ кб Мб МБ мб Гб ГБ гб Тб ТБ كم² كم³ م م² م³ سم سم² سم³ مم مم² مم³ كم غرام جرام جم كغ \
    ملغ كوب اكواب";

/// No unit is longer, in bytes.
const MAX_UNIT_BYTES: usize = 10;

/// Bytes of the piece that splits off in front of `text`, 0 for none.
pub(super) fn prefix_bytes(classes: &Classes, text: &str) -> usize {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return 0 };
    match first {
        '.' => {
            let dots = text.bytes().take_while(|&b| b == b'.').count();
            if dots > 1 { dots } else { 0 }
        }
        '+' => usize::from(!chars.next().is_some_and(|c| c.is_ascii_digit())),
        'U' if text.starts_with("US$") => 3,
        'C' | 'A' if text[1..].starts_with('$') => 2,
        _ if classes.of(first) & PREFIX != 0 => first.len_utf8(),
        _ => 0,
    }
}

/// Bytes of the piece that splits off at the end of `text`, 0 for none.
pub(super) fn suffix_bytes(classes: &Classes, text: &str) -> usize {
    let mut chars = text.chars();
    let Some(last) = chars.next_back() else { return 0 };
    let head = chars.as_str();
    match last {
        '.' => return dot_suffix_bytes(classes, text, head),
        '+' => return usize::from(head.bytes().next_back().is_some_and(|b| b.is_ascii_digit())),
        '…' if head.ends_with('…') => return 2 * '…'.len_utf8(),
        's' | 'S' => {
            for apostrophe in ['\'', '’'] {
                if head.ends_with(apostrophe) {
                    return apostrophe.len_utf8() + 1;
                }
            }
        }
        _ => {}
    }
    let class = classes.of(last);
    let unit = if class & SUFFIX != 0 { 0 } else { unit_bytes(classes, text, class) };
    if unit != 0 {
        unit
    } else if class & SUFFIX != 0 {
        last.len_utf8()
    } else {
        0
    }
}

/// The suffix rules for a final period; `head` is `text` without it.
fn dot_suffix_bytes(classes: &Classes, text: &str, head: &str) -> usize {
    if head.ends_with('.') {
        return text.bytes().rev().take_while(|&b| b == b'.').count();
    }
    let mut before = head.chars();
    let Some(last) = before.next_back() else { return 0 };
    let class = classes.of(last);
    let degrees = matches!(last, 'F' | 'f' | 'C' | 'c' | 'K' | 'k') && before.as_str().ends_with('°');
    let ends_word = class & (LOWER | DIGIT | QUOTE | MARK) != 0
        || matches!(last, '%' | '²' | '-' | '+' | '…' | '|')
        || (class & UPPER != 0 && classes.of_last(before.as_str()) & UPPER != 0);
    usize::from(degrees || ends_word)
}

/// A unit or a currency sign right after an ASCII digit.
fn unit_bytes(classes: &Classes, text: &str, last_class: u32) -> usize {
    if last_class & DIGIT != 0 {
        return 0;
    }
    let bytes = text.as_bytes();
    let tail = bytes.iter().rev().take(MAX_UNIT_BYTES + 1).take_while(|b| !b.is_ascii_digit()).count();
    if tail == 0 || tail == bytes.len() || tail > MAX_UNIT_BYTES {
        return 0;
    }
    // A digit is one byte, so the tail starts at a character.
    let unit = &text[text.len() - tail..];
    let mut chars = unit.chars();
    let sign = chars.next().is_some_and(|c| classes.of(c) & CURRENCY != 0) && chars.as_str().is_empty();
    let known = sign
        || matches!(unit, "US$" | "C$" | "A$")
        || UNITS.split_ascii_whitespace().any(|candidate| candidate == unit);
    if known { tail } else { 0 }
}

/// The next place inside `text`, from byte `from` on, where a piece of its own stands: its first byte and
/// the one behind it.
pub(super) fn next_infix(classes: &Classes, text: &str, from: usize) -> Option<(usize, usize)> {
    let mut before = classes.of_last(&text[..from]);
    let mut at = from;
    for c in text[from..].chars() {
        let class = classes.of(c);
        let behind = at + c.len_utf8();
        let length = match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' => 0,
            '.' => dot_infix_bytes(classes, &text[at..], before),
            '…' => c.len_utf8(),
            _ if class & SYMBOL != 0 => c.len_utf8(),
            '+' | '*' | '^' | '-'
                if before & DIGIT != 0
                    && text[behind..].bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'-') =>
            {
                1
            }
            ',' if before & ALPHA != 0 && starts_with_alpha(classes, &text[behind..]) => 1,
            '-' | '–' | '—' | '~' if before & (ALPHA | DIGIT) != 0 => {
                let longest = match c {
                    '-' => 3,
                    '—' => 2,
                    _ => 1,
                };
                hyphen_infix_bytes(classes, &text[at..], c, longest)
            }
            ':' | '<' | '>' | '=' | '/'
                if before & (ALPHA | DIGIT) != 0 && starts_with_alpha(classes, &text[behind..]) =>
            {
                1
            }
            _ => 0,
        };
        if length > 0 {
            return Some((at, at + length));
        }
        before = class;
        at = behind;
    }
    None
}

fn starts_with_alpha(classes: &Classes, text: &str) -> bool {
    classes.of_first(text) & ALPHA != 0
}

/// Two periods or more; or one between a lower-case and an upper-case letter (or quotes).
fn dot_infix_bytes(classes: &Classes, text: &str, before: u32) -> usize {
    let dots = text.bytes().take_while(|&b| b == b'.').count();
    if dots > 1 {
        return dots;
    }
    usize::from(before & (LOWER | QUOTE) != 0 && classes.of_first(&text[1..]) & (UPPER | QUOTE) != 0)
}

/// Up to `longest` hyphens before a letter.
fn hyphen_infix_bytes(classes: &Classes, text: &str, hyphen: char, longest: usize) -> usize {
    let hyphens = text.chars().take(longest + 1).take_while(|&c| c == hyphen).count();
    let length = hyphens * hyphen.len_utf8();
    if hyphens <= longest && starts_with_alpha(classes, &text[length..]) { length } else { 0 }
}

/// Whether the whole of `text` is an address: optional scheme and user, then a host name with a lower-case
/// top-level domain or a public IPv4 address, then optional port and path.
///
/// Linear in the text: every host that is tried ends before the next `@` or is the last.
pub(super) fn is_address(classes: &Classes, text: &str) -> bool {
    if !text.contains('.') {
        return false;
    }
    let after_scheme = text.find("://").filter(|&end| is_scheme(classes, &text[..end])).map(|end| end + 3);
    let mut starts = std::iter::once(0)
        .chain(after_scheme)
        .chain(text.match_indices('@').map(|(at, _)| at + 1).filter(|&start| start > 1));
    starts.any(|start| is_host_and_path(classes, &text[start..]))
}

/// Two or more letters, digits, `_`, `+`, `-`, `.`.
fn is_scheme(classes: &Classes, text: &str) -> bool {
    text.chars().nth(1).is_some()
        && text.chars().all(|c| {
            matches!(c, '+' | '-' | '.' | '_') || (c.is_alphanumeric() && classes.of(c) & NONSPACING == 0)
        })
}

fn is_host_and_path(classes: &Classes, text: &str) -> bool {
    host_bytes(classes, text).is_some_and(|end| is_port_and_path(&text[end..]))
        || address_bytes(text).is_some_and(|end| is_port_and_path(&text[end..]))
}

/// `:8080`, `/path`, `?query`, `#part`, or nothing.
fn is_port_and_path(text: &str) -> bool {
    let rest = match text.strip_prefix(':') {
        None => text,
        Some(port) => {
            let digits = port.bytes().take_while(u8::is_ascii_digit).count();
            if !(2..=5).contains(&digits) {
                return false;
            }
            &port[digits..]
        }
    };
    rest.is_empty() || rest.starts_with(['/', '?', '#'])
}

fn is_host_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || ('\u{A1}'..='\u{FFFF}').contains(&c)
}

/// Bytes of a host name: labels of up to 64 characters with a period behind each, then a top-level
/// domain of 2 to 63 lower-case letters.
fn host_bytes(classes: &Classes, text: &str) -> Option<usize> {
    let (mut label_start, mut label_chars, mut labels) = (0, 0, 0);
    for (at, c) in text.char_indices() {
        if c == '.' {
            let label = &text[label_start..at];
            let bounded = label.chars().next().is_some_and(is_host_char)
                && label.chars().next_back().is_some_and(is_host_char);
            if !bounded || label_chars > 64 {
                return None;
            }
            labels += 1;
            (label_start, label_chars) = (at + 1, 0);
        } else if is_host_char(c) || c == '-' || c == '_' {
            label_chars += 1;
        } else {
            break;
        }
    }
    let domain = &text[label_start..];
    let (mut end, mut letters) = (0, 0);
    for c in domain.chars().take_while(|&c| classes.of(c) & LOWER != 0) {
        end += c.len_utf8();
        letters += 1;
    }
    (labels > 0 && (2..=63).contains(&letters)).then_some(label_start + end)
}

/// Bytes of a dotted IPv4 address outside the private and reserved networks.
fn address_bytes(text: &str) -> Option<usize> {
    let mut octets = [0_u32; 4];
    let mut at = 0;
    for (place, octet) in octets.iter_mut().enumerate() {
        if place > 0 {
            at += usize::from(text[at..].starts_with('.').then_some(1_u8)?);
        }
        let digits = text[at..].bytes().take_while(u8::is_ascii_digit).count();
        let leading_zero = text[at..].starts_with('0');
        if !(1..=3).contains(&digits) || (leading_zero && (digits == 3 || place == 0 || place == 3)) {
            return None;
        }
        *octet = text[at..at + digits].parse().ok()?;
        at += digits;
    }
    let [a, b, c, d] = octets;
    let private = matches!((a, b), (10 | 127, _) | (169, 254) | (192, 168) | (172, 16..=31));
    let valid = (1..=223).contains(&a) && b <= 255 && c <= 255 && (1..=254).contains(&d);
    (valid && !private).then_some(at)
}
