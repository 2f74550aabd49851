//! What is to be done about a run, decided from what is stored: the document comes first, the consumer follows it, and the
//! figures are stored before the consumer goes. So a crash between any two steps leaves nothing that the next look at it
//! does not finish.
//!
//! ```text
//!   running ⇄ paused        its consumer is there, or is made
//!      │  └──────┴──cancel──▶ cancelled ┐
//!      ├──the end is reached─▶ completed ┼─ figures stored ─▶ consumer removed
//!      └──it cannot be done──▶ failed    ┘
//! ```

use journal::ConsumerState;

use super::document::{Figures, Run, RunState};

/// Why a run cannot be carried out whose blocks are yet to come.
pub(crate) const OLDER_JOURNAL: &str =
    "the journal is an older copy than the one that the run was made for: its range would hold other events";

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing, or to wait for its worker.
    Nothing,
    /// Make its consumer.
    Admit,
    /// Store how it ended, and its figures; then remove its consumer.
    Close(RunState, Figures),
    /// Remove its consumer.
    Dismiss,
    /// Remove its document: its configuration is gone.
    Forget,
}

/// What a decision is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// Its consumer, when it is there.
    pub(crate) place: Option<&'a ConsumerState>,
    /// Whether a worker carries it out, be it one that is leaving.
    pub(crate) has_worker: bool,
    /// Whether its configuration is there.
    pub(crate) has_configuration: bool,
    /// The sequence of the journal's next block.
    pub(crate) next_block: u64,
}

/// What is next.
pub(crate) fn next(run: &Run, facts: Facts<'_>) -> Step {
    let figures = || facts.place.map(Figures::of).unwrap_or_default();
    if facts.has_worker {
        return Step::Nothing;
    }
    if !facts.has_configuration {
        return Step::Forget;
    }
    if run.state.is_over() {
        return match (run.figures, facts.place) {
            (None, _) => Step::Close(run.state, figures()),
            (Some(_), Some(_)) => Step::Dismiss,
            (Some(_), None) => Step::Nothing,
        };
    }
    if run.until > facts.next_block {
        return Step::Close(RunState::Failed, figures());
    }
    match facts.place {
        None => Step::Admit,
        Some(place) if place.floor >= run.until => Step::Close(RunState::Completed, figures()),
        Some(_) => Step::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use base::Timestamp;
    use journal::Tally;

    use super::super::document::{Picked, RunKind};
    use super::*;

    const PLACE: ConsumerState = ConsumerState {
        started_at: 3,
        floor: 5,
        appended: 4,
        tally: Tally::from_counts([1, 1, 0, 0, 0, 0, 0, 0]),
        n_leased: 0,
        oldest_pending: None,
        pending_bytes: 0,
    };
    const FACTS: Facts<'_> =
        Facts { place: Some(&PLACE), has_worker: false, has_configuration: true, next_block: 20 };

    fn run(state: RunState) -> Run {
        Run {
            id: "r".to_owned(),
            configuration_id: "c".to_owned(),
            kind: RunKind::Replay,
            picked: Picked::default(),
            from: 3,
            until: 9,
            max_events_per_second: None,
            created_at: Timestamp::default(),
            created_by: "admin".to_owned(),
            state,
            failure: None,
            ended_at: None,
            figures: None,
        }
    }

    #[test]
    fn a_run_that_goes_on_has_a_consumer_until_its_end_is_reached() {
        for state in [RunState::Running, RunState::Paused] {
            assert_eq!(next(&run(state), Facts { place: None, ..FACTS }), Step::Admit);
            assert_eq!(next(&run(state), FACTS), Step::Nothing);
            let at_end = ConsumerState { floor: 9, ..PLACE };
            let closed = Step::Close(RunState::Completed, Figures::of(&at_end));
            assert_eq!(next(&run(state), Facts { place: Some(&at_end), ..FACTS }), closed);
            let at_work = Facts { place: Some(&at_end), has_worker: true, ..FACTS };
            assert_eq!(next(&run(state), at_work), Step::Nothing, "its worker says when it is over");
        }
    }

    #[test]
    fn figures_are_stored_before_the_consumer_goes() {
        let cancelled = run(RunState::Cancelled);
        let figures = Figures { total: 4, skipped: 1, confirmed: 1, ..Figures::default() };
        assert_eq!(next(&cancelled, FACTS), Step::Close(RunState::Cancelled, figures));
        let without = Facts { place: None, ..FACTS };
        assert_eq!(next(&cancelled, without), Step::Close(RunState::Cancelled, Figures::default()));
        let closed = cancelled.closed(RunState::Cancelled, figures, Timestamp::default());
        assert_eq!(next(&closed, FACTS), Step::Dismiss);
        assert_eq!(next(&closed, without), Step::Nothing);
    }

    #[test]
    fn a_run_of_an_older_journal_or_of_no_configuration_is_not_carried_out() {
        let older = Facts { next_block: 8, ..FACTS };
        assert_eq!(next(&run(RunState::Running), older), Step::Close(RunState::Failed, Figures::of(&PLACE)));
        let orphan = Facts { has_configuration: false, ..FACTS };
        assert_eq!(next(&run(RunState::Running), orphan), Step::Forget);
        assert_eq!(next(&run(RunState::Running), Facts { has_worker: true, ..orphan }), Step::Nothing);
    }
}
