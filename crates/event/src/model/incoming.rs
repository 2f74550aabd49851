//! The JSON that producers post: one object per event, of any of the three streams.

use base::mask::{MASK, MaskRule, Secrecy, is_fact};
use base::{EventId, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::account::{AccountEvent, AccountEventType, Actor, Named, Outcome, Subject};
use super::audit::{AuditActor, AuditLog};
use super::draft::{Draft, DraftError, FreeForm};
use super::field_path;
use super::hook::{EventHookLog, Hook, HookLine, LogSummary};
use super::reading::{Object, boxed, objects, unless_empty};
use crate::Stream;

/// Every field of every stream. Which of them fit together is checked by the stream. The larger ones are boxed: the whole
/// is moved a few times on its way, for every event.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Incoming<'a> {
    stream: Option<String>,
    #[serde(rename = "eventID", alias = "eventId", alias = "id", default, deserialize_with = "unless_empty")]
    event_id: Option<EventId>,
    source_event_type: Option<String>,
    #[serde(default, deserialize_with = "unless_empty")]
    outcome: Option<Outcome>,
    // Fragments are cut out here and made canonical below.
    #[serde(borrow)]
    native_claims: Option<&'a RawValue>,
    #[serde(borrow)]
    raw: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "boxed")]
    actor: Option<Box<Actor>>,
    // account events
    #[serde(rename = "type", default, deserialize_with = "unless_empty")]
    kind: Option<AccountEventType>,
    labels: Option<Vec<String>>,
    #[serde(default, deserialize_with = "unless_empty")]
    start_timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "unless_empty")]
    end_timestamp: Option<Timestamp>,
    login_session_id: Option<String>,
    variant_id: Option<String>,
    #[serde(default, deserialize_with = "boxed")]
    actor_application: Option<Box<Named>>,
    #[serde(default, deserialize_with = "boxed")]
    actor_client: Option<Box<Named>>,
    #[serde(default, deserialize_with = "boxed")]
    subject: Option<Box<Subject>>,
    #[serde(borrow)]
    actions: Option<&'a RawValue>,
    // audit logs
    #[serde(default, deserialize_with = "unless_empty")]
    date: Option<Timestamp>,
    action: Option<String>,
    entity_type: Option<String>,
    name: Option<String>,
    url: Option<String>,
    method: Option<String>,
    version: Option<i32>,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    changes: Option<&'a RawValue>,
    // event hook logs
    #[serde(default, deserialize_with = "unless_empty")]
    timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "boxed")]
    hook: Option<Box<Hook>>,
    #[serde(default, deserialize_with = "boxed")]
    application: Option<Box<Named>>,
    #[serde(default, deserialize_with = "boxed")]
    client: Option<Box<Named>>,
    identity_store: Option<String>,
    account_id: Option<String>,
    account_event_id: Option<String>,
    #[serde(default, deserialize_with = "boxed")]
    log_summary: Option<Box<LogSummary>>,
    #[serde(default, deserialize_with = "objects")]
    logs: Option<Vec<HookLine>>,
}

/// Parses one event as producers post it. Everything that can be wrong with it is told by the error.
pub fn parse(json: &str, rule: &MaskRule) -> Result<Draft, DraftError> {
    let Object(incoming): Object<Incoming<'_>> = serde_json::from_str(json).map_err(|error| {
        let path = Some(field_path::of_error(json, &error)).filter(|path| !path.is_empty());
        DraftError::field(path.unwrap_or_else(|| "event".to_owned()), without_position(&error))
    })?;
    let stream = incoming.stream.as_deref().unwrap_or("accountEvent");
    let stream: Stream = stream
        .parse()
        .map_err(|error: crate::stream::UnknownStream| DraftError::field("stream", error.to_string()))?;
    incoming.refuse_strangers(stream)?;
    let draft = match stream {
        Stream::AuditLog => incoming.audit_log(rule)?.into_draft(),
        Stream::EventHookLog => incoming.event_hook_log(rule)?.into_draft(),
        _ => incoming.account_event(rule)?.into_draft(),
    };
    draft?.tidied(rule)
}

/// serde's text without "at line 1 column 7" when the line is the only one: events are told by their index.
pub(super) fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line 1 column ") {
        Some((what, column)) if error.line() == 1 => format!("{what} (at character {column})"),
        _ => text,
    }
}

impl Incoming<'_> {
    /// Refuses fields of other streams: dropping them would lose what the producer said.
    fn refuse_strangers(&self, stream: Stream) -> Result<(), DraftError> {
        let account = [
            ("type", self.kind.is_some()),
            ("labels", self.labels.is_some()),
            ("startTimestamp", self.start_timestamp.is_some()),
            ("endTimestamp", self.end_timestamp.is_some()),
            ("loginSessionId", self.login_session_id.is_some()),
            ("variantId", self.variant_id.is_some()),
            ("actorApplication", self.actor_application.is_some()),
            ("subject", self.subject.is_some()),
            ("actions", self.actions.is_some()),
        ];
        let audit = [
            ("date", self.date.is_some()),
            ("action", self.action.is_some()),
            ("entityType", self.entity_type.is_some()),
            ("name", self.name.is_some()),
            ("url", self.url.is_some()),
            ("method", self.method.is_some()),
            ("version", self.version.is_some()),
            ("request", self.request.is_some()),
            ("response", self.response.is_some()),
            ("changes", self.changes.is_some()),
        ];
        let hook = [
            ("timestamp", self.timestamp.is_some()),
            ("hook", self.hook.is_some()),
            ("application", self.application.is_some()),
            ("client", self.client.is_some()),
            ("identityStore", self.identity_store.is_some()),
            ("accountId", self.account_id.is_some()),
            ("accountEventId", self.account_event_id.is_some()),
            ("logSummary", self.log_summary.is_some()),
            ("logs", self.logs.is_some()),
        ];
        let not_in_hooks = [
            ("actor", self.actor.is_some()),
            ("actorClient", self.actor_client.is_some()),
            ("sourceEventType", self.source_event_type.is_some()),
            ("outcome", self.outcome.is_some()),
        ];
        let strangers: [&[(&str, bool)]; 3] = match stream {
            Stream::AuditLog => [&account, &hook, &[]],
            Stream::EventHookLog => [&account, &audit, &not_in_hooks],
            _ => [&audit, &hook, &[]],
        };
        match strangers.into_iter().flatten().find(|(_, given)| *given) {
            Some((field, _)) => {
                Err(DraftError::field(*field, format!("is not a field of the stream {stream}")))
            }
            None => Ok(()),
        }
    }

    fn account_event(self, rule: &MaskRule) -> Result<AccountEvent, DraftError> {
        let mut free = self.common_free_form(rule)?;
        if let Some(actions) = self.actions {
            free.set_actions(actions.get(), rule)?;
        }
        let end = self.end_timestamp.or(self.start_timestamp);
        Ok(AccountEvent {
            event_id: self.event_id,
            kind: self.kind.ok_or_else(|| required("type"))?,
            source_event_type: self.source_event_type,
            labels: self.labels.unwrap_or_default(),
            outcome: self.outcome,
            start: self.start_timestamp,
            end: end.ok_or_else(|| required("endTimestamp"))?,
            login_session_id: self.login_session_id,
            variant_id: self.variant_id,
            actor: self.actor.map(|actor| without_secret_properties(*actor, rule)),
            actor_application: self.actor_application.map(|boxed| *boxed),
            actor_client: self.actor_client.map(|boxed| *boxed),
            subject: self.subject.map(|boxed| *boxed),
            free,
        })
    }

    fn audit_log(self, rule: &MaskRule) -> Result<AuditLog, DraftError> {
        let mut free = self.common_free_form(rule)?;
        if let Some(request) = self.request {
            free.set_request(request.get(), rule)?;
        }
        if let Some(response) = self.response {
            free.set_response(response.get(), rule)?;
        }
        if let Some(changes) = self.changes {
            free.set_changes(changes.get(), rule)?;
        }
        Ok(AuditLog {
            event_id: self.event_id,
            date: self.date.ok_or_else(|| required("date"))?,
            source_event_type: self.source_event_type,
            action: self.action,
            entity_type: self.entity_type,
            name: self.name,
            url: self.url.map(|url| rule.text(&url).into_owned()),
            method: self.method,
            version: self.version,
            outcome: self.outcome,
            actor: self.actor.map(|actor| AuditActor::try_from(*actor)).transpose()?,
            actor_client: self.actor_client.map(|boxed| *boxed),
            free,
        })
    }

    fn event_hook_log(self, rule: &MaskRule) -> Result<EventHookLog, DraftError> {
        let mut free = self.common_free_form(rule)?;
        if let Some(logs) = &self.logs {
            free.set_logs(logs, rule)?;
        }
        Ok(EventHookLog {
            event_id: self.event_id,
            timestamp: self.timestamp.ok_or_else(|| required("timestamp"))?,
            hook: self.hook.map(|boxed| *boxed),
            application: self.application.map(|boxed| *boxed),
            client: self.client.map(|boxed| *boxed),
            identity_store: self.identity_store,
            account_id: self.account_id,
            account_event_id: self.account_event_id,
            log_summary: self.log_summary.map(|boxed| *boxed),
            free,
        })
    }

    fn common_free_form(&self, rule: &MaskRule) -> Result<FreeForm, DraftError> {
        let mut free = FreeForm::default();
        if let Some(claims) = self.native_claims {
            free.set_claims(claims.get(), rule)?;
        }
        if let Some(raw) = self.raw {
            free.set_raw(raw.get(), rule)?;
        }
        Ok(free)
    }
}

fn required(field: &str) -> DraftError {
    DraftError::field(field, "is required")
}

/// A location's properties have names of the producer's choosing.
fn without_secret_properties(mut actor: Actor, rule: &MaskRule) -> Actor {
    let is_secret = |name: &str, value: &str| match rule.judge(name) {
        Secrecy::Whole => true,
        Secrecy::Texts => !is_fact(value),
        Secrecy::Open => false,
    };
    if let Some(location) = &mut actor.location {
        for (_, value) in location.properties.iter_mut().filter(|(name, value)| is_secret(name, value)) {
            MASK.clone_into(value);
        }
    }
    actor
}
