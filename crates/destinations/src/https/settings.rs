//! The part of a configuration that describes a server of one's own.

use http::HeaderName;
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use serde_json::{Map, Value};

use super::signature;
use crate::fields::{Address, Fields};
use crate::registry::SettingsError;

/// Headers that frame or describe the request itself.
const OURS: [HeaderName; 11] = [
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    HOST,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// How documents are put into a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON array.
    #[default]
    Array,
    /// One document a line.
    Ndjson,
}

const FORMATS: [(&str, Format); 2] = [("array", Format::Array), ("ndjson", Format::Ndjson)];

/// Where to, and in which header the credential goes. Lengths in characters, from the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The endpoint.
    pub url: Address,
    /// The header that carries the credential, at most 64; the empty name of the contract is `None`.
    pub header_name: Option<String>,
    /// How documents are put into a body.
    pub format: Format,
}

impl Settings {
    pub(crate) fn parse(configuration: &Value) -> Result<Self, Vec<SettingsError>> {
        let mut fields = Fields::of(configuration);
        let url = fields.url();
        if configuration.get("headerName").is_none_or(Value::is_null) {
            fields.complain("headerName", "must not be null");
        }
        let given = fields.text("headerName", 0, 64).filter(|name| !name.is_empty());
        match given.map(|name| HeaderName::from_bytes(name.as_bytes())) {
            Some(Err(_)) => fields.complain("headerName", "must be the name of an HTTP header"),
            Some(Ok(name)) if OURS.contains(&name) => {
                fields.complain("headerName", "must not be a header that HTTP itself needs");
            }
            Some(Ok(name)) if signature::HEADERS.contains(&name) => {
                fields.complain("headerName", "must not be a header of the signature");
            }
            Some(Ok(_)) | None => {}
        }
        let header_name = given.map(ToOwned::to_owned);
        let format = fields.choice("format", &FORMATS);
        fields.finish(url.zip(format).map(|(url, format)| Self { url, header_name, format }))
    }

    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("url".to_owned(), self.url.as_str().into());
        let name = self.header_name.as_deref().unwrap_or_default();
        object.insert("headerName".to_owned(), name.into());
        if self.format != Format::default() {
            let name = FORMATS.iter().find(|(_, format)| *format == self.format).map(|(name, _)| *name);
            object.insert("format".to_owned(), name.into());
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn header_names_cannot_inject_nor_replace_framing() {
        for name in [
            "a b",
            "a:b",
            "a\r\nb",
            "Content-Length",
            "Proxy-Authorization",
            "Webhook-Signature",
            "transfer-encoding",
            "Host",
            "ü",
            "x".repeat(65).as_str(),
        ] {
            let errors = Settings::parse(&json!({"url": "https://h/", "headerName": name})).unwrap_err();
            assert_eq!(errors[0].field, "headerName", "{name}");
        }
    }

    #[test]
    fn the_response_shape_is_read_back() {
        for given in [
            json!({"url": "https://h/in", "headerName": "X-Api-Key"}),
            json!({"url": "https://h/in", "headerName": "", "format": "ndjson"}),
        ] {
            assert_eq!(Settings::parse(&given).unwrap().to_json(), *given.as_object().unwrap());
        }
        assert!(Settings::parse(&json!({"url": "https://h/in"})).is_err());
        assert!(
            Settings::parse(&json!({"url": "https://h/in", "headerName": "x", "format": "xml"})).is_err()
        );
    }
}
