//! Places: the consumer of each configuration in the journal.

use journal::{ConsumerCommand, ConsumerName, Journal, JournalError, StartAt};

use event::StreamSet;

/// What the names of configurations' consumers begin with.
const PREFIX: &str = "cfg/";
/// And what the names of their parked events' consumers end with.
const PARKED: &str = "/parked";
/// And what those end with that count what became of entries in quarantine.
const AFTERWARDS: &str = "/afterwards";

/// The consumer of a configuration.
pub fn consumer_name(id: &str) -> Option<ConsumerName> {
    ConsumerName::new(format!("{PREFIX}{id}"))
}

/// The consumer of a configuration's parked events.
pub(crate) fn parked_name(id: &str) -> Option<ConsumerName> {
    ConsumerName::new(format!("{PREFIX}{id}{PARKED}"))
}

/// The consumer that counts what became of a configuration's entries in quarantine.
pub(crate) fn afterwards_name(id: &str) -> Option<ConsumerName> {
    ConsumerName::new(format!("{PREFIX}{id}{AFTERWARDS}"))
}

/// The configuration whose consumer of that kind it is.
pub(crate) fn counted_afterwards(name: &ConsumerName) -> Option<&str> {
    name.as_str().strip_prefix(PREFIX)?.strip_suffix(AFTERWARDS)
}

/// Whether a consumer reads the copies of some configuration: of its parked events, or what became of entries. It holds no
/// retention back: copies are kept as long as the quarantine stream is.
pub fn is_of_copies(name: &ConsumerName) -> bool {
    let ends_so = [PARKED, AFTERWARDS].iter().any(|end| name.as_str().ends_with(end));
    name.as_str().starts_with(PREFIX) && ends_so
}

/// The configuration that a consumer belongs to; `None` for other consumers.
pub fn configuration_id(name: &ConsumerName) -> Option<&str> {
    name.as_str().strip_prefix(PREFIX).filter(|id| !id.contains('/'))
}

/// Gives a configuration its place in the journal: now, unless it has one. Called before a new configuration is stored,
/// so that no event appended after the answer to its creation is missed.
pub async fn admit(journal: &dyn Journal, id: &str) -> Result<(), JournalError> {
    let streams = StreamSet::product();
    let create = ConsumerCommand::Create { name: named(id)?, streams, start: StartAt::Now, until: None };
    journal.consumers(create).await.map(drop)
}

/// Takes a configuration's place away, and those of its copies.
pub async fn dismiss(journal: &dyn Journal, id: &str) -> Result<(), JournalError> {
    for name in [Some(named(id)?), parked_name(id), afterwards_name(id)].into_iter().flatten() {
        journal.consumers(ConsumerCommand::Remove { name }).await?;
    }
    Ok(())
}

/// Whether a configuration has a place.
pub async fn is_admitted(journal: &dyn Journal, id: &str) -> Result<bool, JournalError> {
    let name = named(id)?;
    Ok(journal.consumers(ConsumerCommand::List).await?.iter().any(|consumer| consumer.name == name))
}

pub(crate) fn named(id: &str) -> Result<ConsumerName, JournalError> {
    consumer_name(id).ok_or(JournalError::Refused("the id cannot name a consumer"))
}
