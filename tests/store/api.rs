//! What requests do: the operations of the S3 API on buckets and objects.

use std::io::Read;

use sha2::{Digest, Sha256};

use super::clock::{http_date, iso_date};
use super::faults::Faults;
use super::http::{Answer, Body, Content, Head, Refusal, decode};
use super::objects::{Blob, Condition, Source, matches_etag, no_bucket};
use super::xml::{self, element};
use super::{Shared, list, sign};

/// The most keys in one bulk delete.
const MAX_DELETED_KEYS: usize = 1000;

/// One request and the store it is for.
pub(super) struct Call<'a, 'b> {
    pub(super) shared: &'a Shared,
    pub(super) faults: &'a Faults,
    pub(super) head: &'a Head,
    pub(super) body: &'a mut Body<'b>,
    /// Seconds since 1970 on the store's clock.
    pub(super) now: i64,
}

impl Call<'_, '_> {
    /// Carries the request out.
    pub(super) fn answer(&mut self) -> Result<Answer, Refusal> {
        let head = self.head;
        let has = |name: &str| head.parameter(name).is_some();
        let options = &self.shared.options;
        if !options.anonymous {
            let account = sign::Account {
                access_key: &options.access_key,
                secret_key: &options.secret_key,
                region: &options.region,
            };
            sign::verify(head, &account, self.now)?;
        }
        self.permit(if head.key.is_empty() {
            head.parameter("prefix").unwrap_or_default()
        } else {
            &head.key
        })?;
        if head.key.is_empty() {
            return self.answer_bucket();
        }
        match head.method.as_str() {
            "GET" | "HEAD" => self.get(),
            "PUT" if has("partNumber") => self.put_part(),
            "PUT" => self.put(),
            "DELETE" if has("uploadId") => self.shared.uploads.abort(
                &head.bucket,
                &head.key,
                head.parameter("uploadId").unwrap_or_default(),
            ),
            "DELETE" => {
                self.shared.objects.delete(&head.bucket, &head.key)?;
                Ok(Answer::empty(204))
            }
            "POST" if has("uploads") => {
                self.shared.objects.with_bucket(&head.bucket, |_| ()).ok_or_else(no_bucket)?;
                Ok(self.shared.uploads.start(&head.bucket, &head.key))
            }
            "POST" if has("uploadId") => self.complete(),
            _ => Err(not_implemented()),
        }
    }

    fn answer_bucket(&mut self) -> Result<Answer, Refusal> {
        let (shared, head) = (self.shared, self.head);
        let has = |name: &str| head.parameter(name).is_some();
        let listing = |objects: &_| list::page(head, objects, shared.options.max_page_keys);
        match head.method.as_str() {
            _ if head.bucket.is_empty() => Err(not_implemented()),
            "GET" if has("uploads") => Ok(shared.uploads.list(&head.bucket)),
            "GET" if head.parameter("list-type") == Some("2") => {
                shared.objects.with_bucket(&head.bucket, listing).ok_or_else(no_bucket)?
            }
            "HEAD" => shared.objects.with_bucket(&head.bucket, |_| Answer::empty(200)).ok_or_else(no_bucket),
            "PUT" if head.query.is_empty() && !head.bucket.starts_with('.') => {
                self.read_text()?;
                shared.objects.add_bucket(&head.bucket);
                Ok(Answer::empty(200))
            }
            "POST" if has("delete") => self.delete_many(),
            _ => Err(not_implemented()),
        }
    }

    fn permit(&self, key: &str) -> Result<(), Refusal> {
        match &self.faults.forbid {
            Some(prefix) if key.starts_with(prefix) => {
                Err(Refusal::new(403, "AccessDenied", "access denied"))
            }
            _ => Ok(()),
        }
    }

    fn condition(&self) -> Condition {
        let header = |name| self.head.header(name).map(str::to_owned);
        Condition { if_match: header("if-match"), if_none_match: header("if-none-match") }
    }

    fn get(&mut self) -> Result<Answer, Refusal> {
        let opened = self.shared.objects.open(&self.head.bucket, &self.head.key)?;
        let object = opened.object;
        let condition = self.condition();
        if condition.if_match.is_some_and(|etags| !matches_etag(&etags, &object.etag)) {
            return Err(Refusal::new(412, "PreconditionFailed", "`If-Match` does not hold"));
        }
        if condition.if_none_match.is_some_and(|etags| matches_etag(&etags, &object.etag)) {
            return Err(Refusal::new(304, "NotModified", "").with_header("ETag", object.etag));
        }
        let mut answer = Answer::empty(200);
        answer.headers = vec![
            ("Content-Type", "binary/octet-stream".to_owned()),
            ("ETag", object.etag),
            ("Last-Modified", http_date(object.modified)),
            ("Accept-Ranges", "bytes".to_owned()),
        ];
        let (start, length) =
            match self.head.header("range").map_or(Range::Whole, |range| parse_range(range, object.bytes)) {
                Range::Whole => (0, object.bytes),
                Range::Part(start, length) => {
                    let range = format!("bytes {start}-{}/{}", start + length - 1, object.bytes);
                    answer.headers.push(("Content-Range", range));
                    answer.status = 206;
                    (start, length)
                }
                Range::Outside => {
                    let refusal = Refusal::new(416, "InvalidRange", "the requested range is not satisfiable");
                    return Err(refusal.with_header("Content-Range", format!("bytes */{}", object.bytes)));
                }
            };
        answer.content = Content::Object(opened.source, start, length);
        Ok(answer)
    }

    fn put(&mut self) -> Result<Answer, Refusal> {
        let head = self.head;
        let copied = head.header("x-amz-copy-source").is_some();
        let blob = if copied { self.receive_copy()? } else { self.receive()? };
        let etag = blob.etag.clone();
        self.shared.objects.put(&head.bucket, &head.key, blob, &self.condition(), self.now)?;
        Ok(self.stored("CopyObjectResult", copied, etag))
    }

    fn put_part(&mut self) -> Result<Answer, Refusal> {
        let head = self.head;
        let copied = head.header("x-amz-copy-source").is_some();
        let blob = if copied { self.receive_copy()? } else { self.receive()? };
        let etag = blob.etag.clone();
        let parameter = |name| head.parameter(name).unwrap_or_default();
        let (id, number) = (parameter("uploadId"), parameter("partNumber"));
        self.shared.uploads.put_part((&head.bucket, &head.key), id, number, blob)?;
        Ok(self.stored("CopyPartResult", copied, etag))
    }

    fn stored(&self, root: &str, copied: bool, etag: String) -> Answer {
        if copied {
            let modified = element("LastModified", &iso_date(self.now));
            return Answer::xml(root, &(modified + &element("ETag", &etag)));
        }
        let mut answer = Answer::empty(200);
        answer.headers.push(("ETag", etag));
        answer
    }

    /// Reads the body of a PUT.
    fn receive(&mut self) -> Result<Blob, Refusal> {
        let length = self.head.length().ok_or_else(|| {
            Refusal::new(411, "MissingContentLength", "the header `Content-Length` is missing")
        })?;
        self.make_room(length)?;
        let signed = announced_hash(self.head)?;
        let blob = self.shared.objects.receive_sized(self.body, length, signed.is_some())?;
        check_hash(signed, blob.sha256.as_deref())?;
        Ok(blob)
    }

    /// Reads the object, or the part of one, that a copy is made of.
    fn receive_copy(&mut self) -> Result<Blob, Refusal> {
        let invalid = |message: &str| Refusal::new(400, "InvalidArgument", message);
        let source = self.head.header("x-amz-copy-source").unwrap_or_default();
        let source = decode(source).ok_or_else(|| invalid("`x-amz-copy-source` is not understood"))?;
        let names = source.trim_start_matches('/').split_once('/');
        let (bucket, key) = names.ok_or_else(|| invalid("`x-amz-copy-source` names no object"))?;
        self.permit(key)?;
        let mut opened = self.shared.objects.open(bucket, key)?;
        let range = self.head.header("x-amz-copy-source-range");
        let (start, length) =
            match range.map_or(Range::Whole, |range| parse_range(range, opened.object.bytes)) {
                Range::Whole => (0, opened.object.bytes),
                Range::Part(start, length) => (start, length),
                Range::Outside => return Err(invalid("`x-amz-copy-source-range` is outside of the object")),
            };
        self.make_room(length)?;
        let mut content = Vec::new();
        if let Source::File(file) = &mut opened.source {
            std::io::Seek::seek(file, std::io::SeekFrom::Start(start))?;
            return Ok(self.shared.objects.receive(&mut file.take(length))?);
        }
        opened.source.send(start, length, &mut content)?;
        Ok(self.shared.objects.receive(&mut content.as_slice())?)
    }

    fn make_room(&self, length: u64) -> Result<(), Refusal> {
        let full = |capacity: u64| self.shared.stored_bytes() + length > capacity;
        if self.faults.capacity_bytes.is_some_and(full) {
            return Err(Refusal::new(507, "StorageFull", "the store has no room for the object"));
        }
        Ok(())
    }

    /// Reads a body that is a document.
    fn read_text(&mut self) -> Result<String, Refusal> {
        let mut text = Vec::new();
        self.body.read_to_end(&mut text)?;
        check_hash(announced_hash(self.head)?, Some(&sign::hex(&Sha256::digest(&text))))?;
        String::from_utf8(text).map_err(|_| Refusal::new(400, "MalformedXML", "the document is not UTF-8"))
    }

    fn complete(&mut self) -> Result<Answer, Refusal> {
        let document = self.read_text()?;
        let (shared, head) = (self.shared, self.head);
        shared.uploads.complete(
            (&head.bucket, &head.key),
            head.parameter("uploadId").unwrap_or_default(),
            &document,
            &shared.objects,
            &self.condition(),
            (shared.options.min_part_bytes, self.now),
        )
    }

    fn delete_many(&mut self) -> Result<Answer, Refusal> {
        let document = self.read_text()?;
        let quiet = xml::text(&document, "Quiet").is_some_and(|quiet| quiet == "true");
        let named = xml::insides(&document, "Object");
        if named.is_empty() || named.len() > MAX_DELETED_KEYS {
            return Err(Refusal::new(400, "MalformedXML", "a bulk delete names from 1 to 1000 keys"));
        }
        let mut inside = String::new();
        for object in named {
            let key = xml::text(object, "Key").unwrap_or_default();
            let deleted =
                self.permit(&key).and_then(|()| self.shared.objects.delete(&self.head.bucket, &key));
            let key = element("Key", &key);
            match deleted {
                Err(refusal) if refusal.status == 404 => return Err(refusal),
                Err(refusal) => inside += &xml::wrap("Error", &(key + &refusal.elements())),
                Ok(()) if quiet => {}
                Ok(()) => inside += &xml::wrap("Deleted", &key),
            }
        }
        Ok(Answer::xml("DeleteResult", &inside))
    }
}

/// The hash of the body that a signed request announces; `None` if it announces none.
fn announced_hash(head: &Head) -> Result<Option<&str>, Refusal> {
    match head.header("x-amz-content-sha256") {
        None | Some("UNSIGNED-PAYLOAD") => Ok(None),
        Some(announced) if announced.starts_with("STREAMING-") => Err(not_implemented()),
        Some(announced) => Ok(Some(announced)),
    }
}

fn check_hash(announced: Option<&str>, sha256: Option<&str>) -> Result<(), Refusal> {
    if announced.is_none() || announced == sha256 {
        return Ok(());
    }
    let message = "`x-amz-content-sha256` is not the hash of the body";
    Err(Refusal::new(400, "XAmzContentSHA256Mismatch", message))
}

fn not_implemented() -> Refusal {
    Refusal::new(501, "NotImplemented", "the store has no such operation")
}

/// What a header `Range` asks of an object.
#[derive(Debug, PartialEq)]
pub(super) enum Range {
    /// All of it, as for headers that are no single range of bytes.
    Whole,
    /// Where it starts and how many bytes.
    Part(u64, u64),
    /// Nothing that the object has.
    Outside,
}

/// Reads `bytes=a-b`, `bytes=a-` or `bytes=-n` for an object of that many bytes.
pub(super) fn parse_range(header: &str, bytes: u64) -> Range {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Range::Whole;
    };
    let (start, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, bytes.min(last.saturating_add(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, bytes),
        (Err(_), Ok(suffix)) if first.is_empty() => (bytes - suffix.min(bytes), bytes),
        _ => return Range::Whole,
    };
    if start < end { Range::Part(start, end - start) } else { Range::Outside }
}

#[cfg(test)]
mod tests {
    use super::{Range, parse_range};

    #[test]
    fn ranges_of_ten_bytes() {
        let cases = [
            ("bytes=0-9", Range::Part(0, 10)),
            ("bytes=2-3", Range::Part(2, 2)),
            ("bytes=9-18446744073709551615", Range::Part(9, 1)),
            ("bytes=4-", Range::Part(4, 6)),
            ("bytes=-3", Range::Part(7, 3)),
            ("bytes=-30", Range::Part(0, 10)),
            ("bytes=10-", Range::Outside),
            ("bytes=10-12", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=3-2", Range::Whole),
            ("bytes=0-1,4-5", Range::Whole),
            ("lines=0-1", Range::Whole),
            ("bytes=-", Range::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(parse_range(header, 10), expected, "{header}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Range::Outside);
    }
}
