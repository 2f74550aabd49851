//! Families of samples, and their text.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

/// Labels of one sample.
pub(super) type Labels = Vec<(&'static str, String)>;
/// What no sample has.
type NoExemplar = Exemplar<Labels, f64>;

/// What a sample says.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Since the process started, or longer.
    Counter(u64),
    /// The same, with fractions.
    Seconds(f64),
    /// Now.
    Gauge(f64),
    /// How often something took up to each bound in seconds and longer than the one before; how often in all; and how long
    /// all of it together, in seconds.
    Histogram(Vec<(f64, u64)>, u64, f64),
}

/// Samples of one name.
#[derive(Clone, Debug)]
pub(super) struct Family {
    /// Without `_total`.
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) samples: Vec<(Labels, Value)>,
}

impl Family {
    pub(super) const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, samples: Vec::new() }
    }

    /// With one sample more.
    pub(super) fn with(mut self, labels: Labels, value: Value) -> Self {
        self.samples.push((labels, value));
        self
    }

    pub(super) fn counter(self, n: u64) -> Self {
        self.with(Labels::new(), Value::Counter(n))
    }

    pub(super) fn gauge(self, value: f64) -> Self {
        self.with(Labels::new(), Value::Gauge(value))
    }
}

#[derive(Debug)]
struct Scrape(Vec<Family>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, help, samples } in &self.0 {
            let Some((_, first)) = samples.first() else { continue };
            let kind = match first {
                Value::Counter(_) | Value::Seconds(_) => MetricType::Counter,
                Value::Gauge(_) => MetricType::Gauge,
                Value::Histogram(..) => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (labels, value) in samples {
                let mut metric = family.encode_family(labels)?;
                match value {
                    Value::Counter(n) => metric.encode_counter(n, None::<&NoExemplar>)?,
                    Value::Seconds(n) => metric.encode_counter(n, None::<&NoExemplar>)?,
                    Value::Gauge(value) => metric.encode_gauge(value)?,
                    Value::Histogram(buckets, count, sum) => {
                        metric.encode_histogram::<Labels>(*sum, *count, buckets, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The text of all families.
pub(super) fn encode(families: Vec<Family>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(families)));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_prometheus_own() {
        let text = encode(vec![
            Family::new("a_events", "Events.")
                .with(vec![("name", "a \"b\"\n\\".to_owned())], Value::Counter(3)),
            Family::new("a_state", "A state.").gauge(1.5),
            Family::new("a_seconds", "Times.")
                .with(Labels::new(), Value::Histogram(vec![(0.1, 2), (1.0, 3)], 6, 4.0)),
            Family::new("nothing", "Not there."),
        ]);
        insta::assert_snapshot!(text.unwrap(), @r#"
        # HELP a_events_total Events.
        # TYPE a_events_total counter
        a_events_total{name="a \"b\"\n\\"} 3
        # HELP a_state A state.
        # TYPE a_state gauge
        a_state 1.5
        # HELP a_seconds Times.
        # TYPE a_seconds histogram
        a_seconds_bucket{le="0.1"} 2
        a_seconds_bucket{le="1"} 5
        a_seconds_bucket{le="+Inf"} 6
        a_seconds_sum 4.0
        a_seconds_count 6
        "#);
    }
}
