//! Audit logs: who changed the platform (contract: `AuditEntry`).

use std::net::IpAddr;

use base::{EventId, Timestamp};
use serde::Serialize;

use super::account::{Actor, Named};
use super::draft::{Draft, DraftError, FreeForm, header};
use crate::{Section, Stream};

/// Who changed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditActor {
    /// The administrator's account id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The administrator's user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// IPv4 or IPv6 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The browser or program, as it names itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

impl TryFrom<Actor> for AuditActor {
    type Error = DraftError;

    /// The actor of an audit log, which has fewer fields than that of an account event; a field too many is refused.
    fn try_from(actor: Actor) -> Result<Self, DraftError> {
        let Actor { account_id, user_name, ip, user_agent, .. } = actor.clone();
        let rest = Actor { account_id: None, user_name: None, ip: None, user_agent: None, ..actor };
        if rest != Actor::default() {
            return Err(DraftError::field(
                "actor",
                "an audit log's actor has accountId, userName, ip and userAgent only",
            ));
        }
        Ok(Self { account_id, user_name, ip, user_agent })
    }
}

/// An audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditLog {
    /// The producer's own id, when it gave one.
    pub event_id: Option<EventId>,
    /// When it was changed: the event's time.
    pub date: Timestamp,
    /// The vendor's own code or name of what happened.
    pub source_event_type: Option<String>,
    /// `Create`, `Update` or `Delete`; other words pass through.
    pub action: Option<String>,
    /// What kind of thing was changed.
    pub entity_type: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// The address of the changed thing. Secret query values are masked.
    pub url: Option<String>,
    /// The HTTP method of the change.
    pub method: Option<String>,
    /// The changed thing's version.
    pub version: Option<i32>,
    /// Whether it worked, when the event says so.
    pub outcome: Option<super::Outcome>,
    /// Who changed it.
    pub actor: Option<AuditActor>,
    /// The client with which it was changed.
    pub actor_client: Option<Named>,
    /// Claims, bodies, changes, raw event.
    pub free: FreeForm,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Header<'a> {
    date: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_type: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<super::Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_event_type: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: &'a Option<AuditActor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_client: &'a Option<Named>,
}

impl AuditLog {
    /// An audit log of this date, all else empty.
    pub fn new(date: Timestamp) -> Self {
        Self {
            event_id: None,
            date,
            source_event_type: None,
            action: None,
            entity_type: None,
            name: None,
            url: None,
            method: None,
            version: None,
            outcome: None,
            actor: None,
            actor_client: None,
            free: FreeForm::default(),
        }
    }

    /// The audit log, laid out.
    pub fn into_draft(self) -> Result<Draft, DraftError> {
        let header = header(&Header {
            date: self.date,
            action: &self.action,
            entity_type: &self.entity_type,
            name: &self.name,
            url: &self.url,
            method: &self.method,
            version: self.version,
            outcome: self.outcome,
            source_event_type: &self.source_event_type,
            actor: &self.actor,
            actor_client: &self.actor_client,
        })?;
        let mut draft = Draft::new(Stream::AuditLog, self.event_id, self.date, header);
        draft.claims(self.free.native_claims);
        draft.part(Section::Changes, self.free.changes);
        draft.part(Section::Request, self.free.request);
        draft.part(Section::Response, self.free.response);
        draft.part(Section::Raw, self.free.raw);
        Ok(draft)
    }
}
