//! Account events: what happened to an account (contract: `AccountEventHeaderResponse`, `AccountEventResponse`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use base::{EventId, Timestamp};
use serde::{Deserialize, Serialize};

use super::draft::{Draft, DraftError, FreeForm, header};
use super::reading;
use crate::{Section, Stream};

/// The context of an account event. An enumeration of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AccountEventType {
    /// An account tries to log in.
    CustomerFlow,
    /// An account changes its own data.
    SelfService,
    /// An administrator changes an account.
    Administrative,
    /// The platform's timer did it.
    Scheduled,
    /// One of many in a bulk operation.
    BulkOperation,
    /// The platform did it by itself.
    SystemInitiatedOperation,
}

/// How an account event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It worked.
    Success,
    /// It did not.
    Failure,
    /// The event does not say.
    Unknown,
}

/// An id with a name: application, client, hook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Named {
    /// The id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Named {
    /// Both parts; `None` when both are empty.
    pub fn of(id: Option<String>, name: Option<String>) -> Option<Self> {
        let (id, name) = (id.filter(|text| !text.is_empty()), name.filter(|text| !text.is_empty()));
        (id.is_some() || name.is_some()).then_some(Self { id, name })
    }
}

/// A place on earth (RFC 7946 section 3.2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Feature {
    /// `Feature`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Such as `city`, `country`.
    #[serde(default, deserialize_with = "reading::properties", skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    /// Where it is.
    #[serde(default, deserialize_with = "reading::object", skip_serializing_if = "Option::is_none")]
    pub geometry: Option<Geometry>,
}

/// A point (RFC 7946 section 3.1.2): longitude first, then latitude.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    /// `Point`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Degrees: longitude, latitude.
    #[serde(default, deserialize_with = "reading::list", skip_serializing_if = "Vec::is_empty")]
    pub coordinates: Vec<f64>,
}

/// Issuer and subject of an exchanged token. No part of the token itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
}

/// Who did it (contract: `EventActor`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Actor {
    /// The account's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// User name, or email in stores that know only emails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The identity store's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// IPv4 or IPv6 address.
    #[serde(deserialize_with = "reading::address", skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The browser, as it names itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Where the address is.
    #[serde(deserialize_with = "reading::object", skip_serializing_if = "Option::is_none")]
    pub location: Option<Feature>,
    /// The bulk job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bulk_job_id: Option<String>,
    /// The inbound connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbound_connection_id: Option<String>,
    /// The outbound provisioning target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound_provision_target_id: Option<String>,
    /// The lifecycle rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_id: Option<String>,
    /// The application of an exchanged token.
    #[serde(deserialize_with = "reading::object", skip_serializing_if = "Option::is_none")]
    pub resolved_application: Option<Named>,
    /// The client of an exchanged token.
    #[serde(deserialize_with = "reading::object", skip_serializing_if = "Option::is_none")]
    pub resolved_client: Option<Named>,
    /// The exchanged token.
    #[serde(deserialize_with = "reading::object", skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
}

/// Whom it was done to (contract: `Subject`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Subject {
    /// The account's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// User name or email.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The identity store's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// The subject that was asked for in a token exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_subject: Option<String>,
    /// The application of an exchanged token.
    #[serde(deserialize_with = "reading::object", skip_serializing_if = "Option::is_none")]
    pub resolved_application: Option<Named>,
    /// The client of an exchanged token.
    #[serde(deserialize_with = "reading::object", skip_serializing_if = "Option::is_none")]
    pub resolved_client: Option<Named>,
    /// The exchanged token.
    #[serde(deserialize_with = "reading::object", skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
}

/// An account event.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountEvent {
    /// The producer's own id, when it gave one.
    pub event_id: Option<EventId>,
    /// The context.
    pub kind: AccountEventType,
    /// The vendor's own code or name of what happened.
    pub source_event_type: Option<String>,
    /// `success:…` and `failure:…`, in order of happening.
    pub labels: Vec<String>,
    /// How it ended. `None`: told by the labels.
    pub outcome: Option<Outcome>,
    /// When it began.
    pub start: Option<Timestamp>,
    /// When it ended: the event's time.
    pub end: Timestamp,
    /// The `sid` claim of the ID token.
    pub login_session_id: Option<String>,
    /// The variant of an A/B test.
    pub variant_id: Option<String>,
    /// Who did it.
    pub actor: Option<Actor>,
    /// The application in which it was done.
    pub actor_application: Option<Named>,
    /// The client with which it was done.
    pub actor_client: Option<Named>,
    /// Whom it was done to.
    pub subject: Option<Subject>,
    /// Native claims, actions, raw event.
    pub free: FreeForm,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Header<'a> {
    #[serde(rename = "type")]
    kind: AccountEventType,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_event_type: &'a Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    labels: &'a [String],
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_timestamp: Option<Timestamp>,
    end_timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_session_id: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant_id: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: &'a Option<Actor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_application: &'a Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_client: &'a Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: &'a Option<Subject>,
}

impl AccountEvent {
    /// An event of this context and end, all else empty.
    pub fn new(kind: AccountEventType, end: Timestamp) -> Self {
        Self {
            event_id: None,
            kind,
            source_event_type: None,
            labels: Vec::new(),
            outcome: None,
            start: None,
            end,
            login_session_id: None,
            variant_id: None,
            actor: None,
            actor_application: None,
            actor_client: None,
            subject: None,
            free: FreeForm::default(),
        }
    }

    /// How it ended: as stated, else as its last label says.
    pub fn outcome(&self) -> Outcome {
        self.outcome.unwrap_or_else(|| match self.labels.last().and_then(|label| label.split_once(':')) {
            Some(("success", _)) => Outcome::Success,
            Some(("failure", _)) => Outcome::Failure,
            _ => Outcome::Unknown,
        })
    }

    /// The event, laid out.
    pub fn into_draft(self) -> Result<Draft, DraftError> {
        for label in &self.labels {
            if !is_label(label) {
                return Err(DraftError::field("labels", "a label is `success:` or `failure:` and a name"));
            }
        }
        let duration = self.start.map(|start| self.end.as_millis() - start.as_millis()).filter(|ms| *ms > 0);
        let header = header(&Header {
            kind: self.kind,
            source_event_type: &self.source_event_type,
            labels: &self.labels,
            outcome: self.outcome(),
            start_timestamp: self.start,
            end_timestamp: self.end,
            duration_ms: duration,
            login_session_id: &self.login_session_id,
            variant_id: &self.variant_id,
            actor: &self.actor,
            actor_application: &self.actor_application,
            actor_client: &self.actor_client,
            subject: &self.subject,
        })?;
        let mut draft = Draft::new(Stream::AccountEvent, self.event_id, self.end, header);
        draft.claims(self.free.native_claims);
        draft.part(Section::Actions, self.free.actions);
        draft.part(Section::Raw, self.free.raw);
        Ok(draft)
    }
}

fn is_label(label: &str) -> bool {
    label.len() <= 128
        && matches!(label.split_once(':'), Some(("success" | "failure", name)) if !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')))
}
