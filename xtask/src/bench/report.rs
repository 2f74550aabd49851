//! The figures, as a table for people and as JSON for comparing.

use serde::Serialize;

use super::yardstick::Yardstick;

/// Everything that was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Bytes of an event as posted, on average.
    pub(super) event_bytes: f64,
    pub(super) full_speed: Option<FullSpeed>,
    pub(super) latency: Option<Latency>,
    pub(super) backlog: Option<Backlog>,
    pub(super) one_down: Option<OneDown>,
    pub(super) yardstick: Yardstick,
    pub(super) targets: Vec<Target>,
}

/// A figure that must be reached, on two processors shared with the generator and the receiver.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    pub(super) name: &'static str,
    pub(super) figure: f64,
    /// The bound, and on which side of it the figure must be.
    pub(super) bound: f64,
    pub(super) side: Side,
    pub(super) unit: &'static str,
    pub(super) is_met: bool,
}

/// On which side of a bound a figure must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Side {
    AtLeast,
    AtMost,
    Under,
}

/// Four connections, 100 events a request, as fast as answered; then drained.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FullSpeed {
    pub(super) accepted: u64,
    pub(super) distinct: u64,
    /// Documents that came more than once.
    pub(super) repeated: u64,
    /// Requests that were told to come again.
    pub(super) busy: u64,
    /// Events with a receipt, a second.
    pub(super) accepted_per_s: f64,
    /// Distinct events at the receiver, over the time to the last arrival.
    pub(super) end_to_end_per_s: f64,
    /// CPU seconds of the server, for a million events in and out.
    pub(super) cpu_s_per_million: f64,
    pub(super) peak_mb: f64,
}

/// A steady rate, 10 events a request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Latency {
    pub(super) events_per_s: u64,
    pub(super) accepted: u64,
    pub(super) distinct: u64,
    /// From creation to parsed by the receiver.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) cpu_s_per_million: f64,
}

/// Accepted while the receiver is down, then delivered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Backlog {
    pub(super) accepted: u64,
    /// What that is, as posted.
    pub(super) size_mb: f64,
    pub(super) distinct: u64,
    pub(super) accepted_per_s: f64,
    /// From the first to the last arrival.
    pub(super) catch_up_per_s: f64,
    /// The most memory while it was built up.
    pub(super) peak_mb_down: f64,
    /// The most memory after it was delivered.
    pub(super) peak_mb: f64,
}

/// One destination at full speed, with and without another beside it that is down.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OneDown {
    pub(super) rounds: usize,
    /// Distinct events at the receiver, a second; the median of the rounds.
    pub(super) alone_per_s: f64,
    pub(super) beside_per_s: f64,
    /// The second over the first, the median of the rounds.
    pub(super) ratio: f64,
    /// The same of each round.
    pub(super) ratios: Vec<f64>,
}

/// A name, a figure and its unit.
type Row = (&'static str, String, &'static str);

impl Report {
    /// Lines for people.
    pub(super) fn table(&self) -> String {
        let mut lines =
            vec![format!("events of {:.0} bytes; all that were accepted have arrived", self.event_bytes)];
        let rows = [
            self.full_speed.as_ref().map(FullSpeed::rows),
            self.latency.as_ref().map(Latency::rows),
            self.backlog.as_ref().map(Backlog::rows),
            self.one_down.as_ref().map(OneDown::rows),
            Some(yardsticks(&self.yardstick)),
        ];
        let rows = rows.into_iter().flatten().flatten();
        lines.extend(rows.map(|(name, figure, unit)| format!("{name:<42} {figure:>12} {unit}")));
        lines.push(String::new());
        lines.extend(self.targets.iter().map(Target::line));
        lines.join("\n")
    }
}

impl FullSpeed {
    fn rows(&self) -> Vec<Row> {
        vec![
            ("full speed: accepted", thousands(self.accepted as f64), "events"),
            ("full speed: accepted", thousands(self.accepted_per_s), "events/s"),
            ("full speed: end to end", thousands(self.end_to_end_per_s), "events/s"),
            ("full speed: server's CPU", format!("{:.1}", self.cpu_s_per_million), "s per million events"),
            ("full speed: peak memory", format!("{:.0}", self.peak_mb), "MB"),
            ("full speed: sent twice", thousands(self.repeated as f64), "events"),
            ("full speed: answered busy", thousands(self.busy as f64), "requests"),
        ]
    }
}

impl Latency {
    fn rows(&self) -> Vec<Row> {
        vec![
            ("latency: accepted", thousands(self.accepted as f64), "events"),
            ("latency: p50", format!("{:.1}", self.p50_ms), "ms"),
            ("latency: p99", format!("{:.1}", self.p99_ms), "ms"),
            ("latency: server's CPU", format!("{:.1}", self.cpu_s_per_million), "s per million events"),
        ]
    }
}

impl Backlog {
    fn rows(&self) -> Vec<Row> {
        vec![
            ("backlog: size", thousands(self.accepted as f64), "events"),
            ("backlog: size", thousands(self.size_mb), "MB"),
            ("backlog: accepted", thousands(self.accepted_per_s), "events/s"),
            ("backlog: caught up", thousands(self.catch_up_per_s), "events/s"),
            ("backlog: peak memory, receiver down", format!("{:.0}", self.peak_mb_down), "MB"),
            ("backlog: peak memory", format!("{:.0}", self.peak_mb), "MB"),
        ]
    }
}

impl OneDown {
    fn rows(&self) -> Vec<Row> {
        let ratios: Vec<_> = self.ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        vec![
            ("one down: the other one alone", thousands(self.alone_per_s), "events/s"),
            ("one down: the other one beside it", thousands(self.beside_per_s), "events/s"),
            ("one down: ratio of each round", ratios.join(" "), ""),
        ]
    }
}

fn yardsticks(yard: &Yardstick) -> Vec<Row> {
    vec![
        ("yardstick: SHA-256, one core", format!("{:.2}", yard.sha256_gb_per_s), "GB/s"),
        ("yardstick: 256 KB written and synced, p50", format!("{:.2}", yard.synced_write_p50_ms), "ms"),
        ("yardstick: null server", thousands(yard.null_server_events_per_s), "events/s"),
    ]
}

impl Target {
    fn new(name: &'static str, figure: f64, (side, bound): (Side, f64), unit: &'static str) -> Self {
        let is_met = match side {
            Side::AtLeast => figure >= bound,
            Side::AtMost => figure <= bound,
            Side::Under => figure < bound,
        };
        Self { name, figure, bound, side, unit, is_met }
    }

    /// The figures that must be reached, of the runs that were made.
    pub(super) fn all(report: &Report) -> Vec<Self> {
        let Report { full_speed, latency, backlog, one_down, .. } = report;
        let mut targets = Vec::new();
        if let Some(full) = full_speed {
            targets.extend([
                Self::new("end to end", full.end_to_end_per_s, (Side::AtLeast, 60_000.0), "events/s"),
                Self::new(
                    "server's CPU",
                    full.cpu_s_per_million,
                    (Side::AtMost, 15.0),
                    "s per million events",
                ),
            ]);
        }
        if let Some(latency) = latency {
            targets.push(Self::new("p99 at 2,000 events/s", latency.p99_ms, (Side::Under, 50.0), "ms"));
        }
        if let (Some(full), Some(backlog)) = (full_speed, backlog) {
            let peak_mb = full.peak_mb.max(backlog.peak_mb_down).max(backlog.peak_mb);
            let ratio = backlog.catch_up_per_s / full.end_to_end_per_s.max(1.0);
            targets.extend([
                Self::new("memory, whatever the backlog", peak_mb, (Side::Under, 150.0), "MB"),
                Self::new("backlog caught up / full speed", ratio, (Side::AtLeast, 0.95), "of the rate"),
            ]);
        }
        if let Some(one_down) = one_down {
            targets.push(Self::new(
                "one down: the other one's rate",
                one_down.ratio,
                (Side::AtLeast, 0.95),
                "of the rate",
            ));
        }
        targets
    }

    fn line(&self) -> String {
        let side = match self.side {
            Side::AtLeast => "at least",
            Side::AtMost => "at most",
            Side::Under => "under",
        };
        let shown = |figure: f64| match figure {
            ..10.0 => format!("{figure:.2}"),
            ..1_000.0 => format!("{figure:.1}"),
            _ => thousands(figure),
        };
        let whole = |bound: f64| if bound < 10.0 { format!("{bound:.2}") } else { thousands(bound) };
        let bound = format!("{side} {}", whole(self.bound));
        let figure = shown(self.figure);
        let met = if self.is_met { "met" } else { "MISSED" };
        format!("target: {:<34} {figure:>12} {}, {bound}: {met}", self.name, self.unit)
    }
}

/// The middle one, or the mean of the two; 0 when there are none. Sorts.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let (below, above) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    let at = |place: usize| values.get(place).copied().unwrap_or(0.0);
    f64::midpoint(at(below), at(above))
}

/// The value that `percent` of all are at or below (nearest rank); `None` when there are none. Sorts.
pub(super) fn percentile(values: &mut [u32], percent: usize) -> Option<u32> {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}

/// Whole, with commas: `61,000`.
fn thousands(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut out = String::new();
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

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut values: Vec<u32> = (1..=200).rev().collect();
        assert_eq!(percentile(&mut values, 50), Some(100));
        assert_eq!(percentile(&mut values, 99), Some(198));
        assert_eq!(percentile(&mut [7], 99), Some(7));
        assert_eq!(percentile(&mut [], 50), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let shown = |values: &mut [f64]| format!("{:.1}", median(values));
        assert_eq!(
            [shown(&mut [3.0, 1.0, 2.0]), shown(&mut [4.0, 1.0]), shown(&mut [])],
            ["2.0", "2.5", "0.0"]
        );
    }

    #[test]
    fn each_target_is_told_with_its_bound_and_whether_it_is_met() {
        let line = |figure, side| Target::new("p99", figure, (side, 50.0), "ms").line();
        assert!(line(50.0, Side::AtLeast).ends_with("50.0 ms, at least 50: met"));
        assert!(line(49.96, Side::AtLeast).ends_with("50.0 ms, at least 50: MISSED"));
        assert!(line(50.0, Side::AtMost).ends_with("at most 50: met"));
        assert!(line(50.1, Side::AtMost).ends_with("MISSED"));
        assert!(line(50.0, Side::Under).ends_with("under 50: MISSED"));
        assert!(line(61_234.0, Side::AtLeast).contains(" 61,234 ms"));
        let ratio = Target::new("rate", 0.949, (Side::AtLeast, 0.95), "of the rate").line();
        assert!(ratio.ends_with("0.95 of the rate, at least 0.95: MISSED"), "{ratio}");
    }

    #[test]
    fn figures_are_printed_with_commas() {
        assert_eq!([0.4, 999.0, 1000.0, 1_234_567.4].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
