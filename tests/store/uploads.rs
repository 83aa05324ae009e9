//! Multipart uploads: parts that belong to no object until their upload is complete.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::LOCK;
use super::http::{Answer, Refusal};
use super::objects::{Blob, Condition, Objects};
use super::xml::{self, element};

/// The most parts of an upload.
const MAX_PARTS: u32 = 10_000;

/// All uploads of a store.
#[derive(Default)]
pub(super) struct Uploads {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    started: u64,
    open: BTreeMap<String, Upload>,
    /// ETags of the objects that uploads became, for clients that did not hear of it.
    complete: BTreeMap<String, String>,
}

struct Upload {
    bucket: String,
    key: String,
    parts: BTreeMap<u32, Blob>,
}

impl State {
    fn upload(&mut self, id: &str, bucket: &str, key: &str) -> Result<&mut Upload, Refusal> {
        let upload = self.open.get_mut(id).filter(|upload| upload.bucket == bucket && upload.key == key);
        upload.ok_or_else(|| Refusal::new(404, "NoSuchUpload", "the specified upload does not exist"))
    }
}

impl Uploads {
    /// Uploads that are neither complete nor aborted.
    pub(super) fn count(&self) -> usize {
        self.state.lock().expect(LOCK).open.len()
    }

    /// Bytes of the parts of open uploads.
    pub(super) fn bytes(&self) -> u64 {
        let state = self.state.lock().expect(LOCK);
        state.open.values().flat_map(|upload| upload.parts.values()).map(|part| part.bytes).sum()
    }

    /// Starts an upload.
    pub(super) fn start(&self, bucket: &str, key: &str) -> Answer {
        let mut state = self.state.lock().expect(LOCK);
        state.started += 1;
        let id = format!("upload.{:08}", state.started);
        let upload = Upload { bucket: bucket.to_owned(), key: key.to_owned(), parts: BTreeMap::new() };
        state.open.insert(id.clone(), upload);
        let names = element("Bucket", bucket) + &element("Key", key);
        Answer::xml("InitiateMultipartUploadResult", &(names + &element("UploadId", &id)))
    }

    /// Stores a part, over the one that had its number.
    pub(super) fn put_part(
        &self,
        (bucket, key): (&str, &str),
        id: &str,
        number: &str,
        part: Blob,
    ) -> Result<(), Refusal> {
        let number = number.parse().ok().filter(|number| (1..=MAX_PARTS).contains(number));
        let number = number
            .ok_or_else(|| Refusal::new(400, "InvalidArgument", "a part number is between 1 and 10000"))?;
        let mut state = self.state.lock().expect(LOCK);
        state.upload(id, bucket, key)?.parts.insert(number, part);
        Ok(())
    }

    /// Makes the object out of the parts that the document names; saying so again changes nothing.
    pub(super) fn complete(
        &self,
        (bucket, key): (&str, &str),
        id: &str,
        document: &str,
        objects: &Objects,
        condition: &Condition,
        (min_part_bytes, now): (u64, i64),
    ) -> Result<Answer, Refusal> {
        let mut state = self.state.lock().expect(LOCK);
        let mut etag = state.complete.get(id).cloned();
        if etag.is_none() {
            let upload = state.upload(id, bucket, key)?;
            let numbers = upload.check(document, min_part_bytes)?;
            objects.check(bucket, key, condition)?;
            let parts = numbers.iter().filter_map(|number| upload.parts.remove(number)).collect();
            let blob = Blob::join(parts)?;
            let joined = blob.etag.clone();
            objects.put(bucket, key, blob, condition, now)?;
            state.open.remove(id);
            state.complete.insert(id.to_owned(), joined.clone());
            etag = Some(joined);
        }
        let names = element("Bucket", bucket) + &element("Key", key);
        let etag = element("ETag", &etag.unwrap_or_default());
        Ok(Answer::xml("CompleteMultipartUploadResult", &(names + &etag)))
    }

    /// Forgets an upload and its parts.
    pub(super) fn abort(&self, bucket: &str, key: &str, id: &str) -> Result<Answer, Refusal> {
        let mut state = self.state.lock().expect(LOCK);
        state.upload(id, bucket, key)?;
        state.open.remove(id);
        Ok(Answer::empty(204))
    }

    /// The open uploads of a bucket, on one page.
    pub(super) fn list(&self, bucket: &str) -> Answer {
        let state = self.state.lock().expect(LOCK);
        let mut inside = element("Bucket", bucket) + &element("IsTruncated", "false");
        for (id, upload) in state.open.iter().filter(|(_, upload)| upload.bucket == bucket) {
            let fields = element("Key", &upload.key) + &element("UploadId", id);
            inside += &xml::wrap("Upload", &fields);
        }
        Answer::xml("ListMultipartUploadsResult", &inside)
    }
}

impl Upload {
    /// The numbers of the parts that the document names, all of which are there, in order and large enough.
    fn check(&self, document: &str, min_part_bytes: u64) -> Result<Vec<u32>, Refusal> {
        let invalid = |message: String| Refusal::new(400, "InvalidPart", message);
        let mut numbers = Vec::new();
        let named = xml::insides(document, "Part");
        for (index, part) in named.iter().enumerate() {
            let number = xml::text(part, "PartNumber").and_then(|number| number.trim().parse().ok());
            let etag = xml::text(part, "ETag").unwrap_or_default();
            let (Some(number), etag) = (number, etag.trim_matches('"')) else {
                return Err(Refusal::new(400, "MalformedXML", "a part has no number"));
            };
            let stored = self.parts.get(&number);
            let Some(stored) = stored.filter(|stored| stored.etag.trim_matches('"') == etag) else {
                return Err(invalid(format!("part {number} was not uploaded, or its ETag is another")));
            };
            if numbers.last().is_some_and(|last| *last >= number) {
                return Err(Refusal::new(400, "InvalidPartOrder", "the parts are not in ascending order"));
            }
            if index + 1 < named.len() && stored.bytes < min_part_bytes {
                let message = format!("part {number} is smaller than {min_part_bytes} bytes");
                return Err(Refusal::new(400, "EntityTooSmall", message));
            }
            numbers.push(number);
        }
        if numbers.is_empty() {
            return Err(Refusal::new(400, "MalformedXML", "the document names no part"));
        }
        Ok(numbers)
    }
}
