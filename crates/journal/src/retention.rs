//! Retention: up to where the journal may be trimmed. A pure function of the policy, the segments, the consumers and
//! the time.
//!
//! A segment goes only as a whole and only from the old end. Streams share segments, so a segment stays as long as one
//! of its streams wants it, and one consumer that holds retention back keeps everything from its floor on.

use std::time::Duration;

use base::Timestamp;
use event::Stream;

/// Events or bytes, counted per stream; index = stream number - 1.
pub type PerStream = [u64; Stream::ALL.len()];

const DAY: Duration = Duration::from_hours(24);

/// How long the events of one stream are kept. Whichever bound is reached first applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// At least this long after they were appended; `None`: however old.
    pub max_age: Option<Duration>,
    /// At least this many payload bytes of the stream; `None`: however many.
    pub max_bytes: Option<u64>,
}

/// What is kept of every stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy([Keep; Stream::ALL.len()]);

impl Default for Policy {
    /// Account events and hook logs 30 days, audit logs 365 days, both quarantines 30 days.
    fn default() -> Self {
        let days = |n: u32| Keep { max_age: Some(DAY * n), max_bytes: None };
        Self(Stream::ALL.map(|stream| if stream == Stream::AuditLog { days(365) } else { days(30) }))
    }
}

impl Policy {
    /// The same policy with another rule for one stream.
    #[must_use]
    pub fn with(mut self, stream: Stream, keep: Keep) -> Self {
        for (of, rule) in Stream::ALL.into_iter().zip(&mut self.0) {
            if of == stream {
                *rule = keep;
            }
        }
        self
    }

    /// The rule for one stream.
    pub fn keep(&self, stream: Stream) -> Keep {
        self.rules()
            .find(|(of, _)| *of == stream)
            .map_or(Keep { max_age: None, max_bytes: None }, |(_, keep)| keep)
    }

    fn rules(&self) -> impl Iterator<Item = (Stream, Keep)> {
        Stream::ALL.into_iter().zip(self.0)
    }
}

/// What retention needs to know of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFacts {
    /// The sequence of its first block.
    pub first: u64,
    /// The sequence after its last block; equal to `first` when it is empty.
    pub next: u64,
    /// When its last block was appended.
    pub last_appended_at: Timestamp,
    /// Its size on disk, in bytes.
    pub stored_bytes: u64,
    /// Payload bytes of each stream in it.
    pub payload_bytes: PerStream,
}

/// A consumer, as far as retention cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Everything below is settled.
    pub floor: u64,
    /// Whether what is not settled must stay. A disabled configuration keeps its place but holds nothing.
    pub holds: bool,
}

/// The block sequence below which everything may go. `segments` in order of their sequences.
pub fn trim_point(policy: &Policy, segments: &[SegmentFacts], holds: &[Hold], now: Timestamp) -> u64 {
    let start = segments.first().map_or(0, |segment| segment.first);
    let held_from = holds.iter().filter(|hold| hold.holds).map(|hold| hold.floor).min().unwrap_or(u64::MAX);
    let mut newer = totals(segments);
    let mut point = start;
    let appended_at: Vec<_> = segments.iter().map(|segment| segment.last_appended_at).collect();
    for (segment, appended_at) in segments.iter().zip(believable(&appended_at, now)) {
        newer = zip(newer, segment.payload_bytes, u64::saturating_sub);
        if segment.next > held_from || !may_go(policy, segment, &newer, now.since(appended_at)) {
            break;
        }
        point = segment.next;
    }
    point
}

/// Times at which things were appended one after another, as far as they can be believed at `now`. One that is yet to
/// come was written by a clock that was ahead: the earliest of those that follow takes its place, or `now`. So a clock
/// that was once wrong does not keep its segment, and all behind it, until its time comes.
///
/// A time that is too early is believed: nothing shows that it is wrong, and the times before it are not touched, so
/// that a clock that once began in 1970 does not age everything.
pub(crate) fn believable(appended_at: &[Timestamp], now: Timestamp) -> Vec<Timestamp> {
    let mut following = now;
    let believable = appended_at.iter().rev().map(|at| {
        following = following.min(*at);
        if *at > now { following } else { *at }
    });
    let mut believable: Vec<_> = believable.collect();
    believable.reverse();
    believable
}

/// Whether every stream with events in the segment of this age can do without it. `newer`: payload bytes in later
/// segments.
fn may_go(policy: &Policy, segment: &SegmentFacts, newer: &PerStream, age: Duration) -> bool {
    policy.rules().zip(segment.payload_bytes).zip(newer).all(|(((_, keep), bytes), newer)| {
        bytes == 0
            || keep.max_age.is_some_and(|max_age| age > max_age)
            || keep.max_bytes.is_some_and(|max_bytes| *newer >= max_bytes)
    })
}

fn totals(segments: &[SegmentFacts]) -> PerStream {
    segments
        .iter()
        .fold(PerStream::default(), |sum, segment| zip(sum, segment.payload_bytes, u64::saturating_add))
}

fn zip(a: PerStream, b: PerStream, with: fn(u64, u64) -> u64) -> PerStream {
    std::array::from_fn(|i| with(a.get(i).copied().unwrap_or(0), b.get(i).copied().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten blocks a segment, ten bytes of each of `streams`, one segment a day from day 0.
    fn segments(streams: &[&[Stream]]) -> Vec<SegmentFacts> {
        streams
            .iter()
            .enumerate()
            .map(|(day, streams)| SegmentFacts {
                first: day as u64 * 10 + 1,
                next: day as u64 * 10 + 11,
                last_appended_at: at(day as u32),
                stored_bytes: 100,
                payload_bytes: Stream::ALL.map(|stream| if streams.contains(&stream) { 10 } else { 0 }),
            })
            .collect()
    }

    fn at(day: u32) -> Timestamp {
        Timestamp::default().plus(DAY * day).plus(Duration::from_secs(1))
    }

    const ACCOUNT: &[Stream] = &[Stream::AccountEvent];
    const BOTH: &[Stream] = &[Stream::AccountEvent, Stream::AuditLog];

    #[test]
    fn what_is_older_than_its_streams_age_goes() {
        let segments = segments(&[ACCOUNT, ACCOUNT, ACCOUNT]);
        let point = |now| trim_point(&Policy::default(), &segments, &[], now);
        assert_eq!(point(at(30)), 1, "exactly 30 days is not over 30 days");
        assert_eq!(point(at(31)), 11);
        assert_eq!(point(at(1000)), 31);
    }

    #[test]
    fn a_segment_with_an_audit_log_stays_a_year_and_keeps_what_follows() {
        let segments = segments(&[ACCOUNT, BOTH, ACCOUNT]);
        let point = |now| trim_point(&Policy::default(), &segments, &[], now);
        assert_eq!(point(at(300)), 11);
        assert_eq!(point(at(367)), 31);
    }

    #[test]
    fn a_consumer_that_holds_keeps_everything_from_its_floor_on() {
        let segments = segments(&[ACCOUNT, ACCOUNT, ACCOUNT]);
        let point = |hold| trim_point(&Policy::default(), &segments, &[hold], at(1000));
        assert_eq!(point(Hold { floor: 20, holds: true }), 11);
        assert_eq!(point(Hold { floor: 21, holds: true }), 21);
        assert_eq!(point(Hold { floor: 1, holds: false }), 31);
    }

    #[test]
    fn a_bound_of_bytes_keeps_at_least_that_many() {
        let segments = segments(&[ACCOUNT, ACCOUNT, ACCOUNT, ACCOUNT]);
        let keep = |max_bytes| Keep { max_age: None, max_bytes: Some(max_bytes) };
        let point = |bytes| {
            trim_point(&Policy::default().with(Stream::AccountEvent, keep(bytes)), &segments, &[], at(4))
        };
        assert_eq!(point(1_000), 1);
        assert_eq!(point(30), 11);
        assert_eq!(point(11), 21);
        assert_eq!(point(10), 31);
    }

    #[test]
    fn a_clock_that_was_once_ahead_or_behind_neither_keeps_nor_ages_what_others_wrote() {
        let mut segments = segments(&[ACCOUNT, ACCOUNT, ACCOUNT, ACCOUNT]);
        segments[1].last_appended_at = at(9_000);
        let point = |segments: &[SegmentFacts], now| trim_point(&Policy::default(), segments, &[], now);
        assert_eq!(point(&segments, at(31)), 11);
        assert_eq!(point(&segments, at(32)), 11, "it is as old as the segment after it, 30 days");
        assert_eq!(point(&segments, at(33)), 31);
        assert_eq!(point(&segments, at(34)), 41);
        segments[3].last_appended_at = at(9_000);
        assert_eq!(point(&segments, at(34)), 31, "nothing follows: it may be from now");

        let mut segments = self::segments(&[ACCOUNT, ACCOUNT, ACCOUNT, ACCOUNT]);
        segments[3].last_appended_at = Timestamp::default();
        assert_eq!(point(&segments, at(20)), 1, "the last one does not age those before it");
    }

    #[test]
    fn without_a_bound_nothing_goes() {
        let keep = Keep { max_age: None, max_bytes: None };
        let policy = Policy::default().with(Stream::AccountEvent, keep);
        assert_eq!(policy.keep(Stream::AccountEvent), keep);
        assert_eq!(trim_point(&policy, &segments(&[ACCOUNT]), &[], at(100_000)), 1);
        assert_eq!(trim_point(&policy, &[], &[], at(1)), 0);
    }
}
