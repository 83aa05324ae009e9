//! Web addresses that lead to the same page, as one.
//!
//! By RFC 3986, section 6.2: scheme and host in small letters, no default port, no fragment, `%` codes of letters, digits and
//! `-._~` as themselves and the others in capitals. Beyond it, as link indexes do: `http` and `https` are one, a leading `www.`
//! and a slash at the end of the path do not count. The query stays as it is.

/// The normalised address, without `http`; `None` for one that is blank.
#[must_use]
pub fn normalise(address: &str) -> Option<String> {
    let address = address.trim();
    if address.is_empty() {
        return None;
    }
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest))
            if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) =>
        {
            (scheme.to_ascii_lowercase(), rest)
        }
        _ => (String::new(), address),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let host_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(host_end);
    let mut out = String::with_capacity(address.len());
    if !matches!(scheme.as_str(), "" | "http" | "https") {
        out.push_str(&scheme);
        out.push_str("://");
    }
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
    if !user.is_empty() {
        out.push_str(user);
        out.push('@');
    }
    let host = host.to_lowercase();
    let host = match scheme.as_str() {
        "https" => host.strip_suffix(":443").unwrap_or(&host),
        "" | "http" => host.strip_suffix(":80").unwrap_or(&host),
        _ => &host,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    out.push_str(host.strip_prefix("www.").filter(|rest| rest.contains('.')).unwrap_or(host));
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let path = decoded(path);
    out.push_str(path.strip_suffix('/').unwrap_or(&path));
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        out.push('?');
        out.push_str(&decoded(query));
    }
    Some(out)
}

/// With the `%` codes of unreserved characters as themselves, others in capitals.
fn decoded(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    let mut rest = part;
    while let Some(percent) = rest.find('%') {
        let (plain, code) = rest.split_at(percent);
        out.push_str(plain);
        let digits = code.get(1..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(digits) = digits else {
            out.push('%');
            rest = &code[1..];
            continue;
        };
        match u8::from_str_radix(digits, 16) {
            Ok(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
            _ => {
                out.push('%');
                out.push_str(&digits.to_ascii_uppercase());
            }
        }
        rest = &code[3..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_leads_to_the_same_page_is_the_same() {
        for (address, wanted) in [
            ("http://Mill.Example/", "mill.example"),
            ("https://www.mill.example:443", "mill.example"),
            (" http://mill.example:80/a/b/#top ", "mill.example/a/b"),
            ("https://mill.example:80/", "mill.example:80"),
            ("mill.example/Path?Q=1", "mill.example/Path?Q=1"),
            ("http://mill.example./%7euser/%c3%a9%2f?x=%41&y=%", "mill.example/~user/%C3%A9%2F?x=A&y=%"),
            ("http://mill.example?", "mill.example"),
            ("http://www.example/", "www.example"),
            ("ftp://Mill.Example/a", "ftp://mill.example/a"),
            ("http://me@mill.example/a%zz%4", "me@mill.example/a%zz%4"),
            ("http://x/%é", "x/%é"),
        ] {
            assert_eq!(normalise(address).as_deref(), Some(wanted), "{address}");
        }
        assert_eq!(normalise("  "), None);
    }

    proptest! {
        #[test]
        fn any_string_is_taken(address in any::<String>()) {
            prop_assert_eq!(normalise(&address).is_none(), address.trim().is_empty());
        }
    }
}
