//! Sites: who publishes a page, and the five designs in which its HTML comes, each with its own kind of
//! boilerplate (navigation, cookie banner, sidebar, comments, related links, tables for layout).

use std::fmt::Write as _;

use super::grammar::{Bank, Writer};
use super::page::{Block, Kind, Page};
use super::rng::Rng;

/// A site: host, name, design, charset, how the charset is told.
pub(super) struct Site {
    /// Host name.
    pub(super) host: &'static str,
    name: &'static str,
    design: usize,
    /// Encoding of its pages.
    pub(super) charset: &'static str,
    /// Whether the HTTP header names the charset.
    pub(super) charset_in_header: bool,
    charset_in_meta: bool,
}

const fn site(
    host: &'static str,
    name: &'static str,
    design: usize,
    charset: &'static str,
    charset_in_header: bool,
    charset_in_meta: bool,
) -> Site {
    Site { host, name, design, charset, charset_in_header, charset_in_meta }
}

const EN: [Site; 7] = [
    site("www.slow-sundays.example", "Slow Sundays", 0, "utf-8", true, true),
    site("courier.harrowby.example", "The Harrowby Courier", 1, "utf-8", true, true),
    site("hobbies.oldweb.example", "Hobby Pages", 2, "windows-1252", false, true),
    site("magazine.brightside.example", "Brightside Magazine", 3, "utf-8", true, false),
    site("notes.plain.example", "Plain Notes", 4, "utf-8", false, false),
    site("village-voice.example", "Village Voice", 0, "iso-8859-1", true, false),
    site("almanac.example", "The Almanac", 3, "utf-8", false, true),
];
const ZH: [Site; 3] = [
    site("www.shanshui.example", "山水札记", 0, "utf-8", true, true),
    site("wenhua.example", "文化周报", 1, "gb18030", false, true),
    site("laojie.example", "老街网", 3, "gb18030", true, false),
];
const DE: [Site; 3] = [
    site("www.heimatblatt.example", "Heimatblatt", 1, "utf-8", true, true),
    site("verein.oberland.example", "Verein Oberland", 2, "windows-1252", false, true),
    site("landleben.example", "Landleben", 4, "utf-8", false, true),
];
const ES: [Site; 3] = [
    site("www.plazamayor.example", "Plaza Mayor", 0, "utf-8", true, true),
    site("cuadernos.example", "Cuadernos del Camino", 3, "iso-8859-1", true, false),
    site("elrincon.example", "El Rincón", 4, "utf-8", false, false),
];
const JA: [Site; 3] = [
    site("www.machinohibi.example", "町の日々", 0, "utf-8", true, true),
    site("kurashi.example", "暮らしの帳面", 2, "shift_jis", false, true),
    site("tabi.example", "旅と本", 1, "euc-jp", true, false),
];
const AR: [Site; 3] = [
    site("www.majalla.example", "المجلة", 1, "utf-8", true, true),
    site("dafatir.example", "دفاتر", 0, "windows-1256", true, true),
    site("hikayat.example", "حكايات", 4, "utf-8", false, true),
];

/// The sites of a language.
pub(super) fn sites(language: &str) -> &'static [Site] {
    match language {
        "en" => &EN,
        "zh" => &ZH,
        "de" => &DE,
        "es" => &ES,
        "ja" => &JA,
        "ar" => &AR,
        _ => panic!("no sites in {language}"),
    }
}

/// An address on a site for the page with this number in the crawl.
pub(super) fn address(site: &Site, page: &Page, number: usize) -> String {
    let (host, topic) = (site.host, page.topic);
    match (page.kind, site.design) {
        (Kind::Spam, _) => format!("http://{host}/offers/{number}.html"),
        (_, 0) => format!("https://{host}/{}/{:02}/{topic}-{number}/", 2015 + number % 10, 1 + number % 12),
        (_, 1) => format!("https://{host}/{topic}/{number}.html"),
        (_, 2) => format!("http://{host}/~{topic}/page{number}.htm"),
        (_, 3) => format!("https://{host}/article?id={number}&section={topic}"),
        _ => format!("https://{host}/{topic}/{number}"),
    }
}

/// The page as HTML in its site's design, before it is encoded.
pub(super) fn html(page: &Page, site: &Site, bank: &Bank, rng: &mut Rng) -> String {
    let parts = Parts::new(page, site, bank, rng);
    match site.design {
        0 => parts.blog(),
        1 => parts.news(),
        2 => parts.tables(),
        3 => parts.magazine(),
        _ => parts.plain(),
    }
}

/// Everything that a design puts in its places.
struct Parts<'a> {
    page: &'a Page,
    site: &'a Site,
    bank: &'a Bank,
    body: String,
    nav: Vec<String>,
    related: Vec<String>,
    remarks: Vec<(String, &'static str)>,
    date: String,
}

impl<'a> Parts<'a> {
    fn new(page: &'a Page, site: &'a Site, bank: &'a Bank, rng: &mut Rng) -> Self {
        let nav =
            bank.ui("nav").iter().enumerate().map(|(at, word)| link(&format!("/{at}/"), word)).collect();
        let related = (0..5)
            .map(|at| {
                let topic = rng.pick(&bank.topics);
                let title = Writer::new(bank, topic).write(rng.word(&topic.titles), rng);
                link(&format!("/{}/{at}", topic.name), &title)
            })
            .collect();
        let remarks = (0..rng.below(4))
            .map(|_| {
                let name = Writer::new(bank, &bank.topics[0]).write("<person>", rng);
                (name, rng.word(bank.ui("remark")))
            })
            .collect();
        let date = format!("{}-{:02}-{:02}", rng.range(2016, 2025), rng.range(1, 12), rng.range(1, 28));
        Self { page, site, bank, body: body(page), nav, related, remarks, date }
    }

    fn word(&self, key: &str) -> &'static str {
        self.bank.ui(key)[0]
    }

    fn head(&self, extra: &str) -> String {
        let direction = if self.bank.language == "ar" { " dir=\"rtl\"" } else { "" };
        let charset = match (self.site.charset_in_meta, self.site.design) {
            (false, _) => String::new(),
            (true, 2) => format!(
                "<meta http-equiv=\"Content-Type\" content=\"text/html; charset={}\">\n",
                self.site.charset
            ),
            (true, _) => format!("<meta charset=\"{}\">\n", self.site.charset),
        };
        format!(
            "<html lang=\"{}\"{direction}>\n<head>\n{charset}<title>{} - {}</title>\n{extra}</head>\n",
            self.bank.language,
            escape(&self.page.title),
            escape(self.site.name)
        )
    }

    fn list(items: &[String]) -> String {
        let mut out = String::from("<ul>\n");
        for item in items {
            writeln!(out, "<li>{item}</li>").expect("writing to a string");
        }
        out + "</ul>\n"
    }

    fn comments(&self) -> String {
        if self.remarks.is_empty() {
            return String::new();
        }
        let mut out = format!(
            "<section id=\"comments\" class=\"comments\">\n<h3>{} ({})</h3>\n",
            self.word("comments"),
            self.remarks.len()
        );
        for (name, remark) in &self.remarks {
            writeln!(
                out,
                "<div class=\"comment\"><span class=\"comment-author\">{name}</span><p>{remark}</p></div>"
            )
            .expect("writing to a string");
        }
        out + "</section>\n"
    }

    fn blog(&self) -> String {
        format!(
            "<!DOCTYPE html>\n{}<body class=\"single\">\n<header class=\"site-header\"><a class=\"logo\" \
             href=\"/\">{}</a>\n<nav class=\"main-nav\">\n{}</nav></header>\n<main>\n<article \
             class=\"post\">\n<h1 class=\"entry-title\">{}</h1>\n<div class=\"entry-meta\">{} {} \
             <time datetime=\"{}\">{}</time></div>\n<div class=\"entry-content\">\n{}</div>\n</article>\n{}\
             </main>\n<aside class=\"sidebar\">\n<form action=\"/search\"><input name=\"q\" \
             placeholder=\"{}\"></form>\n<h4>{}</h4>\n{}</aside>\n<footer class=\"site-footer\"><p>{}</p>\
             </footer>\n</body>\n</html>\n",
            self.head("<link rel=\"stylesheet\" href=\"/style.css\">\n"),
            self.site.name,
            Self::list(&self.nav),
            escape(&self.page.title),
            self.word("by"),
            self.page.author,
            self.date,
            self.date,
            self.body,
            self.comments(),
            self.word("search"),
            self.word("related"),
            Self::list(&self.related),
            self.word("footer"),
        )
    }

    fn news(&self) -> String {
        let extra = format!(
            "<link rel=\"canonical\" href=\"{}\">\n<meta property=\"og:title\" content=\"{}\">\n<meta \
             name=\"author\" content=\"{}\">\n<meta property=\"article:published_time\" \
             content=\"{}T08:00:00Z\">\n",
            escape(&self.page.url),
            escape(&self.page.title),
            self.page.author,
            self.date
        );
        format!(
            "<!DOCTYPE html>\n{}<body>\n<div id=\"cookie-banner\" class=\"cookie-consent\" role=\"dialog\"><p>\
             {}</p><button>{}</button></div>\n<div class=\"topbar\"><nav>\n{}</nav></div>\n<div \
             class=\"breadcrumb\"><a href=\"/\">{}</a> &raquo; <a href=\"/{}/\">{}</a></div>\n<article \
             itemscope>\n<h1 itemprop=\"headline\">{}</h1>\n<p class=\"byline\">{} {} &middot; {}</p>\n<div \
             class=\"share-buttons\"><span>{}</span> <a href=\"#\">Mail</a> <a href=\"#\">RSS</a></div>\n<div \
             itemprop=\"articleBody\">\n{}</div>\n</article>\n<div class=\"newsletter\"><form><label>{}\
             </label><input type=\"email\"></form></div>\n<section class=\"related-articles\"><h2>{}</h2>\n{}\
             </section>\n<footer>\n{}<p class=\"legal\">{}</p></footer>\n</body>\n</html>\n",
            self.head(&extra),
            self.word("cookie"),
            self.word("accept"),
            Self::list(&self.nav),
            self.word("nav"),
            self.page.topic,
            self.page.topic,
            escape(&self.page.title),
            self.word("by"),
            self.page.author,
            self.date,
            self.word("share"),
            self.body,
            self.word("subscribe"),
            self.word("related"),
            Self::list(&self.related),
            Self::list(&self.nav),
            self.word("footer"),
        )
    }

    fn tables(&self) -> String {
        let nav = self.nav.join(" |\n");
        format!(
            "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01 Transitional//EN\">\n{}<body bgcolor=\"#ffffe8\" \
             link=\"#003366\">\n<table width=\"100%\" bgcolor=\"#ddddcc\"><tr><td><b>{}</b></td><td \
             align=\"right\"><font size=\"2\">[ {nav} ]</font></td></tr></table>\n<h1>{}</h1>\n<font \
             size=\"2\"><i>{} {}, {}</i></font>\n<hr>\n{}<hr>\n<center><font size=\"1\">{}</font></center>\n\
             </body>\n</html>\n",
            self.head("<meta name=\"generator\" content=\"Notepad\">\n"),
            self.site.name,
            escape(&self.page.title),
            self.word("by"),
            self.page.author,
            self.date,
            self.body,
            self.word("footer"),
        )
    }

    fn magazine(&self) -> String {
        let data = format!(
            "<script type=\"application/ld+json\">{{\"@context\":\"https://schema.org\",\"@type\":\"Article\",\
             \"datePublished\":\"{}\"}}</script>\n<style>.wrap{{max-width:60em;margin:auto}} \
             .ad{{float:right}}</style>\n<script>window.dataLayer = window.dataLayer || []; function \
             track(e) {{ dataLayer.push(e); }} track({{page: \"{}\"}});</script>\n",
            self.date, self.page.topic
        );
        format!(
            "<!DOCTYPE html>\n{}<body>\n<div class=\"wrap\">\n<div class=\"menu\">\n{}</div>\n<div \
             class=\"ad ad-top\"><a href=\"/go/1\">{}</a></div>\n<div class=\"content\" id=\"content\">\n<h1>\
             {}</h1>\n<div class=\"date\">{}</div>\n<div class=\"text\">\n{}</div>\n</div>\n<div \
             class=\"tagcloud\">{}</div>\n<div class=\"author-box\">{} {}</div>\n<div class=\"more\"><h3>{}\
             </h3>\n{}</div>\n{}<div class=\"footer\">{}</div>\n</div>\n<script>track({{event: \"read\"}});\
             </script>\n<noscript>JavaScript</noscript>\n</body>\n</html>\n",
            self.head(&data),
            Self::list(&self.nav),
            self.word("subscribe"),
            escape(&self.page.title),
            self.date,
            self.body,
            self.nav.join(" "),
            self.word("by"),
            self.page.author,
            self.word("related"),
            Self::list(&self.related),
            self.comments(),
            self.word("footer"),
        )
    }

    fn plain(&self) -> String {
        format!(
            "<!doctype html>\n{}<body>\n<p><a href=\"/\">{}</a></p>\n<main>\n<h1>{}</h1>\n{}<p><small>{}, {}\
             </small></p>\n</main>\n<hr>\n{}<p><small>{}</small></p>\n</body>\n</html>\n",
            self.head(""),
            self.site.name,
            escape(&self.page.title),
            self.body,
            self.page.author,
            self.date,
            Self::list(&self.nav),
            self.word("footer"),
        )
    }
}

fn body(page: &Page) -> String {
    let mut out = String::new();
    let mut in_list = false;
    for block in &page.blocks {
        let is_item = matches!(block, Block::Item(_));
        if is_item != in_list {
            out.push_str(if is_item { "<ul>\n" } else { "</ul>\n" });
            in_list = is_item;
        }
        let line = match block {
            Block::Heading(heading) => format!("<h2>{}</h2>", escape(heading)),
            Block::Para(sentences) => format!("<p>{}</p>", escape(&sentences.join(page.space))),
            Block::Item(item) => format!("<li>{}</li>", link("/go", item)),
            Block::Code(line) => format!("<div>{}</div>", escape(line)),
        };
        out.push_str(&line);
        out.push('\n');
    }
    if in_list {
        out.push_str("</ul>\n");
    }
    out
}

fn link(address: &str, text: &str) -> String {
    format!("<a href=\"{address}\">{}</a>", escape(text))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
