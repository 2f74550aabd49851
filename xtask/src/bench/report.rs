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
        lines.join("\n")
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
    fn figures_are_printed_with_commas() {
        assert_eq!([0.4, 999.0, 1000.0, 1_234_567.4].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
