//! Runs of digits, ASCII and fullwidth, in the order of the text.

/// Most digits that a run may have to be part of anything that we look for.
pub(super) const MAX_RUN_DIGITS: usize = 24;

/// Consecutive digits of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    /// First byte.
    pub(super) start: usize,
    /// Byte after the last.
    pub(super) end: usize,
    /// How many digits.
    pub(super) len: usize,
}

/// The digit at a byte, with its length in bytes.
pub(super) fn digit_at(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    match bytes.get(at)? {
        digit @ b'0'..=b'9' => Some((*digit, 1)),
        // U+FF10 to U+FF19
        0xef => match (bytes.get(at + 1)?, bytes.get(at + 2)?) {
            (0xbc, low @ 0x90..=0x99) => Some((low - 0x90 + b'0', 3)),
            _ => None,
        },
        _ => None,
    }
}

/// The run of digits that starts at a byte.
pub(super) fn group_at(bytes: &[u8], start: usize) -> Group {
    let (mut end, mut len) = (start, 0);
    while let Some((_, width)) = digit_at(bytes, end) {
        end += width;
        len += 1;
    }
    Group { start, end, len }
}

/// The digits of some groups as ASCII.
pub(super) fn ascii(text: &str, groups: &[Group]) -> String {
    let mut out = String::new();
    for group in groups {
        let mut at = group.start;
        while at < group.end {
            let Some((digit, width)) = digit_at(text.as_bytes(), at) else { break };
            out.push(char::from(digit));
            at += width;
        }
    }
    out
}

/// What stands between two neighbouring groups.
pub(super) fn gap<'a>(text: &'a str, left: &Group, right: &Group) -> &'a str {
    text.get(left.end..right.start).unwrap_or_default()
}
