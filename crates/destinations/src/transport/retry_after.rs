//! `Retry-After` in both of its forms (RFC 9110 section 10.2.3).

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use jiff::fmt::rfc2822::DateTimeParser;

/// How long the answer asks to wait. A date is measured against the answer's own `Date`: the two clocks need not agree.
pub(crate) fn read(headers: &HeaderMap) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = date(asked)?;
    let now = date(headers.get(DATE)?.to_str().ok()?)?;
    Some(Duration::from_secs(u64::try_from(until - now).unwrap_or(0)))
}

/// Seconds since the epoch of an HTTP date in the form that senders must use (RFC 9110 section 5.6.7).
fn date(text: &str) -> Option<i64> {
    DateTimeParser::new().parse_timestamp(text).ok().map(jiff::Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(retry_after: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        read(&headers)
    }

    #[test]
    fn both_forms_are_read() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(asked("120", None), Some(Duration::from_mins(2)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(Duration::from_mins(1)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:40:37 GMT", now), Some(Duration::ZERO));
    }

    #[test]
    fn what_cannot_be_read_asks_for_nothing() {
        for text in ["", "-1", "1.5", "soon", "Sun, 06 Nov 1994 08:50:37 GMT"] {
            assert_eq!(asked(text, None), None, "{text}");
        }
        assert_eq!(read(&HeaderMap::new()), None);
    }
}
