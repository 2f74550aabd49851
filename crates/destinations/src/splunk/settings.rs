//! Splunk's part of a configuration.

use serde_json::{Map, Value};
use url::Url;

use crate::fields::{Address, Fields};
use crate::registry::SettingsError;
use crate::seam::Acknowledgement;

/// Where the collector listens below its address.
const COLLECTOR: &str = "/services/collector";

/// The values of `acknowledgement`, an extension of the contract; the first one is the default.
const CHOICES: [(&str, Acknowledgement); 3] =
    [("auto", Acknowledgement::Auto), ("required", Acknowledgement::Required), ("off", Acknowledgement::Off)];

/// Where to, and under which names events arrive. Lengths in characters, from the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The collector's address, or the full endpoint.
    pub url: Address,
    /// The index, 1 to 200; the token's default index when absent.
    pub index: Option<String>,
    /// The sourcetype of every stream, 1 to 200; one for each stream when absent.
    pub source_type: Option<String>,
    /// The source, 1 to 200; `idstream` when absent.
    pub source: Option<String>,
    /// Whether indexer acknowledgement is used; where the token has it, when absent.
    pub acknowledgement: Acknowledgement,
}

impl Settings {
    pub(crate) fn parse(configuration: &Value) -> Result<Self, Vec<SettingsError>> {
        let mut fields = Fields::of(configuration);
        let url = fields.url();
        if url.as_ref().is_some_and(|url| url.url().path().starts_with("/services/collector/raw")) {
            fields.complain("url", "must not be the raw endpoint: it takes no metadata");
        }
        let index = fields.text("index", 1, 200).map(ToOwned::to_owned);
        let source_type = fields.text("sourceType", 1, 200).map(ToOwned::to_owned);
        let source = fields.text("source", 1, 200).map(ToOwned::to_owned);
        let acknowledgement = fields.choice("acknowledgement", &CHOICES);
        let made = url.zip(acknowledgement).map(|(url, acknowledgement)| Self {
            url,
            index,
            source_type,
            source,
            acknowledgement,
        });
        fields.finish(made)
    }

    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("url".to_owned(), self.url.as_str().into());
        for (name, value) in
            [("index", &self.index), ("sourceType", &self.source_type), ("source", &self.source)]
        {
            if let Some(value) = value {
                object.insert(name.to_owned(), value.as_str().into());
            }
        }
        if self.acknowledgement != Acknowledgement::default() {
            let name =
                CHOICES.iter().find(|(_, choice)| *choice == self.acknowledgement).map(|(name, _)| *name);
            object.insert("acknowledgement".to_owned(), name.into());
        }
        object
    }

    /// The event endpoint: completed when the address ends before it, else as it was given.
    pub(crate) fn endpoint(&self) -> Url {
        let mut endpoint = self.url.url().clone();
        if matches!(self.url.url().path().trim_end_matches('/'), "" | COLLECTOR) {
            endpoint.set_path("/services/collector/event");
        }
        endpoint
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_is_completed_and_an_endpoint_kept() {
        for (given, endpoint) in [
            ("https://s:8088", "https://s:8088/services/collector/event"),
            ("https://s:8088/", "https://s:8088/services/collector/event"),
            ("https://s/services/collector", "https://s/services/collector/event"),
            ("https://s/services/collector/", "https://s/services/collector/event"),
            ("https://s/services/collector/event", "https://s/services/collector/event"),
            ("https://s/services/collector/event/1.0", "https://s/services/collector/event/1.0"),
            ("https://gateway/hec?tenant=7", "https://gateway/hec?tenant=7"),
        ] {
            let settings = Settings::parse(&json!({ "url": given })).unwrap();
            assert_eq!(settings.endpoint().as_str(), endpoint);
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        let errors = Settings::parse(&json!({
            "url": "https://s/services/collector/raw", "index": "", "sourceType": 7, "source": "a\nb",
            "acknowledgement": "maybe",
        }))
        .unwrap_err();
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["url", "index", "sourceType", "source", "acknowledgement"]);
    }

    #[test]
    fn the_response_shape_has_no_credential_and_is_read_back() {
        let given = json!({"url": "https://s/", "apiKey": "t", "index": "main", "sourceType": "x", "unknown": 1,
            "acknowledgement": "required"});
        let settings = Settings::parse(&given).unwrap();
        let shown = Value::Object(settings.to_json());
        let kept =
            json!({"url": "https://s/", "index": "main", "sourceType": "x", "acknowledgement": "required"});
        assert_eq!(shown, kept);
        assert_eq!(Settings::parse(&shown).unwrap(), settings);
    }
}
