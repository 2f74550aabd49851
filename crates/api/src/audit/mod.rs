//! The audit of idstream itself: every change of a configuration, native claim, source or API client is an audit log like
//! any other.
//!
//! The entry is stored in one piece with the change, as a note in the catalog, and posted to the intake from there: a
//! crash in between posts it again, under the same eventID. It holds what the API shows, never a credential.

mod changes;

use std::time::Duration;

use base::mask::MaskRule;
use base::{Random, Timestamp};
use catalog::{CatalogError, Note, Untold};
use event::fragment;
use event::own::{self, OURSELVES};
use http::header::USER_AGENT;
use intake::{IntakeError, Posted, ProducerIdentity};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::call::Call;
use crate::state::ApiState;

/// Requests larger than this are left out of their entry, in bytes.
const MAX_REQUEST: usize = 64 << 10;
/// Texts longer than this are shown by their digest, in bytes.
const MAX_TEXT: usize = 4096;
/// How long to wait before entries that could not be posted are tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Where the request comes from, when the server knows: put into a request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub std::net::IpAddr);

/// What was done to an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Create,
    Update,
    Delete,
}

/// An entity's state before and after a change, as the API shows it.
pub(crate) struct Change<'a> {
    pub(crate) action: Action,
    /// Such as `EventStreaming`.
    pub(crate) entity_type: &'static str,
    pub(crate) name: &'a str,
    /// The path that it is found at.
    pub(crate) url: String,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

impl Change<'_> {
    /// Says one thing more of the state after the change, which is no part of the entity.
    pub(crate) fn with(mut self, name: &str, more: Option<Value>) -> Self {
        if let Some((more, after)) = more.zip(self.after.as_mut().and_then(Value::as_object_mut)) {
            after.insert(name.to_owned(), more);
        }
        self
    }

    /// The entry of a change that the server makes by itself.
    pub(crate) fn by_the_server(&self, now: Timestamp, random: &Random) -> Note {
        let action = format!("{:?}", self.action);
        let mut note = own::audit_log(&action, self.entity_type, self.name, (now, random));
        note["url"] = json!(self.url);
        note["response"] = json!(self.after);
        note["changes"] = json!(changes::between(self.before.as_ref(), self.after.as_ref()));
        note
    }
}

/// The entry of a master key that was replaced: by their ids, and how many credentials are sealed with the new one.
pub fn key_rotated(before: &str, after: &str, n_sealed: usize, now: Timestamp, random: &Random) -> Note {
    let change = Change {
        action: Action::Update,
        entity_type: "MasterKey",
        name: &format!("rotated, {n_sealed} credentials sealed anew"),
        url: String::new(),
        before: Some(json!({ "keyId": before })),
        after: Some(json!({ "keyId": after })),
    };
    change.by_the_server(now, random)
}

impl Call {
    /// The entry of a change that this call makes.
    pub(crate) fn note(&self, change: &Change<'_>, request: Option<&Value>) -> Note {
        let mut note = change.by_the_server(self.state.clock.now(), &self.state.random);
        note["method"] = json!(self.parts.method.as_str());
        note["actorClient"] = json!({"id": self.who.id, "name": self.who.name});
        note["actor"] = json!({
            "ip": self.parts.extensions.get::<Peer>().map(|peer| peer.0),
            "userAgent": self.header(USER_AGENT).map(|agent| agent.chars().take(512).collect::<String>()),
        });
        note["request"] = request.and_then(masked).unwrap_or_default();
        note
    }
}

/// Puts the states before and after into an entry that was made before they were known.
pub(crate) fn with_states(mut note: Note, before: &impl Serialize, after: &impl Serialize) -> Note {
    let (before, after) = (shown(before), shown(after));
    note["changes"] = json!(changes::between(before.as_ref(), after.as_ref()));
    note["response"] = after.unwrap_or_default();
    note
}

/// A request without its secrets: the note lies in the catalog for a moment.
fn masked(request: &Value) -> Option<Value> {
    let text = fragment::canonical(&request.to_string(), &MaskRule::default()).ok()?;
    if text.len() > MAX_REQUEST { None } else { serde_json::from_str(&text).ok() }
}

/// What the API shows of an entity, for an entry.
pub(crate) fn shown(entity: &impl Serialize) -> Option<Value> {
    serde_json::to_value(entity).ok().map(brief)
}

/// Long texts (certificates) by their digest: an entry holds the entity up to three times, and must fit into an event.
fn brief(value: Value) -> Value {
    match value {
        Value::String(text) if text.len() > MAX_TEXT => {
            let digest =
                Sha256::digest(&text).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            Value::String(format!("sha256:{digest} ({} bytes)", text.len()))
        }
        Value::Array(list) => list.into_iter().map(brief).collect(),
        Value::Object(object) => object.into_iter().map(|(name, value)| (name, brief(value))).collect(),
        other => other,
    }
}

/// Posts entries as changes are made, until `stop` turns true; then posts what is left.
pub async fn run(state: ApiState, mut stop: watch::Receiver<bool>) {
    let mut changed = state.catalog.watch();
    loop {
        changed.borrow_and_update();
        let wait = if tell(&state).await { Duration::MAX } else { AGAIN };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            ended = changed.changed() => if ended.is_err() { break },
            () = tokio::time::sleep(wait) => {}
        }
    }
    tell(&state).await;
}

/// Posts every entry that waits. False when some still do.
pub async fn tell(state: &ApiState) -> bool {
    let mut is_done = true;
    for untold in state.catalog.untold() {
        match post(state, &untold).await {
            Ok(()) => {}
            Err(TellError::Catalog(CatalogError::Conflict)) => is_done = false,
            Err(error) => {
                tracing::error!(%error, "an audit log of idstream itself could not be stored; trying again");
                is_done = false;
            }
        }
    }
    is_done
}

#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

async fn post(state: &ApiState, untold: &Untold) -> Result<(), TellError> {
    let lines: Vec<String> = untold.notes.iter().map(ToString::to_string).collect();
    let producer = ProducerIdentity { id: OURSELVES.to_owned(), source: OURSELVES.to_owned() };
    let body = lines.join("\n");
    let posted = Posted { body: body.as_bytes(), are_lines: false, idempotency_key: None };
    for rejected in state.intake.accept(&producer, posted).await?.rejected {
        tracing::error!(?rejected, "an audit log of idstream itself was refused by the intake");
    }
    let (state, untold) = (state.clone(), untold.clone());
    let told = tokio::task::spawn_blocking(move || state.catalog.told(&untold)).await;
    Ok(told.unwrap_or(Err(CatalogError::Conflict))?)
}
