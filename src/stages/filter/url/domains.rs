//! Lines of domain lists in the formats in which people publish them.
//!
//! * a name a line: `example.org`, `*.example.org`, `.example.org` (UT1, datatrove, Spamhaus-like lists);
//! * a hosts file: `0.0.0.0 example.org other.org # note` (StevenBlack); its lines for the machine itself
//!   (`localhost`, `ip6-allnodes`, ...) name nobody and are left out;
//! * an ad blocker's rule for a whole domain: `||example.org^` (OISD, AdGuard), with `!` comments and the
//!   `[Adblock Plus]` head. Every other rule of an ad blocker (exceptions, parts of pages, rules that hold for third parties
//!   only) is refused with its line: half of such a list would block what nobody asked to block.

use std::borrow::Cow;
use std::net::IpAddr;

use super::address::host_entry;

/// Modifiers that leave `||domain^` a rule for the whole domain.
const WHOLE_DOMAIN: [&str; 4] = ["all", "doc", "document", "important"];

/// Names of hosts files that mean the machine itself or its network.
const OWN_NAMES: [&str; 5] = ["localhost", "localhost.localdomain", "local", "broadcasthost", "0.0.0.0"];

/// Hands the names of one line to `name`, each in the form of [`super::address::host`].
pub(super) fn names(line: &str, mut name: impl FnMut(&str)) -> Result<(), String> {
    let line = without_note(line);
    if line.is_empty() || line.starts_with('!') || is_head(line) {
        return Ok(());
    }
    if let Some(rule) = line.strip_prefix("||") {
        name(&ad_rule(line, rule)?);
        return Ok(());
    }
    if line.starts_with("@@") || line.starts_with('|') || line.contains('^') || line.contains("##") {
        return Err(no_whole_domain(line));
    }
    let mut fields = line.split_whitespace();
    let is_hosts_line = fields.next().is_some_and(is_address) && fields.clone().next().is_some();
    if !is_hosts_line {
        name(&host_entry(line)?);
        return Ok(());
    }
    for host in fields {
        let own = OWN_NAMES.contains(&host) || host.starts_with("ip6-");
        if !own {
            name(&host_entry(host)?);
        }
    }
    Ok(())
}

fn without_note(line: &str) -> &str {
    let note = line.find(" #").into_iter().chain(line.find("\t#")).min();
    line.get(..note.unwrap_or(line.len())).unwrap_or(line).trim()
}

fn is_head(line: &str) -> bool {
    line.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("[adblock"))
}

/// `fe80::1%lo0` of a hosts file is an address too.
fn is_address(field: &str) -> bool {
    field.split('%').next().is_some_and(|address| address.parse::<IpAddr>().is_ok())
}

fn ad_rule<'r>(line: &str, rule: &'r str) -> Result<Cow<'r, str>, String> {
    let Some((name, rest)) = rule.split_once('^') else { return Err(no_whole_domain(line)) };
    let modifiers = match rest.strip_prefix('$') {
        Some(modifiers) => modifiers,
        None if rest.is_empty() => return host_entry(name),
        None => return Err(no_whole_domain(line)),
    };
    if modifiers.split(',').all(|modifier| WHOLE_DOMAIN.contains(&modifier)) {
        return host_entry(name);
    }
    Err(no_whole_domain(line))
}

fn no_whole_domain(line: &str) -> String {
    format!("`{line}` is an ad blocker's rule that is not about a whole domain (`||example.org^`)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Result<Vec<String>, String> {
        let mut all = Vec::new();
        names(line, |name| all.push(name.to_owned())).map(|()| all)
    }

    #[test]
    fn every_format_gives_its_names() {
        for (line, wanted) in [
            ("Example.org", &["example.org"][..]),
            ("*.example.org", &["example.org"]),
            ("example.org # since May", &["example.org"]),
            ("192.0.2.7", &["192.0.2.7"]),
            ("[2001:db8::1]", &["2001:db8::1"]),
            ("0.0.0.0 example.org", &["example.org"]),
            ("127.0.0.1\texample.org Other.org\t# two", &["example.org", "other.org"]),
            ("127.0.0.1 localhost", &[]),
            ("fe80::1%lo0 localhost", &[]),
            ("ff02::1 ip6-allnodes", &[]),
            ("0.0.0.0 0.0.0.0", &[]),
            ("||example.org^", &["example.org"]),
            ("||example.org^$important,document", &["example.org"]),
            ("! Title: a list", &[]),
            ("[Adblock Plus 2.0]", &[]),
        ] {
            assert_eq!(found(line).unwrap(), wanted, "{line}");
        }
    }

    #[test]
    fn rules_about_less_than_a_domain_are_refused() {
        for line in [
            "@@||example.org^",
            "||example.org^$third-party",
            "||example.org/ads^",
            "||example.org",
            "||example.org^banner",
            "example.org##.advert",
            "|https://example.org^",
            "two words",
            "http://example.org/",
        ] {
            assert!(found(line).is_err(), "{line}");
        }
    }
}
