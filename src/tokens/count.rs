//! Pass `tokenizer-count`: how often each piece occurs in one corpus file.
//!
//! One task per file. Pieces are counted in memory up to the task's budget, then spilled in byte order; at
//! the end the spills become one file. The counts do not depend on when it spilled.

use crate::error::Result;
use crate::io::columns::StringColumns;
use crate::stage::{Pass, TaskEnv, TaskReport};

use super::Layout;
use super::pieces::{PieceTable, PieceWriter, merge};
use super::split::{Splitter, capped};

/// The pass.
pub struct Count {
    pub(super) layout: Layout,
    pub(super) max_piece_bytes: usize,
}

impl Pass for Count {
    fn name(&self) -> &'static str {
        "tokenizer-count"
    }

    fn tasks(&self) -> Result<u32> {
        super::per_corpus_file(&self.layout)
    }

    fn run(&self, task: u32, env: &TaskEnv) -> Result<TaskReport> {
        let dir = self.layout.work("count");
        let scratch = crate::io::scratch::private(dir.join(format!("{task:05}.scratch")))?;
        let mut corpus = StringColumns::open(self.layout.corpus_file(task)?, &["text"])?;
        let mut splitter = Splitter::new()?;
        let mut table = PieceTable::default();
        let mut spills = Vec::new();
        let mut report = TaskReport::default();
        let mut pieces = 0;
        while let Some(batch) = corpus.next()? {
            env.check_cancel()?;
            let mut bytes = 0;
            for row in 0..batch.rows {
                let text = batch.get(0, row);
                splitter.pieces(text, |piece| {
                    for part in capped(piece, self.max_piece_bytes) {
                        table.add(part, 1);
                        pieces += 1;
                    }
                })?;
                bytes += text.len() as u64;
                if table.is_full(env.memory_bytes / 2) {
                    let path = scratch.join(format!("spill-{:05}.pieces", spills.len()));
                    table.write(&path)?;
                    spills.push(path);
                }
            }
            env.progress.advance(bytes, batch.rows as u64);
        }
        let target = dir.join(format!("{task:05}.pieces"));
        if spills.is_empty() {
            table.write(&target)?;
        } else {
            let path = scratch.join("last.pieces");
            table.write(&path)?;
            spills.push(path);
            drop(table);
            let mut out = PieceWriter::create(&target)?;
            merge(&spills, &scratch, |piece, count| out.write(piece, count))?;
            out.finish()?;
            crate::io::remove_files(&spills)?;
        }
        report.counts.insert("pieces".to_owned(), pieces);
        Ok(report)
    }
}
