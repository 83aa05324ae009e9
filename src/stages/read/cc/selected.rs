//! The chosen records of one WARC file, by ranges.
//!
//! Each record is a gzip member of its own. Neighbours are read together: a stretch of the file is one range request, and what lies
//! between its records and was not chosen (requests and metadata too, which no index names) is passed over unread.
//!
//! A [`Position`] holds the file offset of the next chosen record and its number among the chosen ones of the file; this number is the
//! documents' record number, too. What the index says wrongly (a place behind the file's end, no member there, another length) is a
//! quarantined `wrong_index_entry`; damage inside a member is what it is for the `warc` reader.

use std::ops::Range;
use std::path::Path;

use super::passes::{Place, places_run};
use crate::error::{Error, Result};
use crate::io::ranges::RunFile;
use crate::stage::{Item, Position, RecordStream};
use crate::stages::read::records::{Bad, Records, Step, WRONG_ENTRY};
use crate::stages::read::warc::Pages;
use crate::stages::read::warc_stream::{Judge, Origin};

/// Bytes between two chosen records that are read along rather than asked around: what comes in the time of a request, 0.1 s at
/// 10 MB/s. With one request per second, the default, ten times as much would still pay, but the server sends it for nothing.
const MAX_GAP_BYTES: u64 = 1 << 20;
/// Bytes that are read in one go at most, so that a connection that breaks costs no more than that.
const MAX_STRETCH_BYTES: u64 = 64 << 20;
/// No file is larger; offsets beyond cannot even be asked for.
const MAX_FILE_BYTES: u64 = 1 << 50;

/// Opens a file at a position, or at its first chosen record. Nothing is asked of the file itself yet.
pub(super) fn open(
    dir: &Path,
    file: u32,
    origin: Origin,
    judge: Pages,
    at: Option<&Position>,
) -> Result<Selected> {
    let places = RunFile::<Place>::open(places_run(dir, file))?;
    let first = places.partition_point(|place| place.file < file)?;
    let end = places.partition_point(|place| place.file <= file)?;
    let next = first + at.map_or(0, |at| at.record);
    let mut stream = Selected {
        places,
        first,
        next,
        end,
        upcoming: None,
        passed: at.map_or(0, |at| at.offset),
        open: None,
        origin,
        judge,
    };
    stream.look_ahead()?;
    let expected = at.is_none_or(|at| next <= end && stream.position().offset == at.offset);
    if !expected {
        return Err(Error::Failed(format!(
            "`{}` has no chosen record where the interrupted run left off: the selection was changed",
            stream.origin.file
        )));
    }
    Ok(stream)
}

/// Items of the chosen records.
pub(super) struct Selected {
    places: RunFile<Place>,
    /// Numbers in the run: of the file's first place, the next one, the one behind the last.
    first: u64,
    next: u64,
    end: u64,
    upcoming: Option<Place>,
    /// End of the record that was handed out last.
    passed: u64,
    /// The stretch that is being read: up to where it was, its end.
    open: Option<(Records, Range<u64>)>,
    origin: Origin,
    judge: Pages,
}

impl Place {
    /// The bytes of the record; `None` where no file can have them.
    fn bytes(&self) -> Option<Range<u64>> {
        let end = self.offset.checked_add(self.length)?;
        (self.length > 0 && end <= MAX_FILE_BYTES).then_some(self.offset..end)
    }
}

impl Selected {
    fn look_ahead(&mut self) -> Result<()> {
        self.upcoming = if self.next < self.end { Some(self.places.get(self.next)?) } else { None };
        Ok(())
    }

    /// End of the stretch that begins with these bytes, those of the record before `self.next`.
    fn stretch_end(&self, bytes: &Range<u64>) -> Result<u64> {
        let mut end = bytes.end;
        for number in self.next..self.end {
            let Some(next) = self.places.get(number)?.bytes() else { break };
            let gap = next.start.checked_sub(end);
            if gap.is_none_or(|gap| gap > MAX_GAP_BYTES) || next.end - bytes.start > MAX_STRETCH_BYTES {
                break;
            }
            end = next.end;
        }
        Ok(end)
    }

    /// Reads one record, going on in the open stretch where it lies in there.
    fn read(&mut self, bytes: Range<u64>, number: u64) -> Result<Item> {
        let within = |left: &Range<u64>| left.start <= bytes.start && bytes.end <= left.end;
        let (mut records, stretch) = match self.open.take() {
            Some((records, left)) if within(&left) => (records, left),
            Some((mut records, _)) => {
                let stretch = bytes.start..self.stretch_end(&bytes)?;
                records.go_to_stretch(stretch.clone())?;
                (records, stretch)
            }
            None => {
                let stretch = bytes.start..self.stretch_end(&bytes)?;
                let max_record_bytes = self.judge.max_record_bytes;
                (Records::open_stretch(&self.origin.file, stretch.clone(), max_record_bytes)?, stretch)
            }
        };
        let wrong = |detail: String| self.origin.bad(bytes.start, number, WRONG_ENTRY, detail);
        let item = match records.member_at(bytes.clone(), number)? {
            Step::End => wrong("nothing lies there".to_owned()),
            Step::Bad(Bad { offset, record, cause, detail }) => {
                self.origin.bad(offset, record, cause, detail)
            }
            Step::Record(record) => {
                let (header, content) = (records.header(), records.content());
                match self.judge.judge(&record, header, content, &self.origin) {
                    Item::Skipped(kind @ ("request" | "metadata" | "warcinfo" | "conversion")) => {
                        wrong(format!("a record of type `{kind}` lies there, which no index names"))
                    }
                    item => item,
                }
            }
        };
        self.open = Some((records, bytes.end..stretch.end));
        Ok(item)
    }
}

impl RecordStream for Selected {
    fn next(&mut self) -> Result<Option<Item>> {
        let Some(place) = self.upcoming else { return Ok(None) };
        let number = self.next - self.first;
        self.next += 1;
        self.look_ahead()?;
        let Some(bytes) = place.bytes() else {
            let detail = format!("{} bytes from {} on: no file has such a place", place.length, place.offset);
            self.passed = place.offset;
            return Ok(Some(self.origin.bad(place.offset, number, WRONG_ENTRY, detail)));
        };
        self.passed = bytes.end;
        self.read(bytes, number).map(Some)
    }

    fn position(&self) -> Position {
        let offset = self.upcoming.map_or(self.passed, |place| place.offset);
        Position { offset, record: self.next - self.first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::runs::write_run;
    use crate::stages::read::header::Header;

    #[test]
    fn neighbours_are_read_together_up_to_a_gap_and_a_size() {
        let dir = tempfile::tempdir().unwrap();
        let stretch = |later: &[(u64, u64)]| {
            let place = |&(offset, length): &(u64, u64)| Place { file: 3, offset, length };
            let mut places: Vec<Place> = [(100, 50)].iter().chain(later).map(place).collect();
            places.push(Place { file: 4, offset: 160, length: 1 });
            write_run(places_run(dir.path(), 3), &mut places).unwrap();
            let judge = Pages { max_record_bytes: 1 << 20, http: Header::default() };
            let mut stream = open(dir.path(), 3, Origin::new(0, "nowhere", "cc"), judge, None).unwrap();
            stream.next += 1;
            stream.stretch_end(&(100..150)).unwrap()
        };
        assert_eq!(stretch(&[]), 150);
        assert_eq!(stretch(&[(150, 20), (150 + 20 + MAX_GAP_BYTES, 10)]), 180 + MAX_GAP_BYTES);
        assert_eq!(stretch(&[(150, 20), (150 + 21 + MAX_GAP_BYTES, 10)]), 170);
        assert_eq!(stretch(&[(140, 20), (200, 10)]), 150, "overlapping places are no neighbours");
        assert_eq!(stretch(&[(150, MAX_STRETCH_BYTES - 50)]), 100 + MAX_STRETCH_BYTES);
        assert_eq!(stretch(&[(150, MAX_STRETCH_BYTES - 49)]), 150);
        assert_eq!(stretch(&[(151, u64::MAX)]), 150);
    }
}
