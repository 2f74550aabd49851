//! Cuts a posted body into the texts of single events: an object, an array of objects, or lines.

use serde_json::value::RawValue;

use crate::IntakeError;

/// The body as text, without a byte order mark.
pub(crate) fn as_text(body: &[u8]) -> Result<&str, IntakeError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| IntakeError::Malformed(format!("not UTF-8 after byte {}", error.valid_up_to())))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The texts of the events in `body`, in order. A line that is not JSON is still one text, refused later by itself; an
/// array is well-formed as a whole or not at all.
pub(crate) fn texts(body: &[u8], max_events: usize) -> Result<Vec<&str>, IntakeError> {
    let body = as_text(body)?;
    let texts = match body.trim_start().chars().next() {
        None => return Err(IntakeError::Empty),
        Some('[') => elements(body)?,
        Some('{') => objects(body),
        Some(_) => {
            return Err(IntakeError::Malformed(
                "expected a JSON object, an array of objects, or JSON lines".to_owned(),
            ));
        }
    };
    if texts.is_empty() {
        return Err(IntakeError::Empty);
    }
    if texts.len() > max_events {
        return Err(IntakeError::TooManyEvents { limit: max_events });
    }
    Ok(texts)
}

fn elements(body: &str) -> Result<Vec<&str>, IntakeError> {
    let elements: Vec<&RawValue> =
        serde_json::from_str(body).map_err(|error| IntakeError::Malformed(error.to_string()))?;
    Ok(elements.into_iter().map(RawValue::get).collect())
}

/// One object over several lines is one text; otherwise every line that is not blank is.
fn objects(body: &str) -> Vec<&str> {
    let lines: Vec<&str> = body.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let starts_whole = lines.first().is_some_and(|line| line.ends_with('}'));
    if lines.len() > 1 && !starts_whole && serde_json::from_str::<&RawValue>(body).is_ok() {
        return vec![body.trim()];
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(body: &str) -> Vec<&str> {
        texts(body.as_bytes(), 10).unwrap()
    }

    #[test]
    fn an_object_an_array_and_lines_are_told_apart() {
        assert_eq!(check(" {\"a\":1} "), ["{\"a\":1}"]);
        assert_eq!(check("[{\"a\":1} , {\"b\":2}]"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(check("{\"a\":1}\r\n\n{\"b\":2}\n"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(check("{\n \"a\": 1\n}\n"), ["{\n \"a\": 1\n}"]);
        assert_eq!(check("{\"a\":1}\n{broken\n{\"b\":2}"), ["{\"a\":1}", "{broken", "{\"b\":2}"]);
    }

    #[test]
    fn what_holds_no_events_is_told_apart() {
        assert!(matches!(texts(b" \n", 10), Err(IntakeError::Empty)));
        assert!(matches!(texts(b"[]", 10), Err(IntakeError::Empty)));
        assert!(matches!(texts(b"[{}", 10), Err(IntakeError::Malformed(_))));
        assert!(matches!(texts(b"hello", 10), Err(IntakeError::Malformed(_))));
        assert!(matches!(texts(b"\xff", 10), Err(IntakeError::Malformed(_))));
        assert!(matches!(texts(b"{}\n{}\n{}", 2), Err(IntakeError::TooManyEvents { limit: 2 })));
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _whatever = texts(&body, 5);
        }
    }
}
