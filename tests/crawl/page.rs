//! Pages before they become HTML or JSON: articles from the sentence banks, and copies of them.

use super::grammar::{Bank, Topic, Writer};
use super::rng::Rng;
use super::similar::{jaccard, shingles};

/// A piece of a page's text.
#[derive(Clone, PartialEq)]
pub(super) enum Block {
    /// A heading inside the text.
    Heading(String),
    /// A paragraph: its sentences.
    Para(Vec<String>),
    /// A line of a list.
    Item(String),
    /// A line that keeps its layout, such as source text.
    Code(String),
}

/// What a page is, for the manifest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// A text that a pipeline should keep.
    Article,
    /// The text of another page, word for word.
    ExactDup,
    /// The text of another page with a few edits.
    NearDup,
    /// Nothing that anybody would want to read.
    Spam,
    /// An article with invented personal data.
    Pii,
    /// An article with a word of `keywords.txt`.
    Keyword,
    /// An article on a site of `banned_domains.txt`.
    BannedUrl,
    /// A record that is no page: another media type, an error, a revisit.
    NoPage,
    /// A damaged record.
    Broken,
}

impl Kind {
    /// Its name in the manifest.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Article => "article",
            Self::ExactDup => "exact_dup",
            Self::NearDup => "near_dup",
            Self::Spam => "spam",
            Self::Pii => "pii",
            Self::Keyword => "keyword",
            Self::BannedUrl => "banned_url",
            Self::NoPage => "no_page",
            Self::Broken => "broken",
        }
    }
}

/// One page.
#[derive(Clone)]
pub(super) struct Page {
    /// Address; empty until the page has a site.
    pub(super) url: String,
    /// ISO 639-1 code.
    pub(super) language: &'static str,
    /// What it is.
    pub(super) kind: Kind,
    /// Which kind of spam, which personal data.
    pub(super) detail: String,
    /// Address of the page that it copies.
    pub(super) dup_of: String,
    /// Name of its topic.
    pub(super) topic: &'static str,
    /// Title.
    pub(super) title: String,
    /// Who signed it.
    pub(super) author: String,
    /// The text.
    pub(super) blocks: Vec<Block>,
    /// What stands between two sentences.
    pub(super) space: &'static str,
}

impl Page {
    /// The text without headings, one line a paragraph.
    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        for block in &self.blocks {
            match block {
                Block::Heading(_) => {}
                Block::Para(sentences) => lines.push(sentences.join(self.space)),
                Block::Item(line) | Block::Code(line) => lines.push(line.clone()),
            }
        }
        lines.join("\n")
    }

    /// Adds a paragraph before the last one.
    pub(super) fn insert_para(&mut self, sentences: Vec<String>) {
        let at = self.blocks.len().saturating_sub(1);
        self.blocks.insert(at, Block::Para(sentences));
    }
}

/// An article: two first sentences, most sentences of most sections, a last one.
pub(super) fn article(bank: &Bank, topic: &Topic, rng: &mut Rng) -> Page {
    let mut writer = Writer::new(bank, topic);
    let title = writer.write(rng.word(&topic.titles), rng);
    let mut blocks = vec![Block::Para(draw(&mut writer, &topic.intro, 2, rng))];
    for (heading, templates) in &topic.sections {
        let count = rng.range(templates.len() / 2 + 1, templates.len().min(7));
        let mut sentences = draw(&mut writer, templates, count, rng);
        blocks.push(Block::Heading((*heading).to_owned()));
        let second = sentences.split_off(sentences.len() / 2);
        blocks.extend([Block::Para(sentences), Block::Para(second)]);
    }
    blocks.push(Block::Para(draw(&mut writer, &topic.close, 1 + rng.below(2), rng)));
    let author = Writer::new(bank, topic).write("<person>", rng);
    Page {
        url: String::new(),
        language: bank.language,
        kind: Kind::Article,
        detail: String::new(),
        dup_of: String::new(),
        topic: topic.name,
        title,
        author,
        blocks,
        space: bank.space(),
    }
}

/// `count` different templates in random order, written.
fn draw(writer: &mut Writer<'_>, templates: &[&'static str], count: usize, rng: &mut Rng) -> Vec<String> {
    let mut order: Vec<usize> = (0..templates.len()).collect();
    rng.shuffle(&mut order);
    order.truncate(count);
    order.iter().map(|&at| writer.write(templates[at], rng)).collect()
}

/// The same page elsewhere.
pub(super) fn exact_copy(original: &Page) -> Page {
    Page { kind: Kind::ExactDup, dup_of: original.url.clone(), url: String::new(), ..original.clone() }
}

/// The same page with words exchanged, a sentence lost, replaced or added: Jaccard similarity .80 to .95.
pub(super) fn near_copy(original: &Page, bank: &Bank, topic: &Topic, rng: &mut Rng) -> Page {
    let before = shingles(&original.text());
    for _ in 0..500 {
        let mut page = exact_copy(original);
        page.kind = Kind::NearDup;
        let edits = rng.range(1, 5);
        for _ in 0..edits {
            edit(&mut page, bank, topic, rng);
        }
        let similarity = jaccard(&before, &shingles(&page.text()));
        if (0.80..=0.95).contains(&similarity) {
            page.detail = format!("{edits} edits, jaccard {similarity:.3}");
            return page;
        }
    }
    panic!("no near copy of {} in 500 tries", original.url);
}

fn edit(page: &mut Page, bank: &Bank, topic: &Topic, rng: &mut Rng) {
    let space = bank.space();
    let paras: Vec<usize> =
        (0..page.blocks.len()).filter(|&at| matches!(page.blocks[at], Block::Para(_))).collect();
    let Block::Para(sentences) = &mut page.blocks[*rng.pick(&paras)] else { return };
    let at = rng.below(sentences.len());
    match rng.below(4) {
        0 if sentences.len() > 1 => {
            sentences.remove(at);
        }
        1 => {
            let templates = &rng.pick(&topic.sections).1;
            sentences[at] = Writer::new(bank, topic).write(rng.word(templates), rng);
        }
        2 => sentences.swap(0, at),
        _ => {
            let (from, to) = rng.pick(&bank.swaps);
            let (from, to) = (format!("{space}{from}{space}"), format!("{space}{to}{space}"));
            for sentence in sentences {
                *sentence = sentence.replace(&from, &to);
            }
        }
    }
}
