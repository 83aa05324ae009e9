//! Signature Version 4 as S3 checks it: the signature in the header `Authorization`, made with HMAC-SHA256
//! (RFC 2104) over the request; from the public reference "Authenticating Requests (AWS Signature
//! Version 4)" of the S3 API.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::clock::parse_signature_date;
use super::http::{Head, Refusal, encode};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// How far the date of a request may be from the store's clock.
const MAX_SKEW_SECS: i64 = 15 * 60;

/// Who may ask, and where.
pub(super) struct Account<'a> {
    pub(super) access_key: &'a str,
    pub(super) secret_key: &'a str,
    pub(super) region: &'a str,
}

/// The header `Authorization` in its parts.
struct Authorization<'a> {
    access_key: &'a str,
    /// Date, region, service, `aws4_request`.
    scope: [&'a str; 4],
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let parts = header.strip_prefix(ALGORITHM)?;
        let mut fields = parts.split(',').filter_map(|part| part.trim().split_once('='));
        let mut field = |name| fields.next().filter(|(found, _)| *found == name).map(|(_, value)| value);
        let credential: Vec<&str> = field("Credential")?.split('/').collect();
        let [access_key, scope @ ..] = credential.as_slice() else { return None };
        let signed_headers = field("SignedHeaders")?.split(';').collect();
        Some(Self {
            access_key,
            scope: scope.try_into().ok()?,
            signed_headers,
            signature: field("Signature")?,
        })
    }
}

/// Checks that the request is signed by the account; `now` is the store's clock.
pub(super) fn verify(head: &Head, account: &Account, now: i64) -> Result<(), Refusal> {
    let denied = |why: &str| Refusal::new(403, "AccessDenied", why);
    let malformed = |why: String| Refusal::new(400, "AuthorizationHeaderMalformed", why);
    let header = head.header("authorization").ok_or_else(|| denied("the request is not signed"))?;
    let authorization = Authorization::parse(header)
        .ok_or_else(|| malformed("the header `Authorization` is not understood".to_owned()))?;
    if authorization.access_key != account.access_key {
        return Err(Refusal::new(403, "InvalidAccessKeyId", "the access key is not known"));
    }
    let date = head.header("x-amz-date").unwrap_or_default();
    let seconds = parse_signature_date(date).ok_or_else(|| denied("`x-amz-date` is missing or no date"))?;
    if (seconds - now).abs() > MAX_SKEW_SECS {
        let message = "the difference between the request's time and the server's is too large";
        return Err(Refusal::new(403, "RequestTimeTooSkewed", message));
    }
    let [day, region, service, end] = authorization.scope;
    if region != account.region {
        let message = format!("the region `{region}` is wrong; expecting `{}`", account.region);
        return Err(malformed(message));
    }
    if service != "s3" || end != "aws4_request" || date.get(..8) != Some(day) {
        return Err(malformed("the credential's scope is wrong".to_owned()));
    }
    let signed = |name: &str| authorization.signed_headers.contains(&name);
    let unsigned = head.headers.iter().find(|(name, _)| name.starts_with("x-amz-") && !signed(name));
    if let Some((name, _)) = unsigned {
        return Err(denied(&format!("the header `{name}` is not signed")));
    }
    if !signed("host") {
        return Err(denied("the header `host` is not signed"));
    }
    let body_hash = head
        .header("x-amz-content-sha256")
        .ok_or_else(|| Refusal::new(400, "InvalidRequest", "the header `x-amz-content-sha256` is missing"))?;
    let request = canonical_request(head, &authorization.signed_headers, body_hash);
    let expected = signature(account.secret_key, date, &authorization.scope.join("/"), &request);
    if expected == authorization.signature {
        return Ok(());
    }
    let message = "the signature is not the one of the request; check the secret key and how it signs";
    Err(Refusal::new(403, "SignatureDoesNotMatch", message))
}

/// The request in the one form that is signed.
pub(super) fn canonical_request(head: &Head, signed_headers: &[&str], body_hash: &str) -> String {
    let path = match (head.bucket.as_str(), head.key.as_str()) {
        (bucket, "") => format!("/{}", encode(bucket, "")),
        (bucket, key) => format!("/{}/{}", encode(bucket, ""), encode(key, "/")),
    };
    let mut query: Vec<(String, String)> =
        head.query.iter().map(|(name, value)| (encode(name, ""), encode(value, ""))).collect();
    query.sort();
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut headers = String::new();
    for name in signed_headers {
        let values = head.headers.iter().filter(|(header, _)| header == name);
        let values: Vec<String> =
            values.map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        writeln!(headers, "{name}:{}", values.join(",")).expect("a string takes all text");
    }
    let (method, query, signed) = (&head.method, query.join("&"), signed_headers.join(";"));
    format!("{method}\n{path}\n{query}\n{headers}\n{signed}\n{body_hash}")
}

/// The signature in hexadecimal digits; `scope` is date, region, service and `aws4_request`.
pub(super) fn signature(secret_key: &str, date: &str, scope: &str, canonical_request: &str) -> String {
    let request_hash = hex(&Sha256::digest(canonical_request));
    let text = format!("{ALGORITHM}\n{date}\n{scope}\n{request_hash}");
    let start = format!("AWS4{secret_key}").into_bytes();
    let key = scope.split('/').fold(start, |key, part| hmac(&key, part.as_bytes()).to_vec());
    hex(&hmac(&key, text.as_bytes()))
}

/// HMAC-SHA256.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(digits, "{byte:02x}").expect("a string takes all text");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::{Account, Head, verify};
    use crate::store::clock::parse_signature_date;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// The examples of the public reference: the key pair, the date and the bucket are Amazon's.
    fn example(target: &str, more: &[(&str, &str)], signature: &str) -> (Head, String) {
        let mut names = vec!["host", "x-amz-content-sha256", "x-amz-date"];
        let mut lines = vec![
            format!("GET {target} HTTP/1.1"),
            "Host: examplebucket.s3.amazonaws.com".to_owned(),
            format!("x-amz-content-sha256:{EMPTY}"),
            "x-amz-date:20130524T000000Z".to_owned(),
        ];
        for (name, value) in more {
            names.push(name);
            lines.push(format!("{name}: {value}"));
        }
        names.sort_unstable();
        let credential = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
        lines.push(format!(
            "Authorization: AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={},Signature={signature}",
            names.join(";")
        ));
        (Head::parse(&lines).expect("the example is a request"), names.join(";"))
    }

    fn code(head: &Head, secret_key: &str, date: &str) -> Option<String> {
        let account = Account { access_key: "AKIAIOSFODNN7EXAMPLE", secret_key, region: "us-east-1" };
        let now = parse_signature_date(date).expect("a date");
        let refusal = verify(head, &account, now).err()?;
        crate::store::xml::text(&refusal.elements(), "Code")
    }

    #[test]
    fn examples_of_the_reference_are_signed_right() {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let range = [("range", "bytes=0-9")];
        let object = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        let listing = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
        let (head, _) = example("/test.txt", &range, object);
        assert_eq!(code(&head, secret, "20130524T001400Z"), None);
        let wrong = |text: &str| Some(text.to_owned());
        assert_eq!(code(&head, secret, "20130524T001600Z"), wrong("RequestTimeTooSkewed"));
        assert_eq!(code(&head, "secret", "20130524T000000Z"), wrong("SignatureDoesNotMatch"));
        let (head, _) = example("/?max-keys=2&prefix=J", &[], listing);
        assert_eq!(code(&head, secret, "20130524T000000Z"), None);
        let (head, _) = example("/?max-keys=3&prefix=J", &[], listing);
        assert_eq!(code(&head, secret, "20130524T000000Z"), wrong("SignatureDoesNotMatch"));
    }
}
