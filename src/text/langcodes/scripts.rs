//! Which scripts a language is usually written in, and which script names hold others.
//!
//! Codes are those of ISO 15924. The table covers the languages of whatlang and lid.176 and those with two letters; it
//! says what a script in a user's option can mean for a model whose labels have none.
//! Source: the script and language data of Unicode CLDR, cut to what web text is written in.

/// Language and its usual scripts; languages with two letters that are not here are written in Latin letters.
const SCRIPTS: &[(&str, &str)] = &[
    ("ab", "Cyrl"),
    ("ae", "Avst"),
    ("am", "Ethi"),
    ("ar", "Arab"),
    ("arz", "Arab"),
    ("as", "Beng"),
    ("av", "Cyrl"),
    ("az", "Latn Cyrl Arab"),
    ("azb", "Arab"),
    ("ba", "Cyrl"),
    ("be", "Cyrl"),
    ("bg", "Cyrl"),
    ("bh", "Deva"),
    ("bm", "Latn Nkoo"),
    ("bn", "Beng"),
    ("bo", "Tibt"),
    ("bpy", "Beng"),
    ("bs", "Latn Cyrl"),
    ("bxr", "Cyrl"),
    ("ce", "Cyrl"),
    ("ckb", "Arab"),
    ("cr", "Cans Latn"),
    ("cu", "Cyrl Glag"),
    ("cv", "Cyrl"),
    ("dty", "Deva"),
    ("dv", "Thaa"),
    ("dz", "Tibt"),
    ("el", "Grek"),
    ("fa", "Arab"),
    ("ff", "Latn Adlm"),
    ("gom", "Deva Latn"),
    ("gu", "Gujr"),
    ("ha", "Latn Arab"),
    ("he", "Hebr"),
    ("hi", "Deva"),
    ("hif", "Latn Deva"),
    ("hy", "Armn"),
    ("ii", "Yiii"),
    ("iu", "Cans Latn"),
    ("ja", "Jpan"),
    ("jv", "Latn Java"),
    ("ka", "Geor"),
    ("kk", "Cyrl Latn Arab"),
    ("km", "Khmr"),
    ("kn", "Knda"),
    ("ko", "Hang"),
    ("kr", "Latn Arab"),
    ("krc", "Cyrl"),
    ("ks", "Arab Deva"),
    ("ku", "Latn Arab"),
    ("kv", "Cyrl"),
    ("ky", "Cyrl Arab"),
    ("lez", "Cyrl"),
    ("lo", "Laoo"),
    ("lrc", "Arab"),
    ("mai", "Deva"),
    ("mhr", "Cyrl"),
    ("min", "Latn Arab"),
    ("mk", "Cyrl"),
    ("ml", "Mlym"),
    ("mn", "Cyrl Mong"),
    ("mr", "Deva"),
    ("mrj", "Cyrl"),
    ("ms", "Latn Arab"),
    ("my", "Mymr"),
    ("myv", "Cyrl"),
    ("mzn", "Arab"),
    ("ne", "Deva"),
    ("new", "Deva"),
    ("oj", "Cans Latn"),
    ("or", "Orya"),
    ("os", "Cyrl"),
    ("pa", "Guru Arab"),
    ("pi", "Deva Latn"),
    ("pnb", "Arab"),
    ("ps", "Arab"),
    ("ru", "Cyrl"),
    ("rue", "Cyrl"),
    ("sa", "Deva"),
    ("sah", "Cyrl"),
    ("sd", "Arab Deva"),
    ("sh", "Latn Cyrl"),
    ("si", "Sinh"),
    ("sr", "Cyrl Latn"),
    ("su", "Latn Sund"),
    ("ta", "Taml"),
    ("te", "Telu"),
    ("tg", "Cyrl Arab"),
    ("th", "Thai"),
    ("ti", "Ethi"),
    ("tk", "Latn Cyrl"),
    ("tt", "Cyrl Latn"),
    ("tyv", "Cyrl"),
    ("udm", "Cyrl"),
    ("ug", "Arab Cyrl Latn"),
    ("uk", "Cyrl"),
    ("ur", "Arab"),
    ("uz", "Latn Cyrl Arab"),
    ("wuu", "Hans Hant"),
    ("xal", "Cyrl"),
    ("xmf", "Geor"),
    ("yi", "Hebr"),
    ("yue", "Hant Hans"),
    ("zh", "Hans Hant"),
];

/// Languages with three letters that are written in Latin letters.
const LATIN: &str = "als arg ast bar bcl cbk ceb diq dsb eml frr gsw hsb ilo jbo lmo mwl nah nap nds pam pfl pms sco scn \
    vec vep vls war";

/// Scripts that are part of another one: a name that stands for several scripts, and their names.
const PARTS: &[(&str, &str)] = &[
    ("Arab", "Aran"),
    ("Cyrl", "Cyrs"),
    ("Hani", "Hans Hant"),
    ("Jpan", "Hani Hans Hant Hira Kana Hrkt"),
    ("Kore", "Hang Hani Jamo"),
    ("Latn", "Latf Latg"),
    ("Syrc", "Syre Syrj Syrn"),
];

/// The scripts that a language is usually written in, none where this table does not know it.
pub fn usual_scripts(language: &str) -> impl Iterator<Item = &'static str> {
    let listed = SCRIPTS.iter().find(|(code, _)| *code == language).map(|(_, scripts)| *scripts);
    let latin = language.len() == 2 || LATIN.split_ascii_whitespace().any(|code| code == language);
    listed.unwrap_or(if latin { "Latn" } else { "" }).split_ascii_whitespace()
}

/// Whether text in the script `part` is text in the script `whole`.
#[must_use]
pub fn holds(whole: &str, part: &str) -> bool {
    whole == part
        || PARTS
            .iter()
            .any(|(name, parts)| *name == whole && parts.split_ascii_whitespace().any(|own| own == part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::langcodes::normalise;

    #[test]
    fn scripts_are_sorted_known_and_spelt_properly() {
        assert!(SCRIPTS.is_sorted());
        for (code, scripts) in SCRIPTS {
            assert_eq!(normalise(code).as_deref(), Some(*code));
            for script in scripts.split_ascii_whitespace() {
                assert!(script.len() == 4 && script.is_ascii(), "{code}: {script}");
            }
        }
        assert_eq!(usual_scripts("sr").collect::<Vec<_>>(), ["Cyrl", "Latn"]);
        assert_eq!(usual_scripts("en").collect::<Vec<_>>(), ["Latn"]);
        assert_eq!(usual_scripts("ceb").collect::<Vec<_>>(), ["Latn"]);
        assert_eq!(usual_scripts("xyz").count(), 0);
    }

    #[test]
    fn every_language_of_the_embedded_detector_has_a_script() {
        for lang in whatlang::Lang::all() {
            let code = normalise(lang.code()).unwrap();
            assert!(usual_scripts(&code).next().is_some(), "{code}");
        }
    }

    #[test]
    fn some_scripts_hold_others() {
        assert!(holds("Hani", "Hant") && holds("Hani", "Hani") && holds("Kore", "Hang"));
        assert!(!holds("Hant", "Hani") && !holds("Hans", "Hant") && !holds("Latn", "Cyrl"));
    }
}
