//! What the figures of a run prove, and what they do not allow.

use std::fmt;
use std::time::Duration;

use base::EventId;
use serde_json::Value;

use super::arrivals::{Again, Arrivals, Taken};
use super::destinations::Kind;
use super::life::Kill;
use super::producers::{Posted, Way};
use crate::books::{count, is_balanced};

/// Everything about one run.
pub(super) struct Figures {
    kills: Vec<Kill>,
    accepted: usize,
    unclear: u64,
    sent_again: u64,
    destinations: Vec<Leg>,
}

/// Everything about one destination.
struct Leg {
    kind: Kind,
    /// Events with a receipt that did not come.
    missing: usize,
    /// Events of a producer that are there under two ids, or that no producer made.
    too_many: u64,
    again: Repeats,
    balanced: bool,
    distinct: usize,
}

/// Events that came again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Repeats {
    n: usize,
    /// That came longer before the kill than is allowed, or with no kill between.
    beyond: usize,
    /// How long before the kill the earliest had come.
    oldest: Duration,
    /// The first that came again although it must not.
    first_beyond: Option<Again>,
}

/// Judges a run.
pub(super) fn judge<'a>(
    kills: &[Kill],
    posted: &[Posted],
    arrivals: impl Iterator<Item = (Kind, &'a Arrivals)>,
    books: Vec<Value>,
) -> Figures {
    let accepted: Vec<EventId> = posted.iter().flat_map(|posted| posted.accepted.iter().copied()).collect();
    let destinations = arrivals.zip(books).map(|((kind, arrivals), books)| {
        let taken = arrivals.taken();
        let skipped = count(&books, "skipped").unwrap_or_default();
        let sent = count(&books, "appended").unwrap_or_default().saturating_sub(skipped);
        Leg {
            kind,
            missing: accepted.iter().filter(|id| !taken.events.contains_key(id)).count(),
            too_many: taken.twice + posted.iter().map(|posted| unexplained(&taken, posted)).sum::<u64>(),
            again: repeats(&taken.again, kills, kind.window),
            balanced: is_balanced(&books) && sent == taken.events.len() as u64,
            distinct: taken.events.len(),
        }
    });
    let destinations = destinations.collect();
    Figures {
        kills: kills.to_vec(),
        accepted: accepted.len(),
        unclear: posted.iter().map(|posted| posted.unclear).sum(),
        sent_again: posted.iter().map(|posted| posted.sent_again).sum(),
        destinations,
    }
}

/// Events of a producer that are there and should not be: more than it was promised, and more than stayed unclear.
fn unexplained(taken: &Taken, posted: &Posted) -> u64 {
    let letter = match posted.way {
        Way::Ids => 'i',
        Way::Keys => 'k',
        Way::Bare => 'b',
    };
    taken.n_of(letter).saturating_sub(posted.accepted.len() as u64 + posted.unclear)
}

/// An event that comes again was sent by another life, and had come within the window before the end of the life that had
/// sent it. Without a window nothing is asked: what comes again is refused and stored once.
fn repeats(again: &[Again], kills: &[Kill], window: Option<Duration>) -> Repeats {
    let mut repeats = Repeats { n: again.len(), ..Repeats::default() };
    for again in again {
        // What was on its way at the kill came after it, be it after what the next life sent.
        let is_late = again.now.life < again.before.life;
        let (first, second) = if is_late { (again.now, again.before) } else { (again.before, again.now) };
        let kill = kills.get(first.life).filter(|_| first.life < second.life);
        let age = kill.map(|kill| kill.at.saturating_sub(first.at));
        repeats.oldest = repeats.oldest.max(age.unwrap_or_default());
        if window.is_some_and(|window| age.is_none_or(|age| age > window)) {
            repeats.beyond += 1;
            repeats.first_beyond.get_or_insert(*again);
        }
    }
    repeats
}

impl Figures {
    /// Whether every promise was kept.
    pub(super) fn is_good(&self) -> bool {
        let is_good =
            |leg: &Leg| leg.missing == 0 && leg.too_many == 0 && leg.again.beyond == 0 && leg.balanced;
        self.accepted > 0 && self.destinations.iter().all(is_good)
    }

    /// One line for each destination, and what was measured.
    pub(super) fn lines(&self) -> Vec<String> {
        let leg = |leg: &Leg| {
            let window = leg.kind.window.map_or("it refuses what it has".to_owned(), |window| {
                format!("{} beyond {:.1} s", leg.again.beyond, window.as_secs_f64())
            });
            format!(
                "{}: {} events, {} missing, {} too many, {} came again ({window}; the earliest {:.2} s before a kill), books {}",
                leg.kind.name,
                leg.distinct,
                leg.missing,
                leg.too_many,
                leg.again.n,
                leg.again.oldest.as_secs_f64(),
                if leg.balanced { "balanced" } else { "NOT balanced" },
            )
        };
        let mut lines: Vec<String> = self.destinations.iter().map(leg).collect();
        for leg in &self.destinations {
            if let Some(Again { before, now }) = leg.again.first_beyond {
                lines.push(format!(
                    "{}: an event of life {} came again {:.2} s later, of life {}",
                    leg.kind.name,
                    before.life,
                    (now.at.saturating_sub(before.at)).as_secs_f64(),
                    now.life,
                ));
            }
        }
        let mut recoveries: Vec<Duration> = self.kills.iter().map(|kill| kill.recovery).collect();
        recoveries.sort_unstable();
        let middle = recoveries.get(recoveries.len() / 2).copied().unwrap_or_default();
        let longest = recoveries.last().copied().unwrap_or_default();
        let peak = self.kills.iter().map(|kill| kill.peak_mb).fold(0.0, f64::max);
        lines.push(format!(
            "ready after {} ms (median), {} ms (longest); at most {peak:.0} MB; {} requests were sent again, {} events stayed unclear",
            middle.as_millis(),
            longest.as_millis(),
            self.sent_again,
            self.unclear,
        ));
        lines
    }
}

/// The last line.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |of: fn(&Leg) -> u64| self.destinations.iter().map(of).sum::<u64>();
        let beyond = sum(|leg| leg.again.beyond as u64);
        let window = match beyond {
            0 => "all within the window".to_owned(),
            n => format!("{n} BEYOND the window"),
        };
        let balanced = self.destinations.iter().all(|leg| leg.balanced);
        write!(
            f,
            "{} kills: {} accepted, {} missing, {} stored twice, {} sent again ({window}), books {}",
            self.kills.len(),
            self.accepted,
            sum(|leg| leg.missing as u64),
            sum(|leg| leg.too_many),
            sum(|leg| leg.again.n as u64),
            if balanced { "balanced" } else { "NOT balanced" },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::arrivals::Arrival;
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_event_may_come_again_only_when_a_kill_followed_it_soon() {
        let kills = [1_000, 2_000].map(|at| Kill { at: ms(at), recovery: ms(0), peak_mb: 0.0 });
        let of = |(before, of_life), life| {
            let before = Arrival { at: ms(before), life: of_life };
            let again = [Again { before, now: Arrival { at: ms(9_000), life } }];
            repeats(&again, &kills, Some(ms(500)))
        };
        assert_eq!(of((700, 0), 1), Repeats { n: 1, oldest: ms(300), ..Repeats::default() });
        assert_eq!(of((400, 0), 1).beyond, 1, "too long before the kill");
        assert_eq!(of((700, 0), 0).beyond, 1, "sent twice by one life");
        assert_eq!(of((2_500, 2), 2).beyond, 1, "sent twice by the last one");
        assert_eq!(of((700, 0), 2).beyond, 0, "the next life was killed before it sent it again");
        assert_eq!(of((1_100, 0), 1).beyond, 0, "it was on its way at the kill");
        assert_eq!(
            of((8_000, 1), 0).beyond,
            0,
            "it was on its way for longer than the next life took to begin"
        );
        let once = Arrival { at: ms(0), life: 0 };
        let refused = repeats(&[Again { before: once, now: once }], &kills, None);
        assert_eq!((refused.n, refused.beyond), (1, 0));
    }

    #[test]
    fn more_than_was_promised_is_too_many() {
        let id = |n| EventId::from_bytes([n; 16]);
        let mut taken = Taken::default();
        taken.markers.extend([("k0".into(), id(1)), ("k1".into(), id(2)), ("i0".into(), id(3))]);
        let posted = |way, unclear| Posted { way, accepted: vec![id(1)], made: 2, unclear, sent_again: 0 };
        assert_eq!(unexplained(&taken, &posted(Way::Keys, 0)), 1);
        assert_eq!(unexplained(&taken, &posted(Way::Keys, 1)), 0);
        assert_eq!(unexplained(&taken, &posted(Way::Ids, 0)), 0);
    }
}
