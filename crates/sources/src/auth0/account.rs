//! Account events of Auth0: log-ins, factors, passwords, tokens, notices.

use base::Timestamp;
use base::mask::MaskRule;
use event::model::{AccountEvent, AccountEventType, Actor, DraftError, FreeForm, Subject, Token};
use serde_json::Value;

use super::claims::{self, Claims};
use super::fields::{client, first_ip, first_text, text};
use super::item::Log;
use super::{actions, place, times};
use crate::Unparseable;

/// The identity store of a log: Auth0's connection.
const STORE: [&str; 4] =
    ["/connection", "/details/connection", "/details/body/connection", "/details/query/connection"];

/// The account event of a log.
pub(super) fn event(
    log: &Log,
    kind: AccountEventType,
    labels: &[&str],
    title: &str,
    rule: &MaskRule,
) -> Result<AccountEvent, Unparseable> {
    let data = &log.data;
    let claims = claims::of_subject(&log.code, data);
    let subject = subject(data, &claims);
    let mut event = AccountEvent::new(kind, log.date);
    event.source_event_type = Some(log.code.clone());
    event.labels = labels.iter().map(|label| (*label).to_owned()).collect();
    event.start = start(data, log.date);
    event.login_session_id = text(data, "/details/session_id");
    event.actor = Some(actor(log, kind, &subject)).filter(|actor| *actor != Actor::default());
    event.actor_application = client(data);
    event.actor_client = client(data);
    event.subject = Some(subject).filter(|subject| *subject != Subject::default());
    event.free = free_form(log, &claims, rule)?;
    let steps = actions::of(log, kind, &event.labels, event.outcome(), title);
    event.free.set_actions(&steps, rule)?;
    Ok(event)
}

/// Claims and raw item, which both streams carry.
pub(super) fn free_form(log: &Log, claims: &Claims, rule: &MaskRule) -> Result<FreeForm, Unparseable> {
    let json = serde_json::to_string(claims)
        .map_err(|error| DraftError::field("nativeClaims", error.to_string()))?;
    let mut free = FreeForm::default();
    free.set_claims(&json, rule)?;
    free.set_raw(&log.raw, rule)?;
    Ok(free)
}

/// When it began: the flow's start, else the first prompt's. A start after the end is no start.
fn start(data: &Value, end: Timestamp) -> Option<Timestamp> {
    let at = |pointer: &str| data.pointer(pointer).and_then(times::read);
    let of_flow =
        ["/details/initiatedAt", "/details/started_at", "/details/start_time"].into_iter().find_map(at);
    let of_prompts = || {
        let prompts = data.pointer("/details/prompts")?.as_array()?;
        prompts.iter().filter_map(|prompt| times::read(prompt.get("initiatedAt")?)).min()
    };
    of_flow.or_else(of_prompts).filter(|start| *start <= end)
}

fn subject(data: &Value, claims: &Claims) -> Subject {
    let claim = |name: &str| claims.get(name).cloned();
    let has_user =
        ["user_id", "username", "email", "phone_number"].iter().any(|name| claims.contains_key(name));
    Subject {
        account_id: claim("user_id"),
        user_name: text(data, "/user_name")
            .or_else(|| claim("username"))
            .or_else(|| claim("email"))
            .or_else(|| claim("phone_number")),
        store: first_text(data, &STORE).filter(|_| has_user),
        ..Subject::default()
    }
}

/// Who did it: the subject itself when it acts for itself, else whoever the request was authorized for.
fn actor(log: &Log, kind: AccountEventType, subject: &Subject) -> Actor {
    let data = &log.data;
    let mut actor = Actor {
        ip: first_ip(data, &["/ip", "/details/request/ip", "/client_ip"]),
        user_agent: first_text(data, &["/user_agent", "/details/request/userAgent"]),
        location: place::read(data),
        token: text(data, "/details/actor/sub").map(|sub| Token { iss: None, sub: Some(sub) }),
        ..Actor::default()
    };
    if matches!(kind, AccountEventType::CustomerFlow | AccountEventType::SelfService) {
        actor.account_id.clone_from(&subject.account_id);
        actor.user_name.clone_from(&subject.user_name);
        actor.store.clone_from(&subject.store);
    } else {
        actor.account_id = text(data, "/details/request/auth/user/user_id");
        actor.user_name =
            first_text(data, &["/details/request/auth/user/email", "/details/request/auth/user/name"]);
    }
    if kind == AccountEventType::Scheduled || matches!(log.code.as_str(), "sscim" | "fscim") {
        actor.inbound_connection_id = first_text(data, &["/details/connection_id", "/connection_id"]);
    }
    actor
}
