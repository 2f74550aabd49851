//! What the figures of a run prove, and what they do not allow.

use std::fmt;
use std::time::Duration;

use base::EventId;
use serde_json::Value;

use super::arrivals::{Again, Arrivals, Taken};
use super::destinations::Kind;
use super::life::Kill;
use super::producers::{Posted, Way};

/// The columns of the books that an event ends in.
const ENDS: [&str; 8] =
    ["skipped", "confirmed", "diverted", "accepted", "quarantined", "discarded", "expired", "erased"];

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
        let ends: Vec<End> = kills.iter().map(|kill| (kill.at, kill.begun)).collect();
        Leg {
            kind,
            missing: accepted.iter().filter(|id| !taken.events.contains_key(id)).count(),
            too_many: taken.twice + posted.iter().map(|posted| unexplained(&taken, posted)).sum::<u64>(),
            again: repeats(&taken.again, &ends, kind.window),
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

/// A kill, and when the next life had begun: what comes until then was sent by the life that was ended.
type End = (Duration, Duration);

/// An event that comes again had come within the window before the end of the life that sent it. Without a window nothing
/// is asked: what comes again is refused and stored once.
fn repeats(again: &[Again], ends: &[End], window: Option<Duration>) -> Repeats {
    let mut repeats = Repeats { n: again.len(), ..Repeats::default() };
    for again in again {
        let end = ends.get(ends.partition_point(|(_, begun)| *begun < again.before));
        let age =
            end.filter(|(kill, _)| *kill <= again.at).map(|(kill, _)| kill.saturating_sub(again.before));
        repeats.oldest = repeats.oldest.max(age.unwrap_or_default());
        let is_allowed = window.is_none_or(|window| age.is_some_and(|age| age <= window));
        repeats.beyond += usize::from(!is_allowed);
    }
    repeats
}

/// A number of an answer.
pub(super) fn count(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(Value::as_u64)
}

/// Every event of the books has its end.
fn is_balanced(books: &Value) -> bool {
    let ends: Option<u64> = ENDS.iter().map(|name| count(books, name)).sum();
    count(books, "appended").is_some() && count(books, "appended") == ends
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
    use serde_json::json;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_event_may_come_again_only_when_a_kill_followed_it_soon() {
        let ends =
            [(1_000, 1_100), (2_000, 2_100), (9_000, 9_100)].map(|(kill, begun)| (ms(kill), ms(begun)));
        let of = |before, at| {
            let again = [Again { before: ms(before), at: ms(at) }];
            repeats(&again, &ends, Some(ms(500)))
        };
        assert_eq!(of(700, 1_200), Repeats { n: 1, beyond: 0, oldest: ms(300) });
        assert_eq!(of(400, 1_200).beyond, 1, "too long before the kill");
        assert_eq!(of(700, 900).beyond, 1, "no kill between");
        assert_eq!(of(9_150, 9_200).beyond, 1, "no kill after it");
        assert_eq!(of(1_050, 1_200), Repeats { n: 1, beyond: 0, oldest: ms(0) }, "it was on its way");
        assert_eq!(of(700, 8_000).beyond, 0, "the next life was killed before it sent it again");
        let refused = repeats(&[Again { before: ms(0), at: ms(1) }], &ends, None);
        assert_eq!((refused.n, refused.beyond), (1, 0));
    }

    #[test]
    fn books_that_miss_an_event_are_not_balanced() {
        let mut books = json!({"appended": 5, "skipped": 1, "confirmed": 4, "diverted": 0, "accepted": 0,
            "quarantined": 0, "discarded": 0, "expired": 0, "erased": 0});
        assert!(is_balanced(&books));
        books["confirmed"] = json!(3);
        assert!(!is_balanced(&books));
        assert!(!is_balanced(&json!({})));
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
