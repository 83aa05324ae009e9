//! A line as the words that a model knows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::ccnet;
use crate::text::words::Splitter;

/// What the words of the model are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tokens {
    /// What stands between white space of ASCII, as for KenLM.
    #[default]
    Space,
    /// Words and punctuation marks by the rules of the other filters; spaceless scripts are taken apart too.
    Words,
    /// Characters; white space is none.
    Characters,
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

/// Gives the tokens of a line to `take`.
pub(super) fn each(line: &str, tokens: Tokens, normalize: Normalize, mut take: impl FnMut(&str)) {
    let normal;
    let line = match normalize {
        Normalize::None => line,
        Normalize::Ccnet => {
            normal = ccnet::normalize(line);
            &normal
        }
    };
    match tokens {
        Tokens::Space => line
            .split([' ', '\t', '\n', '\u{b}', '\u{c}', '\r', '\0'])
            .filter(|word| !word.is_empty())
            .for_each(take),
        Tokens::Words => Splitter::default().split(line, |word| {
            // A word may hold white space (`e. g.` of some languages); a model's cannot.
            word.of(line).split_ascii_whitespace().for_each(&mut take);
        }),
        Tokens::Characters => {
            let mut buffer = [0; 4];
            let solid = |c: &char| !c.is_whitespace() && *c != '\0';
            line.chars().filter(solid).for_each(|c| take(c.encode_utf8(&mut buffer)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str, tokens: Tokens, normalize: Normalize) -> Vec<String> {
        let mut found = Vec::new();
        each(line, tokens, normalize, |token| found.push(token.to_owned()));
        found
    }

    #[test]
    fn kinds() {
        let line = " Été,\t2026 中文 ";
        assert_eq!(of(line, Tokens::Space, Normalize::None), ["Été,", "2026", "中文"]);
        assert_eq!(of(line, Tokens::Characters, Normalize::Ccnet).concat(), "ete,0000中文");
        assert_eq!(of("Dogs, cats.", Tokens::Words, Normalize::Ccnet), ["dogs", ",", "cats", "."]);
        for tokens in [Tokens::Space, Tokens::Words, Tokens::Characters] {
            assert!(of(" \t", tokens, Normalize::None).is_empty());
        }
    }
}
