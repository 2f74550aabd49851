//! Reading single values out of an item, whatever it holds in their places.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base::mask::MASK;
use event::model::{Named, parse_address};
use serde_json::Value;
use serde_json::value::RawValue;

/// The text at a JSON Pointer (RFC 6901): a string that is not blank, or a number in digits. A masked value is no text.
pub(super) fn text(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(text) if text == MASK => None,
        Value::String(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The first text at one of the pointers.
pub(super) fn first_text(value: &Value, pointers: &[&str]) -> Option<String> {
    pointers.iter().find_map(|pointer| text(value, pointer))
}

/// The first address at one of the pointers that is one: Auth0's examples also hold `99.xxx.xxx.xxx`.
pub(super) fn first_ip(value: &Value, pointers: &[&str]) -> Option<IpAddr> {
    pointers.iter().find_map(|pointer| parse_address(value.pointer(pointer)?.as_str()?))
}

/// The application of an item.
pub(super) fn client(data: &Value) -> Option<Named> {
    Named::of(text(data, "/client_id"), text(data, "/client_name"))
}

/// The value under these keys, spelled as it is in `json`.
pub(super) fn spelled<'a>(json: &'a str, keys: &[&str]) -> Option<&'a RawValue> {
    let mut at: &'a RawValue = serde_json::from_str(json).ok()?;
    for key in keys {
        let members: BTreeMap<String, &'a RawValue> = serde_json::from_str(at.get()).ok()?;
        at = members.get(*key).copied()?;
    }
    Some(at)
}

/// Whether a text has the shape of an email address.
pub(super) fn is_email(text: &str) -> bool {
    let has_sides = text
        .split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    has_sides && !text.contains(char::is_whitespace)
}

/// Whether a text is a whole phone number: digits and their usual separators, nothing blotted out.
pub(super) fn is_phone(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b' ' | b'-' | b'(' | b')' | b'.'))
        && text.bytes().filter(u8::is_ascii_digit).count() >= 5
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_strings_or_numbers_and_never_blank_or_masked() {
        let value =
            json!({"a": " x ", "b": " ", "c": 7, "d": "[masked]", "e": {"f": "g"}, "h": null, "i": true});
        assert_eq!(text(&value, "/a").as_deref(), Some("x"));
        assert_eq!(text(&value, "/c").as_deref(), Some("7"));
        assert_eq!(text(&value, "/e/f").as_deref(), Some("g"));
        for pointer in ["/b", "/d", "/e", "/h", "/i", "/nowhere"] {
            assert_eq!(text(&value, pointer), None, "{pointer}");
        }
        assert_eq!(first_text(&value, &["/b", "/c", "/a"]).as_deref(), Some("7"));
    }

    #[test]
    fn an_address_that_is_none_is_passed_over() {
        let value = json!({"ip": "99.xxx.xxx.xxx", "client_ip": "2001:db8::1"});
        assert_eq!(first_ip(&value, &["/ip", "/client_ip"]), "2001:db8::1".parse().ok());
        assert_eq!(first_ip(&value, &["/ip"]), None);
        assert_eq!(first_ip(&json!({"ip": "192.0.2.1:51234"}), &["/ip"]), "192.0.2.1".parse().ok());
    }

    #[test]
    fn a_spelled_value_keeps_its_order_of_keys() {
        let json = r#"{"a":{"b":{"z":1,"y":2}},"c":"x"}"#;
        assert_eq!(spelled(json, &["a", "b"]).map(RawValue::get), Some(r#"{"z":1,"y":2}"#));
        assert!(spelled(json, &["c", "d"]).is_none());
        assert!(spelled("[", &[]).is_none());
    }

    #[test]
    fn emails_and_phone_numbers_are_told_from_user_names() {
        assert!(is_email("ann@example.com"));
        assert!(is_phone("+43 316 1234-5"));
        for name in ["ann", "ann@", "@example.com", "a b@example.com", "a@b@c", ""] {
            assert!(!is_email(name), "{name}");
        }
        for name in ["ann", "XXXXXXX1234", "+43******12", "1234", ""] {
            assert!(!is_phone(name), "{name}");
        }
    }
}
