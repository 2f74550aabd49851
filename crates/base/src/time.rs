//! Instants as idstream stores and prints them: UTC, milliseconds.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant in UTC with millisecond precision: milliseconds since 1970-01-01T00:00:00Z.
///
/// Text form is RFC 3339 with `Z` and exactly three fraction digits. Years 0000 to 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 date-time, or one outside the years 0000 to 9999.
#[derive(Debug, thiserror::Error)]
#[error("not an RFC 3339 date-time such as 2026-01-31T12:00:00.000Z")]
pub struct TimeError;

const MIN_MS: i64 = -62_167_219_200_000; // 0000-01-01T00:00:00Z
const MAX_MS: i64 = 253_402_300_799_999; // 9999-12-31T23:59:59.999Z

impl Timestamp {
    /// From milliseconds since the Unix epoch; fails outside the years 0000 to 9999.
    pub fn from_millis(ms: i64) -> Result<Self, TimeError> {
        if (MIN_MS..=MAX_MS).contains(&ms) { Ok(Self(ms)) } else { Err(TimeError) }
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Parses an RFC 3339 date-time with any offset (RFC 3339 section 5.6); finer fractions are cut to milliseconds.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let parsed: jiff::Timestamp = text.parse().map_err(|_| TimeError)?;
        Self::from_millis(parsed.as_millisecond())
    }

    /// This instant plus `delay`, held at the last representable instant.
    #[must_use]
    pub fn plus(self, delay: Duration) -> Self {
        let ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(ms).min(MAX_MS))
    }

    /// This instant minus `delay`, held at the first representable instant.
    #[must_use]
    pub fn minus(self, delay: Duration) -> Self {
        let ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(ms).max(MIN_MS))
    }

    /// Time from `earlier` to this instant; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Timestamp {
    /// The text form, without going through a formatter: it is written several times for every event.
    fn text(self) -> [u8; 24] {
        // Civil date from days since the epoch, proleptic Gregorian (the arithmetic of RFC 3339 appendix B, inverted).
        let days = self.0.div_euclid(86_400_000);
        let ms = self.0.rem_euclid(86_400_000);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_index = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_index + 2) / 5 + 1;
        let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let digit = |number: i64, place: i64| b'0' + (number / place % 10) as u8;
        let (hour, minute, second, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
        let [y, m, d] = [year, month, day];
        [
            digit(y, 1000),
            digit(y, 100),
            digit(y, 10),
            digit(y, 1),
            b'-',
            digit(m, 10),
            digit(m, 1),
            b'-',
            digit(d, 10),
            digit(d, 1),
            b'T',
            digit(hour, 10),
            digit(hour, 1),
            b':',
            digit(minute, 10),
            digit(minute, 1),
            b':',
            digit(second, 10),
            digit(second, 1),
            b'.',
            digit(ms, 100),
            digit(ms, 10),
            digit(ms, 1),
            b'Z',
        ]
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.text()).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 date-time")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_utc_with_milliseconds() {
        let t = Timestamp::parse("2024-02-29T23:59:59.9876+02:00").unwrap();
        assert_eq!(t.to_string(), "2024-02-29T21:59:59.987Z");
        assert_eq!(Timestamp::from_millis(0).unwrap().to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(MIN_MS).unwrap().to_string(), "0000-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(MAX_MS).unwrap().to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_is_not_a_date_time_is_refused() {
        for text in ["", "2024-02-30T00:00:00Z", "2024-02-29", "yesterday", "2024-02-29T00:00:00"] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn printing_and_parsing_agree(ms in MIN_MS..=MAX_MS) {
            let t = Timestamp::from_millis(ms).unwrap();
            proptest::prop_assert_eq!(Timestamp::parse(&t.to_string()).unwrap(), t);
        }
    }
}
