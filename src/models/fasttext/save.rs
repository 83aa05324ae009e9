//! Writes the official file format, version 12, as `FastText::saveModel` does for a model that is not quantised.

use std::io::Write;

use super::format::MAGIC;
use super::train::Trained;

const VERSION: i32 = 12;
/// Numbers that the format gives to the softmax loss and to classifiers.
const SOFTMAX: i32 = 3;
const SUPERVISED: i32 = 3;
/// Options that this training has not; the library's defaults.
const CONTEXT_WORDS: i32 = 5;
const NEGATIVES: i32 = 5;
const RATE_UPDATE_TOKENS: i32 = 100;
const SAMPLING_THRESHOLD: f64 = 1e-4;

pub(super) fn write(model: &Trained, out: &mut impl Write) -> std::io::Result<()> {
    let settings = &model.settings;
    let fields = [
        MAGIC,
        VERSION,
        number(settings.dim)?,
        CONTEXT_WORDS,
        number(settings.epoch)?,
        number(settings.min_count)?,
        NEGATIVES,
        number(settings.word_ngrams)?,
        SOFTMAX,
        SUPERVISED,
        number(settings.bucket)?,
        number(settings.minn)?,
        number(settings.maxn)?,
        RATE_UPDATE_TOKENS,
    ];
    for field in fields {
        out.write_all(&field.to_le_bytes())?;
    }
    out.write_all(&SAMPLING_THRESHOLD.to_le_bytes())?;
    dictionary(model, out)?;
    let rows = model.words.len() as u64 + u64::from(settings.bucket);
    matrix(out, rows, settings.dim, &parts(model, |shard| &shard.input))?;
    matrix(out, model.labels.len() as u64, settings.dim, &parts(model, |shard| &shard.output))
}

fn dictionary(model: &Trained, out: &mut impl Write) -> std::io::Result<()> {
    let (words, labels) = (model.words.len(), model.labels.len());
    for count in [words + labels, words, labels] {
        out.write_all(&number(count)?.to_le_bytes())?;
    }
    out.write_all(&model.tokens.to_le_bytes())?;
    out.write_all(&(-1_i64).to_le_bytes())?; // no n-gram was pruned
    let words = model.words.iter().map(|(word, count)| (word.as_slice(), *count, 0));
    let labels = model.labels.iter().map(|(label, count)| (label.as_bytes(), *count, 1));
    for (entry, count, kind) in words.chain(labels) {
        out.write_all(entry)?;
        out.write_all(&[0])?;
        out.write_all(&count.to_le_bytes())?;
        out.write_all(&[kind])?;
    }
    Ok(())
}

/// The columns of one matrix: width and values of each part.
fn parts(model: &Trained, values: fn(&super::descent::Shard) -> &Vec<f32>) -> Vec<(usize, &[f32])> {
    model.shards.iter().map(|shard| (shard.cols, values(shard).as_slice())).collect()
}

fn matrix(out: &mut impl Write, rows: u64, cols: usize, parts: &[(usize, &[f32])]) -> std::io::Result<()> {
    out.write_all(&[0])?; // not quantised
    out.write_all(&rows.to_le_bytes())?;
    out.write_all(&(cols as u64).to_le_bytes())?;
    let mut rows: Vec<_> = parts.iter().map(|(width, values)| values.chunks_exact(*width)).collect();
    let mut bytes = Vec::with_capacity(cols * 4);
    loop {
        bytes.clear();
        for part in &mut rows {
            bytes.extend(part.next().into_iter().flatten().flat_map(|value| value.to_le_bytes()));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        out.write_all(&bytes)?;
    }
}

/// The format has signed 32-bit numbers.
fn number(value: impl TryInto<i32>) -> std::io::Result<i32> {
    value.try_into().map_err(|_| std::io::Error::other("a number that the fastText format cannot hold"))
}
