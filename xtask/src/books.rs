//! The books of a configuration, as its status tells them: every event has one end.

use serde_json::Value;

/// The columns of the books that an event ends in.
const ENDS: [&str; 8] =
    ["skipped", "confirmed", "diverted", "accepted", "quarantined", "discarded", "expired", "erased"];

/// A number of an answer.
pub(crate) fn count(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(Value::as_u64)
}

/// Every event of the books has its end.
pub(crate) fn is_balanced(books: &Value) -> bool {
    let ends: Option<u64> = ENDS.iter().map(|name| count(books, name)).sum();
    count(books, "appended").is_some() && count(books, "appended") == ends
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn books_that_miss_an_event_are_not_balanced() {
        let mut books = json!({"appended": 5, "skipped": 1, "confirmed": 4, "diverted": 0, "accepted": 0,
            "quarantined": 0, "discarded": 0, "expired": 0, "erased": 0});
        assert!(is_balanced(&books));
        books["confirmed"] = json!(3);
        assert!(!is_balanced(&books));
        assert!(!is_balanced(&json!({})));
    }
}
