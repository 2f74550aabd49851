//! Retention: up to where the journal may be trimmed. A pure function of the policy, the segments, the consumers and
//! the time.
//!
//! A segment goes only as a whole and only from the old end. Streams share segments, so a segment stays as long as one
//! of its streams wants it; what others in it need not keep any more loses its bytes ([`expiry_points`]). One consumer that
//! holds retention back keeps everything of its streams from its floor on.

use std::time::Duration;

use base::Timestamp;
use event::{Stream, StreamSet};

/// Events or bytes, counted per stream; index = stream number - 1.
pub type PerStream = [u64; Stream::ALL.len()];

const DAY: Duration = Duration::from_hours(24);
/// A segment is sealed when it is older, however small it is.
const SEALED_AFTER: Duration = DAY;

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
        let mut rules = Stream::ALL.into_iter().zip(self.0);
        rules.find(|(of, _)| *of == stream).map_or(Keep { max_age: None, max_bytes: None }, |(_, keep)| keep)
    }
}

/// What retention needs to know of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFacts {
    /// The sequence of its first block.
    pub first: u64,
    /// The sequence after its last block; equal to `first` when it is empty.
    pub next: u64,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When its last block was appended.
    pub last_appended_at: Timestamp,
    /// Its size on disk, in bytes.
    pub stored_bytes: u64,
    /// Payload bytes of each stream in it.
    pub payload_bytes: PerStream,
}

impl SegmentFacts {
    fn bytes_of(&self, stream: Stream) -> u64 {
        let mut bytes = Stream::ALL.into_iter().zip(self.payload_bytes);
        bytes.find(|(of, _)| *of == stream).map_or(0, |(_, bytes)| bytes)
    }
}

/// A consumer, as far as retention cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Everything below is settled.
    pub floor: u64,
    /// What it is for.
    pub streams: StreamSet,
    /// Whether what is not settled must stay. A disabled configuration keeps its place but holds nothing.
    pub holds: bool,
}

/// The block sequence below which everything may go. `segments` in order of their sequences.
pub fn trim_point(policy: &Policy, segments: &[SegmentFacts], holds: &[Hold], now: Timestamp) -> u64 {
    expiry_points(policy, segments, holds, now).into_iter().min().unwrap_or(0)
}

/// For each stream the block sequence below which its own events may go, whatever becomes of others beside them. Always
/// where a segment begins or the last one ends. `segments` in order of their sequences.
pub fn expiry_points(
    policy: &Policy,
    segments: &[SegmentFacts],
    holds: &[Hold],
    now: Timestamp,
) -> PerStream {
    let appended_at: Vec<_> = segments.iter().map(|segment| segment.last_appended_at).collect();
    let ages: Vec<_> = believable(&appended_at, now).into_iter().map(|at| now.since(at)).collect();
    Stream::ALL.map(|stream| {
        let holds = holds.iter().filter(|hold| hold.holds && hold.streams.contains(stream));
        let held_from = holds.map(|hold| hold.floor).min().unwrap_or(u64::MAX);
        expiry_point(stream, policy.keep(stream), segments.iter().zip(&ages), held_from)
    })
}

fn expiry_point<'a>(
    stream: Stream,
    keep: Keep,
    segments: impl Iterator<Item = (&'a SegmentFacts, &'a Duration)> + Clone,
    held_from: u64,
) -> u64 {
    let mut newer =
        segments.clone().fold(0_u64, |sum, (segment, _)| sum.saturating_add(segment.bytes_of(stream)));
    let mut point = segments.clone().next().map_or(0, |(segment, _)| segment.first);
    for (segment, age) in segments {
        let own = segment.bytes_of(stream);
        newer = newer.saturating_sub(own);
        let may_go = own == 0
            || keep.max_age.is_some_and(|max_age| *age > max_age)
            || keep.max_bytes.is_some_and(|max_bytes| newer >= max_bytes);
        if segment.next > held_from || !may_go {
            break;
        }
        point = segment.next;
    }
    point
}

/// Whether the active segment is to be sealed, so that what is in it can expire: else the newest event in it would keep the
/// oldest. Also when a clock that was ahead has begun it.
pub fn is_to_be_sealed(active: &SegmentFacts, now: Timestamp) -> bool {
    active.first < active.next && (now < active.created_at || now.since(active.created_at) > SEALED_AFTER)
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
                created_at: at(day as u32),
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
        let point = |floor, holds| {
            let hold = Hold { floor, streams: StreamSet::product(), holds };
            trim_point(&Policy::default(), &segments, &[hold], at(1000))
        };
        assert_eq!(point(20, true), 11);
        assert_eq!(point(21, true), 21);
        assert_eq!(point(1, false), 31);
    }

    #[test]
    fn what_one_stream_need_not_keep_goes_from_beside_what_another_keeps() {
        let segments = segments(&[BOTH, BOTH, BOTH]);
        let points = |streams: StreamSet| {
            let hold = Hold { floor: 12, streams, holds: true };
            let points = expiry_points(&Policy::default(), &segments, &[hold], at(32));
            let of = |stream| Stream::ALL.into_iter().zip(points).find(|(of, _)| *of == stream).unwrap().1;
            (of(Stream::AccountEvent), of(Stream::AuditLog))
        };
        assert_eq!(points(StreamSet::default()), (21, 1));
        assert_eq!(points(Stream::AuditLog.into()), (21, 1), "it waits for others");
        assert_eq!(points(Stream::AccountEvent.into()), (11, 1));
    }

    #[test]
    fn a_segment_is_sealed_after_a_day_unless_it_is_empty() {
        let [segment] = *segments(&[BOTH]).as_slice() else { panic!() };
        assert!(!is_to_be_sealed(&segment, at(1)));
        assert!(is_to_be_sealed(&segment, at(2)));
        assert!(!is_to_be_sealed(&SegmentFacts { next: segment.first, ..segment }, at(2)));
        assert!(is_to_be_sealed(&segment, Timestamp::default()), "its clock was ahead");
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
