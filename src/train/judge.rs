//! How good a model is: loss and bits per byte on texts, and which of several answers it finds most likely.
//!
//! Bits per byte is the sum of the losses of all tokens, in bits, over the bytes of the text that they stand for: comparable across
//! tokenizers. An end token stands for no byte. A text begins behind an end token, as documents do in training, and is judged in pieces
//! of the model's context that do not see each other.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokenizers::pipeline::PipelineToken;

use super::data::Sequences;
use super::engine::Engine;
use super::model::{Batch, IGNORED};
use crate::error::{Error, Result};
use crate::io;
use crate::tokens::encoder::Encoder;

/// Tokens that go through the model at once.
const BATCH_TOKENS: usize = 8192;

/// Bytes of text that each token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBytes(Vec<u32>);

impl TokenBytes {
    /// Of a Hugging Face `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is none.
    pub fn read(path: &Path) -> Result<Self> {
        let tree: Value = io::read_json(path)?;
        let is_byte_level =
            mentions_byte_level(&tree["pre_tokenizer"]) || mentions_byte_level(&tree["decoder"]);
        let length = |piece: &str| {
            let is_byte = piece.len() == 6 && piece.starts_with("<0x") && piece.ends_with('>');
            // A byte-level piece has one character for each byte; elsewhere U+2581 is a space.
            let bytes = match (is_byte_level, is_byte) {
                (true, _) => piece.chars().count(),
                (false, true) => 1,
                (false, false) => piece.replace('\u{2581}', " ").len(),
            };
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let mut bytes = Vec::new();
        let mut set = |id: u64, length: u32| {
            let id = usize::try_from(id).unwrap_or(usize::MAX).min(1 << 31);
            if bytes.len() <= id {
                bytes.resize(id + 1, 0);
            }
            bytes[id] = length;
        };
        match &tree["model"]["vocab"] {
            Value::Object(vocab) => {
                for (piece, id) in vocab {
                    set(id.as_u64().unwrap_or(0), length(piece));
                }
            }
            Value::Array(vocab) => {
                for (id, entry) in (0..).zip(vocab) {
                    set(id, length(entry[0].as_str().unwrap_or_default()));
                }
            }
            _ => return Err(Error::damaged(path, "it has no vocabulary")),
        }
        for token in tree["added_tokens"].as_array().into_iter().flatten() {
            let is_special = token["special"].as_bool() == Some(true);
            let bytes = token["content"].as_str().map_or(0, str::len);
            if let Some(id) = token["id"].as_u64() {
                set(id, if is_special { 0 } else { u32::try_from(bytes).unwrap_or(u32::MAX) });
            }
        }
        Ok(Self(bytes))
    }

    /// Of one token; none for an id that the tokenizer does not know.
    #[must_use]
    pub fn of(&self, id: u32) -> u32 {
        self.0.get(id as usize).copied().unwrap_or(0)
    }
}

fn mentions_byte_level(part: &Value) -> bool {
    let is_it = |part: &Value| part["type"] == "ByteLevel";
    let lists = ["pretokenizers", "decoders"].iter().filter_map(|name| part[*name].as_array());
    is_it(part) || lists.flatten().any(is_it)
}

/// How well texts are foreseen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Tokens that were foreseen.
    pub tokens: u64,
    /// Bytes that they stand for; 0 where the tokenizer is not known.
    pub bytes: u64,
    /// Mean loss per token, in nats.
    pub loss: f64,
    /// Bits per byte of text, where bytes are known.
    pub bits_per_byte: Option<f64>,
}

impl Judgement {
    /// From sums.
    fn of(nats: f64, tokens: u64, bytes: u64) -> Self {
        Self {
            tokens,
            bytes,
            loss: if tokens == 0 { 0.0 } else { nats / tokens as f64 },
            bits_per_byte: (bytes > 0).then(|| nats / std::f64::consts::LN_2 / bytes as f64),
        }
    }
}

/// Judges held-out sequences.
///
/// # Errors
/// As [`Engine::losses`].
pub fn held_out(
    engine: &mut Engine,
    sequences: &[Sequences],
    masked: bool,
    bytes: Option<&TokenBytes>,
) -> Result<Judgement> {
    let (mut nats, mut tokens, mut byte_count) = (0.0, 0, 0);
    for rows in sequences {
        let batch = Batch {
            rows: rows.rows,
            length: rows.length,
            inputs: &rows.inputs,
            targets: &rows.targets,
            documents: masked.then_some(&rows.documents[..]),
        };
        nats += engine.losses(&batch)?.iter().map(|&loss| f64::from(loss)).sum::<f64>();
        tokens += rows.targets.len() as u64;
        byte_count += bytes.map_or(0, |bytes| rows.targets.iter().map(|&id| u64::from(bytes.of(id))).sum());
    }
    Ok(Judgement::of(nats, tokens, byte_count))
}

/// Tokens to foresee, each behind what comes before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    inputs: Vec<u32>,
    /// [`IGNORED`] where a token is only there to be seen.
    targets: Vec<u32>,
}

/// What turns texts into what a model is asked.
pub struct Judge<'a> {
    /// Longest sequence of the model.
    pub context: usize,
    /// Its tokenizer.
    pub encoder: &'a Encoder,
    /// Bytes of its tokens.
    pub bytes: &'a TokenBytes,
}

impl Judge<'_> {
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens: Vec<PipelineToken> = Vec::new();
        self.encoder.encode(text, &mut tokens)?;
        Ok(tokens.into_iter().map(PipelineToken::id).collect())
    }

    /// A text as pieces of at most the model's context.
    fn pieces(&self, text: &str, pieces: &mut Vec<Piece>) -> Result<()> {
        let mut ids = vec![self.encoder.eos_id];
        ids.extend(self.encode(text)?);
        let context = self.context;
        let mut at = 0;
        while at + 1 < ids.len() {
            let end = (at + context + 1).min(ids.len());
            pieces.push(Piece { inputs: ids[at..end - 1].to_vec(), targets: ids[at + 1..end].to_vec() });
            at = end - 1;
        }
        Ok(())
    }

    /// The sum of the losses of each piece, in nats. Pieces share rows behind a mask.
    fn score(&self, engine: &mut Engine, pieces: &[Piece]) -> Result<Vec<f64>> {
        let context = self.context;
        let mut sums = Vec::with_capacity(pieces.len());
        let mut next = 0;
        while next < pieces.len() {
            // Rows of the longest piece that is in them.
            let mut rows: Vec<Vec<usize>> = Vec::new();
            let mut used = context;
            while next < pieces.len() {
                let length = pieces[next].inputs.len();
                if used + length > context {
                    if (rows.len() + 1) * context > BATCH_TOKENS.max(context) {
                        break;
                    }
                    rows.push(Vec::new());
                    used = 0;
                }
                used += length;
                if let Some(row) = rows.last_mut() {
                    row.push(next);
                }
                next += 1;
            }
            let length =
                rows.iter().map(|row| row.iter().map(|&piece| pieces[piece].inputs.len()).sum()).max();
            let length: usize = length.unwrap_or(0);
            let (mut inputs, mut targets, mut documents) = (Vec::new(), Vec::new(), Vec::new());
            for (number, row) in rows.iter().enumerate() {
                for (document, &piece) in (1..).zip(row) {
                    inputs.extend_from_slice(&pieces[piece].inputs);
                    targets.extend_from_slice(&pieces[piece].targets);
                    documents.resize(inputs.len(), document);
                }
                inputs.resize((number + 1) * length, 0);
                targets.resize((number + 1) * length, IGNORED);
                documents.resize((number + 1) * length, 0);
            }
            let batch = Batch {
                rows: rows.len(),
                length,
                inputs: &inputs,
                targets: &targets,
                documents: Some(&documents),
            };
            let losses = engine.losses(&batch)?;
            for (number, row) in rows.iter().enumerate() {
                let mut at = number * length;
                for &piece in row {
                    let end = at + pieces[piece].inputs.len();
                    sums.push(losses[at..end].iter().map(|&loss| f64::from(loss)).sum());
                    at = end;
                }
            }
        }
        Ok(sums)
    }

    /// Judges texts, one after the other.
    ///
    /// # Errors
    /// [`Error::Failed`] where the tokenizer refuses a text, or a GPU fails.
    pub fn texts<'t>(&self, engine: &mut Engine, texts: impl Iterator<Item = &'t str>) -> Result<Judgement> {
        let (mut nats, mut tokens, mut bytes) = (0.0, 0, 0);
        let mut pieces = Vec::new();
        for text in texts {
            self.pieces(text, &mut pieces)?;
            bytes += text.len() as u64;
        }
        for piece in &pieces {
            tokens += piece.targets.len() as u64;
        }
        for sum in self.score(engine, &pieces)? {
            nats += sum;
        }
        Ok(Judgement::of(nats, tokens, bytes))
    }

    /// Which answers are most likely, by the sum of their losses and by the same over their bytes.
    ///
    /// # Errors
    /// [`Error::User`] where a question does not fit the model's context, or an answer has no token.
    pub fn choose(&self, engine: &mut Engine, questions: &[Question]) -> Result<Chosen> {
        let context = self.context;
        let mut pieces = Vec::new();
        for (number, question) in questions.iter().enumerate() {
            let mut prompt = vec![self.encoder.eos_id];
            prompt.extend(self.encode(&question.prompt)?);
            for choice in &question.choices {
                let answer = self.encode(choice)?;
                let ids: Vec<u32> = prompt.iter().chain(&answer).copied().collect();
                if answer.is_empty() || answer.len() >= context {
                    return Err(Error::User(format!(
                        "question {}: an answer has {} tokens; 1 to {} can be scored",
                        number + 1,
                        answer.len(),
                        context - 1
                    )));
                }
                // What does not fit goes at the front of the prompt.
                let ids = &ids[(ids.len() - 1).saturating_sub(context)..];
                let mut targets = ids[1..].to_vec();
                let shown = targets.len() - answer.len();
                targets[..shown].fill(IGNORED);
                pieces.push(Piece { inputs: ids[..ids.len() - 1].to_vec(), targets });
            }
        }
        let mut sums = self.score(engine, &pieces)?.into_iter();
        let mut chosen = Chosen { questions: questions.len() as u64, ..Chosen::default() };
        for question in questions {
            let sums: Vec<f64> = sums.by_ref().take(question.choices.len()).collect();
            let per_byte: Vec<f64> = sums
                .iter()
                .zip(&question.choices)
                .map(|(sum, choice)| sum / choice.len().max(1) as f64)
                .collect();
            chosen.correct += u64::from(least(&sums) == question.answer);
            chosen.correct_per_byte += u64::from(least(&per_byte) == question.answer);
            chosen.by_chance += 1.0 / question.choices.len() as f64;
        }
        Ok(chosen)
    }
}

fn least(values: &[f64]) -> usize {
    let best = values.iter().enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
    best.map_or(0, |(number, _)| number)
}

/// A multiple-choice question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What stands before the answer.
    pub prompt: String,
    /// The answers, each as it goes on behind the prompt (mostly with a space in front).
    pub choices: Vec<String>,
    /// Number of the right one, from 0.
    pub answer: usize,
}

/// How many questions were answered rightly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// Questions.
    pub questions: u64,
    /// The right answer has the least sum of losses.
    pub correct: u64,
    /// The right answer has the least loss per byte.
    pub correct_per_byte: u64,
    /// Right answers that guessing would give.
    pub by_chance: f64,
}

/// Lines of a JSONL file (plain, gzip or zstd), each as `T`.
///
/// # Errors
/// [`Error::Damaged`] with the number of the line that does not fit.
pub fn read_lines<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let bytes = io::codec::read_whole(path, MAX_EVAL_BYTES)?;
    let mut found = Vec::new();
    for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let value = serde_json::from_slice(line)
            .map_err(|error| Error::damaged(path, format!("line {}: {error}", number + 1)))?;
        found.push(value);
    }
    Ok(found)
}

/// Largest file to judge by.
const MAX_EVAL_BYTES: usize = 1 << 30;

/// A document to judge by; other fields are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Its text.
    pub text: String,
}
