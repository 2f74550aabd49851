//! Query parameters, typed: what does not fit is told by name.

use crate::error::ApiError;

/// What query parameters belong to in an error.
const OBJECT: &str = "query";

/// The parameters of one request. Unknown ones are passed over.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// Every value of a parameter that may be repeated.
    pub(crate) fn all<'a, 'n: 'a>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that may stand once.
    pub(crate) fn one<'a>(&'a self, name: &str) -> Result<Option<&'a str>, ApiError> {
        let values: Vec<&'a str> =
            self.0.iter().filter(|(each, _)| each == name).map(|(_, value)| value.as_str()).collect();
        let value = values.first().copied();
        if values.len() > 1 { Err(Self::wrong(name, "must be given once")) } else { Ok(value) }
    }

    /// A whole number from `min` to `max`; `default` when it is not there.
    pub(crate) fn number(&self, name: &str, default: u64, min: u64, max: u64) -> Result<u64, ApiError> {
        let Some(text) = self.one(name)? else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| Self::wrong(name, &format!("must be a whole number from {min} to {max}")))
    }

    pub(crate) fn wrong(name: &str, message: &str) -> ApiError {
        ApiError::field(OBJECT, name, message)
    }
}
