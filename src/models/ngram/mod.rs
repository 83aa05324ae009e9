//! Reads n-gram language models and scores words with them: ARPA text (plain, gzip, zstd), KenLM's probing binaries
//! and its trie binaries (plain, quantised, array-compressed pointers, both), of orders up to 7.
//!
//! Method: Heafield, "KenLM: Faster and Smaller Language Model Queries" (2011). Written new from the layout of the
//! files; KenLM's code is not in here. Binaries are mapped, not read; ARPA text becomes hash tables in memory of
//! 24 bytes per n-gram of a middle order, 18 per longest one and 26 per word, with 16 more per n-gram of one
//! order while it is read.
//!
//! Scores are KenLM's: the probability of the longest n-gram that ends with the word, plus the backoffs of the
//! longer contexts, in 32-bit floats and the same order of additions; unknown words count as `<unk>`; ARPA text
//! without `<unk>` gives it a log10 probability of -100; `<s>` opens a sentence and has no probability of its
//! own, `</s>` closes it and has.
//!
//! Where we differ from KenLM:
//! * sums over a sentence are 64-bit floats;
//! * models of single words are read from ARPA text;
//! * every entry of a binary is looked at when it is opened, so that damage is an error instead of a wrong score, as
//!   far as it can be told: the format has no checksum, so a changed probability that is still one goes unseen;
//! * probing binaries with rest costs, big-endian ones and those of other versions are refused.

mod arpa;
pub mod arpa_writer;
mod format;
mod gain;
mod hash;
mod prefetch;
mod probing;
pub mod probing_writer;
mod score;
mod search;
mod table;
pub mod tokens;
pub mod train;
mod trie;
mod vocabulary;

use std::path::Path;

use crate::error::Error as FileError;
use crate::io::Map;
use format::{Block, Cursor, Header, Source};
use probing::Probing;
use search::{Level as _, Search};
use trie::Trie;
use vocabulary::Vocabulary;

pub use format::{Error, Kind, MAX_ORDER};
pub use gain::ContextGain;
pub use score::{Scorer, SentenceScore};
pub use vocabulary::UNKNOWN;

/// An n-gram model, shared by all threads.
#[derive(Debug)]
pub struct Model {
    vocabulary: Vocabulary,
    store: Store,
    counts: Vec<u64>,
    kind: Kind,
    begin: u32,
    end: u32,
}

#[derive(Debug)]
enum Store {
    Probing(Probing),
    Trie(Trie),
}

/// The words that matter for the next one's probability, with their backoffs.
#[derive(Debug, Clone, Copy)]
pub struct State {
    /// Last word first.
    words: [u32; MAX_ORDER - 1],
    /// Backoff of the last word, of the last two, ...; 0 where they are no n-gram.
    backoffs: [f32; MAX_ORDER - 1],
    words_kept: u8,
}

impl State {
    /// The state in which nothing came before: not even the beginning of a sentence.
    pub const EMPTY: Self =
        Self { words: [UNKNOWN; MAX_ORDER - 1], backoffs: [0.0; MAX_ORDER - 1], words_kept: 0 };

    fn words(&self) -> &[u32] {
        &self.words[..usize::from(self.words_kept)]
    }
}

/// What one word was given.
#[derive(Debug, Clone, Copy)]
pub struct WordScore {
    /// Log10 probability, backoffs included.
    pub log10_prob: f32,
    /// Length of the n-gram that was found, in words; 1 to the model's order.
    pub matched: usize,
    /// The state behind the word.
    pub state: State,
}

impl Model {
    /// Opens a model of any of the kinds. Binaries are mapped and looked through once; see [`Map`] for what must
    /// not happen to the file meanwhile.
    ///
    /// # Errors
    /// [`FileError::User`] where the file is not a model that can be read, [`FileError::Damaged`] where it is cut
    /// short or contradicts itself, [`FileError::Io`] where it cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        Self::open_any(path).map_err(|error| match error {
            Error::NotAModel | Error::Unsupported(_) => {
                FileError::User(format!("`{}` cannot be used: {error}", path.display()))
            }
            Error::Truncated { .. } | Error::Damaged(_) | Error::Line { .. } => {
                FileError::damaged(path, error.to_string())
            }
            Error::File(error) => error,
        })
    }

    fn open_any(path: &Path) -> Result<Self, Error> {
        let map = Map::open(path)?;
        if map.bytes().starts_with(format::MARK) {
            return Self::binary(Block::whole(Source::Map(map)));
        }
        drop(map);
        Self::arpa(arpa::read_file(path)?)
    }

    /// Reads a model of any of the kinds from memory; ARPA text must not be compressed.
    ///
    /// # Errors
    /// Where the bytes are no model that can be read, are cut short or contradict themselves.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        if bytes.starts_with(format::MARK) {
            return Self::binary(Block::whole(Source::Memory(bytes)));
        }
        Self::arpa(arpa::read_bytes(&bytes)?)
    }

    fn binary(file: Block) -> Result<Self, Error> {
        let mut cursor = Cursor::new(file);
        let header = Header::read(&mut cursor)?;
        let (vocabulary, store) = match header.kind {
            Kind::Probing => {
                let (vocabulary, probing) = Probing::read(&mut cursor, &header)?;
                (vocabulary, Store::Probing(probing))
            }
            Kind::Trie { .. } => {
                let (vocabulary, trie) = Trie::read(&mut cursor, &header)?;
                (vocabulary, Store::Trie(trie))
            }
        };
        let rest = cursor.rest();
        if !header.has_words && !rest.bytes().is_empty() {
            return format::damaged(format!("{} bytes behind the end", rest.bytes().len()));
        }
        vocabulary.check(header.has_words.then(|| rest.bytes()))?;
        match &store {
            Store::Probing(probing) => probing.check(&header.counts, vocabulary.bound())?,
            Store::Trie(trie) => trie.check(&header.counts, vocabulary.bound())?,
        }
        Self::new(vocabulary, store, header.counts, header.kind)
    }

    fn arpa(read: arpa::Read) -> Result<Self, Error> {
        Self::new(read.vocabulary, Store::Probing(read.probing), read.counts, Kind::Probing)
    }

    fn new(vocabulary: Vocabulary, store: Store, counts: Vec<u64>, kind: Kind) -> Result<Self, Error> {
        let mark = |word: &str| match vocabulary.view().id(hash::word(word.as_bytes())) {
            UNKNOWN => format::damaged(format!("the word `{word}` is not in the vocabulary")),
            id => Ok(id),
        };
        let (begin, end) = (mark("<s>")?, mark("</s>")?);
        Ok(Self { vocabulary, store, counts, kind, begin, end })
    }

    /// Length of the longest n-grams, 1 to [`MAX_ORDER`].
    #[must_use]
    pub fn order(&self) -> usize {
        self.counts.len()
    }

    /// Number of n-grams per order, unigrams first, as the file tells.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How the n-grams are kept; ARPA text becomes [`Kind::Probing`].
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Number of different words, `<unk>`, `<s>` and `</s>` included.
    #[must_use]
    pub fn vocabulary_size(&self) -> u32 {
        self.vocabulary.bound()
    }

    /// Id of a word; [`UNKNOWN`] for those that the model does not know.
    #[must_use]
    pub fn word_id(&self, word: impl AsRef<[u8]>) -> u32 {
        self.vocabulary.view().id(hash::word(word.as_ref()))
    }

    /// Id of `<s>`.
    #[must_use]
    pub fn begin_id(&self) -> u32 {
        self.begin
    }

    /// Id of `</s>`.
    #[must_use]
    pub fn end_id(&self) -> u32 {
        self.end
    }

    /// The state at the beginning of a sentence, behind `<s>`.
    #[must_use]
    pub fn begin_state(&self) -> State {
        let mut state = State::EMPTY;
        if self.order() > 1 {
            state.words[0] = self.begin;
            state.backoffs[0] = self.unigram(self.begin).backoff;
            state.words_kept = 1;
        }
        state
    }

    /// The state in which nothing came before; see [`State::EMPTY`].
    #[must_use]
    pub fn null_state(&self) -> State {
        State::EMPTY
    }

    fn unigram(&self, id: u32) -> search::Gram {
        match &self.store {
            Store::Probing(probing) => probing.unigram(id).0,
            Store::Trie(trie) => trie.unigram(id).0,
        }
    }

    /// Scores one word by its id (those of [`Model::word_id`]; any other number counts as [`UNKNOWN`]).
    #[must_use]
    pub fn score(&self, state: &State, id: u32) -> WordScore {
        let id = if id < self.vocabulary_size() { id } else { UNKNOWN };
        match &self.store {
            Store::Probing(probing) => step(probing, self.order(), state, id),
            Store::Trie(trie) => step(trie, self.order(), state, id),
        }
    }

    /// Scores words one after the other; `begin`: behind `<s>`, `end`: `</s>` comes last and counts.
    /// For many sentences a [`Scorer`] is faster.
    #[must_use]
    pub fn score_sentence<'w>(
        &self,
        words: impl IntoIterator<Item = &'w str>,
        begin: bool,
        end: bool,
    ) -> SentenceScore {
        let mut total = SentenceScore::default();
        let mut state = if begin { self.begin_state() } else { State::EMPTY };
        let ids = words.into_iter().map(|word| self.word_id(word)).chain(end.then_some(self.end));
        for id in ids {
            let word = self.score(&state, id);
            total.add(word.log10_prob, id == UNKNOWN);
            state = word.state;
        }
        total
    }
}

fn step<S: Search>(store: &S, order: usize, before: &State, id: u32) -> WordScore {
    let (gram, mut node) = store.unigram(id);
    let mut log10_prob = gram.prob;
    let mut matched = 1;
    let mut state = State::EMPTY;
    let keep = |gram: search::Gram, length: usize, state: &mut State| {
        if length < order {
            state.backoffs[length - 1] = gram.backoff;
            // A longer context is none where a shorter one is none.
            if search::is_context(gram.backoff) && usize::from(state.words_kept) == length - 1 {
                state.words_kept += 1;
            }
        }
    };
    keep(gram, 1, &mut state);
    for previous in before.words() {
        let found = node.and_then(|node| store.level(matched + 1).find(node, *previous));
        let Some((gram, next)) = found else { break };
        (log10_prob, node) = (gram.prob, next);
        matched += 1;
        keep(gram, matched, &mut state);
    }
    for backoff in &before.backoffs[matched - 1..] {
        log10_prob += backoff;
    }
    state.words[0] = id;
    let older = usize::from(state.words_kept).saturating_sub(1);
    state.words[1..=older].copy_from_slice(&before.words[..older]);
    WordScore { log10_prob, matched, state }
}

#[cfg(test)]
mod tests;
