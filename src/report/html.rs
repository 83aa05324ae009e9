//! Pieces of HTML: escaped text and numbers that name their place in `report.json`.

use std::fmt::Write as _;

use super::format;

/// Text for use between tags and in quoted attributes. Control characters that HTML forbids become `�`.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(c),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A place in `report.json`, as a JSON pointer.
#[derive(Debug, Clone)]
pub(super) struct Place(String);

impl Place {
    /// The whole document.
    pub(super) fn root() -> Self {
        Self(String::new())
    }

    /// A member of an object or an array.
    pub(super) fn at(&self, key: impl std::fmt::Display) -> Self {
        let key = key.to_string().replace('~', "~0").replace('/', "~1");
        Self(format!("{}/{key}", self.0))
    }

    /// The pointer, for an attribute.
    pub(super) fn escaped(&self) -> String {
        escape(&self.0)
    }

    /// A count.
    pub(super) fn count(&self, n: u64) -> String {
        format!("<data value=\"{n}\" data-ref=\"{}\">{}</data>", self.escaped(), format::count(n))
    }

    /// A size in bytes.
    pub(super) fn bytes(&self, n: u64) -> String {
        let exact = format::count(n);
        format!(
            "<data value=\"{n}\" data-ref=\"{}\" title=\"{exact} bytes\">{}</data>",
            self.escaped(),
            format::bytes(n)
        )
    }
}

/// A table with a header row; columns whose heading starts with `#` hold numbers and stand to the right.
pub(super) struct TableHtml {
    html: String,
    numeric: Vec<bool>,
    rows: usize,
}

impl TableHtml {
    /// Starts a table. Headings are plain text.
    pub(super) fn new(headings: &[&str]) -> Self {
        let mut html = "<div class=\"scroll\"><table><thead><tr>".to_owned();
        let mut numeric = Vec::new();
        for heading in headings {
            let (number, heading) = match heading.strip_prefix('#') {
                Some(rest) => (true, rest),
                None => (false, *heading),
            };
            numeric.push(number);
            html.push_str(if number { "<th class=\"n\">" } else { "<th>" });
            html.push_str(&escape(heading));
            html.push_str("</th>");
        }
        html.push_str("</tr></thead><tbody>");
        Self { html, numeric, rows: 0 }
    }

    /// Adds a row of cells, which are HTML.
    pub(super) fn row(&mut self, cells: &[String]) {
        self.html.push_str("<tr>");
        for (number, cell) in cells.iter().enumerate() {
            let numeric = self.numeric.get(number).copied().unwrap_or(false);
            let class = if numeric { " class=\"n\"" } else { "" };
            write_to(&mut self.html, format_args!("<td{class}>{cell}</td>"));
        }
        self.html.push_str("</tr>");
        self.rows += 1;
    }

    /// The table, or nothing where it has no rows.
    pub(super) fn finish(mut self) -> String {
        if self.rows == 0 {
            return String::new();
        }
        self.html.push_str("</tbody></table></div>");
        self.html
    }
}

/// Appends formatted text.
pub(super) fn write_to(html: &mut String, arguments: std::fmt::Arguments) {
    html.write_fmt(arguments).expect("writing to a String cannot fail");
}

/// A name in the typeface of code.
pub(super) fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// A bar that shows a share of a whole.
pub(super) fn bar(part: u64, whole: u64, class: &str) -> String {
    let share = if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
    format!("<span class=\"bar\"><i class=\"{class}\" style=\"width:{:.2}%\"></i></span>", share.min(100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(escape("<script>'\"&\0\u{1b}\n"), "&lt;script&gt;&#39;&quot;&amp;\u{fffd}\u{fffd}\n");
        assert_eq!(Place::root().at("a/b~\"").escaped(), "/a~1b~0&quot;");
    }
}
