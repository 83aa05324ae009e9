//! One spelling for language names: ISO 639-1 where a two-letter code exists, else ISO 639-3.
//!
//! Models label languages in several ways: `__label__en` (lid.176), `__label__eng_Latn` (GlotLID, OpenLID, NLLB),
//! `eng` (whatlang), `zh-Hant` (BCP 47). The two-letter and three-letter codes are those of the ISO 639 tables, scripts
//! those of ISO 15924. Ours: the standard variety of a macrolanguage takes the macrolanguage's two letters (`cmn` and
//! `zho` are both `zh`, `arb` is `ar`, `zsm` is `ms`); region is left out; other varieties keep their own three letters.
//! `als` alone stays as it is, because lid.176 means Alemannic by it; with a script (`als_Latn`, as GlotLID and OpenLID
//! have it) it is what ISO means, Tosk Albanian, the standard variety of `sq`.

mod macrolanguages;
mod scripts;

use std::borrow::Cow;

pub use macrolanguages::{macrolanguage, members};
pub use scripts::{holds, usual_scripts};

/// ISO 639-1 code and the ISO 639-3 code of the same language.
const PAIRS: &[(&str, &str)] = &[
    ("aa", "aar"),
    ("ab", "abk"),
    ("ae", "ave"),
    ("af", "afr"),
    ("ak", "aka"),
    ("am", "amh"),
    ("an", "arg"),
    ("ar", "ara"),
    ("as", "asm"),
    ("av", "ava"),
    ("ay", "aym"),
    ("az", "aze"),
    ("ba", "bak"),
    ("be", "bel"),
    ("bg", "bul"),
    ("bh", "bih"),
    ("bi", "bis"),
    ("bm", "bam"),
    ("bn", "ben"),
    ("bo", "bod"),
    ("br", "bre"),
    ("bs", "bos"),
    ("ca", "cat"),
    ("ce", "che"),
    ("ch", "cha"),
    ("co", "cos"),
    ("cr", "cre"),
    ("cs", "ces"),
    ("cu", "chu"),
    ("cv", "chv"),
    ("cy", "cym"),
    ("da", "dan"),
    ("de", "deu"),
    ("dv", "div"),
    ("dz", "dzo"),
    ("ee", "ewe"),
    ("el", "ell"),
    ("en", "eng"),
    ("eo", "epo"),
    ("es", "spa"),
    ("et", "est"),
    ("eu", "eus"),
    ("fa", "fas"),
    ("ff", "ful"),
    ("fi", "fin"),
    ("fj", "fij"),
    ("fo", "fao"),
    ("fr", "fra"),
    ("fy", "fry"),
    ("ga", "gle"),
    ("gd", "gla"),
    ("gl", "glg"),
    ("gn", "grn"),
    ("gu", "guj"),
    ("gv", "glv"),
    ("ha", "hau"),
    ("he", "heb"),
    ("hi", "hin"),
    ("ho", "hmo"),
    ("hr", "hrv"),
    ("ht", "hat"),
    ("hu", "hun"),
    ("hy", "hye"),
    ("hz", "her"),
    ("ia", "ina"),
    ("id", "ind"),
    ("ie", "ile"),
    ("ig", "ibo"),
    ("ii", "iii"),
    ("ik", "ipk"),
    ("io", "ido"),
    ("is", "isl"),
    ("it", "ita"),
    ("iu", "iku"),
    ("ja", "jpn"),
    ("jv", "jav"),
    ("ka", "kat"),
    ("kg", "kon"),
    ("ki", "kik"),
    ("kj", "kua"),
    ("kk", "kaz"),
    ("kl", "kal"),
    ("km", "khm"),
    ("kn", "kan"),
    ("ko", "kor"),
    ("kr", "kau"),
    ("ks", "kas"),
    ("ku", "kur"),
    ("kv", "kom"),
    ("kw", "cor"),
    ("ky", "kir"),
    ("la", "lat"),
    ("lb", "ltz"),
    ("lg", "lug"),
    ("li", "lim"),
    ("ln", "lin"),
    ("lo", "lao"),
    ("lt", "lit"),
    ("lu", "lub"),
    ("lv", "lav"),
    ("mg", "mlg"),
    ("mh", "mah"),
    ("mi", "mri"),
    ("mk", "mkd"),
    ("ml", "mal"),
    ("mn", "mon"),
    ("mr", "mar"),
    ("ms", "msa"),
    ("mt", "mlt"),
    ("my", "mya"),
    ("na", "nau"),
    ("nb", "nob"),
    ("nd", "nde"),
    ("ne", "nep"),
    ("ng", "ndo"),
    ("nl", "nld"),
    ("nn", "nno"),
    ("no", "nor"),
    ("nr", "nbl"),
    ("nv", "nav"),
    ("ny", "nya"),
    ("oc", "oci"),
    ("oj", "oji"),
    ("om", "orm"),
    ("or", "ori"),
    ("os", "oss"),
    ("pa", "pan"),
    ("pi", "pli"),
    ("pl", "pol"),
    ("ps", "pus"),
    ("pt", "por"),
    ("qu", "que"),
    ("rm", "roh"),
    ("rn", "run"),
    ("ro", "ron"),
    ("ru", "rus"),
    ("rw", "kin"),
    ("sa", "san"),
    ("sc", "srd"),
    ("sd", "snd"),
    ("se", "sme"),
    ("sg", "sag"),
    ("sh", "hbs"),
    ("si", "sin"),
    ("sk", "slk"),
    ("sl", "slv"),
    ("sm", "smo"),
    ("sn", "sna"),
    ("so", "som"),
    ("sq", "sqi"),
    ("sr", "srp"),
    ("ss", "ssw"),
    ("st", "sot"),
    ("su", "sun"),
    ("sv", "swe"),
    ("sw", "swa"),
    ("ta", "tam"),
    ("te", "tel"),
    ("tg", "tgk"),
    ("th", "tha"),
    ("ti", "tir"),
    ("tk", "tuk"),
    ("tl", "tgl"),
    ("tn", "tsn"),
    ("to", "ton"),
    ("tr", "tur"),
    ("ts", "tso"),
    ("tt", "tat"),
    ("tw", "twi"),
    ("ty", "tah"),
    ("ug", "uig"),
    ("uk", "ukr"),
    ("ur", "urd"),
    ("uz", "uzb"),
    ("ve", "ven"),
    ("vi", "vie"),
    ("vo", "vol"),
    ("wa", "wln"),
    ("wo", "wol"),
    ("xh", "xho"),
    ("yi", "yid"),
    ("yo", "yor"),
    ("za", "zha"),
    ("zh", "zho"),
    ("zu", "zul"),
];

/// Other spellings: the standard variety of a macrolanguage, bibliographic three-letter codes (ISO 639-2/B), withdrawn
/// two-letter codes.
const ALIASES: &[(&str, &str)] = &[
    // Standard varieties.
    ("arb", "ar"),
    ("ayr", "ay"),
    ("azj", "az"),
    ("cmn", "zh"),
    ("ekk", "et"),
    ("gaz", "om"),
    ("gug", "gn"),
    ("khk", "mn"),
    ("kmr", "ku"),
    ("knc", "kr"),
    ("lvs", "lv"),
    ("npi", "ne"),
    ("ory", "or"),
    ("pbt", "ps"),
    ("pes", "fa"),
    ("plt", "mg"),
    ("quz", "qu"),
    ("swh", "sw"),
    ("uzn", "uz"),
    ("ydd", "yi"),
    ("zsm", "ms"),
    // Bibliographic codes.
    ("alb", "sq"),
    ("arm", "hy"),
    ("baq", "eu"),
    ("bur", "my"),
    ("chi", "zh"),
    ("cze", "cs"),
    ("dut", "nl"),
    ("fre", "fr"),
    ("geo", "ka"),
    ("ger", "de"),
    ("gre", "el"),
    ("ice", "is"),
    ("mac", "mk"),
    ("mao", "mi"),
    ("may", "ms"),
    ("per", "fa"),
    ("rum", "ro"),
    ("slo", "sk"),
    ("tib", "bo"),
    ("wel", "cy"),
    // Withdrawn codes.
    ("in", "id"),
    ("iw", "he"),
    ("ji", "yi"),
    ("jw", "jv"),
    ("mo", "ro"),
    ("mol", "ro"),
];

/// Codes that mark text which is in no one language: undetermined, without linguistic content, several, uncoded.
const NO_LANGUAGE: [&str; 4] = ["und", "zxx", "mul", "mis"];

/// A language and perhaps the script that it is written in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// The one code of the language.
    pub language: Cow<'static, str>,
    /// ISO 15924 code (`Latn`), where one was named.
    pub script: Option<String>,
}

impl std::fmt::Display for Tag {
    /// `zh_Hant`, or `zh` without a script.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.language)?;
        self.script.as_ref().map_or(Ok(()), |script| write!(f, "_{script}"))
    }
}

/// Language and script of a label, in any of the styles above; `None` where it cannot be a language code.
///
/// A two-letter code must exist; any other three letters pass as an ISO 639-3 code.
#[must_use]
pub fn parse(label: &str) -> Option<Tag> {
    let label = label.strip_prefix("__label__").unwrap_or(label);
    let mut parts = label.split(['_', '-']);
    let primary = parts.next()?.to_ascii_lowercase();
    if !primary.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    let is_script = |part: &&str| part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let script = parts.find(is_script).map(|part| {
        let mut script = part.to_ascii_lowercase();
        script[..1].make_ascii_uppercase();
        script
    });
    let known = if primary == "als" && script.is_some() {
        Some("sq")
    } else {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == primary).map(|(_, code)| *code);
        let pair = || PAIRS.iter().find(|(two, three)| *two == primary || *three == primary);
        alias.or_else(|| pair().map(|(two, _)| *two))
    };
    let language = match known {
        Some(code) => Cow::Borrowed(code),
        None if primary.len() == 3 => Cow::Owned(primary),
        None => return None,
    };
    Some(Tag { language, script })
}

/// The one code for a language that a model or a user names; `None` where it cannot be a language code.
///
/// A two-letter code must exist; any other three letters pass as an ISO 639-3 code.
#[must_use]
pub fn normalise(label: &str) -> Option<Cow<'static, str>> {
    parse(label).map(|tag| tag.language)
}

/// The ISO 639-3 code of a language that has a two-letter code, of a macrolanguage its own: `zho` for `zh`.
#[must_use]
pub fn three_letters(code: &str) -> Option<&'static str> {
    PAIRS.iter().find(|(two, _)| *two == code).map(|(_, three)| *three)
}

/// Whether a code says that text is in no one language: `und`, `zxx`, `mul`, `mis`.
#[must_use]
pub fn is_no_language(code: &str) -> bool {
    NO_LANGUAGE.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_gives_one_code() {
        for (label, code) in [
            ("__label__en", "en"),
            ("__label__eng_Latn", "en"),
            ("eng", "en"),
            ("EN", "en"),
            ("zh-Hant", "zh"),
            ("zho_Hans", "zh"),
            ("cmn", "zh"),
            ("pt_BR", "pt"),
            ("ger", "de"),
            ("iw", "he"),
            ("__label__ceb", "ceb"),
            ("als", "als"),
            ("gsw_Latn", "gsw"),
            ("als_Latn", "sq"),
            ("cmn_Hani", "zh"),
            ("arb_Arab", "ar"),
            ("zsm_Latn", "ms"),
            ("__label__und_Zxxx", "und"),
        ] {
            assert_eq!(normalise(label).as_deref(), Some(code), "{label}");
        }
        for label in ["", "e", "xx", "english", "__label__", "__label__1", "de\u{301}", "hq2"] {
            assert_eq!(normalise(label), None, "{label}");
        }
    }

    #[test]
    fn scripts_are_read_in_every_style() {
        for (label, name) in [
            ("__label__en", "en"),
            ("__label__zho_Hant", "zh_Hant"),
            ("zh-hant-TW", "zh_Hant"),
            ("zh_TW", "zh"),
            ("SRP_CYRL", "sr_Cyrl"),
            ("zxx_Zxxx", "zxx_Zxxx"),
            ("sl-1994", "sl"),
        ] {
            assert_eq!(parse(label).map(|tag| tag.to_string()).as_deref(), Some(name), "{label}");
        }
        assert!(is_no_language("zxx") && !is_no_language("zh"));
    }

    #[test]
    fn codes_are_stable_and_unique() {
        for (two, three) in PAIRS {
            assert_eq!(normalise(two).as_deref(), Some(*two));
            assert_eq!(normalise(three).as_deref(), Some(*two));
        }
        for (alias, code) in ALIASES {
            assert!(
                PAIRS.iter().all(|(two, three)| two != alias && three != alias),
                "{alias} is in both tables"
            );
            assert_eq!(normalise(code).as_deref(), Some(*code));
        }
    }
}
