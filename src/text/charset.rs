//! Bytes of a web page to text: which encoding was it, and how much of it can be saved.
//!
//! The order of evidence is the WHATWG one (byte order mark, `Content-Type` header, `<meta>`, then a
//! guess by `chardetng`, Firefox's detector), with labels as in the WHATWG table (`encoding_rs`). We
//! differ from a browser in one thing: a browser believes a wrong label and shows rubbish, we test it.
//! Bytes that are UTF-8 are UTF-8 whatever the label says, a `windows-1252` header that disagrees with
//! the page's own `<meta>` is taken for a server default, and a label under which more than one non-ASCII
//! character in fifty is impossible is passed over. Linear time; never fails.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, GB18030, GBK, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use memchr::{memchr, memmem};

/// How many bytes of a page are searched for its `<meta charset>`. Browsers look at 1,024; pages that
/// open with a licence comment or inlined scripts need more.
const META_WINDOW_BYTES: usize = 8192;

/// How many bytes, from the first non-ASCII one on, the detector is shown.
const DETECT_WINDOW_BYTES: usize = 1 << 16;

/// One impossible character in so many non-ASCII ones is still taken for damage, not for a wrong label.
const MAX_DAMAGE: usize = 50;

/// What told us the encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// A byte order mark.
    Bom,
    /// The bytes themselves: pure ASCII, UTF-8 by their form, or UTF-16 by their zeros.
    Bytes,
    /// The `Content-Type` header.
    Header,
    /// The page's `<meta>` or XML declaration.
    Meta,
    /// `chardetng`'s guess.
    Detected,
}

/// A decoded page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The text, without a byte order mark; impossible bytes are U+FFFD.
    pub text: String,
    /// WHATWG name of the encoding.
    pub encoding: &'static str,
    /// What told us.
    pub evidence: Evidence,
}

/// Decodes a payload. `header` is the `charset` parameter as sent, `html` says whether to look for a
/// `<meta>`, `tld` (the last label of the host name) helps the detector between cousins such as
/// windows-1250 and ISO 8859-2.
#[must_use]
pub fn decode(bytes: Vec<u8>, header: Option<&str>, html: bool, tld: Option<&str>) -> Decoded {
    if let Some((encoding, skip)) = Encoding::for_bom(&bytes) {
        let (text, _) = encoding.decode_without_bom_handling(&bytes[skip..]);
        return decoded(text, encoding, Evidence::Bom);
    }
    if let Some(encoding) = utf16_by_zeros(&bytes) {
        let (text, _) = encoding.decode_without_bom_handling(&bytes);
        return decoded(text, encoding, Evidence::Bytes);
    }
    let header =
        header.and_then(|label| Encoding::for_label(label.trim_matches(['"', '\'', ' ']).as_bytes()));
    let meta = if html { meta_encoding(&bytes) } else { None };
    let mut labels: Vec<(&'static Encoding, Evidence)> =
        header.map(|e| (e, Evidence::Header)).into_iter().chain(meta.map(|e| (e, Evidence::Meta))).collect();
    if header == Some(WINDOWS_1252) && meta.is_some() {
        labels.reverse();
    }

    let utf8 = Utf8Form::of(&bytes);
    if utf8.errors == 0 {
        let escapes = memchr(0x1b, &bytes).is_some();
        let label = labels.iter().find(|(e, _)| match utf8.sequences {
            0 => *e == ISO_2022_JP && escapes,
            _ => is_double_byte(e) && utf8.could_be_double_byte(),
        });
        if let Some(&(encoding, evidence)) = label {
            let (text, malformed) = encoding.decode_without_bom_handling(&bytes);
            if !malformed {
                return decoded(text, encoding, evidence);
            }
        }
        // The check above has just walked it; a copy is spared by taking the bytes over.
        return match String::from_utf8(bytes) {
            Ok(text) => Decoded { text, encoding: UTF_8.name(), evidence: Evidence::Bytes },
            Err(bad) => decoded(String::from_utf8_lossy(bad.as_bytes()), UTF_8, Evidence::Bytes),
        };
    }
    if utf8.errors * 20 <= utf8.sequences {
        return decoded(String::from_utf8_lossy(&bytes), UTF_8, Evidence::Bytes);
    }
    for (label, evidence) in labels {
        if label == UTF_8 || label == UTF_16LE || label == UTF_16BE {
            continue;
        }
        let encoding = if label == GBK { GB18030 } else { label };
        let (text, _) = encoding.decode_without_bom_handling(&bytes);
        if is_plausible(&text) {
            return decoded(text, encoding, evidence);
        }
    }
    let encoding = detect(&bytes, tld);
    let (text, _) = encoding.decode_without_bom_handling(&bytes);
    decoded(text, encoding, Evidence::Detected)
}

fn decoded(text: Cow<'_, str>, encoding: &'static Encoding, evidence: Evidence) -> Decoded {
    Decoded { text: text.into_owned(), encoding: encoding.name(), evidence }
}

/// Whether an encoding is one of the old East Asian ones.
fn is_double_byte(encoding: &'static Encoding) -> bool {
    !encoding.is_single_byte() && ![UTF_8, UTF_16LE, UTF_16BE].contains(&encoding)
}

/// How far bytes look like UTF-8.
struct Utf8Form {
    /// Places where UTF-8 is broken.
    errors: usize,
    /// Characters of more than one byte.
    sequences: usize,
    /// Those of exactly two.
    pairs: usize,
}

impl Utf8Form {
    fn of(bytes: &[u8]) -> Self {
        let mut form = Self { errors: 0, sequences: 0, pairs: 0 };
        if bytes.is_ascii() {
            return form;
        }
        for chunk in bytes.utf8_chunks() {
            for &byte in chunk.valid().as_bytes() {
                form.sequences += usize::from(byte >= 0xc0);
                form.pairs += usize::from((0xc0..0xe0).contains(&byte));
            }
            form.errors += usize::from(!chunk.invalid().is_empty());
        }
        form
    }

    /// A handful of two-byte characters may be one or two Chinese words that happen to be valid UTF-8.
    fn could_be_double_byte(&self) -> bool {
        self.sequences < 4 && self.pairs == self.sequences
    }
}

/// UTF-16 without a byte order mark, known by the zeros that ASCII letters leave in every second byte.
fn utf16_by_zeros(bytes: &[u8]) -> Option<&'static Encoding> {
    let window = &bytes[..bytes.len().min(1024)];
    let pairs = window.len() / 2;
    if pairs < 8 {
        return None;
    }
    let zeros = |at: usize| window.iter().skip(at).step_by(2).filter(|&&b| b == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    if odd * 4 >= pairs && even * 16 < pairs {
        Some(UTF_16LE)
    } else if even * 4 >= pairs && odd * 16 < pairs {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Whether a text can be what was meant: nearly no impossible characters, nearly no C1 controls.
fn is_plausible(text: &str) -> bool {
    let (mut foreign, mut wrong) = (0_usize, 0_usize);
    for c in text.chars().filter(|c| !c.is_ascii()) {
        foreign += 1;
        wrong += usize::from(matches!(c, '\u{fffd}' | '\u{80}'..='\u{9f}'));
    }
    wrong * MAX_DAMAGE <= foreign
}

fn detect(bytes: &[u8], tld: Option<&str>) -> &'static Encoding {
    let from = Encoding::ascii_valid_up_to(bytes).saturating_sub(2);
    let window = &bytes[from..bytes.len().min(from + DETECT_WINDOW_BYTES)];
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(window, from + window.len() == bytes.len());
    let tld = tld.filter(|t| {
        !t.is_empty() && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    });
    detector.guess(tld.map(str::as_bytes), Utf8Detection::Deny)
}

/// The encoding that a page names itself, by `<meta charset>`, `<meta http-equiv content>` or an XML
/// declaration.
fn meta_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let window = &bytes[..bytes.len().min(META_WINDOW_BYTES)];
    if window.starts_with(b"<?xml") {
        let end = memchr(b'>', window).unwrap_or(window.len());
        if let Some(encoding) = label_after(&window[..end], b"encoding") {
            return Some(ascii_superset(encoding));
        }
    }
    let mut at = 0;
    while let Some(found) = memchr(b'<', &window[at..]) {
        at += found + 1;
        let rest = &window[at..];
        if rest.starts_with(b"!--") {
            at += memmem::find(rest, b"-->").map_or(rest.len(), |end| end + 3);
        } else if rest.len() > 5 && rest[..4].eq_ignore_ascii_case(b"meta") {
            let end = memchr(b'>', rest).unwrap_or(rest.len());
            if let Some(encoding) = label_after(&rest[..end], b"charset") {
                return Some(ascii_superset(encoding));
            }
            at += end;
        }
    }
    None
}

/// A page whose ASCII label could be read is not UTF-16, whatever the label says.
fn ascii_superset(encoding: &'static Encoding) -> &'static Encoding {
    if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding }
}

/// The encoding named behind `key`, `=` and perhaps a quotation mark.
fn label_after(tag: &[u8], key: &[u8]) -> Option<&'static Encoding> {
    let mut at = 0;
    while let Some(found) = tag[at..].windows(key.len()).position(|w| w.eq_ignore_ascii_case(key)) {
        at += found + key.len();
        let rest = tag[at..].trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b"=") else { continue };
        let rest = rest.trim_ascii_start();
        let rest = rest.strip_prefix(b"\"").or(rest.strip_prefix(b"'")).unwrap_or(rest);
        let end =
            rest.iter().position(|b| matches!(b, b'"' | b'\'' | b';' | b'?' | b' ' | b'\t' | b'\n' | b'/'));
        if let Some(encoding) = Encoding::for_label(&rest[..end.unwrap_or(rest.len())]) {
            return Some(encoding);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(charset: &str, text: &str) -> String {
        format!("<html><head><meta charset=\"{charset}\"></head><p>{text}")
    }

    fn encoded(label: &str, text: &str) -> Vec<u8> {
        Encoding::for_label(label.as_bytes()).expect("known").encode(text).0.into_owned()
    }

    const RUSSIAN: &str = "Съешь же ещё этих мягких французских булок да выпей чаю";
    const CHINESE: &str = "今天天气很好，我们一起去公园散步，看看湖边的花。";
    const JAPANESE: &str = "いろはにほへと、今日は天気がいいので公園まで歩きます。";

    #[test]
    fn evidence_is_taken_in_order() {
        // (bytes, header, expected encoding, expected evidence)
        let cases: Vec<(Vec<u8>, Option<&str>, &str, Evidence)> = vec![
            (b"plain".to_vec(), Some("koi8-r"), "UTF-8", Evidence::Bytes),
            ("\u{feff}grün".into(), Some("koi8-r"), "UTF-8", Evidence::Bom),
            (b"\xff\xfeh\0i\0".to_vec(), None, "UTF-16LE", Evidence::Bom),
            (encoded("windows-1251", RUSSIAN), Some("windows-1251"), "windows-1251", Evidence::Header),
            (encoded("koi8-r", &page("koi8-r", RUSSIAN)), None, "KOI8-R", Evidence::Meta),
            (encoded("shift_jis", &page("x", JAPANESE)), Some("Shift_JIS"), "Shift_JIS", Evidence::Header),
            (encoded("iso-2022-jp", JAPANESE), Some("iso-2022-jp"), "ISO-2022-JP", Evidence::Header),
            (encoded("gbk", &page("gb2312", CHINESE)), None, "gb18030", Evidence::Meta),
            (encoded("windows-1251", RUSSIAN), None, "windows-1251", Evidence::Detected),
            (encoded("big5", "今天天氣很好，我們一起去公園散步。"), None, "Big5", Evidence::Detected),
        ];
        for (bytes, header, encoding, evidence) in cases {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            let got = decode(bytes, header, true, None);
            assert_eq!((got.encoding, got.evidence), (encoding, evidence), "{shown}");
        }
    }

    #[test]
    fn wrong_labels_do_not_lose_the_page() {
        // UTF-8 behind a Latin-1 header, and behind a wrong meta.
        let got = decode(page("gbk", RUSSIAN).into_bytes(), Some("iso-8859-1"), true, None);
        assert!(got.text.ends_with(RUSSIAN));
        // Cyrillic that claims to be UTF-8.
        let got = decode(encoded("windows-1251", RUSSIAN), Some("utf-8"), true, None);
        assert_eq!(got.text, RUSSIAN);
        // A server default against the page's own word.
        let got =
            decode(encoded("windows-1251", &page("windows-1251", RUSSIAN)), Some("ISO-8859-1"), true, None);
        assert!(got.text.ends_with(RUSSIAN));
        // Chinese that claims to be Shift_JIS.
        let got = decode(encoded("gbk", &CHINESE.repeat(4)), Some("euc-kr"), true, Some("cn"));
        assert_eq!(got.text, CHINESE.repeat(4));
        // UTF-8 cut in the middle of a character stays UTF-8.
        let mut bytes = CHINESE.repeat(3).into_bytes();
        bytes.pop();
        let got = decode(bytes, Some("gbk"), true, None);
        assert_eq!(got.encoding, "UTF-8");
        assert!(got.text.starts_with(CHINESE));
    }

    #[test]
    fn labels_hide_in_odd_places() {
        let by_meta = |html: &str| meta_encoding(html.as_bytes()).map(Encoding::name);
        assert_eq!(by_meta("<META HTTP-EQUIV=x CONTENT='text/html; CHARSET = EUC-JP'>"), Some("EUC-JP"));
        assert_eq!(by_meta("<!-- <meta charset=big5> --><meta charset=gbk/>"), Some("GBK"));
        assert_eq!(by_meta("<?xml version='1.0' encoding='koi8-r'?><html>"), Some("KOI8-R"));
        assert_eq!(by_meta("<meta charset=utf-16>"), Some("UTF-8"));
        assert_eq!(by_meta("<meta charset=nonsense><meta charset=gbk>"), Some("GBK"));
        assert_eq!(by_meta("<meta name=charset content=x>"), None);
    }

    #[test]
    fn utf16_without_a_mark_is_seen() {
        let le: Vec<u8> = "<html><p>Grüße aus Köln</p>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = "<html><p>Grüße aus Köln</p>".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert!(decode(le, Some("utf-16"), true, None).text.contains("Grüße"));
        assert!(decode(be, None, true, None).text.contains("Grüße"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_decode(bytes: Vec<u8>, label in "[a-z0-9-]{0,12}", tld in "[a-zA-Zé.]{0,4}") {
            let got = decode(bytes.clone(), Some(&label), true, Some(&tld));
            proptest::prop_assert!(got.text.len() <= bytes.len() * 3 + 4);
        }
    }
}
