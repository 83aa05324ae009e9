//! A text in pieces that are judged one by one: lines or paragraphs, short ones together.
//!
//! Pieces are joined with those that follow until they are long enough, so every character but those of a short end is
//! judged. Memory is one entry per block.

use schemars::JsonSchema;
use serde::Deserialize;

/// What is judged as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The whole text.
    #[default]
    Document,
    /// What stands between blank lines.
    Paragraph,
    /// What stands between newlines.
    Line,
}

/// Pieces that are judged as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stages::filter) struct Block {
    /// Byte offsets in the text, from the first to the last character that is no white space.
    pub start: usize,
    /// The end of it.
    pub end: usize,
    /// Characters, white space at the ends of lines left out.
    pub chars: u64,
    pub fate: Fate,
}

/// What becomes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stages::filter) enum Fate {
    Kept,
    Cut,
    /// The same as of the block before it, at the start as of the block after it.
    Follows,
}

/// Blocks of at least `min_chars` characters (and at least one), the last one perhaps shorter. All follow.
pub(in crate::stages::filter) fn blocks(text: &str, level: Level, min_chars: u64) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let inner = line.trim();
        let may_end = if inner.is_empty() {
            level == Level::Paragraph
        } else {
            let inner_start = start + (line.len() - line.trim_start().len());
            let block =
                open.get_or_insert(Block { start: inner_start, end: 0, chars: 0, fate: Fate::Follows });
            block.end = inner_start + inner.len();
            block.chars += inner.chars().count() as u64;
            level == Level::Line
        };
        if may_end && open.as_ref().is_some_and(|block| block.chars >= min_chars) {
            blocks.extend(open.take());
        }
        start += line.len();
    }
    blocks.extend(open);
    blocks
}

/// Settles the blocks that follow others; false where there is none to follow.
pub(in crate::stages::filter) fn settle(blocks: &mut [Block]) -> bool {
    let Some(first) = blocks.iter().find(|block| block.fate != Fate::Follows) else { return false };
    let mut fate = first.fate;
    for block in blocks {
        if block.fate == Fate::Follows {
            block.fate = fate;
        }
        fate = block.fate;
    }
    true
}

/// The kept blocks. Between two of them stands the white space, of all that stood between them, with the most newlines.
pub(in crate::stages::filter) fn join(text: &str, blocks: &[Block]) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut gap = "";
    let mut end = 0;
    for block in blocks {
        let before = &text[end..block.start];
        if newlines(before) > newlines(gap) {
            gap = before;
        }
        end = block.end;
        if block.fate == Fate::Kept {
            // The first block's gap is what the text starts with; in front of a later first block nothing is wanted.
            if !joined.is_empty() || block.start == before.len() {
                joined.push_str(if joined.is_empty() { before } else { gap });
            }
            joined.push_str(&text[block.start..block.end]);
            gap = "";
        }
    }
    if blocks.last().is_some_and(|block| block.fate == Fate::Kept) {
        joined.push_str(&text[end..]);
    }
    joined
}

fn newlines(gap: &str) -> usize {
    memchr::memchr_iter(b'\n', gap.as_bytes()).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(text: &str, level: Level, min_chars: u64) -> Vec<&str> {
        blocks(text, level, min_chars).iter().map(|block| &text[block.start..block.end]).collect()
    }

    #[test]
    fn lines_and_paragraphs() {
        let text = "  one\r\ntwo \n\n \nthree\n\n";
        assert_eq!(pieces(text, Level::Line, 1), ["one", "two", "three"]);
        assert_eq!(pieces(text, Level::Paragraph, 1), ["one\r\ntwo", "three"]);
        assert_eq!(pieces("\n \n", Level::Line, 1), Vec::<&str>::new());
    }

    #[test]
    fn short_pieces_go_with_the_next() {
        let text = "abc\nde\n\nfghij\nk";
        // Exactly five characters are enough.
        assert_eq!(pieces(text, Level::Line, 5), ["abc\nde", "fghij", "k"]);
        assert_eq!(pieces(text, Level::Line, 6), ["abc\nde\n\nfghij", "k"]);
        assert_eq!(pieces(text, Level::Paragraph, 5), ["abc\nde", "fghij\nk"]);
        assert_eq!(pieces(text, Level::Paragraph, 6), ["abc\nde\n\nfghij\nk"]);
        assert_eq!(blocks(text, Level::Line, 5).iter().map(|b| b.chars).collect::<Vec<_>>(), [5, 5, 1]);
        assert_eq!(blocks("日本語", Level::Line, 5)[0].chars, 3);
    }

    #[test]
    fn undecided_blocks_follow() {
        use Fate::{Cut, Follows, Kept};
        let fates = |fates: &[Fate]| {
            let block = |&fate| Block { start: 0, end: 0, chars: 1, fate };
            let mut blocks: Vec<Block> = fates.iter().map(block).collect();
            settle(&mut blocks).then(|| blocks.iter().map(|block| block.fate).collect::<Vec<_>>())
        };
        assert_eq!(fates(&[Follows, Cut, Follows, Kept, Follows]), Some(vec![Cut, Cut, Cut, Kept, Kept]));
        assert_eq!(fates(&[Follows, Follows]), None);
    }

    #[test]
    fn the_largest_gap_stays() {
        let text = "  a\n\nb\nc\nd\n";
        let joined = |cut: &[usize]| {
            let mut blocks = blocks(text, Level::Line, 1);
            for (number, block) in blocks.iter_mut().enumerate() {
                block.fate = if cut.contains(&number) { Fate::Cut } else { Fate::Kept };
            }
            join(text, &blocks)
        };
        assert_eq!(joined(&[]), text);
        assert_eq!(joined(&[1]), "  a\n\nc\nd\n");
        assert_eq!(joined(&[0]), "b\nc\nd\n");
        assert_eq!(joined(&[2, 3]), "  a\n\nb");
        assert_eq!(joined(&[0, 1, 2, 3]), "");
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "[ab \\n\\r\u{a0}é日]{0,60}", min in 1_u64..9, line in any::<bool>()) {
            let mut blocks = blocks(&text, if line { Level::Line } else { Level::Paragraph }, min);
            let mut end = 0;
            for (number, block) in blocks.iter().enumerate() {
                prop_assert!(text[end..block.start].trim().is_empty());
                prop_assert!(block.chars >= min || number + 1 == blocks.len());
                end = block.end;
            }
            prop_assert!(text[end..].trim().is_empty());
            for block in &mut blocks {
                block.fate = Fate::Kept;
            }
            prop_assert_eq!(join(&text, &blocks), if blocks.is_empty() { "" } else { &text });
        }
    }
}
