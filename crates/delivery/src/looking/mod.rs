//! Looking before sending: what a configuration would send of the newest stored events, and how exactly. Reads the journal
//! on its own, as no consumer: deliveries are not disturbed and nothing is counted.

mod dry_run;
mod newest;
mod preview;

use std::sync::Arc;
use std::time::Duration;

use destinations::{Destination, SettingsError};
use journal::JournalError;
use tokio::sync::TryAcquireError;

pub use self::dry_run::{DryRun, Kind, StreamRun};
pub use self::newest::Ended;
use self::newest::{Newest, Step};
pub use self::preview::{Preview, Previews, Sought};
pub(crate) use self::{dry_run::dry_run, preview::preview};
use crate::configuration::Configuration;
use crate::selector::Selector;
use crate::supervisor::Parts;
use crate::trial::TrialError;

/// Most looks at a time: each keeps a thread and a disk busy for seconds.
pub(crate) const AT_A_TIME: usize = 2;
/// Most events of a look.
pub const MAX_EVENTS: usize = 100_000;
/// Most payload bytes that one look reads.
const MAX_BYTES: usize = 128 << 20;
/// How long one look may take: somebody sits before it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Others are looking. Try again in a few seconds.
    #[error("other events are being looked at")]
    Busy,
    /// The task ended badly.
    #[error("looking at stored events failed")]
    Task(#[from] tokio::task::JoinError),
}

impl From<TryAcquireError> for LookError {
    fn from(_: TryAcquireError) -> Self {
        Self::Busy
    }
}

/// What decides about events and writes them, by the settings as they are now.
pub(crate) fn prepare(
    parts: &Parts,
    configuration: &Configuration,
) -> Result<(Selector, Arc<dyn Destination>), TrialError> {
    let secrets = configuration.open(&parts.keyring)?;
    let invalid = |errors: Vec<SettingsError>| TrialError::Settings(errors);
    let settings =
        destinations::Settings::parse(configuration.vendor, &configuration.settings).map_err(invalid)?;
    let epoch = configuration.current();
    let destination = settings.build(&secrets, &parts.instance, epoch.selection()).map_err(invalid)?;
    Ok((Selector::of(&epoch).since(configuration.sends_since()), destination))
}
