//! Event hook logs: what the platform's own extension code did (contract: `EventHookLogResponse`).

use base::{EventId, Timestamp};
use serde::{Deserialize, Serialize};

use super::account::Named;
use super::draft::{Draft, DraftError, FreeForm, header};
use crate::{Section, Stream};

/// The hook that ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hook {
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where in the flow it runs.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// How many lines of which level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSummary {
    /// Lines of level info.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<i32>,
    /// Lines of level error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<i32>,
    /// Whether the hook threw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<bool>,
}

/// One line that the hook wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HookLine {
    /// Its level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was written, as the platform prints times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

/// An event hook log.
#[derive(Clone, Debug, PartialEq)]
pub struct EventHookLog {
    /// The producer's own id, when it gave one.
    pub event_id: Option<EventId>,
    /// When the hook ran: the event's time.
    pub timestamp: Timestamp,
    /// The hook.
    pub hook: Option<Hook>,
    /// The application.
    pub application: Option<Named>,
    /// The client.
    pub client: Option<Named>,
    /// The identity store's name.
    pub identity_store: Option<String>,
    /// The account that it ran for.
    pub account_id: Option<String>,
    /// The account event that it ran in.
    pub account_event_id: Option<String>,
    /// How many lines of which level.
    pub log_summary: Option<LogSummary>,
    /// Lines, claims, raw event.
    pub free: FreeForm,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Header<'a> {
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    hook: &'a Option<Hook>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: &'a Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: &'a Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_store: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_event_id: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_summary: Option<LogSummary>,
}

impl EventHookLog {
    /// The event hook log, laid out.
    pub fn into_draft(self) -> Result<Draft, DraftError> {
        let header = header(&Header {
            timestamp: self.timestamp,
            hook: &self.hook,
            application: &self.application,
            client: &self.client,
            identity_store: &self.identity_store,
            account_id: &self.account_id,
            account_event_id: &self.account_event_id,
            log_summary: self.log_summary,
        })?;
        let mut draft = Draft::new(Stream::EventHookLog, self.event_id, self.timestamp, header);
        draft.claims(self.free.native_claims);
        draft.part(Section::Logs, self.free.logs);
        draft.part(Section::Raw, self.free.raw);
        Ok(draft)
    }
}
