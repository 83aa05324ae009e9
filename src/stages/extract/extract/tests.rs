//! The stage as a whole: what it writes, what it drops, that hostile pages cost little and that nothing
//! but the page decides.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::*;
use crate::document::Ordinal;

fn stage(options: Value) -> Extract {
    Extract::new(&parse_options(options).expect("options fit")).expect("options are valid")
}

fn page(bytes: impl Into<Vec<u8>>, media: Media) -> Document {
    let mut doc = Document::new(Ordinal { split: 0, record: 0 }, "x".into(), String::new());
    doc.raw = Some(Raw { bytes: bytes.into(), media, charset: None });
    doc
}

fn outcome(stage: &Extract, html: &str) -> (String, String) {
    let mut doc = page(html, Media::Html);
    match stage.process(&mut doc, &mut Context::default()) {
        Outcome::Drop(reason) => (reason.name.to_owned(), doc.text),
        Outcome::Keep => ("keep".to_owned(), doc.text),
        Outcome::Changed => ("changed".to_owned(), doc.text),
    }
}

/// A made-up article with the parts around it that pages have.
fn article(topic: &str) -> String {
    let mut html = format!(
        "<html lang=en><head><title>{topic}</title><link rel=canonical href='https://example.com/a'></head><body>\
         <nav><ul><li><a href=/>Home</a><li><a href=/news>News</a></ul></nav><article><h1>{topic}</h1>"
    );
    for n in 1..8 {
        write!(html, "<p>Paragraph {n} tells, in a sentence that is long enough to count, what there is to know of {topic}, \
                      its makers and its users, and then goes on for a while.</p>").expect("writing to a string");
    }
    html + "</article><div class=sidebar><a href=/x>Read more</a> <a href=/y>Subscribe</a></div>\
            <footer>Copyright, all rights reserved, imprint</footer></body></html>"
}

const ENGINES: [&str; 3] = ["{}", "{\"fallback\": \"builtin\"}", "{\"engine\": \"dom_smoothie\"}"];

fn engines() -> Vec<Extract> {
    ENGINES.map(|options| stage(serde_json::from_str(options).expect("JSON"))).into()
}

#[test]
fn a_page_becomes_its_main_text() {
    for stage in engines() {
        let mut doc = page(article("sieves"), Media::Html);
        assert_eq!(stage.process(&mut doc, &mut Context::default()), Outcome::Changed);
        assert!(doc.text.contains("\nParagraph 7 tells"), "{}", doc.text);
        assert!(!doc.text.contains("Subscribe") && !doc.text.contains("Home"), "{}", doc.text);
        assert!(doc.raw.is_none());
        assert_eq!(doc.fields["title"], "sieves");
        assert_eq!(doc.fields["html_lang"], "en");
        assert_eq!(doc.fields["canonical_url"], "https://example.com/a");
    }
}

#[test]
fn text_passes_and_plain_payloads_are_decoded() {
    let stage = stage(serde_json::json!({}));
    let mut doc = Document::new(Ordinal { split: 0, record: 0 }, "x".into(), "a text".into());
    assert_eq!(stage.process(&mut doc, &mut Context::default()), Outcome::Keep);
    assert_eq!(doc.text, "a text");
    let mut doc = page(b"Gr\xfc\xdfe aus <K\xf6ln>\n".to_vec(), Media::Plain);
    assert_eq!(stage.process(&mut doc, &mut Context::default()), Outcome::Changed);
    assert_eq!(doc.text, "Grüße aus <Köln>\n");
    let mut doc = page(b" \n".to_vec(), Media::Plain);
    assert!(
        matches!(stage.process(&mut doc, &mut Context::default()), Outcome::Drop(reason) if reason.name == "no_text")
    );
}

#[test]
fn limits_drop_by_name() {
    let stage = stage(
        serde_json::json!({"max_page_bytes": 2000, "max_depth": 16, "max_elements": 100, "max_attributes": 8}),
    );
    let cases = [
        ("", "no_text"),
        ("<html></html>", "no_text"),
        (&"x".repeat(2001), "page_too_large"),
        (&"<div>".repeat(15), "too_deep"),
        (&"<br>".repeat(98), "too_many_elements"),
        ("<p a b c d e f g h i>", "too_many_attributes"),
    ];
    for (html, expected) in cases {
        assert_eq!(outcome(&stage, html).0, expected, "{html}");
    }
    assert_eq!(outcome(&stage, &"x ".repeat(1000)).0, "changed");
}

#[test]
fn options_of_the_other_engine_are_refused() {
    let config: Config =
        parse_options(serde_json::json!({"engine": "dom_smoothie", "favor": "recall", "fallback": "none"}))
            .expect("fits");
    let keys: Vec<String> =
        Extract::new(&config).err().into_iter().flatten().map(|error| error.key).collect();
    assert_eq!(keys, ["favor", "fallback"]);
}

#[test]
fn hostile_pages_cost_bounded_time_and_stack() {
    let many = |n: usize, piece: &dyn Fn(usize) -> String| (0..n).map(piece).collect::<String>();
    let n = 20_000;
    let pages = vec![
        "<div>".repeat(n),
        "<b><i>".repeat(n),
        "<table><tr><td>".repeat(n),
        "<ul><li>".repeat(n),
        "<svg><title>".repeat(n),
        "<a><div>".repeat(n),
        "<p>".to_owned() + &many(n, &|i| format!("<font size={i}><p>")),
        "<p>".to_owned() + &many(200, &|i| format!("<font size={i}>")) + &"<p>x</p>".repeat(n),
        many(200, &|i| format!("<b c={i}>")) + "<div>x" + &"</b>".repeat(n),
        format!("<p {}>", many(n, &|i| format!("a{i} "))),
        many(n, &|i| format!("<html a{i}>")),
        format!("<div class='{}'>text</div>", "word ".repeat(n)),
        "<!--".repeat(n) + &"-".repeat(n),
        "<".repeat(n),
        "<a b='".repeat(n),
        "<table>".to_owned() + &"<b>x<tr>".repeat(n),
        "<table>".to_owned() + &"x<tr>".repeat(n),
        "<p>".repeat(n),
        format!("<script type='application/ld+json'>{}</script>", "[".repeat(n)),
        "<div>".repeat(250) + &"<p>words of a text</p>".repeat(n / 4),
        ("<div>".repeat(250) + "x" + &"</div>".repeat(250)).repeat(20),
        ("<ul><li>".repeat(120) + "x" + &"</ul>".repeat(120)).repeat(20),
        ("<table><tr><td>".repeat(60) + "x" + &"</table>".repeat(60)).repeat(20),
        "<p>".to_owned() + &("<span>".repeat(240) + "word " + &"</span>".repeat(240)).repeat(20),
        "<article>".repeat(240) + &"<a href=x>link</a> ".repeat(n / 4),
        "<select>".repeat(n),
        "<button>".repeat(n),
        "<template>".repeat(n),
        "\0".repeat(n),
    ];
    // The threads that run the stages have 2 MiB.
    let run = move || {
        let stages = engines();
        for html in &pages {
            for stage in &stages {
                let start = Instant::now();
                let (verdict, _) = outcome(stage, html);
                let shown: String = html.chars().take(40).collect();
                assert!(start.elapsed() < Duration::from_secs(8), "{shown}: {verdict}");
                assert_ne!(verdict, "extractor_failed", "{shown}");
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread");
    assert!(thread.join().is_ok());
}

#[test]
fn the_deepest_page_allowed_fits_the_stack() {
    let run = || {
        for options in ENGINES {
            let mut options: Value = serde_json::from_str(options).expect("JSON");
            options["max_depth"] = 400.into();
            let stage = stage(options);
            for (tag, levels) in [
                ("div", 397),
                ("span", 397),
                ("article", 397),
                ("blockquote", 397),
                ("ul><li", 198),
                ("b", 397),
            ] {
                let html = format!("<{tag}>words of a text that is long enough ").repeat(levels);
                let (verdict, _) = outcome(&stage, &html);
                assert!(verdict == "changed" || verdict == "no_text", "{tag}: {verdict}");
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread");
    assert!(thread.join().is_ok());
}

#[test]
fn order_and_threads_change_nothing() {
    let topics: Vec<String> = (0..24).map(|n| format!("topic {}", n % 6)).collect();
    for stage in engines() {
        let forward: Vec<String> = topics.iter().map(|topic| outcome(&stage, &article(topic)).1).collect();
        let backward: Vec<String> =
            topics.iter().rev().map(|topic| outcome(&stage, &article(topic)).1).collect();
        assert!(forward.iter().eq(backward.iter().rev()));
        let parallel: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                topics.iter().map(|topic| scope.spawn(|| outcome(&stage, &article(topic)).1)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(forward, parallel);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn any_bytes_are_judged(bytes: Vec<u8>, tags in proptest::collection::vec(
        proptest::sample::select(vec!["<p>", "</p>", "<div>", "<table>", "<td>", "<b>", "</b>", "<a href=x>", "<ul><li>", "text ", "<svg>", "<pre>"]), 0..40))
    {
        let stage = stage(serde_json::json!({}));
        let mut html = bytes;
        html.extend(tags.concat().bytes());
        let mut doc = page(html, Media::Html);
        stage.process(&mut doc, &mut Context::default());
        proptest::prop_assert!(doc.raw.is_none());
    }
}
