//! Where two texts differ, word by word, with what both have in between cut to a few words.
//!
//! Method: the greedy shortest edit script (Myers 1986, "An O(ND) Difference Algorithm and Its Variations"), after the
//! common beginning and end are set aside. Bounded: so many words of each text and so many edits; past that the rest
//! counts as replaced.

use serde::Serialize;

use crate::cli::show::clean;

/// Words of each text that are looked at.
const MAX_WORDS: usize = 50_000;
/// Most words left out and put in between the common beginning and end. The table of the search grows with its square.
const MAX_EDITS: usize = 1_000;
/// Words of agreement that are shown on each side of a difference.
const CONTEXT_WORDS: usize = 4;
/// Differences that are shown.
const MAX_CHANGES: usize = 30;
/// Words of one difference that are shown, on each side.
const MAX_CHANGE_WORDS: usize = 40;

/// The differences of a removed text from the one that was kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Differences {
    /// Words of the kept and of the removed text, up to 50,000 each.
    pub(super) kept_words: usize,
    pub(super) removed_words: usize,
    /// Words that both have, in the same order.
    pub(super) common_words: usize,
    /// The first places where they differ.
    pub(super) changes: Vec<Change>,
    /// How many more there are than are listed.
    pub(super) changes_left_out: usize,
    /// Whether the texts were too long or too different for the smallest set of differences.
    pub(super) coarse: bool,
}

/// One place where the texts differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Change {
    /// Common words before it.
    pub(super) before: String,
    /// What only the kept text has here.
    pub(super) kept: String,
    /// What only the removed text has here.
    pub(super) removed: String,
    /// Common words after it.
    pub(super) after: String,
}

/// A stretch of the kept words and one of the removed words that stand in each other's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hunk {
    kept: (usize, usize),
    removed: (usize, usize),
}

/// Compares two texts; words are what stands between white space.
pub(super) fn differences(kept: &str, removed: &str) -> Differences {
    let words = |text| -> (Vec<&str>, bool) {
        let mut words = str::split_whitespace(text);
        let taken = words.by_ref().take(MAX_WORDS).collect();
        (taken, words.next().is_some())
    };
    let ((kept, kept_cut), (removed, removed_cut)) = (words(kept), words(removed));
    let prefix = kept.iter().zip(&removed).take_while(|(a, b)| a == b).count();
    let (a, b) = (&kept[prefix..], &removed[prefix..]);
    let suffix = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - suffix], &b[..b.len() - suffix]);
    let (pairs, complete) = matches(a, b);
    let mut hunks: Vec<Hunk> = Vec::new();
    let mut at = (0, 0);
    for pair in pairs.iter().copied().chain([(a.len(), b.len())]) {
        if pair.0 > at.0 || pair.1 > at.1 {
            hunks.push(Hunk {
                kept: (prefix + at.0, prefix + pair.0),
                removed: (prefix + at.1, prefix + pair.1),
            });
        }
        at = (pair.0 + 1, pair.1 + 1);
    }
    let shown = |words: &[&str]| {
        let mut text = words[..words.len().min(MAX_CHANGE_WORDS)].join(" ");
        if words.len() > MAX_CHANGE_WORDS {
            text.push_str(" …");
        }
        clean(&text)
    };
    let change = |(number, hunk): (usize, &Hunk)| {
        // What stands between two differences is shown once.
        let start = number.checked_sub(1).map_or(0, |before| hunks[before].kept.1);
        let end = hunks.get(number + 1).map_or(kept.len(), |after| after.kept.0);
        Change {
            before: shown(&kept[hunk.kept.0.saturating_sub(CONTEXT_WORDS).max(start)..hunk.kept.0]),
            kept: shown(&kept[hunk.kept.0..hunk.kept.1]),
            removed: shown(&removed[hunk.removed.0..hunk.removed.1]),
            after: shown(&kept[hunk.kept.1..(hunk.kept.1 + CONTEXT_WORDS).min(end)]),
        }
    };
    Differences {
        kept_words: kept.len(),
        removed_words: removed.len(),
        common_words: prefix + pairs.len() + suffix,
        changes: hunks.iter().enumerate().take(MAX_CHANGES).map(change).collect(),
        changes_left_out: hunks.len().saturating_sub(MAX_CHANGES),
        coarse: !complete || kept_cut || removed_cut,
    }
}

/// Pairs of equal words in rising order, as many as can be; and whether the search came to its end within its bound.
fn matches(a: &[&str], b: &[&str]) -> (Vec<(usize, usize)>, bool) {
    // Farthest place in `a` on each diagonal (place in `a` less place in `b`), one list per number of edits, for the
    // diagonals -edits, -edits + 2, .. edits.
    let mut steps: Vec<Vec<usize>> = Vec::new();
    let mut end = None;
    for edits in 0..=MAX_EDITS.min(a.len() + b.len()) {
        let mut row = Vec::with_capacity(edits + 1);
        for place in 0..=edits {
            let start = match steps.last() {
                None => Some(0),
                Some(before) => {
                    // From the diagonal below a word of `a` is left out, from the one above a word of `b` put in.
                    let left_out = place
                        .checked_sub(1)
                        .map(|below| before[below])
                        .filter(|x| *x < a.len())
                        .map(|x| x + 1);
                    let put_in = before.get(place).copied();
                    left_out.max(put_in)
                }
            };
            let mut x = start.unwrap_or(0).min(a.len());
            // y = x - diagonal, diagonal = 2 * place - edits.
            let mut y = (x + edits).saturating_sub(2 * place);
            if y <= b.len() {
                let run = a[x..].iter().zip(&b[y..]).take_while(|(a, b)| a == b).count();
                (x, y) = (x + run, y + run);
            }
            row.push(x);
            if x >= a.len() && y >= b.len() && end.is_none() {
                end = Some((edits, place));
            }
        }
        steps.push(row);
        if end.is_some() {
            break;
        }
    }
    let Some((mut edits, mut place)) = end else { return (Vec::new(), false) };
    let mut pairs = Vec::new();
    loop {
        let x = steps[edits][place];
        let y = |x: usize, edits: usize, place: usize| (x + edits).saturating_sub(2 * place);
        if edits == 0 {
            pairs.extend((0..x).rev().map(|x| (x, x)));
            break;
        }
        let before = &steps[edits - 1];
        let left_out =
            place.checked_sub(1).map(|below| before[below]).filter(|x| *x < a.len()).map(|x| x + 1);
        let put_in = before.get(place).copied();
        let start = left_out.max(put_in).unwrap_or(0);
        let (end_y, mut at) = (y(x, edits, place), x);
        while at > start {
            at -= 1;
            pairs.push((at, end_y - (x - at)));
        }
        if left_out >= put_in {
            place -= 1;
        }
        edits -= 1;
    }
    pairs.reverse();
    (pairs, true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_words_that_differ_are_marked() {
        let kept = "the old mill stands by the river and grinds no more corn than it did";
        let removed = "the new mill stands by the river and grinds corn than it did today";
        let found = differences(kept, removed);
        let change = |before: &str, kept: &str, removed: &str, after: &str| Change {
            before: before.to_owned(),
            kept: kept.to_owned(),
            removed: removed.to_owned(),
            after: after.to_owned(),
        };
        assert_eq!(
            found.changes,
            [
                change("the", "old", "new", "mill stands by the"),
                change("the river and grinds", "no more", "", "corn than it did"),
                change("corn than it did", "", "today", ""),
            ]
        );
        assert_eq!((found.common_words, found.coarse), (12, false));
        assert_eq!(differences("", ""), Differences::default());
        assert_eq!(differences("a b", "a  b").changes, []);
    }

    #[test]
    fn hostile_texts_are_bounded() {
        let words = |from: u32| (from..from + 60_000).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let found = differences(&words(0), &words(100_000));
        assert!(found.coarse);
        assert_eq!((found.changes.len(), found.common_words), (1, 0));
        assert!(found.changes[0].kept.len() < 400);
    }

    /// Length of the longest common subsequence, by the table.
    fn longest_common(a: &[&str], b: &[&str]) -> usize {
        let mut row = vec![0; b.len() + 1];
        for x in a {
            let mut diagonal = 0;
            for (at, y) in b.iter().enumerate() {
                let above = row[at + 1];
                row[at + 1] = if x == y { diagonal + 1 } else { above.max(row[at]) };
                diagonal = above;
            }
        }
        row[b.len()]
    }

    proptest! {
        #[test]
        fn as_many_words_agree_as_can(a in "([abc] ){0,40}", b in "([abc] ){0,40}") {
            let (a, b): (Vec<&str>, Vec<&str>) = (a.split_whitespace().collect(), b.split_whitespace().collect());
            let (pairs, complete) = matches(&a, &b);
            prop_assert!(complete);
            prop_assert!(pairs.iter().all(|&(x, y)| a[x] == b[y]));
            prop_assert!(pairs.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 < two[1].1));
            prop_assert_eq!(pairs.len(), longest_common(&a, &b));
            let found = differences(&a.join(" "), &b.join(" "));
            prop_assert_eq!(found.common_words, pairs.len());
        }
    }
}
