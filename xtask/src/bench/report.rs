//! The figures, as a table for people and as JSON for comparing.

use serde::Serialize;

use super::yardstick::Yardstick;

/// Everything that was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Bytes of an event as posted, on average.
    pub(super) event_bytes: f64,
    pub(super) full_speed: FullSpeed,
    pub(super) latency: Latency,
    pub(super) backlog: Backlog,
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

impl Report {
    /// Lines for people.
    pub(super) fn table(&self) -> String {
        let (full, latency, backlog, yard) =
            (&self.full_speed, &self.latency, &self.backlog, &self.yardstick);
        let rows = [
            ("full speed: accepted", thousands(full.accepted_per_s), "events/s"),
            ("full speed: end to end", thousands(full.end_to_end_per_s), "events/s"),
            ("full speed: server's CPU", format!("{:.1}", full.cpu_s_per_million), "s per million events"),
            ("full speed: peak memory", format!("{:.0}", full.peak_mb), "MB"),
            ("full speed: sent twice", thousands(full.repeated as f64), "events"),
            ("full speed: answered busy", thousands(full.busy as f64), "requests"),
            ("latency: p50", format!("{:.1}", latency.p50_ms), "ms"),
            ("latency: p99", format!("{:.1}", latency.p99_ms), "ms"),
            ("latency: server's CPU", format!("{:.1}", latency.cpu_s_per_million), "s per million events"),
            ("backlog: size", thousands(backlog.size_mb), "MB"),
            ("backlog: accepted", thousands(backlog.accepted_per_s), "events/s"),
            ("backlog: caught up", thousands(backlog.catch_up_per_s), "events/s"),
            ("backlog: peak memory, receiver down", format!("{:.0}", backlog.peak_mb_down), "MB"),
            ("backlog: peak memory", format!("{:.0}", backlog.peak_mb), "MB"),
            ("yardstick: SHA-256, one core", format!("{:.2}", yard.sha256_gb_per_s), "GB/s"),
            ("yardstick: 256 KB written and synced, p50", format!("{:.2}", yard.synced_write_p50_ms), "ms"),
            ("yardstick: null server", thousands(yard.null_server_events_per_s), "events/s"),
        ];
        let mut lines = vec![format!(
            "{} events of {:.0} bytes at full speed, {} at {}/s, {} in the backlog; all arrived",
            thousands(full.accepted as f64),
            self.event_bytes,
            thousands(latency.accepted as f64),
            thousands(latency.events_per_s as f64),
            thousands(backlog.accepted as f64),
        )];
        lines.extend(rows.map(|(name, figure, unit)| format!("{name:<42} {figure:>12} {unit}")));
        lines.push(String::new());
        lines.extend(self.targets.iter().map(Target::line));
        lines.join("\n")
    }
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

    /// The figures that must be reached.
    pub(super) fn all(full: &FullSpeed, latency: &Latency, backlog: &Backlog) -> Vec<Self> {
        let peak_mb = full.peak_mb.max(backlog.peak_mb_down).max(backlog.peak_mb);
        vec![
            Self::new("end to end", full.end_to_end_per_s, (Side::AtLeast, 60_000.0), "events/s"),
            Self::new("server's CPU", full.cpu_s_per_million, (Side::AtMost, 15.0), "s per million events"),
            Self::new("p99 at 2,000 events/s", latency.p99_ms, (Side::Under, 50.0), "ms"),
            Self::new("memory, whatever the backlog", peak_mb, (Side::Under, 150.0), "MB"),
        ]
    }

    fn line(&self) -> String {
        let side = match self.side {
            Side::AtLeast => "at least",
            Side::AtMost => "at most",
            Side::Under => "under",
        };
        let bound = format!("{side} {}", thousands(self.bound));
        let figure =
            if self.figure < 1_000.0 { format!("{:.1}", self.figure) } else { thousands(self.figure) };
        let met = if self.is_met { "met" } else { "MISSED" };
        format!("target: {:<34} {figure:>12} {}, {bound}: {met}", self.name, self.unit)
    }
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
    fn each_target_is_told_with_its_bound_and_whether_it_is_met() {
        let line = |figure, side| Target::new("p99", figure, (side, 50.0), "ms").line();
        assert!(line(50.0, Side::AtLeast).ends_with("50.0 ms, at least 50: met"));
        assert!(line(49.96, Side::AtLeast).ends_with("50.0 ms, at least 50: MISSED"));
        assert!(line(50.0, Side::AtMost).ends_with("at most 50: met"));
        assert!(line(50.1, Side::AtMost).ends_with("MISSED"));
        assert!(line(50.0, Side::Under).ends_with("under 50: MISSED"));
        assert!(line(61_234.0, Side::AtLeast).contains(" 61,234 ms"));
    }

    #[test]
    fn figures_are_printed_with_commas() {
        assert_eq!([0.4, 999.0, 1000.0, 1_234_567.4].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
