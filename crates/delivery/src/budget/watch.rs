//! What was seen of all backlogs lately, and what follows from it for intake. Looked at from the outside: delivery itself
//! does nothing slower or faster because of it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use parking_lot::Mutex;

use super::{Account, Bounds, Budget, DiskSpace, Outlook, Refusal, Sample, judge, time_left};
use crate::resume::Backlog;

/// How far apart looks are that are remembered, and how many are: a quarter of an hour in all.
const APART: Duration = Duration::from_mins(1);
const N_SAMPLES: usize = 16;

/// What is known of all backlogs at a moment.
#[derive(Clone, Debug)]
pub struct Measures {
    /// Each configuration.
    pub accounts: Vec<Account>,
    /// Of blocks from here on retention removes nothing, whoever has settled them.
    pub kept_from: u64,
    /// How long events are kept whoever has them: the shortest retention of all product streams.
    pub retention: Option<Duration>,
}

#[derive(Default)]
struct Known {
    measures: Option<Measures>,
    disk: Option<DiskSpace>,
    samples: HashMap<String, VecDeque<Sample>>,
    refusal: Option<Arc<Refusal>>,
}

/// Remembers what was seen. Clones share it.
#[derive(Clone, Default)]
pub struct Backlogs(Arc<Mutex<Known>>);

impl Backlogs {
    /// Notes the backlogs. Configurations that are not among them are forgotten.
    pub fn note(&self, measures: Measures, now: Timestamp) {
        let mut known = self.0.lock();
        let free = known.disk.map(|disk| disk.free);
        known.samples.retain(|id, _| measures.accounts.iter().any(|account| account.id == *id));
        for account in &measures.accounts {
            let samples = known.samples.entry(account.id.clone()).or_default();
            if samples.back().is_none_or(|last| now.since(last.at) >= APART) {
                samples.push_back(sample(&account.backlog, free, now));
            }
            if samples.len() > N_SAMPLES {
                samples.pop_front();
            }
        }
        known.measures = Some(measures);
        known.judge(now);
    }

    /// Notes how much room the disk has; `None` when that cannot be told.
    pub fn note_disk(&self, disk: Option<DiskSpace>, now: Timestamp) {
        let mut known = self.0.lock();
        known.disk = disk;
        known.judge(now);
    }

    /// How much room the disk had when it was last looked at; `None` when that cannot be told.
    pub fn disk(&self) -> Option<DiskSpace> {
        self.0.lock().disk
    }

    /// Why intake must refuse, if it must, with `stored` bytes in the journal: what has come in since the disk was looked at
    /// counts.
    pub fn refusal(&self, stored: u64, now: Timestamp) -> Option<Arc<Refusal>> {
        let mut known = self.0.lock();
        if known.refusal.is_none()
            && let Some(disk) = known.disk.filter(|disk| disk.grown_to(stored).free < disk.reserve)
        {
            known.disk = Some(DiskSpace { stored, ..disk.grown_to(stored) });
            known.judge(now);
        }
        known.refusal.clone()
    }

    /// What becomes of the backlog of the configuration with this id, going by the last quarter of an hour.
    pub fn outlook(
        &self,
        id: &str,
        budget: &Budget,
        holds: bool,
        backlog: &Backlog,
        now: Timestamp,
    ) -> Outlook {
        let known = self.0.lock();
        let bounds = Bounds {
            reserve: known.disk.map_or(0, |disk| disk.reserve),
            retention: known.measures.as_ref().and_then(|measures| measures.retention),
        };
        let now = sample(backlog, known.disk.map(|disk| disk.free), now);
        let before = known.samples.get(id).and_then(|samples| samples.front()).copied().unwrap_or(now);
        time_left(budget, holds, &bounds, &before, &now)
    }
}

impl Known {
    fn judge(&mut self, now: Timestamp) {
        let (accounts, kept_from) =
            self.measures.as_ref().map_or((&[][..], 0), |known| (known.accounts.as_slice(), known.kept_from));
        let refusal = judge(self.refusal.as_deref(), accounts, self.disk, kept_from, now);
        match (&self.refusal, &refusal) {
            (None, Some(refusal)) => tracing::error!(%refusal, "intake refuses"),
            (Some(_), None) => tracing::warn!("intake takes events again"),
            _ => {}
        }
        self.refusal = refusal.map(Arc::new);
    }
}

fn sample(backlog: &Backlog, free: Option<u64>, at: Timestamp) -> Sample {
    Sample { at, bytes: backlog.bytes, oldest: backlog.oldest, free }
}

#[cfg(test)]
mod tests {
    use super::super::Limit;
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_quarter_of_an_hour_and_a_refusal_ends_by_itself() {
        let backlogs = Backlogs::default();
        let at = |minutes: u64| Timestamp::default().plus(Duration::from_mins(minutes));
        let budget = Budget { max_bytes: Some(1_000), ..Budget::default() };
        let backlog = |bytes| Backlog { bytes, oldest: Some(at(0)), ..Backlog::default() };
        let note = |bytes, minutes| {
            let account = Account {
                id: "a".to_owned(),
                name: "a".to_owned(),
                budget,
                enabled: true,
                backlog: backlog(bytes),
                floor: 1,
            };
            backlogs.note(Measures { accounts: vec![account], kept_from: 1, retention: None }, at(minutes));
        };
        for minutes in 0..60 {
            // 10 bytes a minute, and none before the last half hour.
            note(10 * u64::saturating_sub(minutes, 30), minutes);
        }
        let outlook = backlogs.outlook("a", &budget, true, &backlog(290), at(59));
        assert_eq!(outlook, Outlook { limit: Some(Limit::Bytes), left: Some(Duration::from_mins(71)) });
        assert_eq!(backlogs.refusal(0, at(61)), None);
        note(1_001, 60);
        assert!(backlogs.refusal(0, at(61)).is_some());
        note(900, 61);
        assert_eq!(backlogs.refusal(0, at(61)), None);
        backlogs.note_disk(Some(DiskSpace { free: 9, reserve: 10, stored: 0 }), at(62));
        assert!(backlogs.refusal(0, at(61)).is_some_and(|refusal| refusal.to_string().contains("reserve")));
        backlogs.note_disk(Some(DiskSpace { free: 90, reserve: 10, stored: 0 }), at(62));
        assert_eq!(backlogs.refusal(0, at(61)), None);
        assert_eq!(backlogs.refusal(80, at(62)), None);
        assert!(backlogs.refusal(81, at(62)).is_some(), "what came in meanwhile counts");
    }
}
