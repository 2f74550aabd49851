//! What a bulk answer proves about each of its items.
//!
//! Items are matched by position, since `create` answers in order, and an item that names an id must name the one that
//! stood there. An answer with other ids or another number of items proves nothing (Elasticsearch 7.10.2 and 7.11.1 were
//! seen to answer more items than they were sent). An item that cannot be read says nothing about the others.

use std::borrow::Cow;

use base::EventId;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::Failure;
use crate::reason::Hush;
use crate::seam::{Answer, Grade, Outcome, Verdict};

#[derive(Deserialize)]
struct Bulk<'a> {
    #[serde(borrow)]
    items: Vec<Action<'a>>,
}

/// The same, when an item is of another form.
#[derive(Deserialize)]
struct LooseBulk<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Action<'a> {
    #[serde(borrow)]
    create: Item<'a>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "_id")]
    id: Option<Cow<'a, str>>,
    status: u16,
    #[serde(borrow)]
    error: Option<Failure<'a>>,
    #[serde(borrow)]
    failure_store: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    error: Failure<'a>,
}

/// What an item says that was stored in a failure store instead.
const DIVERTED: &str = "used";

pub(crate) fn classify(ids: &[EventId], answer: &Answer, hush: &Hush) -> Verdict {
    if !(200..300).contains(&answer.status) {
        return Verdict::all(ids.len(), &refused(answer, hush));
    }
    let Some(items) = items(&answer.body) else {
        let reason = hush.unknown(answer.status, &answer.body);
        return Verdict::all(ids.len(), &Outcome::Retry { reason });
    };
    if items.len() != ids.len() {
        let reason = format!("{} items were answered for {} events", items.len(), ids.len());
        return Verdict::all(ids.len(), &Outcome::Retry { reason });
    }
    if items.iter().zip(ids).any(|(found, id)| found.as_ref().is_some_and(|found| names_another(found, *id)))
    {
        let reason = "the items that were answered are not of the events that were sent".to_owned();
        return Verdict::all(ids.len(), &Outcome::Retry { reason });
    }
    let unread = || Outcome::Retry { reason: "an item of the answer cannot be read".to_owned() };
    let outcomes = items.iter().map(|found| found.as_ref().map_or_else(unread, |found| item(found, hush)));
    let is_busy = items.iter().flatten().any(|item| item.status == 429);
    Verdict { slow_down: is_busy, ..Verdict::of(outcomes.collect()) }
}

/// The items of an answer; `None` for one that cannot be read. `None` when the body is no bulk answer at all.
fn items(body: &[u8]) -> Option<Vec<Option<Item<'_>>>> {
    if let Ok(bulk) = serde_json::from_slice::<Bulk<'_>>(body) {
        return Some(bulk.items.into_iter().map(|action| Some(action.create)).collect());
    }
    let bulk: LooseBulk<'_> = serde_json::from_slice(body).ok()?;
    Some(bulk.items.into_iter().map(|item| Some(action(item)?.create)).collect())
}

fn action(item: &RawValue) -> Option<Action<'_>> {
    serde_json::from_str(item.get()).ok()
}

/// A document in a failure store has an id of its own.
fn names_another(item: &Item<'_>, id: EventId) -> bool {
    let is_ours = |named: &str| EventId::parse(named).is_ok_and(|named| named == id);
    item.failure_store.as_deref() != Some(DIVERTED) && item.id.as_deref().is_some_and(|named| !is_ours(named))
}

/// One item of a bulk answer.
fn item(item: &Item<'_>, hush: &Hush) -> Outcome {
    let stored = item.failure_store.as_deref();
    match (item.status, &item.error) {
        (200 | 201, None) if stored == Some(DIVERTED) => Outcome::Delivered(Grade::Diverted),
        (200 | 201, None) => Outcome::Delivered(Grade::Confirmed),
        // The id is ours: the event is there from an attempt whose answer was lost.
        (409, Some(failure)) if failure.kind == "version_conflict_engine_exception" => {
            Outcome::Delivered(Grade::Confirmed)
        }
        // This event alone is too large, whatever request it comes in: VictoriaLogs says so of lines that are too long.
        (413, failure) => {
            let unsaid = || hush.unknown(413, b"");
            let reason = failure.as_ref().map_or_else(unsaid, |failure| failure.words(hush));
            Outcome::Quarantine { reason }
        }
        (status, Some(failure)) => failed(status, failure, hush),
        (status, None) => Outcome::Retry { reason: hush.unknown(status, b"") },
    }
}

/// A failure that the cluster explains.
fn failed(status: u16, failure: &Failure<'_>, hush: &Hush) -> Outcome {
    let reason = failure.words(hush);
    match status {
        // A block is lifted by an operator or by space on the disk; while a cluster starts it is a 503.
        400..=499 if failure.kind == "cluster_block_exception" => Outcome::Hold { reason },
        400 if failure.is_of_the_document() => Outcome::Quarantine { reason },
        // A 400 that is not of the document: index names, pipelines, aliases, closed indices.
        400 | 401 | 403 | 404 => Outcome::Hold { reason },
        _ => Outcome::Retry { reason },
    }
}

/// A request that was refused as a whole.
fn refused(answer: &Answer, hush: &Hush) -> Outcome {
    let refusal: Option<Refusal<'_>> = serde_json::from_slice(&answer.body).ok();
    match (answer.status, refusal) {
        (413, refusal) => Outcome::Split {
            reason: refusal.map_or_else(
                || hush.unknown(answer.status, &answer.body),
                |refusal| refusal.error.words(hush),
            ),
        },
        // One unfit document can fail its whole request.
        (400, Some(refusal)) if refusal.error.is_of_the_document() => {
            Outcome::Split { reason: refusal.error.words(hush) }
        }
        (status, Some(refusal)) => failed(status, &refusal.error, hush),
        (401 | 403 | 405, None) => Outcome::Hold { reason: hush.unknown(answer.status, &answer.body) },
        (status, None) => Outcome::Retry { reason: hush.unknown(status, &answer.body) },
    }
}
