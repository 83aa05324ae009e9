//! The kinds of failure and the exit code of each.
//!
//! Three kinds matter to a user: a mistake of theirs (exit 2, found before any data is read), a bad
//! record (never an [`Error`]: it goes to quarantine, see [`crate::stage::BadRecord`]), and a failure of
//! the machine or of ours (exit 1). An interruption is none of them: the run goes on later (exit 75).

use std::path::{Path, PathBuf};

/// Result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Mistakes of the user, already rendered, all of them together.
    #[error("{0}")]
    User(String),
    /// The operating system refused something.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried, as a verb: `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of ours does not hold what it should: damage, or a foreign file in the run directory.
    #[error("`{}` is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// More bad records than `max_bad_ratio` allows.
    #[error("{0}")]
    TooManyBadRecords(String),
    /// A signal asked the run to stop; finished work is kept.
    #[error("interrupted: the same command goes on from here")]
    Interrupted,
    /// Our fault, or something that the other kinds do not describe.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// An [`Error::Io`] for use with `map_err`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { action, path: path.as_ref().to_path_buf(), source }
    }

    /// An [`Error::Damaged`].
    pub fn damaged(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.as_ref().to_path_buf(), what: what.into() }
    }

    /// What a store said, where this is about one.
    #[must_use]
    pub fn store_fault(&self) -> Option<&StoreFault> {
        let Self::Io { source, .. } = self else { return None };
        source.get_ref()?.downcast_ref()
    }

    /// The process exit code: 1 failed, 2 the user's mistake, 75 interrupted and resumable.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if let Some(fault) = self.store_fault() {
            return match fault.kind {
                StoreFaultKind::Mistake => 2,
                StoreFaultKind::Unavailable => 75,
                StoreFaultKind::Full | StoreFaultKind::Other => 1,
            };
        }
        match self {
            Self::User(_) => 2,
            Self::Interrupted => 75,
            Self::Io { .. } | Self::Damaged { .. } | Self::TooManyBadRecords(_) | Self::Failed(_) => 1,
        }
    }
}

/// What an object store or web server said, as the source of an [`Error::Io`].
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StoreFault {
    /// What can be done about it.
    pub kind: StoreFaultKind,
    /// What happened and what to do, on one or two lines.
    pub message: String,
}

/// What can be done about a [`StoreFault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFaultKind {
    /// The user's: a bucket that does not exist, credentials that are refused, an address that cannot be.
    Mistake,
    /// The store does not answer, or this machine cannot talk to it: later, or elsewhere, the same command goes on.
    Unavailable,
    /// There is no room for more.
    Full,
    /// Anything else, also that there is no such object.
    Other,
}
