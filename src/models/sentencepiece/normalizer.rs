//! SentencePiece's normaliser: a table of replacements (NFKC and the like, compiled into the model), then blanks.
//!
//! The compiled table is a double array over UTF-8 (Yata's Darts-clone) followed by the replacements, each ended by a
//! zero byte; of all keys that match at a place the longest counts. Blanks at both ends and behind blanks go where the
//! model says so, one is put in front, and all become `▁`.

use super::proto::NormalizerSpec;
use super::{BLANK, BLANK_BYTES};

pub(super) struct Normalizer {
    units: Vec<u32>,
    replacements: String,
    add_dummy_prefix: bool,
    remove_extra_blanks: bool,
    escape_blanks: bool,
}

impl Normalizer {
    pub(super) fn new(spec: &NormalizerSpec) -> Result<Self, &'static str> {
        const BROKEN: &str = "its table of replacements is broken";
        let (mut units, mut replacements) = (Vec::new(), String::new());
        if !spec.charsmap.is_empty() {
            let (length, rest) = spec.charsmap.split_first_chunk::<4>().ok_or(BROKEN)?;
            let length = u32::from_le_bytes(*length) as usize;
            let (array, texts) =
                rest.split_at_checked(length).filter(|_| length.is_multiple_of(4)).ok_or(BROKEN)?;
            units = array.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            replacements = String::from_utf8(texts.to_vec()).map_err(|_| BROKEN)?;
        }
        Ok(Self {
            units,
            replacements,
            add_dummy_prefix: spec.add_dummy_prefix,
            remove_extra_blanks: spec.remove_extra_blanks,
            escape_blanks: spec.escape_blanks,
        })
    }

    /// Text as the pieces are cut from it.
    pub(super) fn normalize(&self, text: &str) -> String {
        let blank = if self.escape_blanks { BLANK } else { " " };
        let mut out = String::with_capacity(text.len() + text.len() / 4 + BLANK_BYTES);
        // Whether a blank here would be one too many.
        let mut after_blank = self.remove_extra_blanks;
        let mut rest = text;
        let mut started = false;
        while !rest.is_empty() {
            let (piece, length) = self.longest(rest);
            rest = &rest[length..];
            for c in piece.chars() {
                if c == ' ' && after_blank {
                    continue;
                }
                if !started {
                    started = true;
                    if self.add_dummy_prefix {
                        out.push_str(blank);
                    }
                }
                if c == ' ' {
                    out.push_str(blank);
                    after_blank = self.remove_extra_blanks;
                } else {
                    out.push(c);
                    after_blank = false;
                }
            }
        }
        if self.remove_extra_blanks {
            while out.ends_with(blank) {
                out.truncate(out.len() - blank.len());
            }
        }
        out
    }

    /// The replacement of the longest key at the start of `text`, else its first character; and the bytes that
    /// it stands for.
    fn longest<'t>(&'t self, text: &'t str) -> (&'t str, usize) {
        let first = text.chars().next().map_or(0, char::len_utf8);
        let mut best = (&text[..first], first);
        let Some(&root) = self.units.first() else { return best };
        let mut place = offset(root);
        for (length, byte) in text.bytes().enumerate() {
            place ^= usize::from(byte);
            let Some(&unit) = self.units.get(place) else { break };
            // The label is in the lowest eight bits; the highest marks a value.
            if unit & 0x8000_00ff != u32::from(byte) {
                break;
            }
            place ^= offset(unit);
            if unit >> 8 & 1 == 1
                && let Some(&leaf) = self.units.get(place)
                && let Some(replacement) = self.replacements.get((leaf & 0x7fff_ffff) as usize..)
                && text.is_char_boundary(length + 1)
            {
                best = (replacement.split('\0').next().unwrap_or_default(), length + 1);
            }
        }
        best
    }
}

/// Where a unit's children start, relative to it.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 1 << 9) >> 6)) as usize
}
