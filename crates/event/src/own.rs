//! Audit logs of idstream itself, as they are posted to the intake.

use base::{EventId, Random, Timestamp};
use serde_json::{Value, json};

/// Who posts them: their `sourceId`, and who has done what no operator did.
pub const OURSELVES: &str = "idstream";

/// An audit log of what was done `now` to `name`, by idstream itself unless another `actor` is put in. What changed is for the
/// caller to say.
pub fn audit_log(action: &str, entity_type: &str, name: &str, (now, random): (Timestamp, &Random)) -> Value {
    json!({
        "stream": "auditLog",
        "eventID": EventId::draw(now, random),
        "date": now,
        "action": action,
        "entityType": entity_type,
        "name": name,
        "outcome": "success",
        "actor": {"userName": OURSELVES},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_tell_of_ourselves_is_an_event_like_any_other() {
        let now = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
        let log = audit_log("Repair", "Journal", "journal", (now, &Random::from_seed(1)));
        assert_eq!(log["actor"]["userName"], OURSELVES);
        assert_eq!(log["date"], "2026-01-31T12:00:00.000Z");
    }
}
