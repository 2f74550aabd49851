//! Places: the consumer of each configuration in the journal.

use journal::{ConsumerCommand, ConsumerName, Journal, JournalError, StartAt};

use event::StreamSet;

/// What the names of configurations' consumers begin with.
const PREFIX: &str = "cfg/";

/// The consumer of a configuration.
pub fn consumer_name(id: &str) -> Option<ConsumerName> {
    ConsumerName::new(format!("{PREFIX}{id}"))
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

/// Takes a configuration's place away.
pub async fn dismiss(journal: &dyn Journal, id: &str) -> Result<(), JournalError> {
    journal.consumers(ConsumerCommand::Remove { name: named(id)? }).await.map(drop)
}

/// The first block of a configuration that is not settled; 0 when it has no place.
pub(crate) async fn floor(journal: &dyn Journal, id: &str) -> Result<u64, JournalError> {
    let name = named(id)?;
    let consumers = journal.consumers(ConsumerCommand::List).await?;
    Ok(consumers.iter().find(|consumer| consumer.name == name).map_or(0, |consumer| consumer.state.floor))
}

/// Whether a configuration has a place.
pub async fn is_admitted(journal: &dyn Journal, id: &str) -> Result<bool, JournalError> {
    let name = named(id)?;
    Ok(journal.consumers(ConsumerCommand::List).await?.iter().any(|consumer| consumer.name == name))
}

fn named(id: &str) -> Result<ConsumerName, JournalError> {
    consumer_name(id).ok_or(JournalError::Refused("the id cannot name a consumer"))
}
