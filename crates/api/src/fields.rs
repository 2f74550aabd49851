//! Reads the fields of a request's JSON object, keeping every complaint, so that an answer names all that is wrong.

use serde_json::{Map, Value};

use crate::error::{ApiError, FieldError};

/// A whole number, however it is written: to JSON Schema `16.0` and `1.6e1` are the integer 16.
pub(crate) fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64()?.to_string().parse().ok())
}

/// What is wrong with a request so far.
pub(crate) struct Complaints {
    object_name: &'static str,
    errors: Vec<FieldError>,
}

impl Complaints {
    /// About an object of this name.
    pub(crate) const fn about(object_name: &'static str) -> Self {
        Self { object_name, errors: Vec::new() }
    }

    /// Notes what is wrong with a field: an end of the sentence "the field …".
    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        let (field, message) = (field.into(), message.into());
        self.errors.push(FieldError { object_name: self.object_name, field, message });
    }

    /// Fails when something is wrong.
    pub(crate) fn check(self) -> Result<(), ApiError> {
        if self.errors.is_empty() { Ok(()) } else { Err(ApiError::fields(self.errors)) }
    }

    /// `made`, unless something is wrong.
    pub(crate) fn finish<T>(self, made: Option<T>) -> Result<T, ApiError> {
        let object_name = self.object_name;
        self.check()?;
        made.ok_or_else(|| ApiError::field(object_name, "", "is not complete"))
    }
}

/// The fields of one JSON object, read by type. `null` counts as absent everywhere.
pub(crate) struct Fields<'a> {
    /// What stands before the names of its fields, such as `configuration.`.
    prefix: String,
    object: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    /// Of the whole body, which must be an object.
    pub(crate) fn of(body: &'a Value, complaints: &mut Complaints) -> Self {
        if !body.is_object() {
            complaints.add("", "the body must be a JSON object");
        }
        Self { prefix: String::new(), object: body.as_object() }
    }

    /// Complains about every field that is not one of `known`: a misspelled one would be taken for one that is omitted.
    pub(crate) fn only(&self, known: &[&str], complaints: &mut Complaints) {
        let names = self.object.into_iter().flat_map(Map::keys);
        for unknown in names.filter(|name| !known.contains(&name.as_str())) {
            let alike = known.iter().find(|name| name.eq_ignore_ascii_case(unknown));
            let message = match alike {
                Some(name) => format!("is not a field here; {name} is"),
                None => format!("is not a field here; these are: {}", known.join(", ")),
            };
            self.complain(&shortened(unknown), message, complaints);
        }
    }

    pub(crate) fn get(&self, field: &str) -> Option<&'a Value> {
        self.object?.get(field).filter(|value| !value.is_null())
    }

    fn path(&self, field: &str) -> String {
        format!("{}{field}", self.prefix)
    }

    /// Complains about a field of this object.
    pub(crate) fn complain(&self, field: &str, message: impl Into<String>, complaints: &mut Complaints) {
        complaints.add(self.path(field), message);
    }

    /// Complains when a required field is absent.
    pub(crate) fn require(&self, field: &str, complaints: &mut Complaints) -> Option<&'a Value> {
        let value = self.get(field);
        if value.is_none() && self.object.is_some() {
            self.complain(field, "must not be null", complaints);
        }
        value
    }

    /// A required object; its fields are named with this one before them.
    pub(crate) fn object(&self, field: &str, complaints: &mut Complaints) -> Self {
        let value = self.require(field, complaints);
        if value.is_some_and(|value| !value.is_object()) {
            self.complain(field, "must be an object", complaints);
        }
        Self { prefix: self.path(field) + ".", object: value.and_then(Value::as_object) }
    }

    /// An object that may be absent; its fields are named with this one before them.
    pub(crate) fn optional_object(&self, field: &str, complaints: &mut Complaints) -> Option<Self> {
        self.get(field).is_some().then(|| self.object(field, complaints))
    }

    /// An element of a list of this object's; its fields are named with the list and its index before them.
    pub(crate) fn element(&self, field: &str, at: usize, element: &'a Value) -> Self {
        Self { prefix: format!("{}[{at}].", self.path(field)), object: element.as_object() }
    }

    /// A text of `min` to `max` characters.
    pub(crate) fn text(
        &self,
        field: &str,
        min: usize,
        max: usize,
        complaints: &mut Complaints,
    ) -> Option<&'a str> {
        let value = self.get(field)?;
        let Some(text) = value.as_str() else {
            self.complain(field, "must be a string", complaints);
            return None;
        };
        if !(min..=max).contains(&text.chars().count()) {
            self.complain(field, format!("must have {min} to {max} characters"), complaints);
            return None;
        }
        Some(text)
    }

    /// A required text of `min` to `max` characters.
    pub(crate) fn required_text(
        &self,
        field: &str,
        min: usize,
        max: usize,
        complaints: &mut Complaints,
    ) -> Option<&'a str> {
        self.require(field, complaints)?;
        self.text(field, min, max, complaints)
    }

    /// The required `name` of a thing, see [`Fields::title`].
    pub(crate) fn name(&self, complaints: &mut Complaints) -> Option<&'a str> {
        self.title("name", complaints)
    }

    /// A required name for people, as the contract wants all of them: 3 to 64 characters, see [`is_name`].
    pub(crate) fn title(&self, field: &str, complaints: &mut Complaints) -> Option<&'a str> {
        let name = self.required_text(field, 3, 64, complaints)?;
        if !is_name(name) {
            let message = "must consist of letters, digits, inner spaces and any of - . : / _ ( ) { } [ ] | & ' \" ? ! @ + * °";
            self.complain(field, message, complaints);
            return None;
        }
        Some(name)
    }

    /// Yes or no.
    pub(crate) fn boolean(&self, field: &str, complaints: &mut Complaints) -> Option<bool> {
        let value = self.get(field)?;
        if value.as_bool().is_none() {
            self.complain(field, "must be true or false", complaints);
        }
        value.as_bool()
    }

    /// A whole number between the two bounds, both included.
    pub(crate) fn whole_number(
        &self,
        field: &str,
        (min, max): (u64, u64),
        complaints: &mut Complaints,
    ) -> Option<u64> {
        let number = whole(self.get(field)?).filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.complain(field, format!("must be a whole number from {min} to {max}"), complaints);
        }
        number
    }

    /// A list.
    pub(crate) fn list(&self, field: &str, complaints: &mut Complaints) -> Option<&'a [Value]> {
        let value = self.get(field)?;
        if !value.is_array() {
            self.complain(field, "must be an array", complaints);
        }
        value.as_array().map(Vec::as_slice)
    }
}

/// A name of the caller's choosing, not longer than a reader wants it.
fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

/// The contract's pattern for names: letters, numbers and some signs; spaces inside only. Combining vowel signs, which
/// some scripts cannot do without, are taken too.
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_alphabetic() || c.is_numeric() || "-.:/_(){}[]|&'\"?!@+*°".contains(c);
    name.chars().all(|c| fits(c) || c == ' ') && !name.starts_with(' ') && !name.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        for name in ["Splunk (EU)", "a-b", "Größe 5°", "日本語", "x & y", "[{|}]", "'\"?!@+*"] {
            assert!(is_name(name), "{name}");
        }
        for name in [" ab", "ab ", "a\tb", "a;b", "a<b>", "a\u{0}b", "a,b", "a#b", "a\u{200b}b", "a\nb"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
