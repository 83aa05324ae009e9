//! What stores say when they refuse, in words that tell what to do.

use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use object_store::client::HttpError;

use super::Patience;
use super::polite::http_date;
use crate::error::{StoreFault, StoreFaultKind};

/// An answer that is a refusal, with the beginning of its body.
#[derive(Debug, Clone, thiserror::Error)]
#[error("status {status}{}", self.particulars())]
pub(super) struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The server's clock.
    pub date: Option<String>,
    /// What came with it: XML from object stores, anything from others.
    pub body: String,
}

impl Refusal {
    /// The provider's name for it, such as `SlowDown`.
    fn code(&self) -> &str {
        between(&self.body, "<Code>", "</Code>").unwrap_or_default()
    }

    fn particulars(&self) -> String {
        let message = between(&self.body, "<Message>", "</Message>").unwrap_or_default();
        let told: Vec<&str> = [self.code(), message].into_iter().filter(|part| !part.is_empty()).collect();
        if !told.is_empty() {
            return format!(" ({})", told.join(": "));
        }
        let line: String = self.body.split_whitespace().collect::<Vec<_>>().join(" ");
        let line: String = line.chars().filter(|c| !c.is_control()).take(120).collect();
        if line.is_empty() { String::new() } else { format!(" ({line})") }
    }

    fn may_pass(&self) -> bool {
        match self.status {
            408 | 425 | 429 => true,
            400 => matches!(
                self.code(),
                "RequestTimeout" | "IncompleteBody" | "BadDigest" | "InvalidBlockList" | "InvalidBlobOrBlock"
            ),
            // Not implemented will not be so later.
            501 | 505 => false,
            status => status >= 500,
        }
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(start)?.1.split_once(end)?.0)
}

/// The innermost error of a kind.
fn find<'e, E: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Words of certificate checks in what TLS says; no later try will end better.
fn is_about_certificates(error: &object_store::Error) -> bool {
    find::<HttpError>(error).is_some_and(|error| innermost(error).contains("certificate"))
}

/// The error at the bottom of a chain, which says most.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

/// Whether a range was refused because the object ends before it.
pub(super) fn is_empty_range(error: &object_store::Error) -> bool {
    find::<Refusal>(error).is_some_and(|refusal| refusal.status == 416)
}

/// Whether the same request may succeed later.
pub(super) fn may_pass(error: &object_store::Error) -> bool {
    if let Some(refusal) = find::<Refusal>(error) {
        return refusal.may_pass();
    }
    matches!(error, object_store::Error::Generic { .. } | object_store::Error::JoinError { .. })
        && !is_about_certificates(error)
        && !error.to_string().contains("AccessDenied")
}

/// An error in our words; `server` is what was asked.
pub(super) fn describe(error: &object_store::Error, server: &str, patience: &Patience) -> std::io::Error {
    use StoreFaultKind::{Full, Mistake, Other, Unavailable};
    let (os_kind, kind, message) = if let Some(refusal) = find::<Refusal>(error) {
        of_refusal(refusal, server, patience)
    } else {
        match error {
            object_store::Error::NotFound { source, .. } if source.to_string().contains("NoSuchBucket") => {
                (ErrorKind::Other, Mistake, missing_bucket(server))
            }
            object_store::Error::NotFound { .. } => {
                (ErrorKind::NotFound, Other, "there is no such object".to_owned())
            }
            object_store::Error::AlreadyExists { .. } => {
                (ErrorKind::AlreadyExists, Other, "it exists already".to_owned())
            }
            object_store::Error::Precondition { .. } => {
                (ErrorKind::Other, Other, "it was changed while it was read".to_owned())
            }
            object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. } => {
                (ErrorKind::Unsupported, Mistake, format!("this kind of store cannot do that: {error}"))
            }
            _ if is_about_certificates(error) => (
                ErrorKind::Other,
                Mistake,
                format!(
                    "{server} cannot be trusted: {}\n = hint: the machine needs its certificates (package ca-certificates), SSL_CERT_FILE names others",
                    innermost(error)
                ),
            ),
            _ => (
                ErrorKind::Other,
                Unavailable,
                format!(
                    "{server} does not answer as it should: {}{}\n = hint: is the server up, and the address right (AWS_ENDPOINT_URL)? What is done stays done: start again to go on",
                    innermost(error),
                    tried(patience)
                ),
            ),
        }
    };
    debug_assert!(!matches!(kind, Full) || os_kind == ErrorKind::StorageFull);
    std::io::Error::new(os_kind, StoreFault { kind, message })
}

fn of_refusal(refusal: &Refusal, server: &str, patience: &Patience) -> (ErrorKind, StoreFaultKind, String) {
    use StoreFaultKind::{Full, Mistake, Other, Unavailable};
    let is_web = server.starts_with("http");
    match (refusal.status, refusal.code()) {
        (_, "NoSuchBucket") => (ErrorKind::Other, Mistake, missing_bucket(server)),
        (_, "RequestTimeTooSkewed" | "RequestExpired") => {
            let there = refusal.date.as_deref().and_then(http_date);
            let off = there.map_or_else(String::new, |there| clock_difference(there, SystemTime::now()));
            let message = format!(
                "the clock of this machine is off{off}, so {server} refuses its signatures\n = hint: set the clock (a time service keeps it right), then start again"
            );
            (ErrorKind::Other, Unavailable, message)
        }
        (507 | 413, _) | (_, "QuotaExceeded" | "XMinioStorageFull" | "InsufficientCapacity") => (
            ErrorKind::StorageFull,
            Full,
            format!(
                "there is no room left in {server}: {refusal}\n = hint: make room, then start again: what is done stays done"
            ),
        ),
        (403 | 401, _) if is_web => (
            ErrorKind::PermissionDenied,
            Mistake,
            format!(
                "{server} refuses: {refusal}\n = hint: servers of public crawls block addresses that ask too fast: wait some minutes, then ask for less at a time (`max_requests_per_sec`, fewer workers), or read `s3://` with credentials"
            ),
        ),
        (403 | 401, "AccessDenied" | "AllAccessDisabled" | "AuthorizationFailure") => (
            ErrorKind::PermissionDenied,
            Mistake,
            format!(
                "{server} forbids it: {refusal}\n = hint: these credentials need the right to list, read and write there"
            ),
        ),
        (403 | 401, _) => (
            ErrorKind::PermissionDenied,
            Mistake,
            format!(
                "{server} does not accept these credentials: {refusal}\n = hint: for `s3://` set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, for `gs://` GOOGLE_SERVICE_ACCOUNT, for `az://` AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"
            ),
        ),
        (404, _) => (ErrorKind::NotFound, Other, "there is no such object".to_owned()),
        (300..=399, _) => (
            ErrorKind::Other,
            Mistake,
            format!("{server} sends us elsewhere: {refusal}\n = hint: AWS_REGION must be the bucket's"),
        ),
        _ if refusal.may_pass() => (
            ErrorKind::Other,
            Unavailable,
            format!(
                "{server} is not able to serve: {refusal}{}\n = hint: what is done stays done: start again to go on",
                tried(patience)
            ),
        ),
        _ => (ErrorKind::Other, Other, format!("{server} refuses: {refusal}")),
    }
}

fn missing_bucket(server: &str) -> String {
    format!(
        "there is no bucket {server}\n = hint: make it, or name another; AWS_ENDPOINT_URL and AWS_REGION say which server is asked"
    )
}

fn tried(patience: &Patience) -> String {
    let secs = patience.elapsed().as_secs();
    if patience.tries == 1 { String::new() } else { format!(", {} tries in {secs} s", patience.tries) }
}

fn clock_difference(there: SystemTime, here: SystemTime) -> String {
    let (off, side) = match there.duration_since(here) {
        Ok(behind) => (behind, "behind"),
        Err(ahead) => (ahead.duration(), "ahead of"),
    };
    if off < Duration::from_secs(90) {
        return String::new();
    }
    format!(" ({} minutes {side} the server's)", (off.as_secs() + 30) / 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str, server: &str) -> std::io::Error {
        let refusal = Refusal { status, date: None, body: body.to_owned() };
        let error = object_store::Error::Generic { store: "S3", source: Box::new(refusal) };
        describe(&error, server, &Patience::new())
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        use StoreFaultKind::{Full, Mistake, Other, Unavailable};
        let cases = [
            (403, "<Error><Code>InvalidAccessKeyId</Code></Error>", Mistake, "AWS_ACCESS_KEY_ID"),
            (403, "<Code>AccessDenied</Code><Message>no</Message>", Mistake, "right to list"),
            (403, "<Code>RequestTimeTooSkewed</Code>", Unavailable, "set the clock"),
            (404, "<Code>NoSuchBucket</Code>", Mistake, "no bucket s3://b"),
            (503, "<Code>SlowDown</Code>", Unavailable, "SlowDown"),
            (507, "<Code>XMinioStorageFull</Code>", Full, "make room"),
            (301, "", Mistake, "AWS_REGION"),
            (400, "<Code>Odd</Code><Message>what</Message>", Other, "Odd: what"),
        ];
        for (status, body, kind, words) in cases {
            let error = refused(status, body, "s3://b");
            let fault = error.get_ref().and_then(|e| e.downcast_ref::<StoreFault>()).expect("ours");
            assert_eq!(fault.kind, kind, "{fault}");
            assert!(fault.message.contains(words), "{fault}");
        }
        let web = refused(403, "<html>\nslow\u{7} down", "https://data.example").to_string();
        assert!(web.contains("max_requests_per_sec") && web.contains("<html> slow down"), "{web}");
    }

    #[test]
    fn clocks_are_compared() {
        let here = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let minutes = |n: u64| Duration::from_secs(60 * n);
        assert_eq!(clock_difference(here + minutes(20), here), " (20 minutes behind the server's)");
        assert_eq!(clock_difference(here - minutes(90), here), " (90 minutes ahead of the server's)");
        assert_eq!(clock_difference(here, here), "");
    }
}
