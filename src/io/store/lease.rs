//! Who works on a run directory in a store: a lease, which its holder renews and which others may take over once it is no longer renewed.
//!
//! No two clocks are compared: whoever waits looks whether the lease changes while so much time passes on its own clock. Every change is
//! conditional on the version that was read (`If-None-Match`, `If-Match`), so that of two who take it one wins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use object_store::{PutMode, PutOptions, UpdateVersion};
use serde::{Deserialize, Serialize};

use super::{Location, block_on, get_whole, runtime};
use crate::error::{Error, Result};
use crate::io::machine;

/// A lease is renewed so often, and is dead when it was not for [`DEAD_SECS`].
const RENEW_TIME: Duration = Duration::from_secs(5);
const DEAD_TIME: Duration = Duration::from_secs(20);

#[derive(Serialize, Deserialize, Clone, PartialEq)]
struct Holder {
    host: String,
    process: u32,
    /// When that process began, by its machine: process numbers are used again.
    started: u64,
    /// Counts renewals.
    beat: u64,
}

impl Holder {
    fn me() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        // Containers of one machine may share its name, but count processes for themselves.
        let processes = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let process = std::process::id();
        let host = format!("{} {} {}", machine::name(), boot.trim(), processes.display());
        Self { host, process, started: started(process).unwrap_or(0), beat: 0 }
    }

    /// Whether this is a process of this machine that has ended.
    fn is_dead_here(&self, me: &Self) -> bool {
        self.host == me.host && started(self.process) != Some(self.started)
    }
}

/// When a process of this machine began, in ticks since its boot.
fn started(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// A lease that is held, and renewed, until it is dropped.
pub struct Lease {
    location: Location,
    /// Whether somebody else has taken it over.
    is_lost: Arc<AtomicBool>,
    renewal: Option<tokio::task::JoinHandle<()>>,
}

impl Lease {
    /// Takes the lease that an object stands for; `None` where somebody else has it, which takes up to 20 seconds to find
    /// out.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub(in crate::io) fn take(location: Location) -> Result<Option<Self>> {
        let me = Holder::me();
        let mut seen: Option<(UpdateVersion, Instant)> = None;
        loop {
            let version = match read(&location)? {
                None => None,
                Some((holder, version)) => {
                    let (known, since) = seen.get_or_insert_with(|| (version.clone(), Instant::now()));
                    if *known != version {
                        return Ok(None);
                    }
                    if !holder.is_dead_here(&me) && since.elapsed() < DEAD_TIME {
                        std::thread::sleep(Duration::from_millis(500));
                        continue;
                    }
                    Some(version)
                }
            };
            let mode = match version {
                None => PutMode::Create,
                Some(version) => PutMode::Update(version),
            };
            let Some(version) = block_on(write(&location, &me, mode))? else { return Ok(None) };
            let is_lost = Arc::new(AtomicBool::new(false));
            let renewal = runtime().spawn(renew(location.clone(), me, version, Arc::clone(&is_lost)));
            return Ok(Some(Self { location, is_lost, renewal: Some(renewal) }));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(renewal) = self.renewal.take() {
            renewal.abort();
            // An error says that it was stopped, which is what we wait for.
            drop(block_on(renewal));
        }
        if self.is_lost.load(Ordering::Relaxed) {
            return;
        }
        // Where it cannot be removed, the next one waits until it counts as dead.
        drop(super::remove(std::slice::from_ref(&self.location)));
    }
}

fn read(location: &Location) -> Result<Option<(Holder, UpdateVersion)>> {
    let found = location.retry("read", || async {
        match get_whole(location).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    })?;
    let Some((bytes, version)) = found else { return Ok(None) };
    let holder = serde_json::from_slice(&bytes).map_err(|error| {
        Error::damaged(&location.path, format!("{error}; remove it if nobody works here"))
    })?;
    Ok(Some((holder, version)))
}

/// Writes the lease; the new version, or `None` where somebody else was first.
async fn write(location: &Location, holder: &Holder, mode: PutMode) -> Result<Option<UpdateVersion>> {
    let bytes = serde_json::to_vec(holder).map_err(|error| Error::Failed(error.to_string()))?;
    let work = || async {
        let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
        match location.store.put_opts(&location.key, bytes.clone().into(), options).await {
            Ok(written) => Ok(Some(UpdateVersion { e_tag: written.e_tag, version: written.version })),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                // Perhaps by us, in a try whose answer was lost.
                let (found, version) = get_whole(location).await?;
                Ok((found == bytes).then_some(version))
            }
            Err(error) => Err(error),
        }
    };
    location.retrying("write", work).await
}

async fn renew(location: Location, mut me: Holder, mut version: UpdateVersion, is_lost: Arc<AtomicBool>) {
    loop {
        tokio::time::sleep(RENEW_TIME).await;
        me.beat += 1;
        let mode = PutMode::Update(version.clone());
        match write(&location, &me, mode).await {
            Ok(Some(renewed)) => version = renewed,
            // Taken over by somebody who took us for dead: what we write is the same as what they write.
            Ok(None) => break is_lost.store(true, Ordering::Relaxed),
            // No answer for minutes: the work itself will hear of it.
            Err(_) => {}
        }
    }
}
