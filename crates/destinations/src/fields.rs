//! Reads a configuration's fields, keeping every complaint, so that an answer names all that is wrong at once.

use serde_json::{Map, Value};
use url::{Host, Url};

use crate::address;
use crate::registry::SettingsError;

/// Longest address, in characters; the contract names no limit.
const MAX_URL: usize = 2048;

/// An address that may be called, and how its owner wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    text: String,
    url: Url,
}

impl Address {
    /// As its owner wrote it: what the API answers.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parsed form.
    pub const fn url(&self) -> &Url {
        &self.url
    }
}

/// The fields of one configuration, and what is wrong with them so far.
pub(crate) struct Fields<'a> {
    /// What stands before the names of its fields, such as `network.`.
    prefix: String,
    object: Option<&'a Map<String, Value>>,
    errors: Vec<SettingsError>,
}

impl<'a> Fields<'a> {
    /// Of a JSON object; anything else is a complaint about the whole.
    pub(crate) fn of(value: &'a Value) -> Self {
        let object = value.as_object();
        let errors = match object {
            Some(_) => Vec::new(),
            None => vec![SettingsError::new("configuration", "must be an object")],
        };
        Self { prefix: String::new(), object, errors }
    }

    /// Of the object in `field`. `None` when it is absent, or no object, which is a complaint. What is wrong with its
    /// fields comes back by [`Fields::absorb`].
    pub(crate) fn nested(&mut self, field: &str) -> Option<Self> {
        let value = self.get(field)?;
        let Some(object) = value.as_object() else {
            self.complain(field, "must be an object");
            return None;
        };
        Some(Self { prefix: format!("{}{field}.", self.prefix), object: Some(object), errors: Vec::new() })
    }

    /// Takes over what is wrong with the fields of a nested object.
    pub(crate) fn absorb(&mut self, nested: Self) {
        self.errors.extend(nested.errors);
    }

    /// Notes what is wrong with `field`.
    pub(crate) fn complain(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(SettingsError::new(&format!("{}{field}", self.prefix), message));
    }

    /// Complains about fields that are none of `known`: for objects of our own, where a misspelt field would be taken
    /// for an omitted one.
    pub(crate) fn only(&mut self, known: &[&str]) {
        let unknown: Vec<&String> = self
            .object
            .into_iter()
            .flat_map(Map::keys)
            .filter(|name| !known.contains(&name.as_str()))
            .collect();
        for name in unknown {
            let shown: String = name.chars().take(64).collect();
            let message = match known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
                Some(known) => format!("is not a field here; {known} is"),
                None => format!("is not a field here; these are: {}", known.join(", ")),
            };
            self.complain(&shown, message);
        }
    }

    /// Whether a field is given, rightly or wrongly.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.get(field).is_some()
    }

    fn get(&self, field: &str) -> Option<&'a Value> {
        self.object?.get(field).filter(|value| !value.is_null())
    }

    /// A text of `min` to `max` characters without control characters. `null` counts as absent.
    pub(crate) fn text(&mut self, field: &str, min: usize, max: usize) -> Option<&'a str> {
        let text = self.string(field)?;
        let length = text.chars().count();
        if length < min || length > max {
            self.complain(field, format!("must have {min} to {max} characters"));
            return None;
        }
        if text.chars().any(char::is_control) {
            self.complain(field, "must not contain control characters");
            return None;
        }
        Some(text)
    }

    fn string(&mut self, field: &str) -> Option<&'a str> {
        let text = self.get(field)?.as_str();
        if text.is_none() {
            self.complain(field, "must be a string");
        }
        text
    }

    /// A text of at most `max` characters, whatever they are.
    pub(crate) fn raw_text(&mut self, field: &str, max: usize) -> Option<&'a str> {
        let text = self.string(field)?;
        if text.chars().count() > max {
            self.complain(field, format!("must have at most {max} characters"));
            return None;
        }
        Some(text)
    }

    /// A list of at most `max` texts.
    pub(crate) fn texts(&mut self, field: &str, max: usize) -> Option<Vec<&'a str>> {
        let value = self.get(field)?;
        let texts: Option<Vec<&str>> =
            value.as_array().and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        if texts.as_ref().is_none_or(|texts| texts.len() > max) {
            self.complain(field, format!("must be a list of at most {max} strings"));
            return None;
        }
        texts
    }

    /// A whole number from `min` to `max`.
    pub(crate) fn number(&mut self, field: &str, min: u64, max: u64) -> Option<u64> {
        let value = self.get(field)?;
        let number = whole(value).filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.complain(field, format!("must be a whole number from {min} to {max}"));
        }
        number
    }

    /// One of the named choices; the first one when absent.
    pub(crate) fn choice<T: Copy>(&mut self, field: &str, choices: &[(&'static str, T)]) -> Option<T> {
        let Some(text) = self.text(field, 0, MAX_URL) else {
            return choices.first().map(|(_, choice)| *choice);
        };
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.complain(field, format!("must be one of: {}", names.join(", ")));
        }
        found
    }

    /// The required `url`: http or https, with a host that may be called, without user and fragment.
    pub(crate) fn url(&mut self) -> Option<Address> {
        const FIELD: &str = "url";
        let n_errors = self.errors.len();
        let Some(text) = self.text(FIELD, 1, MAX_URL) else {
            if self.errors.len() == n_errors {
                self.complain(FIELD, "must not be null");
            }
            return None;
        };
        match checked(text) {
            Ok(url) => Some(Address { text: text.to_owned(), url }),
            Err(message) => {
                self.complain(FIELD, message);
                None
            }
        }
    }

    /// `made`, unless something is wrong.
    pub(crate) fn finish<T>(self, made: Option<T>) -> Result<T, Vec<SettingsError>> {
        match made {
            Some(made) if self.errors.is_empty() => Ok(made),
            _ => Err(self.errors),
        }
    }
}

/// A whole number, however it is written: to JSON Schema `16.0` and `1.6e1` are the integer 16.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64()?.to_string().parse().ok())
}

fn checked(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "must be an absolute URL such as https://host.example:8088")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user or a password: use apiKey");
    }
    if url.fragment().is_some() {
        return Err("must not contain a fragment (#)");
    }
    if matches!(url.host(), None | Some(Host::Domain(""))) {
        return Err("must name a host");
    }
    if address::names_refused(&url) {
        return Err(REFUSED);
    }
    Ok(url)
}

/// About an address that idstream never calls.
pub(crate) const REFUSED: &str = "must not lead to a link-local or cloud metadata address";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn url(text: &str) -> Result<Address, Vec<SettingsError>> {
        let value = json!({ "url": text });
        let mut fields = Fields::of(&value);
        let url = fields.url();
        fields.finish(url)
    }

    #[test]
    fn addresses_that_must_not_be_called_are_refused() {
        for text in [
            "",
            "splunk.example",
            "ftp://h/",
            "file:///etc/passwd",
            "https://ann:pw@h/",
            "https://token@h/",
            "https://h/#x",
            "https://",
            "http://169.254.169.254/latest",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fd00:ec2::254]/",
            "http://h/\u{0}",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ordinary_addresses_are_kept() {
        for text in ["http://127.0.0.1:8088", "https://h.example/", "https://[::1]:9200/i/_bulk?pipeline=p"] {
            assert_eq!(url(text).unwrap().as_str(), text);
        }
    }
}
