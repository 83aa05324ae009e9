//! Pages of keys: ListObjectsV2 of the S3 API.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::clock::iso_date;
use super::http::{Answer, Head, Refusal, encode};
use super::objects::Object;
use super::xml::{element, wrap};

/// What a page holds at most, and how.
struct Page<'a> {
    prefix: &'a str,
    delimiter: &'a str,
    max_keys: usize,
    /// Whether keys are percent-encoded.
    encoded: bool,
}

/// Where a page starts: behind a key, or behind all keys with a common prefix.
enum Start {
    Key(String),
    Prefix(String),
}

impl Start {
    /// The token that stands for it; clients are not to read it.
    fn token(&self) -> String {
        match self {
            Self::Key(key) => format!("k{}", encode(key, "")),
            Self::Prefix(prefix) => format!("p{}", encode(prefix, "")),
        }
    }

    fn parse(token: &str) -> Option<Self> {
        let text = super::http::decode(token.get(1..)?)?;
        match token.as_bytes().first()? {
            b'k' => Some(Self::Key(text)),
            b'p' => Some(Self::Prefix(text)),
            _ => None,
        }
    }
}

/// A page of the objects of a bucket.
pub(super) fn page(
    head: &Head,
    objects: &BTreeMap<String, Object>,
    max_page_keys: usize,
) -> Result<Answer, Refusal> {
    let invalid = |message: &str| Refusal::new(400, "InvalidArgument", message);
    let asked = head.parameter("max-keys").map_or(Ok(1000), str::parse::<usize>);
    let asked = asked.map_err(|_| invalid("`max-keys` is no number"))?;
    let page = Page {
        prefix: head.parameter("prefix").unwrap_or_default(),
        delimiter: head.parameter("delimiter").unwrap_or_default(),
        max_keys: asked.min(max_page_keys),
        encoded: head.parameter("encoding-type") == Some("url"),
    };
    let token = head.parameter("continuation-token");
    let start = match token {
        Some(token) => Start::parse(token).ok_or_else(|| invalid("the continuation token is not ours"))?,
        None => Start::Key(head.parameter("start-after").unwrap_or_default().to_owned()),
    };

    let (listed, count, next) = page.list(objects, &start);
    let mut inside = element("Name", &head.bucket);
    for (name, value) in [("Prefix", page.prefix), ("Delimiter", page.delimiter)] {
        inside += &element(name, &page.text(value));
    }
    if let Some(start_after) = head.parameter("start-after") {
        inside += &element("StartAfter", &page.text(start_after));
    }
    if page.encoded {
        inside += &element("EncodingType", "url");
    }
    if let Some(token) = token {
        inside += &element("ContinuationToken", token);
    }
    if let Some(next) = &next {
        inside += &element("NextContinuationToken", &next.token());
    }
    inside += &element("KeyCount", &count.to_string());
    inside += &element("MaxKeys", &page.max_keys.to_string());
    inside += &element("IsTruncated", if next.is_some() { "true" } else { "false" });
    Ok(Answer::xml("ListBucketResult", &(inside + &listed)))
}

impl Page<'_> {
    fn text(&self, text: &str) -> String {
        if self.encoded { encode(text, "/") } else { text.to_owned() }
    }

    /// Elements of the page, how many, and where the next page starts if there is one.
    fn list(&self, objects: &BTreeMap<String, Object>, start: &Start) -> (String, usize, Option<Start>) {
        let (Start::Key(from) | Start::Prefix(from)) = start;
        let bound = if from.as_str() < self.prefix || from.is_empty() {
            Bound::Included(self.prefix)
        } else {
            Bound::Excluded(from.as_str())
        };
        let mut done = match start {
            Start::Prefix(prefix) => Some(prefix.clone()),
            Start::Key(_) => None,
        };
        let (mut keys, mut prefixes, mut count, mut last) = (String::new(), String::new(), 0, None);
        for (key, object) in objects.range::<str, _>((bound, Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(self.prefix) else { break };
            if done.as_ref().is_some_and(|done| key.starts_with(done.as_str())) {
                continue;
            }
            if count == self.max_keys {
                return (keys + &prefixes, count, last);
            }
            count += 1;
            let common = if self.delimiter.is_empty() { None } else { rest.split_once(self.delimiter) };
            if let Some((common, _)) = common {
                let prefix = format!("{}{common}{}", self.prefix, self.delimiter);
                let name = element("Prefix", &self.text(&prefix));
                prefixes += &wrap("CommonPrefixes", &name);
                done = Some(prefix.clone());
                last = Some(Start::Prefix(prefix));
            } else {
                keys += &self.contents(key, object);
                last = Some(Start::Key(key.clone()));
            }
        }
        (keys + &prefixes, count, None)
    }

    fn contents(&self, key: &str, object: &Object) -> String {
        let key = element("Key", &self.text(key));
        let modified = element("LastModified", &iso_date(object.modified));
        let (etag, bytes) = (element("ETag", &object.etag), object.bytes);
        let class = element("StorageClass", "STANDARD");
        wrap("Contents", &format!("{key}{modified}{etag}<Size>{bytes}</Size>{class}"))
    }
}
