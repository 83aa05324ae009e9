//! CCNet's `head`, `middle` and `tail`: a page's place by two perplexities of its language.
//!
//! Source: CCNet (Wenzek et al. 2020), section 3.3 of the paper and `cutoff.csv` of cc_net: the 30th and the 60th percentile
//! of perplexity per language, over a snapshot, under CCNet's own models. They mean nothing under other models.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stage::OptionError;
use crate::text::langcodes;

/// CCNet's table of 48 languages.
const CCNET: &str = include_str!("ccnet_cutoffs.tsv");

/// Where the cut-offs come from.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Cutoffs {
    /// A table by its name.
    Named(Named),
    /// By language: perplexity where `middle` begins, and where `tail` does.
    Here(BTreeMap<String, (f64, f64)>),
}

/// Tables that tamis brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Named {
    /// CCNet's, for its models.
    Ccnet,
}

/// A page's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bucket {
    /// Below the first cut-off.
    Head,
    /// From the first on, below the second.
    Middle,
    /// From the second on.
    Tail,
    /// Not to be told: no model, no words or no cut-offs for the language.
    All,
}

impl Bucket {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Middle => "middle",
            Self::Tail => "tail",
            Self::All => "all",
        }
    }
}

/// Cut-offs by language.
#[derive(Debug, Default)]
pub(super) struct Table(BTreeMap<String, (f64, f64)>);

impl Table {
    pub(super) fn new(cutoffs: &Cutoffs) -> Result<Self, Vec<OptionError>> {
        let Cutoffs::Here(here) = cutoffs else { return Ok(Self(ccnet())) };
        let (mut table, mut errors) = (BTreeMap::new(), Vec::new());
        for (name, &(head, tail)) in here {
            let key = format!("cutoffs.{name}");
            match langcodes::normalise(name) {
                None => errors.push(OptionError::new(key, format!("`{name}` is not a language code"))),
                Some(_) if !(head > 0.0 && head <= tail) => errors.push(OptionError::new(
                    key,
                    format!("must be two rising perplexities above 0, found {head} and {tail}"),
                )),
                Some(language) => {
                    if table.insert(language.to_string(), (head, tail)).is_some() {
                        errors.push(OptionError::new(key, format!("a second entry for `{language}`")));
                    }
                }
            }
        }
        if errors.is_empty() { Ok(Self(table)) } else { Err(errors) }
    }

    pub(super) fn bucket(&self, language: Option<&str>, perplexity: Option<f64>) -> Bucket {
        let cutoffs = language.and_then(|language| self.0.get(language));
        match (cutoffs, perplexity) {
            (Some((head, _)), Some(perplexity)) if perplexity < *head => Bucket::Head,
            (Some((_, tail)), Some(perplexity)) if perplexity < *tail => Bucket::Middle,
            (Some(_), Some(_)) => Bucket::Tail,
            _ => Bucket::All,
        }
    }
}

fn ccnet() -> BTreeMap<String, (f64, f64)> {
    let row = |line: &str| {
        let mut cells = line.split('\t');
        let language = cells.next()?.to_owned();
        Some((language, (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?)))
    };
    CCNET.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole_and_borders_belong_to_the_worse() {
        let table = Table::new(&Cutoffs::Named(Named::Ccnet)).unwrap();
        assert_eq!(table.0.len(), 48);
        assert!(table.0.iter().all(|(code, (head, tail))| {
            head < tail && langcodes::normalise(code).is_some_and(|same| same == code.as_str())
        }));
        for (perplexity, bucket) in
            [(339.9, Bucket::Head), (340.0, Bucket::Middle), (519.9, Bucket::Middle), (520.0, Bucket::Tail)]
        {
            assert_eq!(table.bucket(Some("en"), Some(perplexity)), bucket);
        }
        assert_eq!(table.bucket(Some("sw"), Some(1.0)), Bucket::All);
        assert_eq!(table.bucket(None, Some(1.0)), Bucket::All);
        assert_eq!(table.bucket(Some("en"), None), Bucket::All);
    }

    #[test]
    fn mistakes_are_named() {
        let errors = |json| Table::new(&serde_json::from_value(json).unwrap()).unwrap_err();
        assert_eq!(errors(serde_json::json!({"en": [5, 4]}))[0].key, "cutoffs.en");
        assert_eq!(errors(serde_json::json!({"zz9": [4, 5]}))[0].key, "cutoffs.zz9");
        assert_eq!(errors(serde_json::json!({"en": [4, 5], "eng": [4, 5]})).len(), 1);
    }
}
