//! Damaged files: what a reader must survive, with good records before and after each damage.

use super::files::Manifest;
use super::grammar::Bank;
use super::page::{Kind, Page, article};
use super::rng::Rng;
use super::warc::{Coding, Records, Response, gzip};

/// `broken.warc.gz`. In order, with a good page between any two:
/// a gzip member overwritten in its middle, a `Content-Length` that is too long and one that is too short,
/// a record without a `Content-Length`, a block that is no HTTP, a member that holds no WARC record at all;
/// the last record stops in the middle of its compressed bytes.
pub(super) fn warc(banks: &[Bank], manifest: &mut Manifest) -> Vec<u8> {
    let file = "broken.warc.gz";
    let bank = &banks[0];
    let mut rng = Rng::new(0xb40c);
    let mut records = Records::new(0x5eed_0020);
    let mut out = gzip(&records.info(file));
    let damages = [
        "corrupt_member",
        "length_too_long",
        "length_too_short",
        "no_length",
        "no_http",
        "no_warc",
        "truncated",
    ];
    for (number, damage) in damages.iter().enumerate() {
        let good = page(bank, number * 2, &mut rng);
        manifest.add(file, records.count, &good);
        records.tick();
        out.extend(gzip(&whole(&mut records, &good)));

        let mut bad = page(bank, number * 2 + 1, &mut rng);
        bad.kind = Kind::Broken;
        (*damage).clone_into(&mut bad.detail);
        manifest.add(file, records.count, &bad);
        records.tick();
        out.extend(damaged(damage, &mut records, &bad));
    }
    out
}

fn page(bank: &Bank, number: usize, rng: &mut Rng) -> Page {
    let mut page = article(bank, &bank.topics[number % bank.topics.len()], rng);
    page.url = format!("https://ward-seven.example/{}/{number}", page.topic);
    page
}

fn plain_html(page: &Page) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><title>{0}</title></head><body><h1>{0}</h1>\n",
        page.title
    );
    for line in page.text().lines() {
        html.push_str("<p>");
        html.push_str(line);
        html.push_str("</p>\n");
    }
    html + "</body></html>\n"
}

fn http(page: &Page) -> Vec<u8> {
    let body = plain_html(page);
    let response = Response {
        status: "200 OK",
        media: "text/html; charset=utf-8",
        body: body.as_bytes(),
        coding: Coding::Identity,
        chunked: false,
    };
    response.bytes()
}

fn whole(records: &mut Records, page: &Page) -> Vec<u8> {
    let block = http(page);
    records.record("response", &fields(page), &block)
}

fn fields(page: &Page) -> [(&str, &str); 2] {
    [("WARC-Target-URI", page.url.as_str()), ("Content-Type", "application/http; msgtype=response")]
}

fn damaged(damage: &str, records: &mut Records, page: &Page) -> Vec<u8> {
    let block = http(page);
    match damage {
        "corrupt_member" => {
            let mut member = gzip(&records.record("response", &fields(page), &block));
            let middle = member.len() / 2;
            member[middle..middle + 40].fill(0xff);
            member
        }
        "length_too_long" => {
            let length = block.len() + 5000;
            gzip(&records.record_of_length("response", &fields(page), &block, length))
        }
        "length_too_short" => {
            let length = block.len() - 700;
            gzip(&records.record_of_length("response", &fields(page), &block, length))
        }
        "no_length" => {
            let record = records.record("response", &fields(page), &block);
            let header = format!("Content-Length: {}\r\n", block.len());
            let at = record
                .windows(header.len())
                .position(|bytes| bytes == header.as_bytes())
                .expect("every record tells its length");
            gzip(&[&record[..at], &record[at + header.len()..]].concat())
        }
        "no_http" => gzip(&records.record("response", &fields(page), b"\x00\x01\x02 not a response at all")),
        "no_warc" => {
            records.count += 1;
            gzip(b"<html><body><h1>502 Bad Gateway</h1></body></html>\n")
        }
        "truncated" => {
            let member = gzip(&records.record("response", &fields(page), &block));
            member[..member.len() / 2].to_vec()
        }
        _ => panic!("unknown damage: {damage}"),
    }
}

/// `broken.jsonl`: good lines around one that is cut, one that is no object, one without text, one whose
/// text is a number, one that is not UTF-8 and an empty one.
pub(super) fn jsonl(manifest: &mut Manifest) -> Vec<u8> {
    let good = |number: usize| {
        format!(
            "{{\"id\": \"ok-{number}\", \"text\": \"This line is fine and says so in a whole sentence.\", \
             \"url\": \"https://ward-seven.example/line/{number}\"}}"
        )
    };
    let lines: [(&str, Vec<u8>); 10] = [
        ("", good(0).into_bytes()),
        ("cut", b"{\"id\": \"cut\", \"text\": \"This line stops in the mid".to_vec()),
        ("", good(2).into_bytes()),
        ("no_object", b"[\"an\", \"array\"]".to_vec()),
        ("no_text", b"{\"id\": \"no-text\", \"title\": \"Only a title\"}".to_vec()),
        ("text_is_number", b"{\"id\": \"number\", \"text\": 42}".to_vec()),
        ("", good(6).into_bytes()),
        ("no_utf8", b"{\"id\": \"latin\", \"text\": \"caf\xe9 au lait\"}".to_vec()),
        ("empty_line", Vec::new()),
        ("", good(9).into_bytes()),
    ];
    let mut out = Vec::new();
    for (number, (detail, line)) in lines.iter().enumerate() {
        let url = format!("https://ward-seven.example/line/{number}");
        let fields = if detail.is_empty() {
            [url.as_str(), "en", Kind::Article.name(), "", ""]
        } else {
            ["", "", Kind::Broken.name(), detail, ""]
        };
        manifest.line("broken.jsonl", number, fields);
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out
}
