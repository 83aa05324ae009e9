//! Sentence banks: the files in `banks/` and the small grammar they are written in.
//!
//! One sentence a line. `{a|b}` takes one of its alternatives (they nest, and may be empty); `<name>` takes
//! a word from `@slot name = a | b`: a place, a person and every slot of a topic stay the same throughout a
//! page, the rest is drawn anew; `<+name>` is always drawn anew; `<12-40>` is a number between the two.
//! Where a topic is `@linked`, all groups of one clause take the alternative of the same number, so that their
//! words can depend on each other; elsewhere every group is drawn by itself.
//! A topic (`@topic`) has titles, first sentences (`@intro`), sections with a heading, last ones (`@close`).

use std::collections::BTreeMap;

use super::rng::Rng;

/// Slots of a whole bank that keep their word throughout a page.
const BOUND: [&str; 3] = ["place", "person", "relative"];

/// What one language has to say.
pub(super) struct Bank {
    /// ISO 639-1 code.
    pub(super) language: &'static str,
    /// Words on a site around the text: key, alternatives.
    ui: BTreeMap<&'static str, Vec<&'static str>>,
    /// Words that near duplicates exchange.
    pub(super) swaps: Vec<(&'static str, &'static str)>,
    /// Sentences with personal data.
    pub(super) pii: Vec<&'static str>,
    /// What pages are about.
    pub(super) topics: Vec<Topic>,
    slots: BTreeMap<&'static str, Vec<&'static str>>,
}

/// One subject with its sentences.
#[derive(Default)]
pub(super) struct Topic {
    /// Short name, used in addresses.
    pub(super) name: &'static str,
    /// Whether groups of a clause are drawn together.
    linked: bool,
    /// Titles.
    pub(super) titles: Vec<&'static str>,
    /// First sentences.
    pub(super) intro: Vec<&'static str>,
    /// Headings, each with its sentences.
    pub(super) sections: Vec<(&'static str, Vec<&'static str>)>,
    /// Last sentences.
    pub(super) close: Vec<&'static str>,
    slots: BTreeMap<&'static str, Vec<&'static str>>,
}

impl Bank {
    /// Reads the files of a language.
    ///
    /// # Panics
    /// Where a file does not follow the grammar: a mistake in this repository.
    pub(super) fn parse(language: &'static str, files: &[&'static str]) -> Self {
        let mut bank = Self {
            language,
            ui: BTreeMap::new(),
            swaps: Vec::new(),
            pii: Vec::new(),
            topics: Vec::new(),
            slots: BTreeMap::new(),
        };
        let mut part = "";
        for line in files.iter().flat_map(|file| file.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some(command) = line.strip_prefix('@') else {
                let topic = bank.topics.last_mut().expect("sentences follow a `@topic`");
                match part {
                    "intro" => topic.intro.push(line),
                    "section" => topic.sections.last_mut().expect("pushed with the heading").1.push(line),
                    "close" => topic.close.push(line),
                    _ => panic!("sentence outside of a part: {line}"),
                }
                continue;
            };
            let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
            match word {
                "topic" => bank.topics.push(Topic { name: rest, ..Topic::default() }),
                "linked" => bank.topics.last_mut().expect("`@linked` follows a `@topic`").linked = true,
                "slot" => {
                    let (name, words) = alternatives(rest);
                    let slots = bank.topics.last_mut().map_or(&mut bank.slots, |topic| &mut topic.slots);
                    slots.insert(name, words);
                }
                "ui" => {
                    let (name, words) = alternatives(rest);
                    bank.ui.insert(name, words);
                }
                "swap" => bank.swaps.push(rest.split_once('=').expect("`@swap a=b`")),
                "pii" => bank.pii.push(rest),
                "title" => bank.topics.last_mut().expect("titles follow a `@topic`").titles.push(rest),
                "intro" | "close" => part = word,
                "section" => {
                    part = word;
                    let topic = bank.topics.last_mut().expect("sections follow a `@topic`");
                    topic.sections.push((rest, Vec::new()));
                }
                _ => panic!("unknown line in the {language} bank: {line}"),
            }
        }
        bank
    }

    /// Alternatives of a word on the site.
    pub(super) fn ui(&self, key: &str) -> &[&'static str] {
        self.ui.get(key).unwrap_or_else(|| panic!("no `@ui {key}` in the {} bank", self.language))
    }

    /// What stands between two sentences.
    pub(super) fn space(&self) -> &'static str {
        if matches!(self.language, "zh" | "ja") { "" } else { " " }
    }
}

fn alternatives(rest: &'static str) -> (&'static str, Vec<&'static str>) {
    let (name, words) = rest.split_once(" = ").expect("`name = a | b`");
    (name, words.split(" | ").map(str::trim).collect())
}

/// Makes the sentences of one page, which share their place, their person and their subject.
pub(super) struct Writer<'a> {
    bank: &'a Bank,
    topic: &'a Topic,
    bound: BTreeMap<&'static str, &'static str>,
    /// Words given from outside, such as an e-mail address.
    pub(super) given: BTreeMap<&'static str, String>,
}

impl<'a> Writer<'a> {
    /// A page on a topic.
    pub(super) fn new(bank: &'a Bank, topic: &'a Topic) -> Self {
        Self { bank, topic, bound: BTreeMap::new(), given: BTreeMap::new() }
    }

    /// One sentence or title from its template.
    pub(super) fn write(&mut self, template: &'static str, rng: &mut Rng) -> String {
        let mut out = String::new();
        self.expand(template, rng, &mut out);
        tidy(&out, self.bank.language)
    }

    fn expand(&mut self, template: &'static str, rng: &mut Rng, out: &mut String) {
        let mut rest = template;
        let mut draw = rng.below(60);
        while let Some(at) = rest.find(['{', '<']) {
            let (before, tail) = rest.split_at(at);
            out.push_str(before);
            if !self.topic.linked || before.contains([',', ';', ':', '،', '.']) {
                draw = rng.below(60);
            }
            if let Some(tail) = tail.strip_prefix('<') {
                let (name, after) = tail.split_once('>').unwrap_or_else(|| panic!("open `<`: {template}"));
                out.push_str(&self.slot(name, rng));
                rest = after;
            } else {
                let (choices, after) = braces(tail);
                self.expand(choices[draw % choices.len()], rng, out);
                rest = after;
            }
        }
        out.push_str(rest);
    }

    fn slot(&mut self, name: &'static str, rng: &mut Rng) -> String {
        if let Some(given) = self.given.get(name) {
            return given.clone();
        }
        if let Some((low, high)) = name.split_once('-')
            && let (Ok(low), Ok(high)) = (low.parse(), high.parse())
        {
            return rng.range(low, high).to_string();
        }
        let (name, anew) = name.strip_prefix('+').map_or((name, false), |name| (name, true));
        let words = self.topic.slots.get(name).or_else(|| self.bank.slots.get(name));
        let words = words.unwrap_or_else(|| panic!("no `@slot {name}` in the {} bank", self.bank.language));
        if anew || !(BOUND.contains(&name) || self.topic.slots.contains_key(name)) {
            return rng.word(words).to_owned();
        }
        (*self.bound.entry(name).or_insert_with(|| rng.word(words))).to_owned()
    }
}

/// The alternatives of a group that starts `text` with its `{`, and what follows the group.
fn braces(text: &'static str) -> (Vec<&'static str>, &'static str) {
    let (mut depth, mut start, mut choices) = (0, 1, Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'|' if depth == 1 => {
                choices.push(slice(text, start, at));
                start = at + 1;
            }
            b'}' if depth == 1 => {
                choices.push(slice(text, start, at));
                return (choices, text.split_at(at + 1).1);
            }
            b'}' => depth -= 1,
            _ => {}
        }
    }
    panic!("open brace: {text}");
}

fn slice(text: &'static str, start: usize, end: usize) -> &'static str {
    text.get(start..end).expect("braces and bars are one byte long")
}

/// Single spaces, none before a mark, a capital at the start, `a` and `an` by the next sound.
fn tidy(text: &str, language: &str) -> String {
    if matches!(language, "zh" | "ja") {
        return text.to_owned();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut out = String::with_capacity(text.len());
    for (at, word) in words.iter().enumerate() {
        let word = if language == "en" { article(word, words.get(at + 1)) } else { word };
        if at > 0 && !word.starts_with([',', '.', ';', ':', '،', '?', '!']) {
            out.push(' ');
        }
        out.push_str(word);
    }
    let mut chars = out.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => out,
    }
}

fn article<'a>(word: &'a str, next: Option<&&str>) -> &'a str {
    let Some(next) = next.map(|next| next.to_lowercase()) else { return word };
    let consonant_sound = ["one", "use", "uni", "eu"].iter().any(|start| next.starts_with(start));
    let vowel_sound = (next.starts_with(['a', 'e', 'i', 'o', 'u']) && !consonant_sound)
        || ["hour", "honest"].iter().any(|start| next.starts_with(start));
    match (word, vowel_sound) {
        ("a", true) => "an",
        ("A", true) => "An",
        ("an", false) => "a",
        ("An", false) => "A",
        _ => word,
    }
}
