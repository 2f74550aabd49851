//! One file per subcommand.

pub(crate) mod backup;
mod called;
pub(crate) mod demo;
pub(crate) mod erase;
pub(crate) mod journal;
pub(crate) mod key;
pub(crate) mod receiver;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod template;

/// What a command may fail with: shown to the person who typed it.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A failure of something larger: what, and why.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Failed {
    what: String,
    #[source]
    cause: Failure,
}

impl Failed {
    /// Tells what failed when something does.
    pub(crate) fn at<E: Into<Failure>>(what: String) -> impl FnOnce(E) -> Self {
        move |cause| Self { what, cause: cause.into() }
    }
}
