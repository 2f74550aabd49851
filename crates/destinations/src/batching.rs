//! How much goes into one request, how many are in flight, packed or not: the `batch` object of a configuration.

use serde_json::{Map, Value};

use crate::fields::Fields;
use crate::registry::Vendor;
use crate::seam::BatchLimits;

/// The object within `configuration`.
const BATCH: &str = "batch";
const FIELDS: [&str; 4] = ["maxBytes", "maxEvents", "maxInFlight", "compression"];
/// Smallest body that can be asked for, in bytes: below, an ordinary event would often stand alone.
const MIN_BYTES: u64 = 10_000;
const MAX_EVENTS: u64 = 10_000;
const MAX_IN_FLIGHT: u64 = 16;

/// How a body is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Compression {
    /// As it is.
    #[default]
    None,
    /// `Content-Encoding: gzip`.
    Gzip,
}

const COMPRESSIONS: [(&str, Compression); 2] = [("none", Compression::None), ("gzip", Compression::Gzip)];

/// The valid `batch` object. What is absent is the vendor's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batching {
    /// Bytes of a body before compression.
    max_bytes: Option<u64>,
    /// Events of a body, 1 to 10,000.
    max_events: Option<u64>,
    /// Requests in flight at once, 1 to 16.
    max_in_flight: Option<u64>,
    pub(crate) compression: Compression,
}

/// Largest body that can be asked for, in bytes before compression. Splunk Cloud asks for 1 MB, a collector of one's own
/// takes more; Elasticsearch and OpenSearch advise against bodies of more than some ten megabytes.
const fn most_bytes(vendor: Vendor) -> u64 {
    match vendor {
        Vendor::Splunk => 5_000_000,
        Vendor::Elasticsearch | Vendor::Https => 10_000_000,
    }
}

impl Batching {
    /// Reads the `batch` object of a configuration; complains about every field that is wrong.
    pub(crate) fn parse(configuration: &mut Fields<'_>, vendor: Vendor) -> Self {
        let Some(mut fields) = configuration.nested(BATCH) else { return Self::default() };
        fields.only(&FIELDS);
        let batching = Self {
            max_bytes: fields.number("maxBytes", MIN_BYTES, most_bytes(vendor)),
            max_events: fields.number("maxEvents", 1, MAX_EVENTS),
            max_in_flight: fields.number("maxInFlight", 1, MAX_IN_FLIGHT),
            compression: fields.choice("compression", &COMPRESSIONS).unwrap_or_default(),
        };
        configuration.absorb(fields);
        batching
    }

    /// Puts the response shape into a configuration's; nothing when all is as without it.
    pub(crate) fn show(&self, configuration: &mut Map<String, Value>) {
        let mut object = Map::new();
        for (name, number) in [
            ("maxBytes", self.max_bytes),
            ("maxEvents", self.max_events),
            ("maxInFlight", self.max_in_flight),
        ] {
            object.extend(number.map(|number| (name.to_owned(), number.into())));
        }
        if self.compression != Compression::default() {
            object.insert("compression".to_owned(), "gzip".into());
        }
        if !object.is_empty() {
            configuration.insert(BATCH.to_owned(), object.into());
        }
    }

    /// What is set here, else what the vendor sets.
    pub(crate) fn limits(&self, vendor: BatchLimits) -> BatchLimits {
        let or = |set: Option<u64>, vendor: usize| set.map_or(vendor, |set| set as usize);
        BatchLimits {
            max_bytes: or(self.max_bytes, vendor.max_bytes),
            max_events: or(self.max_events, vendor.max_events),
            max_in_flight: or(self.max_in_flight, vendor.max_in_flight),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(vendor: Vendor, batch: Value) -> Result<Batching, Vec<String>> {
        let value = json!({ "batch": batch });
        let mut fields = Fields::of(&value);
        let batching = Batching::parse(&mut fields, vendor);
        fields.finish(Some(batching)).map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_set_replaces_what_the_vendor_sets() {
        let vendor = BatchLimits { max_bytes: 1_000_000, max_events: 1000, max_in_flight: 2 };
        let none = parse(Vendor::Https, json!({})).unwrap();
        assert_eq!((none.limits(vendor), none), (vendor, Batching::default()));
        let one = parse(Vendor::Https, json!({"maxInFlight": 1, "maxEvents": 50})).unwrap();
        assert_eq!(one.limits(vendor), BatchLimits { max_events: 50, max_in_flight: 1, ..vendor });
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
        let limits = parse(Vendor::Https, json!({"maxInFlight": 16.0, "maxBytes": 1e6})).unwrap();
        let vendor = BatchLimits { max_bytes: 1, max_events: 1, max_in_flight: 1 };
        let expected = BatchLimits { max_bytes: 1_000_000, max_events: 1, max_in_flight: 16 };
        assert_eq!(limits.limits(vendor), expected);
    }

    #[test]
    fn limits_beyond_reason_are_refused_with_what_would_do() {
        for (vendor, batch, wrong) in [
            (
                Vendor::Splunk,
                json!({"maxBytes": 5_000_001}),
                "batch.maxBytes must be a whole number from 10000 to 5000000",
            ),
            (
                Vendor::Https,
                json!({"maxBytes": 9_999}),
                "batch.maxBytes must be a whole number from 10000 to 10000000",
            ),
            (
                Vendor::Https,
                json!({"maxEvents": 0}),
                "batch.maxEvents must be a whole number from 1 to 10000",
            ),
            (
                Vendor::Https,
                json!({"maxEvents": 1.5}),
                "batch.maxEvents must be a whole number from 1 to 10000",
            ),
            (
                Vendor::Https,
                json!({"maxInFlight": 17}),
                "batch.maxInFlight must be a whole number from 1 to 16",
            ),
            (Vendor::Https, json!({"compression": "zstd"}), "batch.compression must be one of: none, gzip"),
            (Vendor::Https, json!([]), "batch must be an object"),
            (Vendor::Https, json!({"maxbytes": 1}), "batch.maxbytes is not a field here; maxBytes is"),
        ] {
            assert_eq!(parse(vendor, batch).unwrap_err(), [wrong]);
        }
        assert!(parse(Vendor::Splunk, json!({"maxBytes": 5_000_000})).is_ok());
    }
}
