//! The crawl itself: which pages there are, which file each goes to, and the bytes of every file.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::grammar::Bank;
use super::page::{Kind, Page, article, exact_copy, near_copy};
use super::rng::Rng;
use super::site::{Site, address, html, sites};
use super::spam::{BANNED_DOMAINS, KEYWORDS, SPAM_KINDS, spam, with_keyword, with_personal_data};
use super::warc::{Coding, Records, Response, digest, gzip};

/// Articles in each language, copies and the rest not counted.
const ARTICLES: [(&str, usize); 6] =
    [("en", 196), ("zh", 28), ("de", 28), ("es", 28), ("ar", 28), ("ja", 28)];

/// The sentence banks, in the order of [`ARTICLES`].
pub(super) fn banks() -> Vec<Bank> {
    let english =
        [include_str!("banks/en_1.txt"), include_str!("banks/en_2.txt"), include_str!("banks/en_3.txt")];
    vec![
        Bank::parse("en", &english),
        Bank::parse("zh", &[include_str!("banks/zh.txt")]),
        Bank::parse("de", &[include_str!("banks/de.txt")]),
        Bank::parse("es", &[include_str!("banks/es.txt")]),
        Bank::parse("ar", &[include_str!("banks/ar.txt")]),
        Bank::parse("ja", &[include_str!("banks/ja.txt")]),
    ]
}

/// Everything that `fixtures/crawl` holds.
pub(super) struct Crawl {
    /// All pages with their addresses, in the order in which the files have them.
    pub(super) pages: Vec<Page>,
    /// Name and bytes of each file.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// Makes the crawl.
pub(super) fn crawl() -> Crawl {
    let banks = banks();
    let mut rng = Rng::new(0x7461_6d69_7331);
    let pages = pages(&banks, &mut rng);
    let mut manifest = Manifest::new();
    let mut files = Vec::new();
    // 300 pages as WARC, the rest as text in three formats.
    let (first, rest) = pages.split_at(150);
    let (second, rest) = rest.split_at(150);
    let (wet, rest) = rest.split_at(50);
    let (jsonl, parquet) = rest.split_at(50);
    for (number, part) in [first, second].into_iter().enumerate() {
        let name = format!("pages-{number:05}.warc.gz");
        let bytes = warc(&name, part, &banks, number as u64, &mut rng, &mut manifest);
        files.push((name, bytes));
    }
    let index = super::index::files(&files, &pages);
    files.push(("text-00000.warc.wet.gz".to_owned(), wet_file(wet, &banks, &mut manifest)));
    files.push(("documents.jsonl".to_owned(), jsonl_file(jsonl, &mut manifest)));
    files.push(("documents.parquet".to_owned(), parquet_file(parquet, &mut manifest)));
    files.push(("broken.warc.gz".to_owned(), super::broken::warc(&banks, &mut manifest)));
    files.push(("broken.jsonl".to_owned(), super::broken::jsonl(&mut manifest)));
    files.push(("keywords.txt".to_owned(), (KEYWORDS.join("\n") + "\n").into_bytes()));
    files.push(("banned_domains.txt".to_owned(), (BANNED_DOMAINS.join("\n") + "\n").into_bytes()));
    files.extend(index);
    files.push(("manifest.tsv".to_owned(), manifest.0.into_bytes()));
    Crawl { pages, files }
}

/// The list of all records that matter.
pub(super) struct Manifest(String);

impl Manifest {
    fn new() -> Self {
        Self("file\trecord\turl\tlanguage\tkind\tdetail\tdup_of\n".to_owned())
    }

    /// Adds a line for a page.
    pub(super) fn add(&mut self, file: &str, record: usize, page: &Page) {
        let fields = [&page.url, page.language, page.kind.name(), &page.detail, &page.dup_of];
        self.line(file, record, fields);
    }

    /// Adds any line: url, language, kind, detail, dup_of.
    pub(super) fn line(&mut self, file: &str, record: usize, fields: [&str; 5]) {
        writeln!(self.0, "{file}\t{record}\t{}", fields.join("\t")).expect("writing to a string");
    }
}

/// All pages in their final order, each with its address. Copies come after what they copy.
fn pages(banks: &[Bank], rng: &mut Rng) -> Vec<Page> {
    let mut pages = Vec::new();
    for ((_, count), bank) in ARTICLES.iter().zip(banks) {
        pages.extend((0..*count).map(|at| article(bank, &bank.topics[at % bank.topics.len()], rng)));
    }
    for (number, kind) in SPAM_KINDS.iter().cycle().take(36).enumerate() {
        // Mostly English; three kinds also in German and Spanish.
        let bank = match number {
            13 => &banks[2],
            18 => &banks[3],
            _ => &banks[0],
        };
        pages.push(spam(kind, bank, rng));
    }
    for number in 0..14 {
        let bank = [&banks[0], &banks[0], &banks[0], &banks[2], &banks[3]][number % 5];
        pages.push(with_personal_data(bank, number, rng));
    }
    for number in 0..KEYWORDS.len() {
        pages.push(with_keyword(&banks[usize::from(number == 3)], number, rng));
    }
    for host in BANNED_DOMAINS {
        let mut page = article(&banks[0], rng.pick(&banks[0].topics), rng);
        page.kind = Kind::BannedUrl;
        host.clone_into(&mut page.detail);
        pages.push(page);
    }
    rng.shuffle(&mut pages);
    for (number, page) in pages.iter_mut().enumerate() {
        let sites = sites(page.language);
        page.url = address(&sites[number % sites.len()], page, number);
        if page.kind == Kind::BannedUrl {
            page.url = format!("http://www.{}/stories/{number}.html", page.detail);
        }
    }
    add_copies(&mut pages, banks, rng);
    pages
}

/// Copies go to random places after their originals, on another site of the language.
fn add_copies(pages: &mut Vec<Page>, banks: &[Bank], rng: &mut Rng) {
    let originals: Vec<Page> = pages.iter().filter(|page| page.kind == Kind::Article).cloned().collect();
    for copy in 0..44 {
        let original = &originals[copy * 7 % originals.len()];
        let bank = banks.iter().find(|bank| bank.language == original.language).expect("its own bank");
        let topic = bank.topics.iter().find(|topic| topic.name == original.topic).expect("its own topic");
        let mut page =
            if copy % 5 < 2 { exact_copy(original) } else { near_copy(original, bank, topic, rng) };
        let sites = sites(page.language);
        let other: Vec<&Site> = sites.iter().filter(|site| !original.url.contains(site.host)).collect();
        page.url = address(other[rng.below(other.len())], &page, 1000 + copy);
        let place = pages.iter().position(|page| page.url == original.url).expect("an original stays");
        let at = rng.range(place + 1, pages.len());
        pages.insert(at, page);
    }
}

fn site_of(page: &Page) -> &'static Site {
    let sites = sites(page.language);
    sites.iter().find(|site| page.url.contains(site.host)).unwrap_or(&sites[0])
}

/// The page's HTML in its site's encoding, and its media type.
fn fetched(page: &Page, banks: &[Bank], rng: &mut Rng) -> (Vec<u8>, String) {
    let site = site_of(page);
    let bank = banks.iter().find(|bank| bank.language == page.language).expect("its own bank");
    let text = html(page, site, bank, rng);
    let encoding = encoding_rs::Encoding::for_label(site.charset.as_bytes()).expect("a known charset");
    let media = if site.charset_in_header {
        format!("text/html; charset={}", site.charset)
    } else {
        "text/html".to_owned()
    };
    (encoding.encode(&text).0.into_owned(), media)
}

fn warc(
    file: &str,
    pages: &[Page],
    banks: &[Bank],
    seed: u64,
    rng: &mut Rng,
    manifest: &mut Manifest,
) -> Vec<u8> {
    let mut records = Records::new(0x5eed_0000 + seed);
    let mut out = gzip(&records.info(file));
    for (number, page) in pages.iter().enumerate() {
        records.tick();
        out.extend(gzip(&records.request(&page.url)));
        let (body, media) = fetched(page, banks, rng);
        let coding = match number % 8 {
            2 | 5 => Coding::Gzip,
            7 if number % 3 == 0 => Coding::Deflate,
            7 if number % 3 == 1 => Coding::Brotli,
            _ => Coding::Identity,
        };
        let chunked = number % 4 == 1;
        let response = Response { status: "200 OK", media: &media, body: &body, coding, chunked };
        manifest.add(file, records.count, page);
        out.extend(gzip(&records.response(&page.url, &response)));
        if number % 3 == 0 {
            out.extend(gzip(&records.metadata(&page.url)));
        }
        if number % 30 == 29 {
            out.extend(no_page(file, number / 30, page, &body, &mut records, manifest));
        }
    }
    out
}

/// A record between the pages that is no page.
fn no_page(
    file: &str,
    which: usize,
    page: &Page,
    body: &[u8],
    records: &mut Records,
    manifest: &mut Manifest,
) -> Vec<u8> {
    let host = site_of(page).host;
    let (what, url, status, media, body): (_, _, _, _, &[u8]) = match which {
        0 => {
            let body = b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1>\
                         <p>The page that you were looking for is no longer here.</p></body></html>";
            ("404", format!("https://{host}/gone.html"), "404 Not Found", "text/html", body)
        }
        1 => {
            let body = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";
            ("image", format!("https://{host}/logo.png"), "200 OK", "image/png", body)
        }
        2 => {
            let body = br#"{"articles": [{"id": 1, "title": "First"}, {"id": 2, "title": "Second"}]}"#;
            ("json", format!("https://{host}/api/articles"), "200 OK", "application/json", body)
        }
        3 => {
            let digest = digest(body);
            let fields = [
                ("WARC-Target-URI", page.url.as_str()),
                ("WARC-Payload-Digest", digest.as_str()),
                ("WARC-Profile", "http://netpreserve.org/warc/1.0/revisit/identical-payload-digest"),
                ("Content-Type", "application/http; msgtype=response"),
            ];
            manifest.line(file, records.count, [&page.url, "", Kind::NoPage.name(), "revisit", &page.url]);
            return gzip(&records.record(
                "revisit",
                &fields,
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n",
            ));
        }
        _ => {
            let body =
                b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n";
            ("pdf", format!("https://{host}/leaflet.pdf"), "200 OK", "application/pdf", body)
        }
    };
    manifest.line(file, records.count, [&url, "", Kind::NoPage.name(), what, ""]);
    let response = Response { status, media, body, coding: Coding::Identity, chunked: false };
    gzip(&records.response(&url, &response))
}

/// ISO 639-3 code, as Common Crawl writes languages.
pub(super) fn three_letters(language: &str) -> &'static str {
    match language {
        "en" => "eng",
        "zh" => "zho",
        "de" => "deu",
        "es" => "spa",
        "ar" => "ara",
        _ => "jpn",
    }
}

/// Text of pages with the lines of boilerplate that plain text extraction leaves in.
fn wet_file(pages: &[Page], banks: &[Bank], manifest: &mut Manifest) -> Vec<u8> {
    let file = "text-00000.warc.wet.gz";
    let mut records = Records::new(0x5eed_0010);
    let mut out = gzip(&records.info(file));
    for page in pages {
        records.tick();
        let bank = banks.iter().find(|bank| bank.language == page.language).expect("its own bank");
        let nav = bank.ui("nav").join("\n");
        let text = format!("{}\n{nav}\n{}\n{}\n", page.title, page.text(), bank.ui("footer")[0]);
        manifest.add(file, records.count, page);
        out.extend(gzip(&records.conversion(&page.url, three_letters(page.language), &text)));
    }
    out
}

/// One document as a JSON line with fields that the pipeline passes through.
fn jsonl_file(pages: &[Page], manifest: &mut Manifest) -> Vec<u8> {
    let file = "documents.jsonl";
    let mut out = Vec::new();
    for (number, page) in pages.iter().enumerate() {
        manifest.add(file, number, page);
        let value = serde_json::json!({
            "id": format!("doc-{number:04}"),
            "text": page.text(),
            "url": page.url,
            "date": format!("2025-04-{:02}", 1 + number % 30),
            "title": page.title,
            "tags": [page.topic, page.language],
            "meta": { "author": page.author, "views": number * 37 % 1000 },
        });
        serde_json::to_writer(&mut out, &value).expect("writing to memory");
        out.push(b'\n');
    }
    out
}

/// Documents as Parquet in row groups of 16, with columns that the pipeline passes through.
fn parquet_file(pages: &[Page], manifest: &mut Manifest) -> Vec<u8> {
    for (number, page) in pages.iter().enumerate() {
        manifest.add("documents.parquet", number, page);
    }
    let strings = |get: &dyn Fn(usize, &Page) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(pages.iter().enumerate().map(|(at, page)| get(at, page))))
    };
    let views = (0i64..).take(pages.len()).map(|at| at * 91 % 500);
    let ratings = (0u32..).take(pages.len()).map(|at| (at % 10 != 3).then(|| f64::from(at % 50) / 10.0));
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("id", strings(&|at, _| format!("row-{at:04}")), false),
        ("text", strings(&|_, page| page.text()), false),
        ("url", strings(&|_, page| page.url.clone()), false),
        ("date", strings(&|at, _| format!("2025-05-{:02}", 1 + at % 31)), false),
        ("section", strings(&|_, page| page.topic.to_owned()), false),
        ("views", Arc::new(Int64Array::from_iter_values(views)) as ArrayRef, false),
        ("rating", Arc::new(ratings.collect::<Float64Array>()) as ArrayRef, true),
    ])
    .expect("columns of one length");
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(16))
        .set_created_by("tamis fixture generator".to_owned())
        .build();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("a plain schema");
    writer.write(&batch).expect("writing to memory");
    writer.into_inner().expect("writing to memory")
}
