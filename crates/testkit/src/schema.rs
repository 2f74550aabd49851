//! Holds JSON against the JSON Schemas that we publish.
//!
//! It knows the keywords that they use, and finds fault with any other: so a schema cannot say what nobody checks. Formats
//! are checked. That the schemas mean the same to others is checked by a validator of others, in `cargo xtask contract`.

use base::{EventId, Timestamp};
use serde_json::Value;

/// A schema that is ready for use.
pub struct Validator(Value);

impl Validator {
    /// Of a schema's text. Nothing fits a text that is no JSON.
    pub fn new(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_else(|error| error.to_string().into()))
    }

    /// The same, but no object may hold what the schema does not name: for documents that must hold nothing new.
    #[must_use]
    pub fn closed(mut self) -> Self {
        close(&mut self.0);
        self
    }

    /// Where `value` does not fit, and why; empty when it does.
    pub fn faults(&self, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.check(&self.0, value, "", &mut faults);
        faults
    }

    fn check(&self, schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
        let Some(keywords) = schema.as_object() else {
            faults.push(format!("{path}: {schema} is no schema"));
            return;
        };
        for (keyword, rule) in keywords {
            let mut fault = |what: &str| faults.push(format!("{path}: {what}: {rule}, but {value}"));
            match keyword.as_str() {
                "$ref" => {
                    let defined = text(rule).strip_prefix('#').and_then(|name| self.0.pointer(name));
                    self.check(defined.unwrap_or(&Value::Null), value, path, faults);
                }
                "type" if !has_type(rule, value) => fault("is not of the type"),
                "const" if rule != value => fault("is not"),
                "enum" if !list(rule).contains(value) => fault("is none of"),
                "format" if !has_format(text(rule), value) => fault("is not of the form"),
                "pattern" if !matches(text(rule), value) => fault("does not match"),
                "minimum" if value.as_f64().is_some_and(|value| value < number(rule)) => fault("is below"),
                "maximum" if value.as_f64().is_some_and(|value| value > number(rule)) => fault("is above"),
                "maxProperties"
                    if value.as_object().is_some_and(|value| value.len() as f64 > number(rule)) =>
                {
                    fault("has more members than");
                }
                "required" => {
                    let is_missing = |name: &&Value| value.is_object() && value.get(text(name)).is_none();
                    list(rule)
                        .iter()
                        .filter(is_missing)
                        .for_each(|name| fault(&format!("{name} is missing")));
                }
                "anyOf" if self.n_fitting(rule, value, path) == 0 => fault("fits none of"),
                "oneOf" if self.n_fitting(rule, value, path) != 1 => fault("does not fit exactly one of"),
                "items" => {
                    for (at, element) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, element, &format!("{path}/{at}"), faults);
                    }
                }
                "properties" => {
                    for (name, rule) in rule.as_object().into_iter().flatten() {
                        if let Some(value) = value.get(name) {
                            self.check(rule, value, &format!("{path}/{name}"), faults);
                        }
                    }
                }
                "additionalProperties" => self.additional(schema, rule, value, path, faults),
                "$schema" | "$id" | "$defs" | "title" | "description" | "type" | "const" | "enum"
                | "format" | "pattern" | "minimum" | "maximum" | "maxProperties" | "anyOf" | "oneOf" => {}
                other => fault(&format!("{other} is a keyword that this validator does not know")),
            }
        }
    }

    fn n_fitting(&self, schemas: &Value, value: &Value, path: &str) -> usize {
        let fits = |schema: &&Value| {
            let mut faults = Vec::new();
            self.check(schema, value, path, &mut faults);
            faults.is_empty()
        };
        list(schemas).iter().filter(fits).count()
    }

    fn additional(&self, schema: &Value, rule: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
        for (name, member) in value.as_object().into_iter().flatten() {
            if schema.get("properties").is_some_and(|properties| properties.get(name).is_some()) {
                continue;
            }
            let path = format!("{path}/{name}");
            match rule {
                Value::Bool(true) => {}
                Value::Bool(false) => faults.push(format!("{path}: is not named")),
                rule => self.check(rule, member, &path, faults),
            }
        }
    }
}

fn close(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut() {
        if object.get("properties").is_some_and(Value::is_object)
            && !object.contains_key("additionalProperties")
        {
            object.insert("additionalProperties".to_owned(), false.into());
        }
        object.values_mut().for_each(close);
    }
    schema.as_array_mut().into_iter().flatten().for_each(close);
}

fn list(rule: &Value) -> &[Value] {
    rule.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(rule: &Value) -> &str {
    rule.as_str().unwrap_or_default()
}

fn number(rule: &Value) -> f64 {
    rule.as_f64().unwrap_or(f64::NAN)
}

fn has_type(rule: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    rule.as_array().map_or_else(|| is(text(rule)), |names| names.iter().any(|name| is(text(name))))
}

fn has_format(format: &str, value: &Value) -> bool {
    let Some(value) = value.as_str() else { return true };
    match format {
        "date-time" => Timestamp::parse(value).is_ok(),
        "uuid" => EventId::parse(value).is_ok(),
        "ipv4" => value.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => value.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => false,
    }
}

/// A pattern is the beginning of a text: `^`, then what stands there, with dots escaped. Nothing matches another one.
fn matches(pattern: &str, value: &Value) -> bool {
    let start = pattern.strip_prefix('^').map(|start| start.replace("\\.", "."));
    let start = start.filter(|start| !start.contains(['\\', '[', '(', '*', '+', '?', '|', '$']));
    start.is_some_and(|start| value.as_str().is_none_or(|value| value.starts_with(&start)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_keyword_can_refuse() {
        for (schema, good, bad) in [
            (json!({"type": ["integer", "null"]}), json!(3.0), json!(3.5)),
            (json!({"const": true}), json!(true), json!("true")),
            (json!({"enum": ["a", ""]}), json!(""), json!("b")),
            (json!({"format": "date-time"}), json!("2026-01-31T12:00:00Z"), json!("today")),
            (json!({"format": "uuid"}), json!("0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f"), json!("7")),
            (json!({"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}), json!("::1"), json!("localhost")),
            (json!({"pattern": "^1\\."}), json!("1.0"), json!("10")),
            (json!({"minimum": 1, "maximum": 2}), json!(2), json!(0)),
            (json!({"minimum": 1, "maximum": 2}), json!(1), json!(3)),
            (json!({"maxProperties": 1}), json!({"a": 1}), json!({"a": 1, "b": 1})),
            (json!({"required": ["a"]}), json!({"a": 1}), json!({"b": 1})),
            (json!({"oneOf": [{"const": 1}, {"type": "null"}, {"type": "null"}]}), json!(1), json!(null)),
            (json!({"items": {"type": "string"}}), json!(["a"]), json!(["a", 1])),
            (json!({"properties": {"a": {"type": "null"}}}), json!({"a": null, "b": 1}), json!({"a": 1})),
            (json!({"additionalProperties": {"type": "null"}}), json!({"a": null}), json!({"a": 1})),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"const": 1}}}), json!(1), json!(2)),
        ] {
            let validator = Validator::new(&schema.to_string());
            assert_eq!(validator.faults(&good), [""; 0], "{schema}");
            assert_eq!(validator.faults(&bad).len(), 1, "{schema} {bad}");
        }
    }

    #[test]
    fn a_closed_schema_takes_only_what_it_names() {
        let schema = r#"{"properties": {"a": {"properties": {"b": {}}}, "free": {"type": "object"}}}"#;
        let validator = Validator::new(schema).closed();
        assert_eq!(validator.faults(&json!({"a": {"b": 1}, "free": {"c": 1}})), [""; 0]);
        assert_eq!(
            validator.faults(&json!({"a": {"c": 1}, "d": 1})),
            ["/d: is not named", "/a/c: is not named"]
        );
    }

    #[test]
    fn what_is_not_known_is_not_passed_over() {
        for schema in [
            r#"{"minLength": 1}"#,
            r#"{"type": "text"}"#,
            r#"{"format": "uri"}"#,
            r#"{"pattern": "^[a]"}"#,
            r##"{"$ref": "#/$defs/gone"}"##,
            "{",
        ] {
            assert_eq!(Validator::new(schema).faults(&json!("a")).len(), 1, "{schema}");
        }
    }
}
