//! How a receiver is told to misbehave: which requests, and what happens to them.

mod spelling;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::EventId;

pub use spelling::{FORMS, Misspelt};

/// One way to misbehave. Of several, the first whose time has come applies.
#[derive(Clone, Debug)]
pub struct Misbehaviour {
    /// Which requests.
    pub when: When,
    /// What happens to them.
    pub what: What,
}

/// Which requests, counted from 1 since the misbehaviour was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// All of them.
    Always,
    /// The first so many.
    First(u64),
    /// Each whose number is divisible by this; 0 is none.
    Every(u64),
}

impl When {
    pub(crate) const fn applies_to(self, number: u64) -> bool {
        match self {
            Self::Always => true,
            Self::First(n) => number <= n,
            Self::Every(n) => n != 0 && number.is_multiple_of(n),
        }
    }
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum What {
    /// Nothing is taken; this status, `Retry-After` in seconds and body are answered.
    Answer {
        /// The status.
        status: u16,
        /// The header, if any.
        retry_after: Option<u64>,
        /// The body.
        body: String,
    },
    /// HEC: this code of the collector's catalogue, with the status that belongs to it. Codes 0, 24 and 25 take the
    /// events, others nothing.
    Hec(u32),
    /// HEC: the event at this place is refused (code 6); what stands before it is taken, what follows is not.
    HecBadEvent(usize),
    /// HEC: the index of the event at this place is refused (code 7, with the number of the event after it); what stands
    /// before it is taken, what follows is not.
    HecWrongIndex(usize),
    /// HEC with acknowledgement: everything is taken, and never stored.
    NeverStored,
    /// Bulk: these items are answered with an error and not taken.
    Items(Items),
    /// Bulk: everything is taken, and one item more is answered.
    ItemTooMany,
    /// The request is read, nothing is taken, no answer comes until the other side gives up.
    Hang,
    /// Everything is taken, but no answer comes until the other side gives up.
    TakeAndHang,
    /// The connection is closed without an answer; nothing is taken.
    Close,
    /// Everything is taken, but the connection is closed in the middle of the answer.
    TakeAndCloseMidAnswer,
    /// Everything is taken, and answered after this time.
    Slow(Duration),
}

impl What {
    /// [`What::Answer`] with an empty body.
    pub const fn status(status: u16) -> Self {
        Self::Answer { status, retry_after: None, body: String::new() }
    }
}

/// What a receiver thinks of one event, whenever it comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Judgement {
    /// It is taken.
    #[default]
    Fine,
    /// It is refused for good: HEC names it with code 6, bulk answers its item 400, others refuse the request with 422.
    Unfit,
    /// Its whole request is refused: HEC code 6 without a number, bulk 400, others 422. Nothing of it is taken.
    UnfitWhole,
    /// Its whole request is answered 500, and nothing of it taken.
    Stumbles,
    /// Bulk: it is stored in a failure store. Others take it.
    Diverted,
}

/// Judges events by their ids.
pub type Judge = Arc<dyn Fn(EventId) -> Judgement + Send + Sync>;

/// Items of bulk requests that are refused.
#[derive(Clone)]
pub struct Items {
    /// The status of the item.
    pub status: u16,
    /// The error's type, such as `es_rejected_execution_exception`.
    pub kind: Cow<'static, str>,
    which: Arc<dyn Fn(u64, EventId) -> bool + Send + Sync>,
}

impl Items {
    /// The items for which `which` is true of the item's number (from 1 since the start, over all requests) and id.
    pub fn new(
        status: u16,
        kind: impl Into<Cow<'static, str>>,
        which: impl Fn(u64, EventId) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { status, kind: kind.into(), which: Arc::new(which) }
    }

    /// Each `n`-th item (`n` of 0: none) is answered 429, as by a full queue.
    pub fn busy(n: u64) -> Self {
        Self::new(429, "es_rejected_execution_exception", move |number, _| n != 0 && number.is_multiple_of(n))
    }

    /// The items with these ids are answered 400, as a document that does not fit the mapping.
    pub fn poison(is_poison: impl Fn(EventId) -> bool + Send + Sync + 'static) -> Self {
        Self::new(400, "mapper_parsing_exception", move |_, id| is_poison(id))
    }

    pub(crate) fn hit(&self, number: u64, id: EventId) -> bool {
        (self.which)(number, id)
    }
}

impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items")
            .field("status", &self.status)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// The misbehaviours in force, and how many requests they have seen.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    list: Vec<Misbehaviour>,
    n_requests: u64,
}

impl Plan {
    pub(crate) const fn new(list: Vec<Misbehaviour>) -> Self {
        Self { list, n_requests: 0 }
    }

    /// What happens to the next request; `None`: it is served well.
    pub(crate) fn next(&mut self) -> Option<What> {
        self.n_requests += 1;
        self.list.iter().find(|each| each.when.applies_to(self.n_requests)).map(|each| each.what.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_from_one() {
        let hits = |when: When| (1..=6).filter(|number| when.applies_to(*number)).collect::<Vec<_>>();
        assert_eq!(hits(When::Always), [1, 2, 3, 4, 5, 6]);
        assert_eq!(hits(When::First(2)), [1, 2]);
        assert_eq!(hits(When::Every(3)), [3, 6]);
        assert_eq!(hits(When::Every(0)), [0_u64; 0]);
    }
}
