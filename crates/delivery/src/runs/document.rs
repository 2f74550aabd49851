//! A run as the catalog keeps it: what is sent again, of which part of the journal, and how far that is.

use base::{EventId, Timestamp};
use event::filter::Filter;
use event::{Stream, StreamSet};
use journal::{ConsumerName, ConsumerState, Tally};
use serde::{Deserialize, Serialize};

use crate::places::run_name;

/// Most runs of one configuration that are not over.
pub const MAX_OPEN_RUNS: usize = 10;
/// How many runs of one configuration that are over are remembered, the newest.
pub const MAX_KEPT_RUNS: usize = 50;

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunKind {
    /// Stored events are sent again.
    Replay,
    /// Events in quarantine are tried again.
    Redrive,
}

impl RunKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Replay, Self::Redrive];

    /// The name in the API, and in the names of consumers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Redrive => "redrive",
        }
    }

    /// The streams that its consumer reads.
    pub(crate) fn streams(self) -> StreamSet {
        match self {
            Self::Replay => StreamSet::product(),
            Self::Redrive => Stream::Quarantine.into(),
        }
    }
}

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunState {
    /// It goes on, or will when those before it are over.
    Running,
    /// Somebody stopped it, and may let it go on.
    Paused,
    /// Somebody ended it.
    Cancelled,
    /// It has come to its end.
    Completed,
    /// It cannot be carried out.
    Failed,
}

impl RunState {
    /// Whether nothing more is sent, ever.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Cancelled | Self::Completed | Self::Failed)
    }
}

/// Which events of its range a run sends. What it says nothing about does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Picked {
    /// Events that were received then or later; of a redrive, that were copied to quarantine then or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_from: Option<Timestamp>,
    /// Events that were received, or copied, before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_until: Option<Timestamp>,
    /// From this block and index on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_offset: Option<(u64, u32)>,
    /// Below this block and index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_offset: Option<(u64, u32)>,
    /// Of these streams; empty: of all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<Stream>,
    /// Of a redrive: of this kind, the `type` of account events, `entityType` of audit logs, else `sourceEventType`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Of a redrive: with this text in the cause of their refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Of a redrive: these events. Forgotten when the run is over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventId>,
    /// Those that this filter lets pass.
    #[serde(skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter,
    /// Of how many events the ids were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_events: Option<u64>,
    /// Of a replay: where those lie, in order. Forgotten when the run is over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<(u64, u32)>,
}

/// What became of the events of a run's range, once it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Figures {
    /// Events of the range, those that the run does not send among them.
    pub total: u64,
    /// Not sent: not picked, or not selected by the configuration.
    pub skipped: u64,
    /// Delivered and proven.
    pub confirmed: u64,
    /// Delivered into a failure store.
    pub diverted: u64,
    /// Delivered as far as the other side says.
    pub accepted: u64,
    /// Refused, or stumbled over: in quarantine.
    pub quarantined: u64,
    /// Lost with their block, which an operator gave up.
    pub discarded: u64,
    /// Removed by retention before their turn.
    pub expired: u64,
    /// Erased before their turn.
    pub erased: u64,
}

impl Figures {
    /// What the journal has counted.
    pub const fn of(state: &ConsumerState) -> Self {
        let Tally { skipped, confirmed, diverted, accepted, quarantined, discarded, expired, erased } =
            state.tally;
        let total = state.appended;
        Self { total, skipped, confirmed, diverted, accepted, quarantined, discarded, expired, erased }
    }

    /// Events that the run has done with.
    pub const fn done(&self) -> u64 {
        self.skipped + self.delivered() + self.quarantined + self.discarded + self.expired + self.erased
    }

    /// Delivered in any grade.
    pub const fn delivered(&self) -> u64 {
        self.confirmed + self.diverted + self.accepted
    }

    /// Events that the run has yet to look at, or to hear of.
    pub const fn pending(&self) -> u64 {
        self.total.saturating_sub(self.done())
    }
}

/// Stored events on their way to a destination once more, with books of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Its id, a UUIDv7: runs are carried out in order of their ids.
    pub id: String,
    /// The configuration whose destination receives.
    pub configuration_id: String,
    /// What it is for.
    pub kind: RunKind,
    /// Which events of the range.
    pub picked: Picked,
    /// The first block of its range.
    pub from: u64,
    /// The first block beyond it: nothing that is stored later belongs to the run.
    pub until: u64,
    /// At most so many events a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_events_per_second: Option<u32>,
    /// When somebody asked for it.
    pub created_at: Timestamp,
    /// The name of the API client that did.
    pub created_by: String,
    /// Whether it goes on.
    pub state: RunState,
    /// Why it cannot be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What became of its events. Absent while the journal still counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

impl catalog::Document for Run {
    const KIND: &'static str = "run";
}

impl Run {
    /// Its consumer.
    pub fn consumer(&self) -> Option<ConsumerName> {
        run_name(self.kind, &self.configuration_id, &self.id)
    }

    /// The same run, over since `now`. What its events were need not be kept one by one any more.
    pub(crate) fn closed(&self, state: RunState, figures: Figures, now: Timestamp) -> Self {
        let picked = Picked { places: Vec::new(), events: Vec::new(), ..self.picked.clone() };
        let ended_at = self.ended_at.or(Some(now));
        Self { state, picked, ended_at, figures: Some(figures), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run {
            id: "r".to_owned(),
            configuration_id: "c".to_owned(),
            kind: RunKind::Replay,
            picked: Picked { places: vec![(7, 1)], n_events: Some(1), ..Picked::default() },
            from: 7,
            until: 8,
            max_events_per_second: None,
            created_at: Timestamp::default(),
            created_by: "admin".to_owned(),
            state: RunState::Running,
            failure: None,
            ended_at: None,
            figures: None,
        }
    }

    #[test]
    fn a_stored_run_is_read_again() {
        let stored = r#"{"id":"r","configurationId":"c","kind":"replay","picked":{"nEvents":1,"places":[[7,1]]},"from":7,
            "until":8,"createdAt":"1970-01-01T00:00:00.000Z","createdBy":"admin","state":"running"}"#;
        assert_eq!(serde_json::from_str::<Run>(stored).unwrap(), run());
        let again = serde_json::to_string(&run()).unwrap();
        assert_eq!(serde_json::from_str::<Run>(&again).unwrap(), run());
    }

    #[test]
    fn a_run_that_is_over_keeps_its_figures_and_no_list() {
        let figures = Figures { total: 3, accepted: 1, expired: 1, ..Figures::default() };
        let over = run().closed(RunState::Cancelled, figures, Timestamp::default());
        assert_eq!((over.picked.places.len(), over.picked.n_events), (0, Some(1)));
        assert_eq!((figures.done(), figures.pending()), (2, 1));
        assert!(over.state.is_over() && over.figures == Some(figures));
    }
}
