//! Evenly spread pieces of a long text, cut at word borders.

/// Pieces per text.
const WINDOWS: usize = 8;
/// How far a border is moved to fall between two words.
const MAX_SHIFT_BYTES: usize = 64;

/// The whole text where it is not longer than `sample_bytes` (or that is not set), else eight pieces of it.
pub(super) fn parts(text: &str, sample_bytes: Option<usize>) -> Vec<&str> {
    let Some(sample_bytes) = sample_bytes.filter(|&bytes| bytes < text.len()) else {
        return vec![text];
    };
    let window_bytes = sample_bytes / WINDOWS;
    let last_start = text.len() - window_bytes;
    (0..WINDOWS)
        .filter_map(|window| {
            // In u128 because a text may be longer than an eighth of the address space on small machines.
            let start = (window as u128 * last_start as u128 / (WINDOWS as u128 - 1)) as usize;
            piece(text, start, start + window_bytes)
        })
        .collect()
}

/// The words between two byte offsets.
fn piece(text: &str, start: usize, end: usize) -> Option<&str> {
    let (start, end) = (text.ceil_char_boundary(start), text.floor_char_boundary(end));
    let whole = text.get(start..end)?;
    let bytes = whole.as_bytes();
    let reach = bytes.len().min(MAX_SHIFT_BYTES);
    let skipped =
        if start == 0 { 0 } else { bytes[..reach].iter().position(u8::is_ascii_whitespace).unwrap_or(0) };
    let cut = if end == text.len() {
        bytes.len()
    } else {
        let tail = bytes.len() - reach;
        bytes[tail..].iter().rposition(u8::is_ascii_whitespace).map_or(bytes.len(), |place| tail + place)
    };
    whole.get(skipped..cut.max(skipped))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pieces_fall_between_words() {
        let text = "alpha beta gamma delta ".repeat(100);
        let parts = parts(&text, Some(400));
        assert_eq!(parts.len(), 8);
        for part in parts {
            for word in part.split_whitespace() {
                assert!(["alpha", "beta", "gamma", "delta"].contains(&word), "`{word}`");
            }
        }
    }

    proptest! {
        #[test]
        fn never_longer_than_asked_for(text in "\\PC{0,2000}", bytes in 256_usize..1000) {
            let parts = parts(&text, Some(bytes));
            if text.len() > bytes {
                prop_assert!(parts.iter().map(|part| part.len()).sum::<usize>() <= bytes);
            } else {
                prop_assert_eq!(parts, vec![text.as_str()]);
            }
        }
    }
}
