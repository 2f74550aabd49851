//! Sign-ins of API clients, and attempts at them: counted by address, and told as account events of the source `idstream`.
//!
//! They are told as well as it goes: a call only notes them in memory, so that an access token is given also while the
//! journal takes nothing. What a call brought as its credential is in no event.

mod minute;

use std::collections::VecDeque;
use std::time::Duration;

use axum::extract::Request;
use base::{EventId, Random, Timestamp};
use event::own::OURSELVES;
use http::header::USER_AGENT;
use http::request::Parts;
use http::{Extensions, HeaderMap};
use intake::{IntakeError, Posted, ProducerIdentity};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use self::minute::{Minute, SignIn, Told, Way};
use crate::access::{ApiClient, Attempt, BASIC, BEARER, Denied, Reason};
use crate::audit::Peer;
use crate::error::{ApiError, ErrorKey};
use crate::state::ApiState;

/// Events that wait for the intake at most; the oldest go first.
const MAX_WAITING: usize = 1000;
/// How often it is looked whether a minute is over.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait before the intake is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// What is noted and not told yet.
#[derive(Default)]
pub(crate) struct SignIns {
    noted: Mutex<Noted>,
    news: Notify,
}

#[derive(Default)]
struct Noted {
    /// Apart, so that a flood of attempts cannot hide the one that succeeded.
    successes: Minute,
    failures: Minute,
    waiting: VecDeque<Value>,
}

impl SignIns {
    fn note(&self, sign_in: SignIn, now: Timestamp, headers: &HeaderMap, random: &Random) {
        let is_success = sign_in.reason.is_none();
        let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        let agent: Option<String> = agent.map(|agent| agent.chars().take(512).collect());
        let mut noted = self.noted.lock();
        let minute = if is_success { &mut noted.successes } else { &mut noted.failures };
        let told = minute.note(sign_in, now);
        let n_told = told.len();
        for (at, each) in told.into_iter().enumerate() {
            // The last one is this one; those before are of the minute that ended.
            let agent = agent.as_deref().filter(|_| at + 1 == n_told);
            noted.waiting.push_back(event(&each, is_success, agent, EventId::draw(now, random)));
        }
        noted.shorten();
        drop(noted);
        self.news.notify_one();
    }

    /// Ends the minutes that are over at `now`, or all of them.
    fn end(&self, now: Timestamp, all: bool, random: &Random) {
        let mut noted = self.noted.lock();
        let Noted { successes, failures, waiting } = &mut *noted;
        for (minute, is_success) in [(successes, true), (failures, false)] {
            let told = if all { minute.close() } else { minute.end(now) };
            let events = told.iter().map(|told| event(told, is_success, None, EventId::draw(now, random)));
            waiting.extend(events);
        }
        noted.shorten();
    }

    fn next(&self) -> Option<Value> {
        self.noted.lock().waiting.pop_front()
    }

    fn put_back(&self, event: Value) {
        self.noted.lock().waiting.push_front(event);
    }

    /// Whether there is something that nobody will be notified of.
    fn is_open(&self) -> bool {
        let noted = self.noted.lock();
        noted.successes.is_open() || noted.failures.is_open() || !noted.waiting.is_empty()
    }
}

impl Noted {
    fn shorten(&mut self) {
        let n_lost = self.waiting.len().saturating_sub(MAX_WAITING);
        if n_lost > 0 {
            self.waiting.drain(..n_lost);
            tracing::error!(n_lost, "events of sign-ins are lost: the intake has taken none for too long");
        }
    }
}

/// What a call is told whose bearer token does not admit it, be it an administrative one or one of the intake: a token is
/// guessed wherever it can be tried.
pub(crate) fn denied(state: &ApiState, request: &Request, denied: Denied) -> ApiError {
    if let Denied::Wrong(attempt) = &denied {
        let from = (request.extensions(), request.headers());
        if let Err(refused) = count(state, Way::BearerToken, attempt, from) {
            return refused;
        }
    }
    denied.into()
}

/// What a request to a page is told whose credential does not open it.
pub(crate) fn denied_page(state: &ApiState, parts: &Parts, denied: Denied) -> ApiError {
    let attempt = match denied {
        Denied::Missing => {
            let reason = "a bearer token, or the id and secret of an API client, is needed";
            return ApiError::unauthorized(reason, BEARER);
        }
        Denied::Wrong(attempt) => attempt,
        other => return other.into(),
    };
    if let Err(refused) = count(state, Way::Page, &attempt, (&parts.extensions, &parts.headers)) {
        return refused;
    }
    let is_expired = attempt.reason == Reason::Expired;
    let reason = if is_expired {
        "the API client, or its token, has expired"
    } else {
        "the client's id, secret or token is wrong"
    };
    ApiError::unauthorized(reason, BASIC)
}

/// Notes a wrong id or secret. Fails when there have been too many from this address.
pub(crate) fn failed(state: &ApiState, parts: &Parts, attempt: &Attempt) -> Result<(), ApiError> {
    count(state, Way::ClientCredentials, attempt, (&parts.extensions, &parts.headers))
}

/// Notes a delivery to a source with a wrong `Authorization` value. Fails when there have been too many from this address.
pub(crate) fn failed_delivery(state: &ApiState, parts: &Parts) -> Result<(), ApiError> {
    count(state, Way::Webhook, &Attempt::with_wrong_token(), (&parts.extensions, &parts.headers))
}

/// Notes that a client was given an access token.
pub(crate) fn succeeded(state: &ApiState, parts: &Parts, client: &ApiClient) {
    let sign_in = SignIn {
        way: Way::ClientCredentials,
        reason: None,
        client_id: Some(client.id.clone()),
        client_name: Some(client.name.clone()),
        address: parts.extensions.get::<Peer>().map(|peer| peer.0),
    };
    state.sign_ins().note(sign_in, state.clock.now(), &parts.headers, &state.random);
}

/// Right credentials are never refused for wrong ones from the same address: behind a proxy all share one. Secrets are
/// random, so what is spared is work and noise, not a guess that could succeed.
fn count(
    state: &ApiState,
    way: Way,
    attempt: &Attempt,
    (extensions, headers): (&Extensions, &HeaderMap),
) -> Result<(), ApiError> {
    let (now, address) = (state.clock.now(), extensions.get::<Peer>().map(|peer| peer.0));
    let Attempt { reason, client_id, client_name } = attempt.clone();
    let sign_in = SignIn { way, reason: Some(reason), client_id, client_name, address };
    state.sign_ins().note(sign_in, now, headers, &state.random);
    let refused = attempt.is_guess().then(|| state.limiter().failed(address, now)).flatten();
    let Some(wait) = refused else { return Ok(()) };
    let detail = "too many wrong credentials came from this address in the last minute: check yours, then send it again";
    Err(ApiError::new(ErrorKey::TooManyRequests, detail).retry_after(Duration::from_secs(wait)))
}

/// The event as it is posted. A client that is not known has no name; its id is told only when it looks like one.
fn event((sign_in, times): &Told, is_success: bool, agent: Option<&str>, id: EventId) -> Value {
    let client = |of: fn(&SignIn) -> Option<&String>| sign_in.as_ref().and_then(of);
    let (client_id, client_name) =
        (client(|sign_in| sign_in.client_id.as_ref()), client(|sign_in| sign_in.client_name.as_ref()));
    let outcome = if is_success { "success" } else { "failure" };
    let reason = match sign_in.as_ref().map(|sign_in| sign_in.reason) {
        Some(reason) => reason.map(Reason::name),
        None => (!is_success).then_some("various"),
    };
    let mut labels: Vec<String> = reason.iter().map(|reason| format!("failure:{reason}")).collect();
    labels.push(format!("{outcome}:login"));
    json!({
        "stream": "accountEvent",
        "eventID": id,
        "type": "customerFlow",
        "sourceEventType": sign_in.as_ref().map_or("sign_ins", |sign_in| sign_in.way.name()),
        "labels": labels,
        "outcome": outcome,
        "startTimestamp": times.first,
        "endTimestamp": times.last,
        "actor": {
            "accountId": client_id,
            "userName": client_name,
            "ip": sign_in.as_ref().and_then(|sign_in| sign_in.address),
            "userAgent": agent,
        },
        "actorClient": {"id": client_id, "name": client_name},
        "actions": [{"action": "login", "outcome": outcome, "reason": reason, "count": times.count}],
    })
}

/// Posts events as they are noted, until `stop` turns true; then posts what is left.
pub async fn run(state: ApiState, mut stop: watch::Receiver<bool>) {
    loop {
        let wait = match tell(&state).await {
            false => AGAIN,
            true if state.sign_ins().is_open() => LOOK,
            true => Duration::MAX,
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = state.sign_ins().news.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    state.sign_ins().end(state.clock.now(), true, &state.random);
    tell(&state).await;
}

/// Posts every event that waits. False when some still do.
pub async fn tell(state: &ApiState) -> bool {
    state.sign_ins().end(state.clock.now(), false, &state.random);
    let producer = ProducerIdentity { id: OURSELVES.to_owned(), source: OURSELVES.to_owned() };
    // One by one: they are few, and how many a request may hold is a setting.
    while let Some(event) = state.sign_ins().next() {
        let body = event.to_string();
        let posted = Posted { body: body.as_bytes(), are_lines: false, idempotency_key: None };
        match state.intake.accept(&producer, posted).await {
            Ok(receipts) => {
                for rejected in receipts.rejected {
                    tracing::error!(?rejected, "the event of a sign-in was refused by the intake");
                }
            }
            Err(error @ (IntakeError::Busy { .. } | IntakeError::Unavailable { .. })) => {
                tracing::warn!(%error, "the event of a sign-in could not be stored; trying again");
                state.sign_ins().put_back(event);
                return false;
            }
            Err(error) => tracing::error!(%error, "the event of a sign-in was refused by the intake"),
        }
    }
    true
}
