//! Rules at work on a text.
//!
//! First the matches of each rule, in the order of the file, then the lines. A line is looked at once: its folded form
//! (small letters, single spaces, nothing but letters and digits at its ends) is looked up among the whole phrases, searched
//! for the others by one automaton, and tried against one set of regular expressions. Lines longer than the longest limit,
//! as prose has them, cost the search for their end.

use std::collections::HashMap;

use aho_corasick::automaton::OverlappingState;
use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, Input, MatchKind, StartKind};
use regex::RegexSet;

use super::rules::{Kind, New, Place, Rule};
use crate::text::cut::{self, Edit};

/// Rules, ready to be used.
pub(super) struct Finder {
    rules: Vec<Rule>,
    /// Rules by whole folded line.
    whole: HashMap<String, Vec<usize>>,
    /// Phrases that stand at the start of a line.
    starts: Phrases,
    /// Phrases that stand anywhere.
    inside: Phrases,
    /// Expressions for lines, with the rule of each.
    expressions: RegexSet,
    expression_rules: Vec<usize>,
    /// Longest line in characters that any of the above could want.
    max_whole_chars: usize,
    max_expression_chars: usize,
}

/// Phrases of several rules in one automaton.
struct Phrases {
    automaton: Option<AhoCorasick>,
    /// The rule of each.
    rules: Vec<usize>,
    /// Longest line in characters that one of them could want.
    max_chars: usize,
    /// Whether they stand at the start.
    anchored: Anchored,
}

impl Phrases {
    fn new(rules: &[Rule], at: Place) -> Result<Self, String> {
        let (anchored, start_kind) = match at {
            Place::Start => (Anchored::Yes, StartKind::Anchored),
            Place::Whole | Place::Anywhere => (Anchored::No, StartKind::Unanchored),
        };
        let mut found = Self { automaton: None, rules: Vec::new(), max_chars: 0, anchored };
        let mut texts = Vec::new();
        for (place, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.at == at) {
            for phrase in &rule.phrases {
                texts.push(phrase);
                found.rules.push(place);
                found.max_chars = found.max_chars.max(rule.max_chars);
            }
        }
        if !texts.is_empty() {
            let automaton = AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .start_kind(start_kind)
                .kind(Some(AhoCorasickKind::DFA))
                .build(texts)
                .map_err(|error| format!("too many phrases: {error}"))?;
            automaton
                .try_find_overlapping(Input::new("").anchored(found.anchored), &mut OverlappingState::start())
                .map_err(|error| error.to_string())?;
            found.automaton = Some(automaton);
        }
        Ok(found)
    }

    /// Adds the rules with a phrase in the folded line.
    fn find(&self, folded: &str, found: &mut Vec<usize>) {
        let Some(automaton) = &self.automaton else { return };
        let input = Input::new(folded).anchored(self.anchored);
        let mut state = OverlappingState::start();
        // A search cannot fail: `new` has tried this kind of it.
        while automaton.try_find_overlapping(input.clone(), &mut state).is_ok() {
            let Some(hit) = state.get_match() else { break };
            found.push(self.rules[hit.pattern().as_usize()]);
        }
    }
}

/// What the rules did to a text.
#[derive(Default)]
pub(super) struct Found {
    /// The new text; none where nothing changed.
    pub text: Option<String>,
    /// Lines that went whole, those of tails too.
    pub lines: usize,
    /// Matches that were cut or replaced.
    pub matches: usize,
    /// By rule: how often it did something.
    pub by_rule: Vec<u32>,
}

/// A piece that a rule takes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Name of the rule.
    pub rule: String,
    /// What goes.
    pub text: String,
}

/// Parts of a page that conditions of rules look at, computed when the first rule asks.
struct Page<'p> {
    text: &'p str,
    language: Option<&'p str>,
    lower: Option<String>,
    /// By rule: whether it may work on this page, once known.
    allowed: Vec<Option<bool>>,
}

impl Finder {
    pub(super) fn new(rules: Vec<Rule>) -> Result<Self, String> {
        let mut whole: HashMap<String, Vec<usize>> = HashMap::new();
        let (mut expressions, mut expression_rules) = (Vec::new(), Vec::new());
        let (mut max_whole_chars, mut max_expression_chars) = (0, 0);
        for (place, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.kind != Kind::Match) {
            for phrase in rule.phrases.iter().filter(|_| rule.at == Place::Whole) {
                whole.entry(phrase.clone()).or_default().push(place);
                max_whole_chars = max_whole_chars.max(rule.max_chars);
            }
            if let Some(regex) = &rule.regex {
                expressions.push(regex.as_str());
                expression_rules.push(place);
                max_expression_chars = max_expression_chars.max(rule.max_chars);
            }
        }
        let starts = Phrases::new(&rules, Place::Start)?;
        let inside = Phrases::new(&rules, Place::Anywhere)?;
        let expressions = regex::RegexSetBuilder::new(expressions)
            .size_limit(64 << 20)
            .dfa_size_limit(16 << 20)
            .build()
            .map_err(|error| format!("too many expressions: {error}"))?;
        Ok(Self {
            rules,
            whole,
            starts,
            inside,
            expressions,
            expression_rules,
            max_whole_chars,
            max_expression_chars,
        })
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Works on a text; `log` hears of every piece that goes.
    pub(super) fn apply(
        &self,
        text: &str,
        language: Option<&str>,
        log: &mut dyn FnMut(usize, &str),
    ) -> Found {
        let mut found = Found { by_rule: vec![0; self.rules.len()], ..Found::default() };
        let mut page = Page { text, language, lower: None, allowed: vec![None; self.rules.len()] };
        for (place, rule) in self.rules.iter().enumerate().filter(|(_, rule)| rule.kind == Kind::Match) {
            let now = found.text.as_deref().unwrap_or(text);
            let edits = matches(rule, now, || page.allows(place, rule));
            if edits.is_empty() {
                continue;
            }
            for edit in &edits {
                log(place, now.get(edit.range.clone()).unwrap_or_default());
            }
            found.by_rule[place] += u32::try_from(edits.len()).unwrap_or(u32::MAX);
            found.matches += edits.len();
            found.text = Some(cut::apply(now, &edits));
        }
        let now = found.text.as_deref().unwrap_or(text);
        let mut edits = Vec::new();
        let mut line_count = 0;
        let mut folded = String::new();
        let mut start = 0;
        while start < now.len() {
            let end = memchr::memchr(b'\n', &now.as_bytes()[start..]).map_or(now.len(), |at| start + at);
            let line = now.get(start..end).unwrap_or_default();
            let hit = self.judge(line, &mut folded, |place, rule| {
                page.allows(place, rule)
                    && (rule.kind != Kind::Tail
                        || tail_lines(rule, now.get(end..).unwrap_or_default()).is_some())
            });
            if let Some(place) = hit {
                let rule = &self.rules[place];
                found.by_rule[place] += 1;
                if rule.kind == Kind::Tail {
                    let rest = now.get(end..).unwrap_or_default();
                    line_count += 1 + tail_lines(rule, rest).unwrap_or(0);
                    log(place, now.get(start..).unwrap_or_default());
                    edits.push(Edit::cut(start..now.len()));
                    break;
                }
                line_count += 1;
                log(place, line);
                edits.push(Edit::cut(start..end - usize::from(line.ends_with('\r'))));
            }
            start = end + 1;
        }
        found.lines = line_count;
        if !edits.is_empty() {
            found.text = Some(cut::apply(now, &edits));
        }
        found
    }

    /// A line of several whole phrases between `|`, `·` or `•` (`Share | Print`): the rule of the first.
    fn menu(&self, line: &str, folded: &mut String) -> Option<usize> {
        let mut first = None;
        for piece in line.split(['|', '·', '•']) {
            fold(piece, true, folded);
            if folded.is_empty() {
                continue;
            }
            let mut rules = self.whole.get(folded.as_str())?.iter();
            let rule = rules
                .find(|&&place| self.rules[place].kind == Kind::Line && self.rules[place].with.is_empty())?;
            first.get_or_insert(*rule);
        }
        first
    }

    /// The first rule of the file that wants this line and may have it.
    fn judge(
        &self,
        line: &str,
        folded: &mut String,
        mut may: impl FnMut(usize, &Rule) -> bool,
    ) -> Option<usize> {
        let line = line.trim();
        if line.is_empty() {
            return None;
        }
        let mut first: Option<usize> = None;
        let mut chars = None;
        let mut offer = |place: usize, folded: &str| {
            let rule = &self.rules[place];
            let chars = *chars.get_or_insert_with(|| line.chars().count());
            if first.is_none_or(|first| place < first)
                && chars <= rule.max_chars
                && (rule.with.is_empty() || rule.with.iter().any(|phrase| folded.contains(phrase.as_str())))
                && may(place, rule)
            {
                first = Some(place);
            }
        };
        if fits(line, self.max_whole_chars.max(self.starts.max_chars).max(self.inside.max_chars)) {
            if line.contains(['|', '·', '•'])
                && let Some(place) = self.menu(line, folded)
            {
                offer(place, "");
            }
            fold(line, true, folded);
            for &place in self.whole.get(folded.as_str()).into_iter().flatten() {
                offer(place, folded);
            }
            let mut hits = Vec::new();
            if fits(line, self.starts.max_chars) {
                self.starts.find(folded, &mut hits);
            }
            if fits(line, self.inside.max_chars) {
                self.inside.find(folded, &mut hits);
            }
            if !hits.is_empty() {
                // The second signal may stand in the marks at the ends of the line.
                let mut with_ends = String::new();
                fold(line, false, &mut with_ends);
                for place in hits {
                    offer(place, &with_ends);
                }
            }
        }
        if fits(line, self.max_expression_chars) {
            for hit in &self.expressions.matches(line) {
                offer(self.expression_rules[hit], "");
            }
        }
        first
    }
}

/// Whether a line has at most so many characters; most need no counting.
fn fits(line: &str, max_chars: usize) -> bool {
    line.len() <= max_chars || (line.len() / 4 <= max_chars && line.chars().count() <= max_chars)
}

/// How many lines with text there are behind a tail's first, if all of them are few and short enough.
fn tail_lines(rule: &Rule, rest: &str) -> Option<usize> {
    let mut lines = 0;
    // Blank lines count for the look ahead, so that it is bounded.
    let mut pieces = rest.split('\n').skip(1);
    for _ in 0..=4 * rule.max_lines_after {
        let Some(line) = pieces.next() else { return Some(lines) };
        let line = line.trim();
        lines += usize::from(!line.is_empty());
        let is_long =
            line.len() > rule.max_line_chars_after && line.chars().count() > rule.max_line_chars_after;
        if is_long || lines > rule.max_lines_after {
            return None;
        }
    }
    pieces.next().is_none().then_some(lines)
}

impl Page<'_> {
    fn allows(&mut self, place: usize, rule: &Rule) -> bool {
        if let Some(known) = self.allowed[place] {
            return known;
        }
        let of_language = rule.languages.is_empty()
            || self.language.is_none_or(|language| rule.languages.iter().any(|known| known == language));
        let mut allowed = of_language;
        if allowed && !(rule.requires.is_empty() && rule.unless.is_empty()) {
            let lower = self.lower.get_or_insert_with(|| self.text.to_lowercase());
            let holds = |list: &[String]| list.iter().any(|text| lower.contains(text.as_str()));
            allowed = (rule.requires.is_empty() || holds(&rule.requires)) && !holds(&rule.unless);
        }
        self.allowed[place] = Some(allowed);
        allowed
    }
}

/// What a rule for matches does; `may` is asked once there is one.
fn matches(rule: &Rule, text: &str, may: impl FnOnce() -> bool) -> Vec<Edit> {
    let Some(regex) = &rule.regex else { return Vec::new() };
    let mut edits = Vec::new();
    if !regex.is_match(text) || !may() {
        return edits;
    }
    match &rule.new {
        New::Nothing => edits.extend(regex.find_iter(text).map(|hit| Edit::cut(hit.range()))),
        New::Text(new) => {
            for groups in regex.captures_iter(text) {
                let Some(hit) = groups.get(0) else { continue };
                let mut replacement = String::new();
                groups.expand(new, &mut replacement);
                edits.push(Edit { range: hit.range(), new: replacement });
            }
        }
        New::Decoded => {
            for hit in regex.find_iter(text) {
                let once = hit.as_str().replacen("&amp;", "&", usize::from(hit.as_str().len() > 5));
                let new = html_escape::decode_html_entities(&once);
                let is_known = new == "&" || !new.starts_with('&');
                if is_known && !new.contains('\0') {
                    let new = new.replace('\u{a0}', " ");
                    edits.push(Edit { range: hit.range(), new });
                }
            }
        }
    }
    edits
}

/// A line in the form in which it is compared: small letters, one space for each run of white space, straight
/// apostrophes; with `bare`, without marks and spaces at its ends. Replaces what is in `out`.
pub(super) fn fold(line: &str, bare: bool, out: &mut String) {
    out.clear();
    let line = if bare { line.trim_matches(|c: char| !c.is_alphanumeric()) } else { line.trim() };
    if line.is_ascii() && !line.bytes().any(|byte| byte < b' ') && !line.contains("  ") {
        out.push_str(line);
        out.make_ascii_lowercase();
        return;
    }
    let mut space = false;
    for c in line.chars() {
        if c.is_whitespace() {
            space = true;
            continue;
        }
        if std::mem::take(&mut space) {
            out.push(' ');
        }
        match c {
            '\u{2019}' | '\u{2018}' => out.push('\''),
            // Kana, Han and their neighbours have no case.
            '\u{3000}'..='\u{9fff}' => out.push(c),
            c => out.extend(c.to_lowercase()),
        }
    }
}
