//! What a pipeline file may say, apart from the options of readers and stages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tokens::{TokenizerConfig, TokensConfig};

/// A pipeline: where documents come from, what happens to them, what is written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineConfig {
    /// Name of the pipeline; names the run directory and the token shards. Letters, digits, `-`, `_`, `.`.
    #[schemars(length(min = 1))]
    pub name: String,
    /// One line on what the pipeline is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Another pipeline file (relative to this one) whose top-level keys hold where this file has none.
    #[serde(default)]
    pub include: Option<String>,
    /// Memory that the run plans with, such as `2GiB` or `800MB`. Default: half of what the cgroup or the
    /// machine has. `--memory` wins over it. Changes nothing in the output.
    #[serde(default)]
    pub memory: Option<String>,
    /// Threads, 1 to 4096. Default: all cores. `--threads` wins over it. Changes nothing in the output.
    #[serde(default)]
    #[schemars(range(min = 1, max = 4096))]
    pub threads: Option<u32>,
    /// Folder for everything that the run writes. Default `runs/<name>`. `--run-dir` wins over it.
    #[serde(default)]
    pub run_dir: Option<String>,
    /// Readers, each `- reader: {options}`; several may be mixed. The order makes no difference: files are
    /// taken in the order of their paths.
    #[schemars(length(min = 1))]
    pub input: Vec<serde_json::Value>,
    /// Stages in order, each `- stage: {options}`, or just `- stage` for the defaults.
    #[serde(default)]
    pub stages: Vec<serde_json::Value>,
    /// Tokenizer to train on the corpus, or a file to use. Without it the run ends with the corpus.
    #[serde(default)]
    pub tokenizer: Option<TokenizerConfig>,
    /// Token shards. Default: written with their defaults wherever there is a tokenizer.
    #[serde(default)]
    pub tokens: Option<TokensConfig>,
    /// What is written beside the corpus.
    #[serde(default)]
    pub output: OutputConfig,
    /// Documents with the verdict that this pipeline must give them; `tamis validate --test` runs them.
    #[serde(default)]
    pub tests: Vec<TestCase>,
}

/// What is written beside the corpus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutputConfig {
    /// What `rejects/` keeps of dropped documents.
    pub rejects: Rejects,
    /// Share of bad records, 0 to 1, above which a run stops after reading (never for fewer than 100 bad
    /// records). Exactly at the limit it goes on.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_bad_ratio: f64,
    /// Keep the intermediate files below `work/` once the run is done. They are what a stopped run goes on
    /// from, and are otherwise removed when everything is written.
    pub keep_work: bool,
}

impl Default for OutputConfig {
    fn default() -> Self {
        Self { rejects: Rejects::Full, max_bad_ratio: 0.2, keep_work: false }
    }
}

/// What the rejects table keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rejects {
    /// Identity, reason and text.
    Full,
    /// Identity and reason.
    Ids,
}

/// How a filter acts on its verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Drop the document.
    #[default]
    Drop,
    /// Keep it and write the verdict into the corpus column `<stage>.verdict`.
    Annotate,
    /// Drop it, and keep the text of only a share of the rejects to look at.
    Sample,
}

/// Options that every filter has beside its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FilterOptions {
    /// What happens to a document that fails.
    pub mode: Mode,
    /// With `mode: sample`: share of the dropped documents, 0 to 1, whose text is kept in `rejects/`.
    /// Which ones is decided by their ids.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample_ratio: f64,
}

impl Default for FilterOptions {
    fn default() -> Self {
        Self { mode: Mode::Drop, sample_ratio: 0.01 }
    }
}

/// One document of the `tests:` block and what must happen to it. Only stages that look at one document
/// take part; deduplication needs a corpus.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestCase {
    /// What the case shows.
    pub name: String,
    /// The document's text. Exactly one of `text` and `html`.
    #[serde(default)]
    pub text: Option<String>,
    /// The page's HTML, for pipelines with `extract`.
    #[serde(default)]
    pub html: Option<String>,
    /// Address of the page.
    #[serde(default)]
    pub url: Option<String>,
    /// How often the text is repeated before it is judged, joined by line feeds. Default 1.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10000))]
    pub repeat: Option<u32>,
    /// `keep`, or the name of the stage that must drop it, optionally with the reason: `stage/reason`.
    pub expect: String,
    /// A piece of text that the final text must contain.
    #[serde(default)]
    pub text_contains: Option<String>,
    /// A piece of text that the final text must not contain.
    #[serde(default)]
    pub text_lacks: Option<String>,
}

/// Least memory that a run can be planned with.
const MIN_MEMORY_BYTES: u64 = 32 << 20;

/// Bytes of a memory budget: a size of at least 32 MiB.
///
/// # Errors
/// A message that says what would be right.
pub fn parse_memory(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        bytes if bytes < MIN_MEMORY_BYTES => Err(format!("`{text}` is too little memory: at least `32MiB`")),
        bytes => Ok(bytes),
    }
}

/// Bytes of a size such as `512MiB`, `2GB`, `1.5 GiB` or a plain number.
///
/// # Errors
/// A message that says what would be right.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" | "ki" => 1024.0,
        "mib" | "mi" => 1024.0 * 1024.0,
        "gib" | "gi" => 1024.0 * 1024.0 * 1024.0,
        "tib" | "ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => {
            return Err(format!("`{text}` is no size: write a number and a unit, such as `512MiB` or `2GB`"));
        }
    };
    match number.parse::<f64>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "sizes are far below 2^63"
        )]
        Ok(number) if number * factor >= 1.0 => Ok((number * factor) as u64),
        _ => Err(format!("`{text}` is no size: write a number and a unit, such as `512MiB` or `2GB`")),
    }
}

/// A number such as `2000000`, `2M`, `1.5B` or `300k`.
///
/// # Errors
/// What would be right.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no number of tokens; write `2000000`, `2M` or `1.5B`");
    let (digits, factor) = match text.chars().last() {
        Some('k' | 'K') => (&text[..text.len() - 1], 1e3),
        Some('M') => (&text[..text.len() - 1], 1e6),
        Some('B' | 'G') => (&text[..text.len() - 1], 1e9),
        _ => (text, 1.0),
    };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    let count = (number * factor).round();
    if !(1.0..=1e15).contains(&count) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 10^15")]
    Ok(count as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("512MiB"), Ok(512 << 20));
        assert_eq!(parse_size("1.5 GiB"), Ok(3 << 29));
        assert_eq!(parse_size("2GB"), Ok(2_000_000_000));
        assert_eq!(parse_size("100"), Ok(100));
        assert!(parse_size("much").is_err());
        assert!(parse_size("").is_err());
        assert!(parse_size("5 parsecs").is_err());
    }
}
