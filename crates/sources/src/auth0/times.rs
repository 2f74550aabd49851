//! The spellings of times in Auth0's logs.

use base::Timestamp;
use serde_json::Value;

/// Numbers below this are no milliseconds: as such they would lie before March 1973, as seconds they are recent.
const LEAST_MS: i64 = 100_000_000_000;

/// A time: RFC 3339 with any offset, the same without an offset (then UTC) and with a space for the `T`, or milliseconds
/// since 1970 as a number or as digits. `None` for anything else.
pub(super) fn read(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().map(f64::round).map(|ms| ms as i64);
            from_ms(number.as_i64().or(whole)?)
        }
        Value::String(text) => from_text(text.trim()),
        _ => None,
    }
}

fn from_text(text: &str) -> Option<Timestamp> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return from_ms(text.parse().ok()?);
    }
    Timestamp::parse(text).or_else(|_| Timestamp::parse(&format!("{text}Z"))).ok()
}

fn from_ms(ms: i64) -> Option<Timestamp> {
    (ms >= LEAST_MS).then(|| Timestamp::from_millis(ms).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_spelling_of_an_instant_is_the_same_instant() {
        let expected = Timestamp::parse("2025-10-03T14:09:32.149Z").unwrap();
        for value in [
            json!("2025-10-03T14:09:32.149Z"),
            json!("2025-10-03T16:09:32.149+02:00"),
            json!("2025-10-03 14:09:32.149000000"),
            json!("2025-10-03T14:09:32.149"),
            json!(" 2025-10-03 14:09:32.149Z "),
            json!(1_759_500_572_149_i64),
            json!(1_759_500_572_149.0),
            json!("1759500572149"),
        ] {
            assert_eq!(read(&value), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_instant_is_none() {
        for value in [
            json!(null),
            json!(""),
            json!("yesterday"),
            json!("2025-10-03"),
            json!("2025-13-03T14:09:32Z"),
            json!(1_759_500_572), // seconds
            json!(-1),
            json!(u64::MAX),
            json!(1e300),
            json!(["2025-10-03T14:09:32.149Z"]),
            json!({"$date": 1}),
        ] {
            assert_eq!(read(&value), None, "{value}");
        }
    }
}
