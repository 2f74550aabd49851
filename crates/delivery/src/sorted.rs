//! An answer, sorted by what is to be done about each event.

use destinations::{Grade, Outcome, Verdict};

use crate::attempts::Outcomes;
use crate::batch::{Batch, Item};

/// An answer, sorted by what is to be done.
#[derive(Default)]
pub(crate) struct Sorted {
    pub(crate) taken: Vec<(Item, Grade)>,
    pub(crate) refused: Vec<(Item, String)>,
    pub(crate) again: Vec<Item>,
    pub(crate) split: bool,
    pub(crate) hold: bool,
    /// A single event was refused as a whole request, and it is not known whether the destination takes others.
    pub(crate) unsure: bool,
    pub(crate) reason: Option<String>,
}

impl Sorted {
    pub(crate) fn has_taken(&self) -> bool {
        !self.taken.is_empty()
    }

    /// How many events are where. What will be acknowledged is not delivered yet.
    pub(crate) const fn outcomes(&self, will_be_acknowledged: bool) -> Outcomes {
        let (taken, again) = (self.taken.len(), self.again.len());
        Outcomes {
            delivered: if will_be_acknowledged { 0 } else { taken },
            taken: if will_be_acknowledged { taken } else { 0 },
            retry: if self.hold { 0 } else { again },
            hold: if self.hold { again } else { 0 },
            quarantine: self.refused.len(),
        }
    }

    pub(crate) fn has_proved(&self) -> bool {
        self.has_taken() || !self.refused.is_empty()
    }
}

/// Sorts what an answer proves. The refusal of a whole request is proof against its only event if the destination
/// `takes_others`; a destination that refuses everything is set up wrongly.
pub(crate) fn sort(batch: &Batch, verdict: Verdict, takes_others: bool) -> Sorted {
    let mut sorted = Sorted::default();
    let single = batch.items.len() == 1;
    for (item, outcome) in batch.items.iter().zip(verdict.outcomes) {
        match outcome {
            Outcome::Delivered(grade) => sorted.taken.push((item.clone(), grade)),
            Outcome::Quarantine { reason } => {
                sorted.reason.get_or_insert_with(|| reason.clone());
                sorted.refused.push((item.clone(), reason));
            }
            Outcome::Split { reason } if single && takes_others => {
                sorted.reason = Some(reason.clone());
                sorted.refused.push((item.clone(), reason));
            }
            Outcome::Split { reason } if !single => {
                sorted.split = true;
                sorted.reason = Some(reason);
                sorted.again.push(item.clone());
            }
            Outcome::Retry { reason } => {
                sorted.reason.get_or_insert(reason);
                sorted.again.push(item.clone());
            }
            Outcome::Split { reason } => {
                sorted.hold = true;
                sorted.unsure = true;
                sorted.reason = Some(reason);
                sorted.again.push(item.clone());
            }
            Outcome::Hold { reason } => {
                sorted.hold = true;
                sorted.reason = Some(reason);
                sorted.again.push(item.clone());
            }
        }
    }
    // Halves are taken of whole batches only: a verdict that splits proves nothing about any event.
    sorted.split &= sorted.again.len() == batch.items.len();
    sorted
}
