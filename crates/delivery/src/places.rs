//! Places: the consumer of each configuration in the journal.

use journal::{ConsumerCommand, ConsumerName, Journal, JournalError, StartAt};

use event::StreamSet;

use crate::runs::RunKind;

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

/// The configuration whose parked events a consumer is for.
pub(crate) fn parked_of(name: &ConsumerName) -> Option<&str> {
    name.as_str().strip_prefix(PREFIX)?.strip_suffix(PARKED).filter(|id| !id.contains('/'))
}

/// The configuration whose consumer of that kind it is.
pub(crate) fn counted_afterwards(name: &ConsumerName) -> Option<&str> {
    name.as_str().strip_prefix(PREFIX)?.strip_suffix(AFTERWARDS).filter(|id| !id.contains('/'))
}

/// Whether a consumer reads the copies of some configuration: of its parked events, or what became of entries. It holds no
/// retention back: copies are kept as long as the quarantine stream is.
pub fn is_of_copies(name: &ConsumerName) -> bool {
    let ends_so = [PARKED, AFTERWARDS].iter().any(|end| name.as_str().ends_with(end));
    name.as_str().starts_with(PREFIX) && ends_so && run_of(name).is_none()
}

/// The consumer of a run of a configuration.
pub(crate) fn run_name(kind: RunKind, configuration_id: &str, id: &str) -> Option<ConsumerName> {
    ConsumerName::new(format!("{PREFIX}{}/{configuration_id}/{id}", kind.name()))
}

/// The configuration and the run that a consumer belongs to; `None` for other consumers.
pub fn run_of(name: &ConsumerName) -> Option<(&str, &str)> {
    let (kind, rest) = name.as_str().strip_prefix(PREFIX)?.split_once('/')?;
    RunKind::ALL.iter().find(|each| each.name() == kind)?;
    rest.split_once('/')
}

/// The configuration whose own deliveries a consumer is for; `None` for other consumers, those of runs among them.
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

/// Takes a configuration's place away, those of its copies, and those of its runs.
pub async fn dismiss(journal: &dyn Journal, id: &str) -> Result<(), JournalError> {
    let all = journal.consumers(ConsumerCommand::List).await?;
    let of_runs = all.into_iter().map(|consumer| consumer.name);
    let of_runs = of_runs.filter(|name| run_of(name).is_some_and(|(configuration, _)| configuration == id));
    let own = [Some(named(id)?), parked_name(id), afterwards_name(id)];
    for name in own.into_iter().flatten().chain(of_runs) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_consumer_of_a_run_is_not_taken_for_another() {
        let name = run_name(RunKind::Redrive, "c", "parked").unwrap();
        assert_eq!(name.as_str(), "cfg/redrive/c/parked");
        assert_eq!(
            (run_of(&name), configuration_id(&name), is_of_copies(&name)),
            (Some(("c", "parked")), None, false)
        );
        let counted = run_name(RunKind::Replay, "c", "afterwards").unwrap();
        assert_eq!(counted_afterwards(&counted), None);
        let parked = parked_name("c").unwrap();
        assert_eq!((run_of(&parked), configuration_id(&parked), is_of_copies(&parked)), (None, None, true));
        let own = consumer_name("c").unwrap();
        assert_eq!((run_of(&own), configuration_id(&own), is_of_copies(&own)), (None, Some("c"), false));
        let id = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51";
        assert!(run_name(RunKind::Replay, id, id).is_some(), "ids of 36 characters fit");
    }
}
