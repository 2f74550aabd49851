//! Whether intake may go on: a pure function of the backlogs, the disk, and what was refused before.

use std::fmt;

use base::{Timestamp, size};

use super::{Budget, Limit, WhenSpent};
use crate::resume::Backlog;

/// A configuration and what it has not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its budget.
    pub budget: Budget,
    /// Whether it is enabled.
    pub enabled: bool,
    /// What it has not delivered.
    pub backlog: Backlog,
    /// Every block below is settled.
    pub floor: u64,
}

/// The room on the journal's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes that may still be written.
    pub free: u64,
    /// Bytes below which nothing more is taken in.
    pub reserve: u64,
    /// Bytes of the journal when this was measured.
    pub stored: u64,
}

impl DiskSpace {
    /// The same when the journal has grown to so many bytes.
    pub(super) const fn grown_to(self, stored: u64) -> Self {
        let free = self.free.saturating_sub(stored.saturating_sub(self.stored));
        Self { free, ..self }
    }
}

/// Why intake refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The budget of a configuration is spent.
    Spent(Limit),
    /// The disk is full but for its reserve.
    Disk,
}

/// Intake refuses; the text says who holds it up and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub why: Why,
    /// The configuration whose backlog it is: its id. `None`: the disk is too small for what retention keeps.
    pub configuration_id: Option<String>,
    detail: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Refusal {
    fn stands(before: Option<&Self>, why: Why, id: Option<&str>) -> bool {
        before.is_some_and(|before| {
            before.why == why && (why == Why::Disk || before.configuration_id.as_deref() == id)
        })
    }
}

/// Whether intake must refuse, given what it refused `before`. Of blocks from `kept_from` on retention removes nothing,
/// whoever has settled them.
pub fn judge(
    before: Option<&Refusal>,
    accounts: &[Account],
    disk: Option<DiskSpace>,
    kept_from: u64,
    now: Timestamp,
) -> Option<Refusal> {
    let keeping = || accounts.iter().filter(|each| each.enabled && each.budget.when_spent == WhenSpent::Keep);
    if let Some(disk) = disk.filter(|disk| is_short(*disk, Refusal::stands(before, Why::Disk, None))) {
        let oldest = keeping().filter(|each| each.floor < kept_from).min_by_key(|each| each.floor);
        return Some(Refusal {
            why: Why::Disk,
            configuration_id: oldest.map(|each| each.id.clone()),
            detail: disk_detail(disk, oldest),
        });
    }
    keeping().find_map(|each| {
        let was_spent = [Limit::Bytes, Limit::Age]
            .into_iter()
            .any(|limit| Refusal::stands(before, Why::Spent(limit), Some(&each.id)));
        let limit = each.budget.spent(&each.backlog, now, was_spent)?;
        let (id, detail) = (Some(each.id.clone()), spent_detail(each, limit, now));
        Some(Refusal { why: Why::Spent(limit), configuration_id: id, detail })
    })
}

/// Less is free than the reserve; once that was so, until a quarter more is.
const fn is_short(disk: DiskSpace, was_short: bool) -> bool {
    disk.free < if was_short { disk.reserve + disk.reserve / 4 } else { disk.reserve }
}

fn named(account: &Account) -> String {
    format!("the event streaming configuration {:?} ({})", account.name, account.id)
}

fn disk_detail(disk: DiskSpace, oldest: Option<&Account>) -> String {
    let (free, reserve) = (size::shown(disk.free), size::shown(disk.reserve));
    let what = match oldest {
        Some(account) => format!(
            "{} has not delivered what retention would have removed: mend its destination, or disable it, or let it give up \
             its oldest events (\"backlog\": {{\"whenSpent\": \"release\"}}), or give the disk more room",
            named(account)
        ),
        None => {
            "no configuration holds back more than retention keeps: give the disk more room, or shorten retention".to_owned()
        }
    };
    format!("nothing is taken in: the journal's disk has {free} left, and {reserve} are its reserve; {what}")
}

fn spent_detail(account: &Account, limit: Limit, now: Timestamp) -> String {
    let Backlog { bytes, oldest, .. } = account.backlog;
    let Budget { max_bytes, max_age_hours, .. } = account.budget;
    let (has, may, field) = if limit == Limit::Age {
        let hours = oldest.map_or(0, |oldest| now.since(oldest).as_secs() / 3600);
        (
            format!("events of {hours} hours ago"),
            format!("{} hours", max_age_hours.unwrap_or_default()),
            "maxAgeHours",
        )
    } else {
        (size::shown(bytes), size::shown(max_bytes.unwrap_or_default()), "maxBytes")
    };
    format!(
        "nothing is taken in: {} has {has} to deliver yet, and its backlog budget of {may} is spent; mend its destination, or \
         raise backlog.{field}, or let it give up its oldest events (\"whenSpent\": \"release\"), or disable it",
        named(account)
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ROOMY: DiskSpace = DiskSpace { free: 10_000, reserve: 1_000, stored: 0 };

    fn account(id: &str, bytes: u64, budget: Budget) -> Account {
        let backlog = Backlog { bytes, oldest: Some(Timestamp::default()), ..Backlog::default() };
        Account { id: id.to_owned(), name: format!("the {id}"), budget, enabled: true, backlog, floor: 5 }
    }

    fn keeps(max_bytes: u64) -> Budget {
        Budget { max_bytes: Some(max_bytes), ..Budget::default() }
    }

    fn judged(before: Option<&Refusal>, accounts: &[Account], disk: DiskSpace) -> Option<Refusal> {
        judge(before, accounts, Some(disk), 10, Timestamp::default().plus(Duration::from_hours(30)))
    }

    #[test]
    fn a_spent_budget_that_keeps_holds_intake_up_until_a_tenth_is_free() {
        let other = account("b", 1 << 40, Budget::default());
        let with = |bytes| [other.clone(), account("a", bytes, keeps(2 << 20))];
        assert_eq!(judged(None, &with(2 << 20), ROOMY), None);
        let refusal = judged(None, &with((2 << 20) + 1), ROOMY).unwrap();
        assert_eq!((refusal.why, refusal.configuration_id.as_deref()), (Why::Spent(Limit::Bytes), Some("a")));
        for part in ["\"the a\" (a)", "2.0 MiB", "backlog.maxBytes", "release"] {
            assert!(refusal.to_string().contains(part), "{refusal}");
        }
        assert!(judged(Some(&refusal), &with(2_000_000), ROOMY).is_some());
        assert_eq!(judged(Some(&refusal), &with(1_800_000), ROOMY), None);
        assert_eq!(judged(None, &with(2_000_000), ROOMY), None, "it was not spent before");
    }

    #[test]
    fn an_old_backlog_is_spent_by_its_age() {
        let budget = Budget { max_age_hours: Some(24), ..Budget::default() };
        let refusal = judged(None, &[account("a", 1, budget)], ROOMY).unwrap();
        assert_eq!(refusal.why, Why::Spent(Limit::Age));
        assert!(refusal.to_string().contains("events of 30 hours ago"), "{refusal}");
    }

    #[test]
    fn one_that_releases_or_is_disabled_holds_nobody_up() {
        let releases = Budget { when_spent: WhenSpent::Release, ..keeps(1) };
        let disabled = Account { enabled: false, ..account("b", 9, keeps(1)) };
        assert_eq!(judged(None, &[account("a", 9, releases), disabled], ROOMY), None);
    }

    #[test]
    fn the_reserve_of_the_disk_is_never_used_up_by_intake() {
        let accounts = [account("a", 9, Budget::default())];
        let at = |free| DiskSpace { free, reserve: 1_000, stored: 0 };
        assert_eq!(judged(None, &accounts, at(1_000)), None);
        let refusal = judged(None, &accounts, at(999)).unwrap();
        assert_eq!((refusal.why, refusal.configuration_id.as_deref()), (Why::Disk, Some("a")));
        assert!(judged(Some(&refusal), &accounts, at(1_249)).is_some());
        assert_eq!(judged(Some(&refusal), &accounts, at(1_250)), None);
    }

    #[test]
    fn only_who_holds_back_more_than_retention_keeps_is_blamed_for_a_full_disk() {
        let recent = Account { floor: 10, ..account("a", 9, Budget::default()) };
        let releases = Budget { when_spent: WhenSpent::Release, ..Budget::default() };
        let refusal =
            judged(None, &[recent, account("b", 9, releases)], DiskSpace { free: 0, reserve: 1, stored: 0 })
                .unwrap();
        assert_eq!(refusal.configuration_id, None);
        assert!(refusal.to_string().contains("shorten retention"), "{refusal}");
    }
}
