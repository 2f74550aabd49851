//! The one place that knows every vendor. A new one is a folder, a variant and the arms that the compiler then asks for.

use std::fmt;
use std::sync::Arc;

use base::Secret;
use event::native::{Instance, NativeProfile, Selection};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fields::Address;
use crate::seam::Destination;
use crate::{elasticsearch, https, splunk};

/// A kind of destination: the contract's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// Splunk's HTTP Event Collector.
    Splunk,
    /// Elasticsearch or OpenSearch.
    Elasticsearch,
    /// Any server that takes documents over HTTPS.
    Https,
}

impl Vendor {
    /// Every vendor.
    pub const ALL: [Self; 3] = [Self::Splunk, Self::Elasticsearch, Self::Https];

    /// The contract's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Splunk => "splunk",
            Self::Elasticsearch => "elasticsearch",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with one field of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {message}")]
pub struct SettingsError {
    /// The field as it is spelled in the contract (`url`, `apiKey`, …), or `configuration` for the whole.
    pub field: String,
    /// An end of the sentence "the field …".
    pub message: String,
}

impl SettingsError {
    pub(crate) fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }
}

/// A vendor's configuration, valid, without its credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// For [`Vendor::Splunk`].
    Splunk(splunk::Settings),
    /// For [`Vendor::Elasticsearch`].
    Elasticsearch(elasticsearch::Settings),
    /// For [`Vendor::Https`].
    Https(https::Settings),
}

impl Settings {
    /// Reads the contract's `configuration` object. A credential in it (`apiKey`) and unknown fields are passed over;
    /// every field that is wrong is named.
    pub fn parse(vendor: Vendor, configuration: &Value) -> Result<Self, Vec<SettingsError>> {
        match vendor {
            Vendor::Splunk => splunk::Settings::parse(configuration).map(Self::Splunk),
            Vendor::Elasticsearch => elasticsearch::Settings::parse(configuration).map(Self::Elasticsearch),
            Vendor::Https => https::Settings::parse(configuration).map(Self::Https),
        }
    }

    /// Whose settings these are.
    pub const fn vendor(&self) -> Vendor {
        match self {
            Self::Splunk(_) => Vendor::Splunk,
            Self::Elasticsearch(_) => Vendor::Elasticsearch,
            Self::Https(_) => Vendor::Https,
        }
    }

    /// The address.
    pub const fn url(&self) -> &Address {
        match self {
            Self::Splunk(settings) => &settings.url,
            Self::Elasticsearch(settings) => &settings.url,
            Self::Https(settings) => &settings.url,
        }
    }

    /// The contract's response shape; [`Settings::parse`] reads it back. Never holds a credential.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Splunk(settings) => settings.to_json(),
            Self::Elasticsearch(settings) => settings.to_json(),
            Self::Https(settings) => settings.to_json(),
        }
    }

    /// A destination that can be sent to. Fails when the credential cannot be used.
    pub fn build(
        &self,
        credential: &Secret,
        instance: &Instance,
        selection: Selection,
    ) -> Result<Arc<dyn Destination>, Vec<SettingsError>> {
        let profile = NativeProfile::new(instance, selection);
        Ok(match self {
            Self::Splunk(settings) => {
                Arc::new(splunk::Splunk::new(settings, credential, &instance.domain, profile)?)
            }
            Self::Elasticsearch(settings) => {
                Arc::new(elasticsearch::Elasticsearch::new(settings, credential, profile)?)
            }
            Self::Https(settings) => Arc::new(https::Https::new(settings, credential, profile)?),
        })
    }
}
