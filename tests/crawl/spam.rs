//! Pages that a pipeline should drop, one function for each way of being useless, and articles with
//! something in them that a stage should find: personal data, listed words, listed sites.
//!
//! All personal data is invented: e-mail addresses at example.com and its sisters, telephone numbers from
//! the ranges that regulators keep for fiction (Spain has none: a plain sequence), card numbers and accounts
//! that payment firms print as test values.

use super::grammar::{Bank, Writer};
use super::page::{Block, Kind, Page, article};
use super::rng::Rng;

/// Names of the kinds, in the order in which [`spam`] makes them.
pub(super) const SPAM_KINDS: [&str; 12] = [
    "keyword_stuffing",
    "repeated_lines",
    "lorem_ipsum",
    "curly_bracket",
    "javascript_notice",
    "very_short",
    "link_list",
    "bullets",
    "ellipsis_teasers",
    "hashtags",
    "numbers",
    "long_tokens",
];

const WARES: [&str; 14] = [
    "cheap", "watches", "discount", "luxury", "replica", "online", "outlet", "best", "price", "bags",
    "shoes", "free", "shipping", "deals",
];

/// Words of `keywords.txt`: what the pages of kind `keyword` contain.
pub(super) const KEYWORDS: [&str; 4] = ["megaslot casino", "fastcash loans", "slimpill", "赌博网站"];

/// Sites of `banned_domains.txt`.
pub(super) const BANNED_DOMAINS: [&str; 3] =
    ["free-prizes.example", "hot-singles.example", "cracked-software.example"];

/// A page of the given kind of spam.
pub(super) fn spam(kind: &'static str, bank: &Bank, rng: &mut Rng) -> Page {
    let topic = rng.pick(&bank.topics);
    let mut page = article(bank, topic, rng);
    page.kind = Kind::Spam;
    kind.clone_into(&mut page.detail);
    let sentences: Vec<String> = page
        .blocks
        .iter()
        .filter_map(|block| if let Block::Para(sentences) = block { Some(sentences.clone()) } else { None })
        .flatten()
        .collect();
    page.blocks = match kind {
        "keyword_stuffing" => vec![Block::Para(vec![stuffing(rng), stuffing(rng), stuffing(rng)])],
        "repeated_lines" => (0..rng.range(12, 30))
            .map(|at| Block::Para(vec![sentences[if at % 4 == 3 { at / 4 } else { 0 }].clone()]))
            .collect(),
        "lorem_ipsum" => {
            page.blocks.push(Block::Para(vec![
                "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor.".to_owned(),
            ]));
            page.blocks
        }
        "curly_bracket" => (0..rng.range(12, 20)).map(|at| Block::Code(code(at, rng))).collect(),
        "javascript_notice" => vec![
            Block::Para(vec!["Please enable JavaScript in your browser to view this page.".to_owned()]),
            Block::Para(vec!["This site requires JavaScript and will not work without it.".to_owned()]),
        ],
        "very_short" => vec![Block::Para(vec![sentences[0].clone()])],
        "link_list" => (0..rng.range(40, 70))
            .map(|_| Block::Item(format!("{} {}", title_case(rng.word(&WARES)), rng.word(&WARES))))
            .collect(),
        "bullets" => sentences.iter().map(|line| Block::Code(format!("• {line}"))).collect(),
        "ellipsis_teasers" => sentences
            .iter()
            .map(|line| {
                let words: Vec<&str> = line.split(' ').take(9).collect();
                Block::Para(vec![format!("{}...", words.join(" "))])
            })
            .collect(),
        "hashtags" => (0..8)
            .map(|_| {
                let tags: Vec<String> = (0..14).map(|_| format!("#{}", rng.word(&WARES))).collect();
                Block::Para(vec![tags.join(" ")])
            })
            .collect(),
        "numbers" => (0..rng.range(30, 50))
            .map(|row| {
                let cells: Vec<String> = (0..9).map(|_| rng.range(1000, 99_999).to_string()).collect();
                Block::Code(format!("{row} {}", cells.join(" ")))
            })
            .collect(),
        "long_tokens" => (0..24)
            .map(|_| {
                let tokens: Vec<String> =
                    (0..6).map(|_| format!("{:016x}{:016x}", rng.next(), rng.next())).collect();
                Block::Para(vec![tokens.join(" ")])
            })
            .collect(),
        _ => panic!("unknown kind of spam: {kind}"),
    };
    page
}

fn stuffing(rng: &mut Rng) -> String {
    let words: Vec<&str> =
        (0..rng.range(60, 110)).map(|at| if at % 3 == 0 { "watches" } else { rng.word(&WARES) }).collect();
    format!("{}.", title_case(&words.join(" ")))
}

fn code(line: usize, rng: &mut Rng) -> String {
    let (left, right) = (rng.word(&WARES), rng.word(&WARES));
    format!(
        "function {left}{line}(value, next) {{ return value.{right} === undefined ? null : next(value); }}"
    )
}

fn title_case(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

const CARDS: [&str; 4] =
    ["4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "6011 1111 1111 1117"];
const ACCOUNTS: [&str; 4] = [
    "DE89 3704 0044 0532 0130 00",
    "GB29 NWBK 6016 1331 9268 19",
    "FR14 2004 1010 0505 0001 3M02 606",
    "ES91 2100 0418 4502 0005 1332",
];
const PUBLIC_IPV4: [&str; 3] = ["51.158.7.203", "93.184.120.9", "185.77.61.14"];
const PUBLIC_IPV6: [&str; 2] = ["2a01:4f8:c17:2b3::14", "2a02:26f0:41:9a::77e"];

/// An article with every sentence that the bank has for personal data, their placeholders filled in.
pub(super) fn with_personal_data(bank: &Bank, number: usize, rng: &mut Rng) -> Page {
    let topic = &bank.topics[number % bank.topics.len()];
    let mut page = article(bank, topic, rng);
    page.kind = Kind::Pii;
    let mailbox = ["secretary", "r.farrant", "info+walks", "ulrike_s", "contacto"][number % 5];
    let phones: &[&str] = match bank.language {
        "de" => &["030 23125 014", "+49 89 99998 123", "0221 4710 456"],
        "es" => &["+34 912 345 678", "612 345 678"],
        _ => &["(212) 555-0147", "+1 415 555 0192", "020 7946 0958", "0161 496 0321"],
    };
    let given = [
        ("email", format!("{mailbox}@example.{}", ["com", "org", "net"][number % 3])),
        ("phone", phones[number % phones.len()].to_owned()),
        ("iban", ACCOUNTS[number % ACCOUNTS.len()].to_owned()),
        ("card", CARDS[number % CARDS.len()].to_owned()),
        ("ipv4", PUBLIC_IPV4[number % PUBLIC_IPV4.len()].to_owned()),
        ("ipv6", PUBLIC_IPV6[number % PUBLIC_IPV6.len()].to_owned()),
    ];
    let mut writer = Writer::new(bank, topic);
    writer.given = given.iter().cloned().collect();
    let mut templates = bank.pii.clone();
    rng.shuffle(&mut templates);
    templates.truncate(3);
    let sentences: Vec<String> = templates.iter().map(|template| writer.write(template, rng)).collect();
    let mut found: Vec<&str> = Vec::new();
    for (name, value) in &given {
        if sentences.iter().any(|sentence| sentence.contains(value.as_str())) {
            found.push(name);
        }
    }
    page.detail = found.join(",");
    page.insert_para(sentences);
    page
}

/// An article with a paragraph that names one of [`KEYWORDS`].
pub(super) fn with_keyword(bank: &Bank, number: usize, rng: &mut Rng) -> Page {
    let mut page = article(bank, &bank.topics[number % bank.topics.len()], rng);
    let word = KEYWORDS[number];
    page.kind = Kind::Keyword;
    word.clone_into(&mut page.detail);
    let sentence = if bank.language == "zh" {
        format!("有人在留言里反复张贴{word}的广告，管理员已经把它们删除了。")
    } else {
        format!("Somebody kept posting notices for {word} under this page, so comments are closed for now.")
    };
    page.insert_para(vec![sentence]);
    page
}
