//! Canonical JSON fragments: what the free-form parts of an event become before they are stored.
//!
//! A fragment is compact JSON with unique keys in every object, finite numbers and valid UTF-8, at most
//! [`MAX_DEPTH`] deep, with every secret-looking value masked. Because it is canonical, documents are spliced from it
//! without a second parse, and a destination never meets a duplicate key (which makes some of them drop or hang).
//!
//! Deliberately absent: sorting of keys (their order is the producer's), and arbitrary precision: an integer outside
//! 64 bits and a decimal become the nearest double, as they would in any destination.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::{self, Write as _};

use base::mask::{MASK, MaskRule};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 64;
/// Keys of an object up to which duplicates are found by comparing, beyond by hashing.
const FEW_KEYS: usize = 16;

/// Why a text cannot become a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentError {
    /// What is wrong, as an end of the sentence "the value …".
    pub reason: String,
}

impl fmt::Display for FragmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for FragmentError {}

/// Appends the canonical, masked form of the JSON text `json` to `out`. On failure `out` is as it was.
pub fn append(json: &str, rule: &MaskRule, out: &mut String) -> Result<(), FragmentError> {
    let start = out.len();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let writing = Writing::new(out, rule);
    let done = writing.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    done.map_err(|error| {
        out.truncate(start);
        FragmentError { reason: error.to_string() }
    })
}

/// The canonical, masked form of a JSON text.
pub fn canonical(json: &str, rule: &MaskRule) -> Result<String, FragmentError> {
    let mut out = String::with_capacity(json.len());
    append(json, rule, &mut out)?;
    Ok(out)
}

/// The members of a JSON object in order of names, each `"name":value`, canonical and masked. Those that are `null` are
/// left out. No name has more than `max_name` characters.
pub fn members(json: &str, max_name: usize, rule: &MaskRule) -> Result<Vec<String>, FragmentError> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let read = deserializer
        .deserialize_map(Members { rule, max_name })
        .and_then(|members| deserializer.end().map(|()| members));
    let mut members = read.map_err(|error| FragmentError { reason: error.to_string() })?;
    members.sort_unstable();
    Ok(members)
}

/// Appends `text` as a JSON string.
pub fn append_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| b < 0x20 || b == b'"' || b == b'\\') {
        let (clean, tail) = rest.split_at(at);
        out.push_str(clean);
        let mut chars = tail.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// Masks a text that may itself be JSON, a form body or a URL. Used for strings anywhere in an event. A text that names
/// a secret as JSON does but is no JSON (cut off, or within other words) is masked whole.
pub fn mask_text<'a>(text: &'a str, rule: &MaskRule) -> Cow<'a, str> {
    // Without a `=` there is no form and no query, without an `@` no password in an address, without a `"` no JSON.
    if !text.bytes().any(|byte| matches!(byte, b'=' | b'@' | b'"')) {
        return Cow::Borrowed(text);
    }
    if text.trim_start().starts_with(['{', '['])
        && let Ok(inner) = canonical(text, rule)
    {
        return if inner.contains(MASK) { Cow::Owned(inner) } else { Cow::Borrowed(text) };
    }
    if rule.quotes_a_secret(text) { Cow::Borrowed(MASK) } else { rule.url_or_form(text) }
}

/// A header's members without what is empty (`""`, `{}`, `[]`, `null`), and with texts masked as everywhere. Names decide
/// nothing here: a header's are the contract's.
pub(crate) fn tidy_members(members: &str, rule: &MaskRule) -> Result<String, FragmentError> {
    let json = format!("{{{members}}}");
    let mut out = String::with_capacity(json.len());
    let mut deserializer = serde_json::Deserializer::from_str(&json);
    let writing = Writing { names_decide: false, omit_empty: true, ..Writing::new(&mut out, rule) };
    writing.deserialize(&mut deserializer).map_err(|error| FragmentError { reason: error.to_string() })?;
    out.pop();
    Ok(out.split_off(1))
}

/// Writes one JSON value while it is parsed.
struct Writing<'a> {
    out: &'a mut String,
    rule: &'a MaskRule,
    depth: usize,
    /// Whether a member's name can make its value secret.
    names_decide: bool,
    /// Leave members out whose value is empty.
    omit_empty: bool,
}

impl<'a> Writing<'a> {
    const fn new(out: &'a mut String, rule: &'a MaskRule) -> Self {
        Self { out, rule, depth: 0, names_decide: true, omit_empty: false }
    }

    fn nested(&mut self) -> Writing<'_> {
        Writing { out: self.out, depth: self.depth + 1, ..*self }
    }

    fn number(self, number: impl Into<serde_json::Number>) {
        let _infallible = write!(self.out, "{}", number.into());
    }

    fn check_depth<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("is nested more than {MAX_DEPTH} deep")));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Writing<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writing<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.out.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.number(value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.number(value);
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        let number = serde_json::Number::from_f64(value)
            .ok_or_else(|| E::custom("holds a number that is not finite"))?;
        self.number(number);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.push_str("null");
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        append_string(&mask_text(value, self.rule), self.out);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.check_depth()?;
        self.out.push('[');
        let mut before = self.out.len();
        while seq.next_element_seed(self.nested())?.is_some() {
            before = self.out.len();
            self.out.push(',');
        }
        self.out.truncate(before);
        self.out.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.check_depth()?;
        self.out.push('{');
        let mut keys = Keys::default();
        let mut first = true;
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let key = key.0;
            let before = self.out.len();
            let was_first = first;
            if !first {
                self.out.push(',');
            }
            first = false;
            append_string(&key, self.out);
            self.out.push(':');
            let value_at = self.out.len();
            let secret = self.names_decide && self.rule.is_secret(&key);
            if !keys.insert(key) {
                return Err(A::Error::custom("holds an object with a key that occurs twice"));
            }
            map.next_value_seed(self.nested())?;
            if secret {
                mask_from(value_at, self.out);
            }
            if self.omit_empty && matches!(self.out.get(value_at..), Some("\"\"" | "{}" | "[]" | "null")) {
                self.out.truncate(before);
                first = was_first;
            }
        }
        self.out.push('}');
        Ok(())
    }
}

/// Masks the value that was written last. `true`, `false` and `null` stay: they tell what is set, and hold no secret.
fn mask_from(at: usize, out: &mut String) {
    if !matches!(out.get(at..), Some("true" | "false" | "null")) {
        out.truncate(at);
        append_string(MASK, out);
    }
}

/// Reads one object member by member.
struct Members<'a> {
    rule: &'a MaskRule,
    max_name: usize,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(8);
        let mut keys = Keys::default();
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            if key.is_empty() || key.chars().count() > self.max_name {
                let max_name = self.max_name;
                return Err(A::Error::custom(format_args!(
                    "has a name that is not of 1 to {max_name} characters"
                )));
            }
            let mut member = String::with_capacity(key.len() + 32);
            append_string(&key, &mut member);
            member.push(':');
            let value_at = member.len();
            let secret = self.rule.is_secret(&key);
            if !keys.insert(key) {
                return Err(A::Error::custom("holds an object with a key that occurs twice"));
            }
            map.next_value_seed(Writing { depth: 1, ..Writing::new(&mut member, self.rule) })?;
            if secret {
                mask_from(value_at, &mut member);
            }
            if member.get(value_at..) != Some("null") {
                members.push(member);
            }
        }
        Ok(members)
    }
}

/// An object's key, borrowed from the input when it holds no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The keys of one object so far: compared while few, hashed when many, so that no input costs quadratic time.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    /// False when the key was there already.
    fn insert(&mut self, key: Cow<'de, str>) -> bool {
        if self.many.is_empty() && self.few.len() < FEW_KEYS {
            let is_new = !self.few.contains(&key);
            self.few.push(key);
            return is_new;
        }
        self.many.extend(self.few.drain(..));
        self.many.insert(key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn check(json: &str) -> Result<String, String> {
        canonical(json, &MaskRule::default()).map_err(|error| error.reason)
    }

    #[test]
    fn space_goes_and_order_stays() {
        assert_eq!(
            check(" { \"b\" : [ 1 , 2.50 , null ] , \"a\" : \"x\\u00e9\\/\" } ").unwrap(),
            r#"{"b":[1,2.5,null],"a":"xé/"}"#
        );
        assert_eq!(check("[]").unwrap(), "[]");
        assert_eq!(check("{}").unwrap(), "{}");
        assert_eq!(check("[[],[[]]]").unwrap(), "[[],[[]]]");
    }

    #[test]
    fn secrets_are_masked_at_any_depth_and_in_texts_within_texts() {
        assert_eq!(
            check(r#"{"a":[{"password":{"x":["y"]},"n":1}],"otp":123456}"#).unwrap(),
            r#"{"a":[{"password":"[masked]","n":1}],"otp":"[masked]"}"#
        );
        assert_eq!(
            check(r#"{"body":"{\"client_secret\": \"s3\", \"n\":1}","url":"https://h/?access_token=t#x","form":"a=1&pwd=z"}"#).unwrap(),
            r#"{"body":"{\"client_secret\":\"[masked]\",\"n\":1}","url":"https://h/?access_token=[masked]#x","form":"a=1&pwd=[masked]"}"#
        );
    }

    #[test]
    fn what_destinations_choke_on_is_refused_with_the_reason() {
        assert!(check(r#"{"a":1,"a":2}"#).unwrap_err().contains("occurs twice"));
        assert!(check(r#"{"a":1,"\u0061":2}"#).unwrap_err().contains("occurs twice"));
        let many = (0..50).map(|i| format!("\"k{i}\":1")).collect::<Vec<_>>().join(",");
        assert!(check(&format!("{{{many},\"k3\":1}}")).unwrap_err().contains("occurs twice"));
        assert!(check("1e999").is_err());
        assert!(check("[1,]").is_err());
        assert!(check("{} {}").is_err());
        assert!(check(&format!("{}{}", "[".repeat(65), "]".repeat(65))).unwrap_err().contains("64 deep"));
        assert!(check(r#"{"password":{"a":1,"a":2}}"#).unwrap_err().contains("occurs twice"));
    }

    #[test]
    fn a_text_that_is_almost_json_does_not_carry_its_secrets_along() {
        for text in [
            r#"{"password":"s3","a":"#,
            r#"{"password":"s3"} and more"#,
            r#"body: {"password":"s3"}"#,
            r#"{"a":1,"a":{"otp":"s3"}}"#,
        ] {
            assert_eq!(mask_text(text, &MaskRule::default()), MASK, "{text}");
        }
        assert_eq!(mask_text(r#"{"a":"b","c":"#, &MaskRule::default()), r#"{"a":"b","c":"#);
    }

    #[test]
    fn a_header_loses_what_is_empty_and_keeps_its_names() {
        let header = r#""a":"","actor":{"token":{"sub":"x"},"b":{"c":""},"ua":"x?token=s3"},"n":0,"l":[]"#;
        let tidied = tidy_members(header, &MaskRule::default()).unwrap();
        assert_eq!(tidied, r#""actor":{"token":{"sub":"x"},"ua":"x?token=[masked]"},"n":0"#);
    }

    #[test]
    fn a_failure_leaves_what_was_written_before() {
        let mut out = "kept".to_owned();
        assert!(append("[1,2", &MaskRule::default(), &mut out).is_err());
        assert_eq!(out, "kept");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                proptest::collection::btree_map("[a-z_]{0,12}|.*", inner, 0..8)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn masked_by_hand(value: &Value, rule: &MaskRule) -> Value {
        match value {
            Value::Object(map) => map
                .iter()
                .map(|(k, v)| {
                    (
                        k.clone(),
                        if rule.is_secret(k) && !matches!(v, Value::Null | Value::Bool(_)) {
                            MASK.into()
                        } else {
                            masked_by_hand(v, rule)
                        },
                    )
                })
                .collect(),
            Value::Array(items) => items.iter().map(|item| masked_by_hand(item, rule)).collect(),
            Value::String(text) => mask_text(text, rule).into_owned().into(),
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn a_fragment_is_the_masked_value_and_is_its_own_fragment(value in any_json()) {
            let rule = MaskRule::default();
            let once = canonical(&serde_json::to_string_pretty(&value).unwrap(), &rule).unwrap();
            let read: Value = serde_json::from_str(&once).unwrap();
            prop_assert_eq!(&read, &masked_by_hand(&value, &rule));
            prop_assert_eq!(canonical(&once, &rule).unwrap(), once);
        }

        #[test]
        fn foreign_text_never_panics(text in ".*") {
            let _ = canonical(&text, &MaskRule::default());
        }
    }
}
