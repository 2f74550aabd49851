//! What is known of the installation at one moment. Whoever runs workers, sources and the journal fills it in.

use std::time::Duration;

use base::Timestamp;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Every event streaming configuration.
    pub configurations: Vec<ConfigurationFacts>,
    /// Every source.
    pub sources: Vec<SourceFacts>,
    /// The disk that the data directory lies on; `None` when it cannot be asked.
    pub disk: Option<DiskSpace>,
    /// The journal takes nothing more until a restart.
    pub is_poisoned: bool,
    /// Why intake refuses all events, for want of room in a backlog budget or on the disk, in words; `None` while it takes
    /// them.
    pub refusal: Option<String>,
    /// Blocks of the journal that could not be read.
    pub n_damaged: u64,
    /// For how long the journal has had blocks that no signed head covers; `None` when nobody signs.
    pub unsigned_for: Option<Unsigned>,
}

/// How far the signing of heads is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsigned {
    /// When the newest head was signed, or when the process started, if that is later.
    pub since: Timestamp,
    /// How often heads are signed.
    pub every: Duration,
}

/// Whether events flow to a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Going {
    /// Nobody knows yet: nothing was sent.
    #[default]
    Unknown,
    /// The last request proved something.
    Flowing,
    /// The last request proved nothing; it is tried again.
    Struggling,
    /// Only an operator can mend it.
    Holding,
    /// The same, and the destination has refused the credential.
    CredentialRejected,
    /// An operator must say what becomes of what has gathered.
    AwaitsChoice,
    /// It should run, and cannot be started.
    Stopped,
    /// An operator has paused it.
    Paused,
    /// It is switched off.
    Disabled,
}

/// What is not delivered yet, and what will not be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsettled {
    /// When the oldest pending event was appended.
    pub oldest_pending: Option<Timestamp>,
    /// Events that were copied to quarantine, since it began.
    pub quarantined: u64,
    /// How many audit logs of alarms lie in quarantine now; `None` when nobody counted.
    pub quarantined_alarms: Option<u64>,
    /// Events that were given up by retention or budget, since it began.
    pub expired: u64,
    /// When its budget is spent, or retention reaches what is pending, if it goes on as it did lately.
    pub spent_at: Option<Timestamp>,
    /// What happens then.
    pub then: Then,
}

/// What happens when a backlog has come to its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// Its oldest events are given up.
    #[default]
    GivenUp,
    /// Nothing is lost: intake refuses all events.
    IntakeRefuses,
}

/// One event streaming configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigurationFacts {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether its owner wants it to deliver.
    pub is_enabled: bool,
    /// Whether it does.
    pub going: Going,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Why not, in the destination's own words, without its credential.
    pub last_error: Option<String>,
    /// Its books; `None` when they cannot be read.
    pub unsettled: Option<Unsettled>,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFacts {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether its deliveries are taken.
    pub is_enabled: bool,
    /// How long it may say nothing; `None`: as long as it likes.
    pub silent_after: Option<Duration>,
    /// When it last delivered an event to this process.
    pub heard: Option<Timestamp>,
    /// When the process started.
    pub listened_to_since: Timestamp,
}

impl SourceFacts {
    /// Whether it may be told of when it is silent.
    pub const fn is_watched(&self) -> bool {
        self.is_enabled && self.silent_after.is_some()
    }
}

/// Room on a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// For idstream.
    pub free: u64,
    /// In all.
    pub total: u64,
}
