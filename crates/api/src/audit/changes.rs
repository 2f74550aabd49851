//! What differs between two states of an entity, value by value.

use serde_json::{Value, json};

/// Most differences that are listed; beyond, the whole states tell.
const MAX_CHANGES: usize = 200;

/// The differences, each with its JSON Pointer (RFC 6901), in order of names. Lists are compared as a whole: what was
/// inserted at the front did not change every place behind it.
pub(super) fn between(before: Option<&Value>, after: Option<&Value>) -> Vec<Value> {
    let mut changes = Vec::new();
    compare("", before, after, &mut changes);
    changes.truncate(MAX_CHANGES);
    changes
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Value>) {
    if before == after {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (before, after) {
        let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
            compare(&path, old.get(name), new.get(name), changes);
        }
        return;
    }
    let mut change = json!({ "path": path });
    for (side, value) in [("before", before), ("after", after)] {
        if let (Some(value), Some(change)) = (value, change.as_object_mut()) {
            change.insert(side.to_owned(), value.clone());
        }
    }
    changes.push(change);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_that_differs_is_named_once() {
        let before =
            json!({"name": "a", "on": true, "claims": [1, 2], "deep": {"x/y": 1, "same": 2}, "gone": 1});
        let after =
            json!({"name": "b", "on": true, "claims": [2], "deep": {"x/y": null, "same": 2}, "new": {}});
        assert_eq!(
            between(Some(&before), Some(&after)),
            [
                json!({"path": "/claims", "before": [1, 2], "after": [2]}),
                json!({"path": "/deep/x~1y", "before": 1, "after": null}),
                json!({"path": "/gone", "before": 1}),
                json!({"path": "/name", "before": "a", "after": "b"}),
                json!({"path": "/new", "after": {}}),
            ]
        );
        assert_eq!(between(Some(&before), Some(&before)), [Value::Null; 0]);
        assert_eq!(between(None, Some(&json!(1))), [json!({"path": "", "after": 1})]);
    }
}
