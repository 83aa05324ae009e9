//! What a page says about itself: title, language, canonical address, date.
//!
//! Read from the tags that the scan passes by, not from the engine, so that every engine gives the same
//! fields. Where it is looked for follows what htmldate, trafilatura and Readability agree on; we take
//! only statements (`<title>`, `<meta>`, JSON-LD, `<time>`, the address), never guesses from body text,
//! because those depend on the clock there.

use serde_json::{Map, Value};
use url::Url;

use crate::stages::extract::tags::Tag;

/// Longest title kept, in characters; what is longer is cut.
const MAX_TITLE_CHARS: usize = 1000;

/// Metadata of one page, as found.
#[derive(Debug, Default)]
pub(super) struct PageMeta {
    title: Option<String>,
    og_title: Option<String>,
    html_lang: Option<String>,
    canonical: Option<String>,
    og_url: Option<String>,
    /// The best date so far with the rank of its source; smaller is better.
    date: Option<(u8, String)>,
}

/// `property`, `name` or `itemprop` of a `<meta>` that holds a publication date, best first.
const DATE_KEYS: &[&str] = &[
    "article:published_time",
    "og:article:published_time",
    "og:published_time",
    "datepublished",
    "citation_publication_date",
    "citation_online_date",
    "citation_date",
    "parsely-pub-date",
    "sailthru.date",
    "dc.date.issued",
    "dcterms.issued",
    "dcterms.date",
    "dc.date",
    "dcterms.created",
    "dc.date.created",
    "datecreated",
    "publishdate",
    "publish-date",
    "publication_date",
    "publish_date",
    "pubdate",
    "article.published",
    "date",
];

const RANK_JSON_LD: u8 = 100;
const RANK_TIME_PUBLISHED: u8 = 101;
const RANK_TIME: u8 = 102;

impl PageMeta {
    /// Takes in a tag, with its raw text where it has some.
    pub(super) fn tag(&mut self, tag: &Tag, content: &str) {
        match tag.name.to_ascii_lowercase().as_str() {
            "html" if self.html_lang.is_none() => {
                let lang = tag.attribute("lang").or_else(|| tag.attribute("xml:lang")).map(str::trim);
                self.html_lang = lang.filter(|lang| is_language_tag(lang)).map(str::to_owned);
            }
            "title" if self.title.is_none() => self.title = title(content),
            "link" if self.canonical.is_none() => {
                let rel = tag.attribute("rel").unwrap_or_default();
                if rel.split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("canonical")) {
                    self.canonical = tag.attribute("href").map(unescape);
                }
            }
            "meta" => self.meta(tag),
            "script" if self.date.as_ref().is_none_or(|(rank, _)| *rank > RANK_JSON_LD) => {
                let kind = tag.attribute("type").unwrap_or_default();
                if kind.trim().eq_ignore_ascii_case("application/ld+json") {
                    self.date_from(RANK_JSON_LD, json_string(content, "\"datePublished\""));
                }
            }
            "time" => {
                let published = tag.attribute("pubdate").is_some()
                    || tag.attribute("itemprop").is_some_and(|i| i.eq_ignore_ascii_case("datePublished"));
                let rank = if published { RANK_TIME_PUBLISHED } else { RANK_TIME };
                self.date_from(rank, tag.attribute("datetime"));
            }
            _ => {}
        }
    }

    fn meta(&mut self, tag: &Tag) {
        let Some(content) = tag.attribute("content") else { return };
        for key in ["property", "name", "itemprop"].into_iter().filter_map(|key| tag.attribute(key)) {
            let key = key.trim();
            if key.eq_ignore_ascii_case("og:title") && self.og_title.is_none() {
                self.og_title = title(content);
            } else if key.eq_ignore_ascii_case("og:url") && self.og_url.is_none() {
                self.og_url = Some(unescape(content));
            } else if let Some(rank) = DATE_KEYS.iter().position(|k| key.eq_ignore_ascii_case(k)) {
                self.date_from(u8::try_from(rank).unwrap_or(RANK_JSON_LD), Some(content));
            }
        }
    }

    fn date_from(&mut self, rank: u8, text: Option<&str>) {
        if self.date.as_ref().is_none_or(|(best, _)| rank < *best)
            && let Some(date) = text.and_then(date)
        {
            self.date = Some((rank, date));
        }
    }

    /// Writes what was found into a document's fields. `page` is the document's own address.
    pub(super) fn write(self, page: Option<&str>, fields: &mut Map<String, Value>) {
        let page = page.and_then(|page| Url::parse(page).ok());
        let resolve = |link: String| -> Option<String> {
            let link = link.trim();
            let url = page.as_ref().map_or_else(|| Url::parse(link), |page| page.join(link)).ok()?;
            (!link.is_empty() && matches!(url.scheme(), "http" | "https")).then(|| url.into())
        };
        let date =
            self.date.map(|(_, date)| date).or_else(|| page.as_ref().and_then(|p| date_in_path(p.path())));
        let found = [
            ("title", self.title.or(self.og_title)),
            ("html_lang", self.html_lang),
            ("canonical_url", self.canonical.and_then(resolve).or_else(|| self.og_url.and_then(resolve))),
            ("page_date", date),
        ];
        for (name, value) in found {
            if let Some(value) = value {
                fields.insert(name.to_owned(), Value::String(value));
            }
        }
    }
}

fn unescape(text: &str) -> String {
    html_escape::decode_html_entities(text).into_owned()
}

/// A title on one line, or `None` where nothing is left of it.
fn title(raw: &str) -> Option<String> {
    let mut line = String::new();
    for word in unescape(raw).split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if let Some((cut, _)) = line.char_indices().nth(MAX_TITLE_CHARS) {
        line.truncate(cut);
    }
    (!line.is_empty()).then_some(line)
}

fn is_language_tag(text: &str) -> bool {
    (2..=35).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// The string behind a key of a JSON text; the text need not be valid as a whole.
fn json_string<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    let at = memchr::memmem::find(json.as_bytes(), key.as_bytes())? + key.len();
    let value = json.get(at..)?.trim_ascii_start().strip_prefix(':')?.trim_ascii_start().strip_prefix('"')?;
    value.split('"').next()
}

/// A date that a machine wrote, as `YYYY-MM-DD`: ISO 8601 with or without marks, RFC 2822, or an English
/// month by name. Forms with the order of day and month in doubt are no dates.
fn date(text: &str) -> Option<String> {
    let text = text.trim();
    let text: String = text.chars().take(64).collect();
    let parts: Vec<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|p| !p.is_empty()).collect();
    let number = |part: &str, max_len: usize| -> Option<u32> {
        (part.len() <= max_len).then(|| part.parse().ok()).flatten()
    };
    match parts.as_slice() {
        // 20261123, 20261123T101500Z
        [first, ..] if first.len() >= 8 && first.bytes().take(8).all(|b| b.is_ascii_digit()) => {
            if first.as_bytes().get(8).is_some_and(u8::is_ascii_digit) {
                return None;
            }
            valid(
                first.get(..4)?.parse().ok()?,
                first.get(4..6)?.parse().ok()?,
                first.get(6..8)?.parse().ok()?,
            )
        }
        // 2026-11-23T10:15, 2026/11/23
        [year, month, day, ..] if year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()) => {
            let day = day.split(['T', 't']).next()?;
            valid(number(year, 4)?, number(month, 2)?, number(day, 2)?)
        }
        // Mon, 23 Nov 2026; Nov 23, 2026; 23 November 2026
        parts => {
            let at = parts.iter().take(3).position(|part| month_by_name(part).is_some())?;
            let month = month_by_name(parts[at])?;
            let before = at.checked_sub(1).and_then(|i| number(parts[i], 2));
            let (day, year) = match before {
                Some(day) => (day, *parts.get(at + 1)?),
                None => (number(parts.get(at + 1)?, 2)?, *parts.get(at + 2)?),
            };
            (year.len() == 4).then(|| valid(number(year, 4)?, month, day)).flatten()
        }
    }
}

fn month_by_name(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.to_ascii_lowercase();
    let short =
        |month: &str| month.get(..3) == Some(word.as_str()) || (word == "sept" && month == "september");
    let at = MONTHS.iter().position(|month| *month == word || short(month))?;
    u32::try_from(at + 1).ok()
}

fn valid(year: u32, month: u32, day: u32) -> Option<String> {
    let fits = (1900..=2100).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    fits.then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// `/2026/11/23/` in the path of an address.
fn date_in_path(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split(['/', '-', '_']).collect();
    parts.windows(3).find_map(|window| {
        let [year, month, day] = window else { return None };
        let digits = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
            return None;
        }
        valid(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::extract::scan::{Limits, scan};

    fn fields(html: &str, page: Option<&str>) -> Map<String, Value> {
        let limits = Limits { max_depth: 50, max_elements: 1000, max_attributes: 50 };
        let mut fields = Map::new();
        scan(html, &limits, true).expect("a small page").meta.write(page, &mut fields);
        fields
    }

    #[test]
    fn a_page_states_its_fields() {
        let html = "<html lang='de-AT'><head><title> Grüße &amp;\n K&uuml;sse </title>\
            <link rel='alternate canonical' href='/a?x=1&amp;y=2'>\
            <meta name=date content='2020-01-01'><meta property='article:published_time' content='2019-05-06T07:08:09Z'>\
            <body><svg><title>icon</title></svg><time datetime='2021-02-03'>";
        let got = fields(html, Some("https://example.com/b/c"));
        let expected = [
            ("title", "Grüße & Küsse"),
            ("html_lang", "de-AT"),
            ("canonical_url", "https://example.com/a?x=1&y=2"),
            ("page_date", "2019-05-06"),
        ];
        for (name, value) in expected {
            assert_eq!(got.get(name).and_then(Value::as_str), Some(value), "{name}");
        }
        assert_eq!(got.len(), 4);
    }

    #[test]
    fn what_is_not_stated_is_not_there() {
        assert!(
            fields("<html lang='x y'><link rel=canonical href='javascript:x'><title> </title>", None)
                .is_empty()
        );
        let json = "<script type='application/ld+json'>{\"datePublished\" : \"2018-03-04T00:00\"</script>";
        assert_eq!(fields(json, None)["page_date"], "2018-03-04");
        let path = fields("<p>x", Some("https://example.com/2017/08/09/post"));
        assert_eq!(path["page_date"], "2017-08-09");
        assert_eq!(
            fields(
                "<meta property=og:title content=T><meta property=og:url content='https://example.org/'>",
                None
            )
            .len(),
            2
        );
    }

    #[test]
    fn dates_of_machines_are_read() {
        let cases = [
            ("2026-11-23", Some("2026-11-23")),
            ("2026-11-23T10:15:00+01:00", Some("2026-11-23")),
            ("2026/1/2", Some("2026-01-02")),
            ("20261123", Some("2026-11-23")),
            ("20261123T101500Z", Some("2026-11-23")),
            ("Mon, 23 Nov 2026 10:00:00 GMT", Some("2026-11-23")),
            ("November 3, 2026", Some("2026-11-03")),
            ("Sept 3 2026", Some("2026-09-03")),
            ("03/04/2026", None),
            ("2026-13-01", None),
            ("1700000000", None),
            ("0000-00-00", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(date(text).as_deref(), expected, "{text}");
        }
    }
}
