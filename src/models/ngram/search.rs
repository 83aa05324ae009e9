//! What scoring asks of a stored model, whichever way it is stored.
//!
//! An n-gram is found from its last word backwards, one more word of context at a time. What was found so far is a
//! node; where no longer n-gram ends with it there is none, and the search stops early.

/// Log10 probability and backoff weight of an n-gram; the backoff of the longest ones is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gram {
    pub(super) prob: f32,
    pub(super) backoff: f32,
}

/// Whether any n-gram may follow one with this backoff as its context. Files mark that none does by a backoff of
/// minus zero.
#[inline]
pub(super) fn is_context(backoff: f32) -> bool {
    backoff.to_bits() != (-0.0_f32).to_bits()
}

/// Look-ups whose memory is asked for together, before any of them is made: waiting for one is waiting for all.
pub(super) const AHEAD: usize = 128;

/// A stored model without its vocabulary.
pub(super) trait Search {
    /// Where a search goes on.
    type Node: Copy;
    /// N-grams of one order.
    type Level<'a>: Level<Node = Self::Node>
    where
        Self: 'a;

    /// The n-grams of an order, from 2 to the model's.
    fn level(&self, order: usize) -> Self::Level<'_>;

    /// A single word. An id out of range, which a checked file does not have, is the unknown word.
    fn unigram(&self, id: u32) -> (Gram, Option<Self::Node>);

    /// Asks for what [`Search::unigram`] will read.
    fn prefetch(&self, id: u32);
}

/// N-grams of one order.
pub(super) trait Level: Copy {
    /// See [`Search::Node`].
    type Node: Copy;

    /// The n-gram that has one more word in front.
    fn find(&self, node: Self::Node, previous: u32) -> Option<(Gram, Option<Self::Node>)>;

    /// Asks for what [`Level::find`] will read first.
    fn prefetch(&self, node: Self::Node, previous: u32);
}

/// Whether a stored probability and backoff are numbers that a model can have.
pub(super) fn check_gram(gram: Gram) -> Result<(), String> {
    if !(gram.prob.is_finite() && gram.prob <= 0.0) {
        return Err(format!("{} as log10 probability", gram.prob));
    }
    if !gram.backoff.is_finite() {
        return Err(format!("{} as backoff", gram.backoff));
    }
    Ok(())
}
