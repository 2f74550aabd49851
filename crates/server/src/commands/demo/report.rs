//! What the demo has come to: for people, for programs, and whether it is what was promised.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// One destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) vendor: &'static str,
    /// What the server's books say.
    pub(super) delivered: u64,
    pub(super) quarantined: u64,
    pub(super) pending: u64,
    /// What the receiver has counted.
    pub(super) distinct: u64,
    /// What it has found to be wrong.
    pub(super) n_problems: u64,
    pub(super) first_problem: Option<String>,
}

impl Leg {
    fn progress(&self) -> String {
        let mut behind = Vec::new();
        for (count, what) in [(self.pending, "pending"), (self.quarantined, "in quarantine")] {
            if count > 0 {
                behind.push(format!("{} {what}", thousands(count)));
            }
        }
        let behind = if behind.is_empty() { String::new() } else { format!(" ({})", behind.join(", ")) };
        format!("{} {}{behind}", self.vendor, thousands(self.delivered))
    }
}

/// All of them at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) accepted: u64,
    pub(super) legs: Vec<Leg>,
}

impl Report {
    /// Whether nothing is on its way any more.
    pub(super) fn is_settled(&self) -> bool {
        let is_settled = |leg: &Leg| leg.pending == 0 && leg.delivered + leg.quarantined >= self.accepted;
        self.legs.iter().all(is_settled)
    }

    /// What a strict receiver has complained about.
    pub(super) fn complaint(&self) -> Option<String> {
        self.legs.iter().find_map(|leg| {
            let first = leg.first_problem.as_ref()?;
            let (vendor, n_problems) = (leg.vendor, thousands(leg.n_problems));
            Some(format!("the receiver for {vendor} found {n_problems} faults, the first: {first}"))
        })
    }

    /// Why this is not what was promised, once the traffic has ended: every accepted event is delivered, and none is wrong.
    pub(super) fn fault(&self) -> Option<String> {
        let of_leg = |leg: &Leg| {
            let vendor = leg.vendor;
            let counts = [
                (leg.pending > 0).then(|| format!("{} events are still pending", leg.pending)),
                (leg.quarantined > 0).then(|| format!("{} events are in quarantine", leg.quarantined)),
                (leg.delivered < self.accepted).then(|| {
                    format!("only {} of {} accepted events are delivered", leg.delivered, self.accepted)
                }),
                (leg.distinct != leg.delivered).then(|| {
                    format!("{} events are delivered, but the receiver has {}", leg.delivered, leg.distinct)
                }),
            ];
            counts.into_iter().flatten().next().map(|what| format!("{vendor}: {what}"))
        };
        self.complaint().or_else(|| self.legs.iter().find_map(of_leg))
    }

    /// The result, as `--json` prints it.
    pub(super) fn json(&self) -> Value {
        let legs: Vec<Value> = self
            .legs
            .iter()
            .map(|leg| {
                json!({
                    "type": leg.vendor,
                    "delivered": leg.delivered,
                    "distinct": leg.distinct,
                    "quarantined": leg.quarantined,
                    "pending": leg.pending,
                })
            })
            .collect();
        json!({"accepted": self.accepted, "destinations": legs})
    }

    /// One line, while it runs.
    pub(super) fn progress(&self) -> String {
        let legs: Vec<String> = self.legs.iter().map(Leg::progress).collect();
        format!("accepted {:>9}  |  delivered: {}", thousands(self.accepted), legs.join(", "))
    }

    /// The result, for people.
    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "{:<14} {:>11} {:>11} {:>21} {:>9} {:>12}",
            "", "accepted", "delivered", "received, distinct", "pending", "quarantined"
        );
        for leg in &self.legs {
            let _infallible = write!(
                table,
                "\n{:<14} {:>11} {:>11} {:>21} {:>9} {:>12}",
                leg.vendor,
                thousands(self.accepted),
                thousands(leg.delivered),
                thousands(leg.distinct),
                thousands(leg.pending),
                thousands(leg.quarantined),
            );
        }
        table
    }
}

/// With commas: `61,000`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Report {
        let leg = |vendor| Leg { vendor, delivered: 1_500, distinct: 1_500, ..Leg::default() };
        Report { accepted: 1_500, legs: vec![leg("splunk"), leg("elasticsearch")] }
    }

    fn bad(spoil: impl Fn(&mut Leg)) -> Report {
        let mut report = good();
        spoil(&mut report.legs[1]);
        report
    }

    #[test]
    fn all_that_is_not_as_promised_is_a_fault() {
        assert_eq!((good().fault(), good().is_settled()), (None, true));
        for (report, expected) in [
            (bad(|leg| leg.pending = 1), "elasticsearch: 1 events are still pending"),
            (bad(|leg| leg.quarantined = 2), "elasticsearch: 2 events are in quarantine"),
            (bad(|leg| leg.delivered = 3), "elasticsearch: only 3 of 1500 accepted events are delivered"),
            (bad(|leg| leg.distinct = 4), "elasticsearch: 1500 events are delivered, but the receiver has 4"),
        ] {
            assert_eq!(report.fault().as_deref(), Some(expected));
        }
        assert!(!bad(|leg| leg.pending = 1).is_settled());
        assert!(!bad(|leg| leg.delivered = 3).is_settled());
    }

    #[test]
    fn what_a_strict_receiver_finds_is_a_fault_even_if_every_count_is_right() {
        let report = bad(|leg| {
            leg.n_problems = 1_200;
            leg.first_problem = Some("event 3: stream is missing".to_owned());
        });
        let expected =
            "the receiver for elasticsearch found 1,200 faults, the first: event 3: stream is missing";
        assert_eq!(report.fault().as_deref(), Some(expected));
        assert_eq!(report.complaint().as_deref(), Some(expected));
    }

    #[test]
    fn progress_and_result_are_readable() {
        let line = "accepted     1,500  |  delivered: splunk 1,500, elasticsearch 1,500";
        assert_eq!(good().progress(), line);
        let behind = bad(|leg| (leg.pending, leg.quarantined) = (1_000, 1)).progress();
        assert_eq!(behind, format!("{line} (1,000 pending, 1 in quarantine)"));
        let table = good().table();
        assert_eq!(table.lines().count(), 3);
        assert!(table.lines().all(|line| line.len() == table.lines().next().unwrap().len()), "{table}");
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
