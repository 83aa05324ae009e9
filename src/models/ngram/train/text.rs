//! Lines of a text file, plain, gzip or zstd, for training.

use std::path::Path;

use crate::error::{Error, Result};
use crate::io::codec::{Begin, Damage, Fill, Input};

/// Longest line of a text file.
const MAX_LINE_BYTES: usize = 64 << 20;

/// Gives every line of a file to `take`, without its line feed; a last line need not end.
///
/// # Errors
/// [`Error::Damaged`] where the file is (a model of half of a text is of no use), [`Error::User`] for a line of more than
/// 64 MiB, [`Error::Io`] where it cannot be read, and those of `take`.
pub fn for_each_line(path: &Path, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let damaged = |damage: Damage| Error::damaged(path, damage.detail);
    let mut input = Input::open(path)?;
    let mut searched = 0;
    loop {
        if !input.inside() {
            match input.begin()? {
                Begin::Member => {}
                Begin::Damaged(damage) => return Err(damaged(damage)),
                Begin::End => break,
            }
        }
        if let Fill::Damaged(damage) = input.fill()? {
            return Err(damaged(damage));
        }
        let bytes = input.bytes();
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &bytes[searched..]).map(|at| at + searched) {
            take(&bytes[start..end])?;
            start = end + 1;
        }
        searched = bytes.len() - start;
        if searched > MAX_LINE_BYTES {
            return Err(Error::User(format!(
                "`{}` has a line of more than {} MiB; a line is to be one sentence",
                path.display(),
                MAX_LINE_BYTES >> 20
            )));
        }
        input.consume(start);
    }
    if input.bytes().is_empty() { Ok(()) } else { take(input.bytes()) }
}
