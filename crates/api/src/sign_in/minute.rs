//! One minute of sign-ins: the first of each kind is told at once, its repetitions together when the minute is over, and
//! what is beyond a number of kinds as one sum. So however many there are, few are told.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use base::Timestamp;

use crate::access::Reason;

/// How long equal ones are told together.
const MINUTE: Duration = Duration::from_mins(1);
/// Kinds that are told apart in a minute: with their repetitions and the sum of all others, 59 events.
pub(super) const MAX_KINDS: usize = 29;

/// By which call somebody signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// An access token was asked for.
    ClientCredentials,
    /// A call was made, of the admin API or of the intake.
    BearerToken,
    /// Events were delivered to a source.
    Webhook,
    /// A page was opened.
    Page,
}

impl Way {
    /// The `sourceEventType` of its events.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::BearerToken => "bearer_token",
            Self::Webhook => "webhook",
            Self::Page => "page",
        }
    }
}

/// Who signed in, or tried to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SignIn {
    pub(super) way: Way,
    /// Why not; `None`: it succeeded.
    pub(super) reason: Option<Reason>,
    pub(super) client_id: Option<String>,
    pub(super) client_name: Option<String>,
    pub(super) address: Option<IpAddr>,
}

impl SignIn {
    /// Ids of nobody are not told apart: who makes them up would fill the minute with them.
    fn kind(&self) -> Self {
        let client_id = self.client_id.clone().filter(|_| self.client_name.is_some());
        Self { client_id, ..self.clone() }
    }
}

/// So many sign-ins, from first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) count: u64,
}

impl Times {
    const fn once(at: Timestamp) -> Self {
        Self { first: at, last: at, count: 1 }
    }

    fn again(before: Option<Self>, at: Timestamp) -> Self {
        before.map_or(Self::once(at), |before| Self {
            last: at.max(before.last),
            count: before.count + 1,
            ..before
        })
    }
}

/// What is told by one event. `None`: different ones.
pub(super) type Told = (Option<SignIn>, Times);

#[derive(Debug, Default)]
pub(super) struct Minute {
    ends: Timestamp,
    /// What was seen, and its repetitions.
    kinds: HashMap<SignIn, Option<Times>>,
    others: Option<Times>,
}

impl Minute {
    /// Notes a sign-in; answers what is to be told now.
    pub(super) fn note(&mut self, sign_in: SignIn, now: Timestamp) -> Vec<Told> {
        let mut told = self.end(now);
        if self.kinds.is_empty() {
            self.ends = now.plus(MINUTE);
        }
        let kind = sign_in.kind();
        if let Some(repeated) = self.kinds.get_mut(&kind) {
            *repeated = Some(Times::again(*repeated, now));
        } else if self.kinds.len() < MAX_KINDS {
            self.kinds.insert(kind, None);
            told.push((Some(sign_in), Times::once(now)));
        } else {
            self.others = Some(Times::again(self.others, now));
        }
        told
    }

    /// What is to be told of a minute that is over at `now`. A clock that was set back ends it too.
    pub(super) fn end(&mut self, now: Timestamp) -> Vec<Told> {
        let is_over = now >= self.ends || self.ends > now.plus(MINUTE);
        if is_over { self.close() } else { Vec::new() }
    }

    /// Ends the minute, and answers what is to be told of it.
    pub(super) fn close(&mut self) -> Vec<Told> {
        let repeated = std::mem::take(&mut self.kinds).into_iter();
        let mut told: Vec<Told> =
            repeated.filter_map(|(kind, repeated)| Some((Some(kind), repeated?))).collect();
        told.sort_by_key(|(_, times)| times.first);
        told.extend(self.others.take().map(|times| (None, times)));
        told
    }

    /// Whether something is told only when the minute is over.
    pub(super) fn is_open(&self) -> bool {
        self.others.is_some() || self.kinds.values().any(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(seconds: u64) -> Timestamp {
        Timestamp::parse("2026-01-31T12:00:00Z").unwrap().plus(Duration::from_secs(seconds))
    }

    fn failure(client: &str, is_known: bool, address: &str) -> SignIn {
        SignIn {
            way: Way::ClientCredentials,
            reason: Some(if is_known { Reason::WrongSecret } else { Reason::UnknownClient }),
            client_id: Some(client.to_owned()),
            client_name: is_known.then(|| client.to_owned()),
            address: address.parse().ok(),
        }
    }

    fn times(first: u64, last: u64, count: u64) -> Times {
        Times { first: now(first), last: now(last), count }
    }

    #[test]
    fn the_first_is_told_at_once_and_its_repetitions_together() {
        let mut minute = Minute::default();
        let sign_in = failure("a", true, "203.0.113.7");
        assert_eq!(minute.note(sign_in.clone(), now(0)), [(Some(sign_in.clone()), times(0, 0, 1))]);
        assert!(!minute.is_open());
        for second in 1..=5 {
            assert_eq!(minute.note(sign_in.clone(), now(10 * second)), []);
        }
        let other = failure("a", true, "198.51.100.9");
        assert_eq!(minute.note(other.clone(), now(51)).len(), 1, "another address");
        assert_eq!(minute.end(now(59)), []);
        assert!(minute.is_open());
        assert_eq!(minute.end(now(60)), [(Some(sign_in.clone()), times(10, 50, 5))]);
        assert_eq!(minute.end(now(61)), []);
        assert_eq!(
            minute.note(sign_in.clone(), now(62)),
            [(Some(sign_in), times(62, 62, 1))],
            "a new minute"
        );
    }

    #[test]
    fn a_new_minute_tells_what_is_left_of_the_last_one_first() {
        let mut minute = Minute::default();
        let sign_in = failure("a", true, "203.0.113.7");
        minute.note(sign_in.clone(), now(0));
        minute.note(sign_in.clone(), now(1));
        let told = minute.note(sign_in, now(3600));
        assert_eq!(
            told.into_iter().map(|(_, times)| times).collect::<Vec<_>>(),
            [times(1, 1, 1), times(3600, 3600, 1)]
        );
    }

    #[test]
    fn a_flood_becomes_few_events_that_count_all_of_it() {
        let mut minute = Minute::default();
        let mut told = Vec::new();
        for n in 0..10_000_u32 {
            let address = std::net::Ipv4Addr::from_bits(n % 500).to_string();
            told.extend(minute.note(failure("a", true, &address), now(u64::from(n) / 200)));
        }
        told.extend(minute.close());
        assert!(told.len() <= 59, "{}", told.len());
        assert_eq!(told.iter().map(|(_, times)| times.count).sum::<u64>(), 10_000);
        assert_eq!(told.iter().filter(|(sign_in, _)| sign_in.is_none()).count(), 1);
    }

    #[test]
    fn made_up_ids_of_one_address_are_one_kind() {
        let mut minute = Minute::default();
        let told: usize = (0..100)
            .map(|n| minute.note(failure(&format!("id-{n}"), false, "203.0.113.7"), now(n)).len())
            .sum();
        assert_eq!(told, 3, "the first of two minutes, and the repetitions of one");
        let (repeated, _) = minute.close().remove(0);
        assert_eq!(repeated.unwrap().client_id, None, "they are of many ids");
    }
}
