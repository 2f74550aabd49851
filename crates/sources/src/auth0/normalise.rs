//! Raw item → event.

use event::model::AccountEventType;

use super::codes::{self, Meaning};
use super::item::Log;
use super::masking::ItemRule;
use super::{account, audit};
use crate::{Normalised, Unparseable};

/// A code that is not in the table passes through as an account event of this context, without labels and with the
/// outcome `unknown`: what the platform did by itself is the only context that claims nothing about people.
const UNKNOWN_CODE: Meaning =
    Meaning::Account { kind: AccountEventType::SystemInitiatedOperation, labels: &[] };

/// Understands one item. `tenant` is the tenant's domain, whose case does not matter: event ids are derived from it.
///
/// Refused is only what is no log of Auth0: not well-formed JSON, not an object, an object with a key twice or nested
/// deeper than 64, a log without `type` or without a readable `date`.
pub fn normalise(item: &str, tenant: &str, rule: &ItemRule) -> Result<Normalised, Unparseable> {
    let log = Log::read(item, &tenant.to_ascii_lowercase(), rule)?;
    let rule = rule.every();
    let known = codes::find(&log.code);
    let title = known.map_or(log.code.as_str(), |code| code.title);
    let draft = match known.map_or(UNKNOWN_CODE, |code| code.meaning) {
        Meaning::Account { kind, labels } => account::event(&log, kind, labels, title, rule)?.into_draft(),
        Meaning::Audit { outcome, entity_type, action } => {
            audit::entry(&log, outcome, entity_type, action, rule)?.into_draft()
        }
    };
    Ok(Normalised { draft: draft?.tidied(rule)?, id: log.id })
}
