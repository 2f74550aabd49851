//! The secrets of a configuration, by name: read from a request, handed to what sends, never shown.

use std::collections::BTreeMap;

use base::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fields::Fields;
use crate::network;
use crate::registry::SettingsError;

/// Longest credential of any vendor, in characters. Vendors set their own limits below it.
const MAX_API_KEY: usize = 4096;
/// Longest private key, in bytes of PEM.
const MAX_CLIENT_KEY: usize = 16 << 10;
/// Longest credential for a proxy, in characters.
const MAX_PROXY_CREDENTIAL: usize = 512;

/// Which secret of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretName {
    /// The destination's credential; may be empty.
    ApiKey,
    /// The private key of the client certificate, in PEM.
    ClientKey,
    /// `user:password` for the proxy.
    ProxyCredential,
    /// What requests are signed with.
    SigningSecret,
    /// What they are signed with too, while one secret is being changed for the other.
    SecondSigningSecret,
    /// The credential that stored events are looked for with, when it is not the one that they are sent with.
    ReadCredential,
}

impl SecretName {
    /// Every name.
    pub const ALL: [Self; 6] = [
        Self::ApiKey,
        Self::ClientKey,
        Self::ProxyCredential,
        Self::SigningSecret,
        Self::SecondSigningSecret,
        Self::ReadCredential,
    ];

    /// A name for its place in the catalog.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "apiKey",
            Self::ClientKey => "clientKey",
            Self::ProxyCredential => "proxyCredential",
            Self::SigningSecret => "signingSecret",
            Self::SecondSigningSecret => "secondSigningSecret",
            Self::ReadCredential => READ_CREDENTIAL,
        }
    }

    /// The field of `configuration` that brings it.
    pub const fn field(self) -> &'static str {
        match self {
            Self::ApiKey => "apiKey",
            Self::ClientKey => network::CLIENT_KEY,
            Self::ProxyCredential => network::PROXY_CREDENTIAL,
            Self::SigningSecret | Self::SecondSigningSecret => SIGNING_SECRETS,
            Self::ReadCredential => READ_CREDENTIAL,
        }
    }
}

/// The field with the secrets that requests are signed with.
pub(crate) const SIGNING_SECRETS: &str = "signingSecrets";
/// The field with the credential that stored events are looked for with.
pub(crate) const READ_CREDENTIAL: &str = "readCredential";

/// Opened secrets, by name. Not printable.
#[derive(Clone, Debug, Default)]
pub struct Secrets(BTreeMap<SecretName, Secret>);

impl FromIterator<(SecretName, Secret)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (SecretName, Secret)>>(secrets: I) -> Self {
        Self(secrets.into_iter().collect())
    }
}

impl From<Secret> for Secrets {
    /// A credential alone.
    fn from(api_key: Secret) -> Self {
        Self::from_iter([(SecretName::ApiKey, api_key)])
    }
}

impl Secrets {
    /// The secrets that a `configuration` object brings. One that is omitted is absent; an empty one, other than
    /// `apiKey`, says that there shall be none. Every field that is wrong is named, no value is repeated.
    pub fn parse(configuration: &Value) -> Result<Self, Vec<SettingsError>> {
        let mut fields = Fields::of(configuration);
        let mut found = Self::default();
        let api_key = fields.raw_text("apiKey", MAX_API_KEY);
        found.note(SecretName::ApiKey, api_key);
        let read = fields.raw_text(READ_CREDENTIAL, MAX_API_KEY);
        found.note(SecretName::ReadCredential, read);
        // That it is no object is told where its other fields are read.
        let network = configuration.get("network").filter(|network| network.is_object());
        if let Some(mut network) = network.and_then(|_| fields.nested("network")) {
            let key = network.raw_text("clientKey", MAX_CLIENT_KEY);
            found.note(SecretName::ClientKey, key);
            let credential = network.raw_text("proxyCredential", MAX_PROXY_CREDENTIAL);
            found.note(SecretName::ProxyCredential, credential);
            fields.absorb(network);
        }
        if let Some(signing) = fields.texts(SIGNING_SECRETS, 2) {
            let mut signing = signing.into_iter();
            for name in [SecretName::SigningSecret, SecretName::SecondSigningSecret] {
                found.note(name, Some(signing.next().unwrap_or_default()));
            }
        }
        fields.finish(Some(found))
    }

    fn note(&mut self, name: SecretName, text: Option<&str>) {
        self.0.extend(text.map(|text| (name, Secret::new(text))));
    }

    /// The secret with this name.
    pub fn get(&self, name: SecretName) -> Option<&Secret> {
        self.0.get(&name)
    }

    /// The credential; empty when there is none.
    pub fn api_key(&self) -> Secret {
        self.get(SecretName::ApiKey).cloned().unwrap_or_else(|| Secret::new(""))
    }

    /// The one that stored events are looked for with; `None`: there is no other than the credential.
    pub(crate) fn read_credential(&self) -> Option<&Secret> {
        self.get(SecretName::ReadCredential).filter(|secret| !secret.expose().is_empty())
    }

    /// Those that requests are signed with; empty ones are none.
    pub(crate) fn signing(&self) -> impl Iterator<Item = &Secret> {
        [SecretName::SigningSecret, SecretName::SecondSigningSecret]
            .into_iter()
            .filter_map(|name| self.get(name))
            .filter(|secret| !secret.expose().is_empty())
    }

    /// All of them, in order of names.
    pub fn iter(&self) -> impl Iterator<Item = (SecretName, &Secret)> {
        self.0.iter().map(|(name, secret)| (*name, secret))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(configuration: &Value) -> Vec<SecretName> {
        Secrets::parse(configuration).unwrap().iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_is_omitted_is_absent_and_what_is_empty_is_said_to_be_none() {
        assert_eq!(names(&json!({"url": "https://h/"})), []);
        let one = json!({"apiKey": "", "network": {"proxyCredential": "a:b"}, "signingSecrets": ["x"]});
        let secrets = Secrets::parse(&one).unwrap();
        let of = |name| secrets.get(name).map(Secret::expose);
        assert_eq!(of(SecretName::ApiKey), Some(""));
        assert_eq!(of(SecretName::ClientKey), None);
        assert_eq!(of(SecretName::ProxyCredential), Some("a:b"));
        assert_eq!(
            (of(SecretName::SigningSecret), of(SecretName::SecondSigningSecret)),
            (Some("x"), Some(""))
        );
    }

    #[test]
    fn wrong_secrets_are_named_by_their_field_and_not_repeated() {
        let wrong = json!({
            "apiKey": ["CANARY"],
            "network": {"clientKey": "CANARY".repeat(10_000), "proxyCredential": 7},
            "signingSecrets": ["CANARY", "CANARY", "CANARY"],
        });
        let errors = Secrets::parse(&wrong).unwrap_err();
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["apiKey", "network.clientKey", "network.proxyCredential", "signingSecrets"]);
        assert!(!format!("{errors:?}").contains("CANARY"));
    }
}
