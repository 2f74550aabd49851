//! Trying a configuration out: made-up events, one of each stream that it selects, are sent at once, and the answer is
//! shown as it came. Nothing of it is counted, stored or tried again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::EventId;
use base::mask::MaskRule;
use catalog::KeyError;
use destinations::transport::FailureKind;
use destinations::{Answer, Destination, Session, SettingsError, TransportError};
use event::model::incoming;
use event::sample::{self, SampleError};
use event::{Record, Stream};
use http::header::SET_COOKIE;
use tokio::time::timeout;

use crate::configuration::Configuration;
use crate::looking::prepare;
use crate::outgoing;
use crate::selector::Selector;
use crate::supervisor::Parts;

/// How long an answer is waited for: somebody sits before it.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the last words to a destination may take.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Most bytes of an answer's body that are shown.
const MAX_SHOWN: usize = 16 << 10;

/// What a destination answered, without the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Its HTTP status; 0 when there was no answer.
    pub status: u16,
    /// Its headers; cookies are masked.
    pub headers: BTreeMap<String, String>,
    /// Its body, at most 16 KiB of it; without an answer, why there was none and what can be looked at.
    pub body: String,
}

/// Why a configuration could not be tried out.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The settings or the credential are not valid.
    #[error("the configuration is not valid")]
    Settings(Vec<SettingsError>),
    /// The secrets cannot be opened.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The made-up events could not be made.
    #[error(transparent)]
    Sample(#[from] SampleError),
}

/// The made-up events that a trial sends, each with an id of its own: one of each stream that `configuration` selects, an
/// account event when it selects none.
pub(crate) fn test_events(parts: &Parts, configuration: &Configuration) -> Vec<(Stream, EventId)> {
    let selected = configuration.current().streams();
    let is_sent = |stream: &Stream| match *stream {
        Stream::AccountEvent if selected.is_empty() => true,
        stream => selected.contains(stream),
    };
    let now = parts.clock.now();
    let sent = Stream::PRODUCT.into_iter().filter(is_sent);
    sent.map(|stream| (stream, EventId::draw(now, &parts.random))).collect()
}

/// Sends these made-up events as `configuration` says, whether it is enabled or not.
pub(crate) async fn try_out(
    parts: &Parts,
    configuration: &Configuration,
    events: &[(Stream, EventId)],
) -> Result<Trial, TrialError> {
    let (_, destination) = prepare(parts, configuration)?;
    let claims = configuration.current().selection().claims;
    let body = body(parts, &*destination, events, &claims)?;
    let sending = outgoing::send(
        Arc::clone(&destination),
        Arc::clone(&parts.transport),
        body.into(),
        Session::default(),
        parts.clock.now(),
    );
    let exchange = timeout(PATIENCE, sending).await;
    Ok(match exchange.map(|exchange| exchange.result) {
        Ok(Ok(answer)) => shown(&*destination, &answer),
        Ok(Err(error)) => unanswered(&error),
        Err(_) => {
            let late = format!("no answer within {} seconds", PATIENCE.as_secs());
            unanswered(&TransportError::new(FailureKind::Timeout, late))
        }
    })
}

/// Sends one event outside the journal, as well as it goes, when `before` delivers it and `after` will not: it is disabled,
/// says otherwise, or there is none. One that is paused already learns nothing new. `event` is the JSON that a producer
/// would post.
pub(crate) async fn announce(
    parts: &Parts,
    before: &Configuration,
    after: Option<&Configuration>,
    event: &str,
) {
    let announced = async {
        let draft = incoming::parse(event, &MaskRule::default()).map_err(SampleError::from)?;
        let (now, id) = (parts.clock.now(), draft.event_id());
        let id = id.unwrap_or_else(|| EventId::draw(now, &parts.random));
        let bytes = draft.record(id, now, "idstream", None).map_err(SampleError::from)?;
        let record = Record::parse(&bytes).map_err(SampleError::from)?;
        let selects = |each: &Configuration| each.runs() && Selector::of(&each.current()).selects(&record);
        if selects(before) && !after.is_some_and(selects) {
            let (_, destination) = prepare(parts, before)?;
            let frame = destination.frame();
            let mut body = frame.open.as_bytes().to_vec();
            destination.encode(&record, None, false, &mut body);
            body.extend_from_slice(frame.close.as_bytes());
            let sent = outgoing::send(
                destination,
                Arc::clone(&parts.transport),
                body.into(),
                Session::default(),
                now,
            );
            // Whatever it answers: the event is in the journal too, for all others.
            let _as_well_as_it_goes = timeout(LAST_WORDS, sent).await;
        }
        Ok::<(), TrialError>(())
    };
    if let Err(error) = announced.await {
        tracing::warn!(configuration = before.id, %error, "a destination could not be told that it is cut off");
    }
}

fn body(
    parts: &Parts,
    destination: &dyn Destination,
    events: &[(Stream, EventId)],
    claims: &[String],
) -> Result<Vec<u8>, SampleError> {
    let frame = destination.frame();
    let now = parts.clock.now();
    let mut body = frame.open.as_bytes().to_vec();
    for (at, (stream, id)) in events.iter().enumerate() {
        if at > 0 {
            body.extend_from_slice(frame.between.as_bytes());
        }
        let bytes = sample::record(*stream, *id, now, claims)?;
        let record = Record::parse(&bytes).map_err(SampleError::from)?;
        destination.encode(&record, None, false, &mut body);
    }
    body.extend_from_slice(frame.close.as_bytes());
    Ok(body)
}

fn shown(destination: &dyn Destination, answer: &Answer) -> Trial {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &answer.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let value = if *name == SET_COOKIE { base::mask::MASK.to_owned() } else { destination.scrub(&value) };
        let entry = headers.entry(name.as_str().to_owned()).or_default();
        if !entry.is_empty() {
            entry.push_str(", ");
        }
        entry.push_str(&value);
    }
    // Masked before it is cut: half a credential would not be found.
    let mut body = destination.scrub(&String::from_utf8_lossy(&answer.body));
    body.truncate(body.floor_char_boundary(MAX_SHOWN));
    Trial { status: answer.status, headers, body }
}

fn unanswered(error: &TransportError) -> Trial {
    let body = format!("{error}: {}", error.hint());
    Trial { status: 0, headers: BTreeMap::new(), body }
}
