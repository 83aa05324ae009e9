//! Macrolanguages: codes of ISO 639-3 that stand for several languages.
//!
//! Source: the macrolanguage mappings of ISO 639-3 (SIL), in this crate's spelling: two letters where they exist. The
//! standard variety is left out where it is spelt like the macrolanguage (`cmn` is `zh`, `arb` is `ar`).

/// Macrolanguage and its members.
const MEMBERS: &[(&str, &str)] = &[
    ("ak", "fat tw"),
    (
        "ar",
        "aao abh abv acm acq acw acx acy adf aeb aec afb apc apd arq ars ary arz auz avl ayh ayl ayn ayp pga shu ssh",
    ),
    ("ay", "ayc"),
    ("az", "azb"),
    ("bal", "bcc bgn bgp"),
    ("bik", "bcl bln bto cts fbl lbl rbl ubl"),
    ("bnc", "ebk lbk obk rbk vbk"),
    ("bua", "bxm bxr bxu"),
    ("chm", "mhr mrj"),
    ("cr", "crj crk crl crm csw cwd"),
    ("del", "umu unm"),
    ("den", "scs xsl"),
    ("din", "dib dik dip diw dks"),
    ("doi", "dgo xnr"),
    ("et", "vro"),
    ("fa", "prs"),
    ("ff", "ffm fub fuc fue fuf fuh fui fuq fuv"),
    ("gba", "bdt gbp gbq gmm gso gya"),
    ("gn", "gnw gui gun nhd"),
    ("gon", "esg gno wsg"),
    ("grb", "gbo gec grj grv gry"),
    ("hai", "hax hdn"),
    (
        "hmn",
        "cqd hea hma hmc hmd hme hmg hmh hmi hmj hml hmm hmp hmq hms hmw hmy hmz hnj hrm huj mmr muq mww sfm",
    ),
    ("ik", "esi esk"),
    ("iu", "ike ikt"),
    ("jrb", "aju jye yhd yud"),
    ("kg", "kng kwy ldi"),
    ("kln", "enb eyo niq oki pko sgc spy tec tuy"),
    ("kok", "gom knn"),
    ("kpe", "gkp xpe"),
    ("kr", "kby krt"),
    ("ku", "ckb sdh"),
    ("kv", "koi kpv"),
    ("lah", "hnd hno jat phr pnb skr xhe"),
    ("luy", "bxk ida lkb lko lks lri lrm lsm lto lts lwg nle nyd rag"),
    ("lv", "ltg"),
    ("man", "emk mku mlq mnk msc mwk"),
    ("mg", "bhr bmm bzc msh skg tdx tkg txy xmv xmw"),
    ("mn", "mvf"),
    (
        "ms",
        "bjn btj bve bvu coa dup hji id jak jax kvb kvr kxd lce lcf liw max meo mfa mfb min mqg msi mui orn ors pel pse tmw urk vkk vkt xmm zlm zmi",
    ),
    ("mwr", "dhd mtr mve rwr swv wry"),
    ("ne", "dty"),
    ("no", "nb nn"),
    ("oj", "ciw ojb ojc ojg ojs ojw otw"),
    ("om", "gax hae orc"),
    ("or", "spv"),
    ("ps", "pbu pst"),
    (
        "qu",
        "qub qud quf qug quh quk qul qup qur qus quw qux quy qva qvc qve qvh qvi qvj qvl qvm qvn qvo qvp qvs qvw qvz qwa qwc qwh qws qxa qxc qxh qxl qxn qxo qxp qxr qxt qxu qxw",
    ),
    ("raj", "bgq gda gju hoj mup wbr"),
    ("rom", "rmc rmf rml rmn rmo rmw rmy"),
    ("sa", "cls vsn"),
    ("sc", "sdc sdn src sro"),
    ("sh", "bs cnr hr sr"),
    ("sq", "aae aat aln als"),
    ("sw", "swc"),
    ("syr", "aii cld"),
    ("tmh", "taq thv thz ttq"),
    ("uz", "uzs"),
    ("yi", "yih"),
    ("za", "zch zeh zgb zgm zgn zhd zhn zlj zln zlq zqe zyb zyg zyj zyn zzj"),
    (
        "zap",
        "zaa zab zac zad zae zaf zai zam zao zaq zar zas zat zav zaw zax zca zcd zoo zpa zpb zpc zpd zpe zpf zpg zph zpi zpj zpk zpl zpm zpn zpo zpp zpq zpr zps zpt zpu zpv zpw zpx zpy zpz zsr zte ztg ztl ztm ztn ztp ztq zts ztt ztu ztx zty",
    ),
    ("zh", "cdo cjy cnp cpx csp czh czo gan hak hnm hsn luh lzh mnp nan sjc wuu yue"),
    ("zza", "diq kiu"),
];

/// The members of a macrolanguage but for its standard variety; none for any other code.
pub fn members(code: &str) -> impl Iterator<Item = &'static str> {
    let list = MEMBERS.iter().find(|(own, _)| *own == code).map_or("", |(_, list)| *list);
    list.split_ascii_whitespace()
}

/// The macrolanguage that a language belongs to.
#[must_use]
pub fn macrolanguage(code: &str) -> Option<&'static str> {
    MEMBERS.iter().find(|(own, _)| members(own).any(|member| member == code)).map(|(own, _)| *own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::langcodes::normalise;

    #[test]
    fn every_code_is_spelt_our_way() {
        for (own, list) in MEMBERS {
            assert_eq!(normalise(own).as_deref(), Some(*own));
            for member in list.split_ascii_whitespace() {
                // `als` is Tosk Albanian here and Alemannic in lid.176, so it stays as it is.
                assert_eq!(normalise(member).as_deref(), Some(member), "a member of {own}");
            }
        }
    }

    #[test]
    fn members_and_their_macrolanguage() {
        assert_eq!(members("no").collect::<Vec<_>>(), ["nb", "nn"]);
        assert!(members("zh").any(|member| member == "yue"));
        assert_eq!(members("en").count(), 0);
        assert_eq!(macrolanguage("arz"), Some("ar"));
        assert_eq!(macrolanguage("nb"), Some("no"));
        assert_eq!(macrolanguage("zh"), None);
    }
}
