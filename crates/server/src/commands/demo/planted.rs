//! The attacks that are planted in the traffic: when each ran, and what to search for in order to find it.

use std::fmt;
use std::net::IpAddr;

use base::Timestamp;
use traffic::Planted;

/// Follows the story and notes when its attacks run.
#[derive(Debug)]
pub(super) struct Watch {
    planted: Vec<Planted>,
    /// The one that is under way or comes next.
    at: usize,
    began: Option<Timestamp>,
}

/// An attack that is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attack {
    began: Timestamp,
    ended: Timestamp,
    addresses: Vec<IpAddr>,
    got_in: bool,
}

impl Watch {
    pub(super) fn new(planted: &[Planted]) -> Self {
        Self { planted: planted.to_vec(), at: 0, began: None }
    }

    /// The number of the first event of the first attack.
    pub(super) fn first_event(&self) -> Option<u64> {
        self.planted.first().map(|planted| planted.from_event)
    }

    /// Takes note of event `number`, which happens at `now`. Called for every event in turn; answers the attack that
    /// ends with it.
    pub(super) fn note(&mut self, number: u64, now: Timestamp) -> Option<Attack> {
        let planted = self.planted.get(self.at)?;
        if number < planted.from_event {
            return None;
        }
        let began = *self.began.get_or_insert(now);
        if number + 1 < planted.until_event {
            return None;
        }
        self.at += 1;
        // Addresses that follow on each other without a pause are one attack.
        if self.planted.get(self.at).is_some_and(|next| next.from_event == planted.until_event) {
            return None;
        }
        self.began = None;
        let before = self.planted.get(..self.at).unwrap_or_default();
        let n_parts = 1 + before.windows(2).rev().take_while(|pair| follows(pair)).count();
        let parts = before.get(before.len() - n_parts..).unwrap_or_default();
        Some(Attack {
            began,
            ended: now,
            addresses: parts.iter().map(|part| part.ip).collect(),
            got_in: parts.iter().any(|part| part.gets_in),
        })
    }
}

fn follows(pair: &[Planted]) -> bool {
    matches!(pair, [one, next] if one.until_event == next.from_event)
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let outcome = if self.got_in { "one login succeeded" } else { "no login succeeded" };
        writeln!(
            f,
            "planted attack: password spraying, {} to {} UTC, from {}; {outcome}",
            clock_time(self.began),
            clock_time(self.ended),
            addresses.join(", "),
        )?;
        let splunk: Vec<String> = addresses.iter().map(|ip| format!("actor.ip=\"{ip}\"")).collect();
        let kibana: Vec<String> = addresses.iter().map(|ip| format!("\"{ip}\"")).collect();
        writeln!(f, "  in Splunk:  sourcetype=\"idstream:account\" ({})", splunk.join(" OR "))?;
        writeln!(f, "              | stats count, dc(subject.userName) by actor.ip, outcome")?;
        write!(f, "  in Kibana:  actor.ip: ({}) and labels: \"failure:login\"", kibana.join(" or "))
    }
}

/// The time of day, in seconds.
fn clock_time(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(11..19).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use traffic::Traffic;

    use super::*;

    #[test]
    fn every_planted_attack_is_told_once_with_its_time_and_addresses() {
        let start = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
        let traffic = Traffic::new(2026, start);
        let planted: Vec<Planted> = traffic.planted().iter().copied().take(20).collect();
        let mut watch = Watch::new(&planted);
        assert_eq!(watch.first_event(), Some(planted[0].from_event));
        let (mut told, mut n_told_addresses) = (Vec::new(), 0);
        for number in 0..planted[19].until_event {
            // A second an event.
            let now = start.plus(Duration::from_secs(number));
            let Some(attack) = watch.note(number, now) else { continue };
            let first = planted[n_told_addresses];
            assert_eq!(attack.began, start.plus(Duration::from_secs(first.from_event)));
            n_told_addresses += attack.addresses.len();
            let last = planted[n_told_addresses - 1];
            assert_eq!((number, attack.got_in), (last.until_event - 1, last.gets_in));
            told.extend(attack.addresses);
        }
        // The last one may go on beyond what is looked at.
        let expected: Vec<IpAddr> = planted.iter().map(|planted| planted.ip).collect();
        assert!(told.len() >= 15 && expected.starts_with(&told), "{told:?} of {expected:?}");
    }

    #[test]
    fn it_says_what_to_search_for() {
        let time = |text: &str| Timestamp::parse(text).unwrap();
        let attack = Attack {
            began: time("2026-01-31T12:03:04.500Z"),
            ended: time("2026-01-31T12:03:20Z"),
            addresses: vec!["203.0.113.7".parse().unwrap(), "203.0.113.9".parse().unwrap()],
            got_in: true,
        };
        let expected = "\
planted attack: password spraying, 12:03:04 to 12:03:20 UTC, from 203.0.113.7, 203.0.113.9; one login succeeded
  in Splunk:  sourcetype=\"idstream:account\" (actor.ip=\"203.0.113.7\" OR actor.ip=\"203.0.113.9\")
              | stats count, dc(subject.userName) by actor.ip, outcome
  in Kibana:  actor.ip: (\"203.0.113.7\" or \"203.0.113.9\") and labels: \"failure:login\"";
        assert_eq!(attack.to_string(), expected);
    }
}
