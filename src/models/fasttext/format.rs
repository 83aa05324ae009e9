//! The fixed head of a fastText file, and a reader that checks every length before it allocates.

/// Why a file cannot be used as a classifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first four bytes are not fastText's.
    #[error("this is not a fastText model (its first bytes are not fastText's mark)")]
    NotFastText,
    /// A version that this reader does not know.
    #[error("fastText file version {0} is not supported (11 and 12 are)")]
    Version(i32),
    /// The file ends too early.
    #[error("the fastText model is cut short: it ends inside the {0}")]
    Truncated(&'static str),
    /// The file contradicts itself.
    #[error("the fastText model is damaged: {0}")]
    Invalid(&'static str),
    /// A model of word vectors.
    #[error("this fastText model holds word vectors, not a classifier")]
    NotAClassifier,
}

/// First four bytes of a file.
pub(super) const MAGIC: i32 = 793_712_314;

/// Reads little-endian values from a byte slice.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(Error::Truncated(what))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Error::Truncated(what))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, Error> {
        Ok(self.array::<1>(what)?[0])
    }

    /// A C++ `bool`.
    pub(super) fn flag(&mut self, what: &'static str) -> Result<bool, Error> {
        match self.byte(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::Invalid("a flag that is neither 0 nor 1")),
        }
    }

    pub(super) fn i32(&mut self, what: &'static str) -> Result<i32, Error> {
        self.array(what).map(i32::from_le_bytes)
    }

    pub(super) fn i64(&mut self, what: &'static str) -> Result<i64, Error> {
        self.array(what).map(i64::from_le_bytes)
    }

    /// A number of things, kept as a signed 32-bit integer.
    pub(super) fn count32(&mut self, what: &'static str) -> Result<usize, Error> {
        usize::try_from(self.i32(what)?).map_err(|_| Error::Invalid("a negative count"))
    }

    /// A number of things, kept as a signed 64-bit integer.
    pub(super) fn count64(&mut self, what: &'static str) -> Result<usize, Error> {
        usize::try_from(self.i64(what)?).map_err(|_| Error::Invalid("a negative count"))
    }

    /// So many 32-bit floats.
    pub(super) fn floats(&mut self, n: usize, what: &'static str) -> Result<Vec<f32>, Error> {
        let bytes = self.take(n.checked_mul(4).ok_or(Error::Truncated(what))?, what)?;
        let floats: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|chunk| f32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]))
            .collect();
        if floats.iter().all(|value| value.is_finite()) {
            Ok(floats)
        } else {
            Err(Error::Invalid("a weight that is no number"))
        }
    }

    /// A string that ends with a zero byte.
    pub(super) fn string(&mut self, what: &'static str) -> Result<&'a [u8], Error> {
        let end = memchr::memchr(0, self.rest).ok_or(Error::Truncated(what))?;
        let string = self.take(end, what)?;
        self.take(1, what)?;
        Ok(string)
    }

    /// Bytes that are left, an upper bound for any count of entries still to come.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }
}

/// What a model was trained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelKind {
    Cbow,
    SkipGram,
    Supervised,
}

/// How the output layer turns sums into probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    HierarchicalSoftmax,
    NegativeSampling,
    Softmax,
    OneVsAll,
}

/// The training options that prediction needs.
#[derive(Debug, Clone)]
pub(super) struct Args {
    pub(super) dim: usize,
    pub(super) word_ngrams: usize,
    pub(super) loss: Loss,
    pub(super) model: ModelKind,
    pub(super) bucket: u32,
    pub(super) minn: usize,
    pub(super) maxn: usize,
}

/// More words per n-gram than anybody trains with; bounds the time per word.
const MAX_WORD_NGRAMS: usize = 64;
/// More characters per n-gram than anybody trains with; bounds the time per character.
const MAX_CHAR_NGRAM: usize = 256;

impl Args {
    pub(super) fn read(cursor: &mut Cursor) -> Result<Self, Error> {
        let magic = cursor.i32("file mark").map_err(|_| Error::NotFastText)?;
        if magic != MAGIC {
            return Err(Error::NotFastText);
        }
        let version = cursor.i32("version")?;
        if version != 11 && version != 12 {
            return Err(Error::Version(version));
        }
        let mut fields = [0; 12];
        for field in &mut fields {
            *field = cursor.i32("training options")?;
        }
        cursor.take(8, "training options")?; // sampling threshold, a double
        let [dim, _, _, _, _, word_ngrams, loss, model, bucket, minn, maxn, _] = fields;
        let size =
            |value: i32| usize::try_from(value).map_err(|_| Error::Invalid("a negative training option"));
        let model = match model {
            1 => ModelKind::Cbow,
            2 => ModelKind::SkipGram,
            3 => ModelKind::Supervised,
            _ => return Err(Error::Invalid("an unknown kind of model")),
        };
        let loss = match loss {
            1 => Loss::HierarchicalSoftmax,
            2 => Loss::NegativeSampling,
            3 => Loss::Softmax,
            4 => Loss::OneVsAll,
            _ => return Err(Error::Invalid("an unknown loss function")),
        };
        // Classifiers of version 11 had no character n-grams, whatever the file says.
        let maxn = if version == 11 && model == ModelKind::Supervised { 0 } else { size(maxn)? };
        let args = Self {
            dim: size(dim)?,
            word_ngrams: size(word_ngrams)?,
            loss,
            model,
            bucket: u32::try_from(bucket).map_err(|_| Error::Invalid("a negative training option"))?,
            minn: size(minn)?,
            maxn,
        };
        if args.dim == 0 {
            return Err(Error::Invalid("vectors without a dimension"));
        }
        if args.word_ngrams > MAX_WORD_NGRAMS || args.maxn > MAX_CHAR_NGRAM {
            return Err(Error::Invalid("n-grams of an impossible length"));
        }
        Ok(args)
    }
}
