//! Text as the tokens that an n-gram model sees: one way for training, `tamis lm score` and the stage `perplexity`.
//!
//! Sources: KenLM (what white space separates), cc_net (Wenzek et al. 2020: normalised text in SentencePiece pieces). A token
//! never holds white space of ASCII or NUL: where a piece does, its parts are tokens, which is what KenLM makes of CCNet's
//! joined pieces too.
//!
//! Decided here: a character is a Unicode scalar value and no grapheme, so that the vocabulary stays small and does not
//! depend on a version of Unicode; pieces that a `tokenizer.json` names `<unk>` are the model's unknown word.
//!
//! A model does not tell what its tokens are. `tamis lm train` puts a [`Note`] beside it, and who scores with the model
//! holds it against the options.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokenizers::pipeline::{EncodeOptions, Override, PipelineToken, PipelineTokenizer};

use super::train::is_separator;
use crate::error::{Error, Result};
use crate::io;
use crate::models::sentencepiece::SentencePiece;
use crate::text::ccnet;
use crate::text::words::Splitter;

/// What the words of the model are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tokens {
    /// What stands between white space of ASCII, as for KenLM.
    #[default]
    Space,
    /// Words and punctuation marks by the rules of the other filters; spaceless scripts are taken apart too.
    Words,
    /// Characters (Unicode scalar values); white space is none.
    Characters,
    /// Pieces of a SentencePiece model, unigram or BPE: path of the `.model` file. CCNet's models are made of these.
    SentencePiece(String),
    /// Pieces of a Hugging Face tokenizer: path of its `tokenizer.json`. Nothing is added or cut, and the text of a special
    /// token stays text. A line that it refuses comes as what stands between white space.
    Tokenizer(String),
}

impl Tokens {
    /// The file that is needed, if any.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::SentencePiece(path) | Self::Tokenizer(path) => Some(path),
            Self::Space | Self::Words | Self::Characters => None,
        }
    }
}

impl std::fmt::Display for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Space => f.write_str("space"),
            Self::Words => f.write_str("words"),
            Self::Characters => f.write_str("characters"),
            Self::SentencePiece(path) => write!(f, "sentencepiece:{path}"),
            Self::Tokenizer(path) => write!(f, "tokenizer:{path}"),
        }
    }
}

/// As on the command line: `space`, `words`, `characters`, `sentencepiece:FILE` or `tokenizer:FILE`.
impl FromStr for Tokens {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.split_once(':')) {
            ("space", _) => Ok(Self::Space),
            ("words", _) => Ok(Self::Words),
            ("characters", _) => Ok(Self::Characters),
            (_, Some(("sentencepiece", path))) if !path.is_empty() => {
                Ok(Self::SentencePiece(path.to_owned()))
            }
            (_, Some(("tokenizer", path))) if !path.is_empty() => Ok(Self::Tokenizer(path.to_owned())),
            _ => Err(
                "must be `space`, `words`, `characters`, `sentencepiece:FILE.model` or `tokenizer:FILE.json`"
                    .to_owned(),
            ),
        }
    }
}

/// What is done to a line before it is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Normalize {
    /// Nothing.
    #[default]
    None,
    /// CCNet's rules: small letters, no accents, digits are `0`, punctuation of ASCII, no control characters.
    Ccnet,
}

impl std::fmt::Display for Normalize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Ccnet => "ccnet",
        })
    }
}

impl FromStr for Normalize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "ccnet" => Ok(Self::Ccnet),
            _ => Err("must be `none` or `ccnet`".to_owned()),
        }
    }
}

/// Takes lines apart. Shared by threads.
pub struct LmTokens {
    cutter: Cutter,
    normalize: Normalize,
    note: Note,
}

enum Cutter {
    Space,
    Words,
    Characters,
    SentencePiece(Box<SentencePiece>),
    Tokenizer(Box<Pieces>),
}

impl std::fmt::Debug for LmTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LmTokens").field(&self.note).finish()
    }
}

impl LmTokens {
    /// From the content of [`Tokens::file`]; for tokens that need no file it is not looked at.
    ///
    /// # Errors
    /// [`Error::User`] where the file is none of its kind, or one that cannot be used.
    pub fn new(tokens: &Tokens, normalize: Normalize, file: &[u8]) -> Result<Self> {
        let user = |path: &str, error: &dyn std::fmt::Display| {
            Error::User(format!("`{path}` cannot be used: {error}"))
        };
        let cutter = match tokens {
            Tokens::Space => Cutter::Space,
            Tokens::Words => Cutter::Words,
            Tokens::Characters => Cutter::Characters,
            Tokens::SentencePiece(path) => {
                let model = SentencePiece::from_bytes(file).map_err(|error| user(path, &error))?;
                Cutter::SentencePiece(Box::new(model))
            }
            Tokens::Tokenizer(path) => {
                Cutter::Tokenizer(Box::new(Pieces::new(file).map_err(|error| user(path, &error))?))
            }
        };
        let file_xxh3 = tokens.file().map(|_| format!("{:032x}", xxhash_rust::xxh3::xxh3_128(file)));
        Ok(Self { cutter, normalize, note: Note { tokens: tokens.clone(), normalize, file_xxh3 } })
    }

    /// The same, and reads the file.
    ///
    /// # Errors
    /// Also where the file cannot be read.
    pub fn open(tokens: &Tokens, normalize: Normalize) -> Result<Self> {
        let file = tokens.file().map_or(Ok(Vec::new()), |path| io::read_side_file(path.as_ref()))?;
        Self::new(tokens, normalize, &file)
    }

    /// Whether a line is its tokens as it stands: between white space, not normalised. Then
    /// [`split`](super::train::split) gives the tokens, and of any bytes.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        matches!(self.cutter, Cutter::Space) && self.normalize == Normalize::None
    }

    /// What is put beside a model that was trained with these tokens.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Gives the tokens of a line to `take`. CCNet's normalisation makes one line of a text of several, without
    /// anything in the place of line feeds.
    pub fn each(&self, line: &str, mut take: impl FnMut(&str)) {
        let normal;
        let line = match self.normalize {
            Normalize::None => line,
            Normalize::Ccnet => {
                normal = ccnet::normalize(line);
                &normal
            }
        };
        match &self.cutter {
            Cutter::Space => apart(line, take),
            Cutter::Words => Splitter::default().split(line, |word| apart(word.of(line), &mut take)),
            Cutter::Characters => {
                let mut buffer = [0; 4];
                let solid = |c: &char| !c.is_whitespace() && *c != '\0';
                line.chars().filter(solid).for_each(|c| take(c.encode_utf8(&mut buffer)));
            }
            Cutter::SentencePiece(model) => model.cut(line, |piece| apart(piece, &mut take)),
            Cutter::Tokenizer(pieces) => pieces.each(line, |piece| apart(piece, &mut take)),
        }
    }

    /// The tokens of a line, each with a space behind it, in place of what `out` held.
    pub fn line(&self, text: &str, out: &mut String) {
        out.clear();
        self.each(text, |token| {
            out.push_str(token);
            out.push(' ');
        });
    }
}

/// What stands between separators.
fn apart(text: &str, take: impl FnMut(&str)) {
    let separator = |c: char| u8::try_from(c).is_ok_and(is_separator);
    text.split(separator).filter(|word| !word.is_empty()).for_each(take);
}

/// A `tokenizer.json` and the names of its tokens.
struct Pieces {
    pipeline: PipelineTokenizer,
    options: EncodeOptions,
    names: Vec<String>,
}

impl Pieces {
    fn new(file: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(file).map_err(|error| error.to_string())?;
        let canonical = tokenizers::canonicalize_str(text).map_err(|error| error.to_string())?;
        let pipeline = tokenizers::from_json(&canonical).map_err(|error| error.to_string())?;
        let tree: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let names = names(&tree)?;
        let options = EncodeOptions {
            add_special_tokens: false,
            encode_special_tokens: true,
            padding: Override::Off,
            truncation: Override::Off,
        };
        Ok(Self { pipeline, options, names })
    }

    fn each(&self, line: &str, mut take: impl FnMut(&str)) {
        let mut ids: Vec<PipelineToken> = Vec::with_capacity(line.len() / 3 + 1);
        if self.pipeline.encode_into(line, &self.options, &mut ids).is_err() {
            return take(line);
        }
        for id in ids {
            take(self.names.get(id.id() as usize).map_or("<unk>", String::as_str));
        }
    }
}

/// Names of tokens by id: of the model, and added ones.
fn names(tree: &serde_json::Value) -> Result<Vec<String>, String> {
    use serde_json::Value;
    let mut pairs: Vec<(&str, u64)> = Vec::new();
    match &tree["model"]["vocab"] {
        Value::Object(vocab) => {
            pairs.extend(vocab.iter().filter_map(|(name, id)| Some((name.as_str(), id.as_u64()?))));
        }
        // Of a unigram model: pairs of name and score.
        Value::Array(vocab) => {
            pairs.extend(vocab.iter().zip(0..).filter_map(|(entry, id)| Some((entry[0].as_str()?, id))));
        }
        _ => {}
    }
    let added = tree["added_tokens"].as_array().into_iter().flatten();
    pairs.extend(added.filter_map(|token| Some((token["content"].as_str()?, token["id"].as_u64()?))));
    let highest = pairs.iter().map(|&(_, id)| id).max().ok_or("it has no vocabulary")?;
    if highest >= 1 << 24 {
        return Err(format!("an id in it is {highest}; ids are to be below 2^24"));
    }
    let mut names = vec![String::new(); usize::try_from(highest).unwrap_or(0) + 1];
    for (name, id) in pairs {
        if let Some(place) = usize::try_from(id).ok().and_then(|id| names.get_mut(id)) {
            name.clone_into(place);
        }
    }
    Ok(names)
}

/// What a model's tokens are; a file `MODEL.tokens.json` beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// As in a pipeline: `"words"`, `{"sentencepiece": "FILE"}`, ...
    pub tokens: Tokens,
    /// What was done to each line before.
    pub normalize: Normalize,
    /// xxh3-128 of the file of pieces, hex; none where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_xxh3: Option<String>,
}

impl Note {
    /// Where the note of a model is.
    #[must_use]
    pub fn path(model: &Path) -> PathBuf {
        let mut path = model.as_os_str().to_owned();
        path.push(".tokens.json");
        path.into()
    }

    /// The note of a model; none where it has none.
    ///
    /// # Errors
    /// Where there is one that cannot be read.
    pub fn of(model: &Path) -> Result<Option<Self>> {
        match io::read_json(Self::path(model)) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Puts it beside a model.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, model: &Path) -> Result<()> {
        io::write_json(Self::path(model), self)
    }

    /// Whether text becomes the same tokens. Files of pieces are compared by content, whatever their names.
    #[must_use]
    pub fn fits(&self, other: &Self) -> bool {
        let kind = |note: &Self| std::mem::discriminant(&note.tokens);
        kind(self) == kind(other) && self.normalize == other.normalize && self.file_xxh3 == other.file_xxh3
    }

    /// An error where a model's note is there and says that its tokens are others.
    ///
    /// # Errors
    /// [`Error::User`] where they differ; else where the note cannot be read.
    pub fn check(&self, model: &Path) -> Result<()> {
        match Self::of(model)? {
            Some(made) if !made.fits(self) => Err(Error::User(format!(
                "`{}` was trained with tokens `{}` and normalisation `{}`, not `{}` and `{}`{} (says `{}`; remove it if it is of another model)",
                model.display(),
                made.tokens,
                made.normalize,
                self.tokens,
                self.normalize,
                if made.file_xxh3 == self.file_xxh3 || self.file_xxh3.is_none() || made.file_xxh3.is_none() {
                    ""
                } else {
                    "; the files of pieces differ in content"
                },
                Self::path(model).display()
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str, tokens: &Tokens, normalize: Normalize) -> Vec<String> {
        let tokens = LmTokens::open(tokens, normalize).unwrap();
        let mut joined = String::from("old");
        tokens.line(line, &mut joined);
        let mut found = Vec::new();
        tokens.each(line, |token| found.push(token.to_owned()));
        assert!(found.iter().all(|token| !token.is_empty()));
        let spelled: String = found.iter().flat_map(|token| [token.as_str(), " "]).collect();
        assert_eq!(joined, spelled);
        let split: Vec<&[u8]> = super::super::train::split(joined.as_bytes()).collect();
        assert_eq!(split, found.iter().map(String::as_bytes).collect::<Vec<_>>());
        found
    }

    fn pieces() -> Tokens {
        Tokens::SentencePiece("fixtures/models/sentencepiece/unigram.model".to_owned())
    }

    /// A tokenizer of whole words that knows few of them, and has no token for others.
    fn tokenizer(dir: &Path, unknown: Option<&str>) -> Tokens {
        let path = dir.join("tokenizer.json");
        let mut vocab = serde_json::json!({"the": 0, "lamp": 1, "two words": 2});
        if let Some(unknown) = unknown {
            vocab[unknown] = 3.into();
        }
        let tree = serde_json::json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": {"type": "Split", "pattern": {"String": "+"}, "behavior": "Removed", "invert": false},
            "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": vocab, "unk_token": unknown.unwrap_or("none")},
        });
        io::write_json(&path, &tree).unwrap();
        Tokens::Tokenizer(path.to_string_lossy().into_owned())
    }

    #[test]
    fn kinds() {
        let line = " Été,\t2026 中文 ";
        assert_eq!(of(line, &Tokens::Space, Normalize::None), ["Été,", "2026", "中文"]);
        assert_eq!(of("a\0b\u{b}c\u{a0}d", &Tokens::Space, Normalize::None), ["a", "b", "c\u{a0}d"]);
        assert_eq!(of(line, &Tokens::Characters, Normalize::Ccnet).concat(), "ete,0000中文");
        assert_eq!(of("e\u{301} 👩‍🦰", &Tokens::Characters, Normalize::None).len(), 5);
        assert_eq!(of("Dogs, cats.", &Tokens::Words, Normalize::Ccnet), ["dogs", ",", "cats", "."]);
        for tokens in [Tokens::Space, Tokens::Words, Tokens::Characters, pieces()] {
            assert!(of("", &tokens, Normalize::None).is_empty());
            assert!(of(" \t\0", &tokens, Normalize::Ccnet).len() <= 1);
        }
    }

    #[test]
    fn pieces_of_sentencepiece() {
        let found = of("THE lamps☃\t☃", &pieces(), Normalize::Ccnet);
        assert_eq!(found.concat().replace('\u{2581}', " "), " the lamps☃☃");
        assert!(found.iter().any(|piece| piece.starts_with('\u{2581}')), "{found:?}");
        // White space inside an unknown piece separates.
        let found = of("☃\t☃", &pieces(), Normalize::None);
        assert_eq!(found[found.len() - 2..], ["☃", "☃"]);
    }

    #[test]
    fn pieces_of_a_tokenizer() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = tokenizer(dir.path(), Some("<unk>"));
        let found = of("the+lamp+two words+river", &tokens, Normalize::None);
        assert_eq!(found, ["the", "lamp", "two", "words", "<unk>"]);
        // What it refuses comes as it stands.
        let tokens = tokenizer(dir.path(), None);
        assert_eq!(of("the+lamp", &tokens, Normalize::None), ["the", "lamp"]);
        assert_eq!(of("the+ river", &tokens, Normalize::None), ["the+", "river"]);
    }

    #[test]
    fn unusable_files_are_named() {
        for tokens in [
            Tokens::SentencePiece("fixtures/models/sentencepiece/cases.jsonl".to_owned()),
            Tokens::Tokenizer("fixtures/models/sentencepiece/unigram.model".to_owned()),
            Tokens::Tokenizer("fixtures/models/absent".to_owned()),
        ] {
            let error = LmTokens::open(&tokens, Normalize::None).unwrap_err().to_string();
            assert!(error.contains(tokens.file().unwrap()), "{error}");
        }
    }

    #[test]
    fn texts_of_the_command_line_and_back() {
        for text in ["space", "words", "characters", "sentencepiece:a:b.model", "tokenizer:t.json"] {
            assert_eq!(text.parse::<Tokens>().unwrap().to_string(), text);
        }
        for text in ["", "Space", "sentencepiece:", "sentencepiece", "other:x", "x.model"] {
            assert!(text.parse::<Tokens>().unwrap_err().starts_with("must be `space`"));
        }
        for text in ["none", "ccnet"] {
            assert_eq!(text.parse::<Normalize>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_note_tells_other_tokens_from_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("m.arpa");
        let note = |tokens: &Tokens, normalize| LmTokens::open(tokens, normalize).unwrap().note().clone();
        let made = note(&pieces(), Normalize::Ccnet);
        made.check(&model).unwrap();
        made.write(&model).unwrap();
        assert_eq!(Note::of(&model).unwrap(), Some(made.clone()));
        made.check(&model).unwrap();
        // The same content elsewhere.
        let copy = dir.path().join("copy.model").to_string_lossy().into_owned();
        std::fs::copy(pieces().file().unwrap(), &copy).unwrap();
        note(&Tokens::SentencePiece(copy.clone()), Normalize::Ccnet).check(&model).unwrap();
        std::fs::copy("fixtures/models/sentencepiece/bpe.model", &copy).unwrap();
        let error = note(&Tokens::SentencePiece(copy), Normalize::Ccnet).check(&model).unwrap_err();
        assert!(error.to_string().contains("differ in content"), "{error}");
        for (tokens, normalize) in [(pieces(), Normalize::None), (Tokens::Space, Normalize::Ccnet)] {
            let error = note(&tokens, normalize).check(&model).unwrap_err();
            assert!(matches!(&error, Error::User(text) if text.contains("m.arpa.tokens.json")), "{error}");
        }
        std::fs::write(Note::path(&model), "{}").unwrap();
        assert!(made.check(&model).is_err());
    }
}
