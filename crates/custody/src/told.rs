//! Notes that become audit logs of idstream itself.

use base::{Random, Timestamp};
use catalog::{Catalog, CatalogError, Document, Note};
use event::own::audit_log;
use journal::local::Gap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An audit log of what idstream did by itself, or an operator at its files. What matters is in `changes`, which every
/// destination receives.
pub(crate) fn note(
    action: &str,
    entity_type: &str,
    name: &str,
    changes: Value,
    (now, random): (Timestamp, &Random),
) -> Note {
    let mut note = audit_log(action, entity_type, name, (now, random));
    note["changes"] = changes;
    note
}

/// One member of an entity that has come to be.
pub(crate) fn after(path: &str, value: impl Into<Value>) -> Value {
    json!({"path": path, "after": value.into()})
}

/// Something that happened to the files while no server ran. The note with it is told when one does.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Incident {
    at: Timestamp,
}

impl Document for Incident {
    const KIND: &'static str = "journalIncident";
}

/// Leaves a note in the catalog, to be told at the next start of a server. Durable when it returns.
pub fn tell(catalog: &Catalog, what: &str, at: Timestamp, note: Note) -> Result<(), CatalogError> {
    let incident = Incident { at };
    match catalog.get::<Incident>(what) {
        Ok(before) => catalog.replace(what, &incident, before.revision, Some(note)).map(drop),
        Err(CatalogError::NotFound) => catalog.create(what, &incident, Some(note)).map(drop),
        Err(error) => Err(error),
    }
}

/// What an operator gave up in a repair.
pub fn repaired(gaps: &[Gap], is_checkpoint_lost: bool, now: Timestamp, random: &Random) -> Note {
    /// Gaps beyond are counted only.
    const MAX_GAPS: usize = 100;
    let shown: Vec<_> = gaps
        .iter()
        .take(MAX_GAPS)
        .map(|gap| {
            json!({
                "fromBlock": gap.from,
                "untilBlock": gap.until,
                "events": gap.n_events(),
                "after": gap.after,
                "before": gap.before,
            })
        })
        .collect();
    let changes = json!([
        after("/givenUp", shown),
        after("/gaps", gaps.len()),
        after("/consumersBeganAnew", is_checkpoint_lost),
    ]);
    note("Repair", "Journal", "journal", changes, (now, random))
}
