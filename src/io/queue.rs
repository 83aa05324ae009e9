//! A priority queue that may be larger than memory: records come out in order, and new ones may be put in
//! between, as long as they do not lie before what already came out.
//!
//! Method: the queue of time-forward processing (Chiang et al., "External-memory graph algorithms", SODA 1995),
//! in the simplest form that bounds memory: a heap that is written out as one sorted run whenever it is full, and
//! whose runs are merged into one when there are many of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

use super::runs::{Record, RunReader, write_sorted};
use super::scratch;
use crate::error::Result;

/// Runs that are read at once; at one more they become one.
const MAX_RUNS: usize = 64;

/// The queue. Its files have no names once they are open: nothing is left behind.
pub struct RunQueue<R: Record> {
    scratch: PathBuf,
    capacity: usize,
    heap: BinaryHeap<Reverse<R>>,
    runs: Vec<RunReader<R>>,
    /// Next record of each run, with the run's number.
    heads: BinaryHeap<Reverse<(R, usize)>>,
    written: u64,
    files: u64,
}

impl<R: Record> RunQueue<R> {
    /// A queue that holds at most `memory_bytes` of records (at least 1,024 of them) and spills below `scratch`, a
    /// folder of its own.
    #[must_use]
    pub fn new(scratch: impl AsRef<Path>, memory_bytes: u64) -> Self {
        let capacity = usize::try_from(memory_bytes).unwrap_or(usize::MAX) / size_of::<R>().max(1);
        Self {
            scratch: scratch.as_ref().to_path_buf(),
            capacity: capacity.max(1024),
            heap: BinaryHeap::new(),
            runs: Vec::new(),
            heads: BinaryHeap::new(),
            written: 0,
            files: 0,
        }
    }

    /// Puts a record in.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where a run cannot be spilled.
    pub fn push(&mut self, record: R) -> Result<()> {
        if self.heap.len() >= self.capacity {
            self.spill()?;
        }
        self.heap.push(Reverse(record));
        Ok(())
    }

    /// The least record.
    #[must_use]
    pub fn peek(&self) -> Option<R> {
        let memory = self.heap.peek().map(|Reverse(record)| *record);
        let disk = self.heads.peek().map(|Reverse((record, _))| *record);
        match (memory, disk) {
            (Some(memory), Some(disk)) => Some(memory.min(disk)),
            (one, other) => one.or(other),
        }
    }

    /// Takes the least record out.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where a run cannot be read back.
    pub fn pop(&mut self) -> Result<Option<R>> {
        let from_disk = match (self.heap.peek(), self.heads.peek()) {
            (Some(Reverse(memory)), Some(Reverse((disk, _)))) => disk < memory,
            (memory, _) => memory.is_none(),
        };
        if from_disk { self.pop_run() } else { Ok(self.heap.pop().map(|Reverse(record)| record)) }
    }

    /// Bytes written to disk so far.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.written
    }

    fn pop_run(&mut self) -> Result<Option<R>> {
        let Some(Reverse((record, run))) = self.heads.pop() else { return Ok(None) };
        if let Some(following) = self.runs[run].next() {
            self.heads.push(Reverse((following?, run)));
        }
        Ok(Some(record))
    }

    fn spill(&mut self) -> Result<()> {
        if self.runs.len() >= MAX_RUNS {
            let path = self.path()?;
            let rest = std::iter::from_fn(|| self.pop_run().transpose());
            write_sorted(&path, rest)?;
            self.runs.clear();
            self.open(&path)?;
        }
        let path = self.path()?;
        let records = std::mem::take(&mut self.heap).into_sorted_vec();
        write_sorted(&path, records.iter().rev().map(|Reverse(record)| Ok(*record)))?;
        // The room is used again.
        let mut records = records;
        records.clear();
        self.heap = BinaryHeap::from(records);
        self.open(&path)
    }

    fn path(&mut self) -> Result<PathBuf> {
        self.files += 1;
        Ok(scratch::private(&self.scratch)?.join(format!("queue-{:07}.run", self.files)))
    }

    fn open(&mut self, path: &Path) -> Result<()> {
        self.written += super::size_of(path)?;
        let mut run = RunReader::open(path)?;
        super::remove_files(&[path.to_path_buf()])?;
        if let Some(first) = run.next() {
            self.heads.push(Reverse((first?, self.runs.len())));
            self.runs.push(run);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Record for u64 {
        const BYTES: usize = 8;
        fn encode(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(&self.to_le_bytes());
        }
        fn decode(bytes: &[u8]) -> Self {
            Self::from_le_bytes(bytes.try_into().unwrap())
        }
    }

    #[test]
    fn comes_out_in_order_whatever_spills() {
        let dir = tempfile::tempdir().unwrap();
        for memory in [0, 1 << 30] {
            let mut queue = RunQueue::<u64>::new(dir.path().join("queue"), memory);
            let mut plain = BinaryHeap::new();
            let mut state = 7_u64;
            // Each record that comes out sends two or none further up: over a hundred runs at the smallest size.
            for number in 0..70_000 {
                queue.push(number).unwrap();
                plain.push(Reverse(number));
            }
            let mut count = 0_u64;
            while let Some(Reverse(expected)) = plain.pop() {
                assert_eq!(queue.peek(), Some(expected));
                assert_eq!(queue.pop().unwrap(), Some(expected));
                count += 1;
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if state >> 63 == 1 && count < 150_000 {
                    for step in [1, state >> 40] {
                        queue.push(expected + step).unwrap();
                        plain.push(Reverse(expected + step));
                    }
                }
            }
            assert_eq!((queue.pop().unwrap(), queue.peek()), (None, None));
            assert_eq!(queue.written_bytes() > 0, memory == 0);
            assert!(count > 100_000);
        }
        assert!(crate::io::list(dir.path().join("queue"), "").unwrap().is_empty());
    }
}
