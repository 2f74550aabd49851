//! One file per subcommand.

pub(crate) mod demo;
pub(crate) mod receiver;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod template;

/// What a command may fail with: shown to the person who typed it.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
