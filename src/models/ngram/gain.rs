//! How much the order of a text's words tells about them: what a model gains from context over words alone.
//!
//! Perplexity mixes two things: which words a text has, and how they stand together. A page about something rare has a high
//! one, and so has scrambled text about something common. The difference between the model's probability of a word in its
//! place and that of the word alone leaves the words out: for real text it is a bit or more per word, for words in random
//! order nothing or less, with models that were trained on little text too.
//!
//! A word that a window of the text repeats more often than the model would expect is as likely alone as it is frequent here,
//! so that a text of few words over and over, whose order tells nothing about them, gains nothing. Ours; the first half is the
//! point-wise mutual information of a word and its context (Church and Hanks 1990), averaged over the text.

use std::collections::HashMap;

use super::{Model, State, hash};

/// Words that are looked at together for repetition, so that a long page, which repeats the words of its subject, is no other
/// than a short one.
const WINDOW_WORDS: u64 = 128;

/// Adds up what context tells about the words of one text.
pub struct ContextGain<'m> {
    model: &'m Model,
    /// Sum over the tokens, in log10.
    gained: f64,
    tokens: u64,
    /// What repetition explains, of the windows before this one, in log10.
    repeated: f64,
    /// Words of this window by hash: how often each is there, and its log10 probability alone.
    window: HashMap<u64, (u64, f64)>,
    window_words: u64,
}

impl<'m> ContextGain<'m> {
    /// For one text.
    #[must_use]
    pub fn new(model: &'m Model) -> Self {
        Self { model, gained: 0.0, tokens: 0, repeated: 0.0, window: HashMap::new(), window_words: 0 }
    }

    /// Adds a sentence of the text; `</s>` is a token, too.
    pub fn sentence<W: AsRef<[u8]>>(&mut self, words: impl IntoIterator<Item = W>) {
        let mut state = self.model.begin_state();
        for word in words {
            let id = self.model.word_id(word.as_ref());
            let alone = self.step(&mut state, id);
            self.window.entry(hash::word(word.as_ref())).or_insert((0, alone)).0 += 1;
            self.window_words += 1;
            if self.window_words == WINDOW_WORDS {
                self.repeated += self.repeated_in_window();
                self.window.clear();
                self.window_words = 0;
            }
        }
        self.step(&mut state, self.model.end_id());
    }

    /// Goes on by one word; returns the log10 probability of the word alone.
    fn step(&mut self, state: &mut State, id: u32) -> f64 {
        let alone = f64::from(self.model.score(&State::EMPTY, id).log10_prob);
        let word = self.model.score(state, id);
        *state = word.state;
        self.gained += f64::from(word.log10_prob) - alone;
        self.tokens += 1;
        alone
    }

    /// What the words' own frequencies make of them beyond the model's.
    fn repeated_in_window(&self) -> f64 {
        // A sum of numbers must not depend on the order of a hash map.
        let mut words: Vec<(u64, f64)> =
            self.window.values().copied().filter(|(count, _)| *count > 1).collect();
        words.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let more = |(count, alone): (u64, f64)| {
            let expected = 1.0 + self.window_words as f64 * 10_f64.powf(alone);
            count as f64 * (count as f64 / expected).log10().max(0.0)
        };
        words.into_iter().map(more).sum()
    }

    /// Bits per token; `None` for a text without tokens.
    #[must_use]
    pub fn bits(&self) -> Option<f64> {
        let gained = self.gained - self.repeated - self.repeated_in_window();
        (self.tokens > 0).then(|| gained / self.tokens as f64 * std::f64::consts::LOG2_10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(text: &str) -> Option<f64> {
        let model = Model::open("fixtures/models/ngram/fable.arpa").unwrap();
        let mut gain = ContextGain::new(&model);
        text.lines().for_each(|line| gain.sentence(line.split_ascii_whitespace()));
        gain.bits()
    }

    #[test]
    fn what_context_adds_and_repetition_takes_away() {
        let model = Model::open("fixtures/models/ngram/fable.arpa").unwrap();
        let id = |word: &str| model.word_id(word);
        let alone = |id| f64::from(model.score(&State::EMPTY, id).log10_prob);
        let words = ["the", "fox"];
        let mut state = model.begin_state();
        let mut by_hand = 0.0;
        for id in words.iter().map(|word| id(word)).chain([model.end_id()]) {
            let scored = model.score(&state, id);
            by_hand += f64::from(scored.log10_prob) - alone(id);
            state = scored.state;
        }
        let wanted = by_hand / 3.0 * 10_f64.log2();
        assert!((bits("the fox").unwrap() - wanted).abs() < 1e-9);

        // Twice the same sentence: each word is there twice among four.
        let burst: f64 = words
            .iter()
            .map(|word| 2.0 * (2.0 / (1.0 + 4.0 * 10_f64.powf(alone(id(word))))).log10().max(0.0))
            .sum();
        let wanted = (2.0 * by_hand - burst) / 6.0 * 10_f64.log2();
        assert!((bits("the fox\nthe fox").unwrap() - wanted).abs() < 1e-9);
        assert_eq!(bits(""), None);
    }

    #[test]
    fn a_long_text_is_no_other_than_a_short_one() {
        let model = Model::open("fixtures/models/ngram/fable.arpa").unwrap();
        let gain = |windows: usize| {
            let mut gain = ContextGain::new(&model);
            for _ in 0..windows * 64 {
                gain.sentence(["the", "fox"]);
            }
            gain.bits().unwrap()
        };
        assert!((gain(1) - gain(50)).abs() < 1e-9, "{} {}", gain(1), gain(50));
        assert!(gain(1) < bits("the fox").unwrap());
    }
}
