//! A webhook: an HTTPS destination of one's own, with its way out, its checks of addresses and its signatures.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Secret;
use catalog::Sealed;
use destinations::{Destination, SecretName, Settings, SettingsError, Vendor};
use event::native::{Instance, Selection};
use serde_json::{Map, Value, json};

use super::{ELSEWHERE, Medium, Opened, Secrets, wrong};

/// The name of the address among the secrets.
pub(super) const URL: &str = "url";

pub(super) const FIELDS: &[&str] =
    &[URL, "apiKey", "apiKeySet", "headerName", "signingSecrets", "signingSecretsSet", "network"];

/// The address as it is shown: where to, and not which.
fn origin(url: &str) -> String {
    let parsed = url::Url::parse(url).ok();
    parsed.map_or_else(String::new, |url| format!("{}/…", url.origin().ascii_serialization()))
}

/// The whole `configuration` of an HTTPS destination.
fn whole(settings: &Value, url: &str) -> Value {
    let mut members = settings.as_object().cloned().unwrap_or_default();
    members.insert(URL.to_owned(), url.into());
    members.entry("headerName").or_insert_with(|| "".into());
    Value::Object(members)
}

pub(super) fn parse(configuration: &Value, before: Option<&Opened>) -> Result<Opened, Vec<SettingsError>> {
    let Some(given) = configuration.as_object() else {
        return Err(vec![wrong("configuration", "must be an object")]);
    };
    let known = before.and_then(|before| match &before.medium {
        Medium::Webhook(settings) => Some((settings, before.secrets.get(URL)?, &before.secrets)),
        Medium::Mail(_) => None,
    });
    let (url, is_reused) = match (given.get(URL).filter(|url| !url.is_null()), known) {
        (None, Some((_, url, _))) => (url.expose().to_owned(), true),
        (Some(Value::String(text)), Some((_, url, _))) if *text == origin(url.expose()) => {
            (url.expose().to_owned(), true)
        }
        (Some(Value::String(text)), _) => (text.clone(), false),
        (Some(_), _) => return Err(vec![wrong(URL, "must be a string")]),
        (None, None) => return Err(vec![wrong(URL, "must not be null")]),
    };
    let whole = whole(configuration, &url);
    let settings = Settings::parse(Vendor::Https, &whole)?;
    let mut secrets: Secrets = destinations::Secrets::parse(&whole)?
        .iter()
        .map(|(name, secret)| (name.name().to_owned(), secret.clone()))
        .collect();
    if let Some((known, known_url, stored)) = known {
        let leads_like = Settings::parse(Vendor::Https, &self::whole(known, known_url.expose()))
            .is_ok_and(|known| settings.leads_like(&known));
        let mut errors = Vec::new();
        if is_reused && !leads_like {
            errors.push(wrong(URL, ELSEWHERE));
        }
        for name in SecretName::ALL {
            let is_given = secrets.contains_key(name.name());
            let Some(secret) = stored.get(name.name()).filter(|_| !is_given) else { continue };
            if !settings.has_use_for(name) {
                continue;
            }
            if leads_like {
                secrets.insert(name.name().to_owned(), secret.clone());
            } else if errors.iter().all(|error: &SettingsError| error.field != name.field()) {
                errors.push(wrong(name.field(), ELSEWHERE));
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
    }
    let mut stored = settings.to_json();
    if let Some(members) = stored.as_object_mut() {
        members.remove(URL);
    }
    secrets.insert(URL.to_owned(), Secret::new(url));
    let opened = Opened { medium: Medium::Webhook(stored), secrets };
    // Whether the secrets are fit shows when they are put to use.
    destination(&opened, &nobody()).map(|_| opened)
}

/// What it can be told by.
pub(crate) fn destination(
    opened: &Opened,
    instance: &Instance,
) -> Result<Arc<dyn Destination>, Vec<SettingsError>> {
    let Medium::Webhook(settings) = &opened.medium else { return Err(vec![wrong("type", "is no webhook")]) };
    let url = opened.secrets.get(URL).map(Secret::expose).unwrap_or_default();
    let named = |name: SecretName| Some((name, opened.secrets.get(name.name())?.clone()));
    let secrets: destinations::Secrets = SecretName::ALL.into_iter().filter_map(named).collect();
    Settings::parse(Vendor::Https, &whole(settings, url))?.build(&secrets, instance, Selection::default())
}

pub(super) fn shown(settings: &Value, url: Option<&Secret>, secrets: &BTreeMap<String, Sealed>) -> Value {
    let is_set = |name: SecretName| secrets.contains_key(name.name());
    let mut members: Map<String, Value> = settings.as_object().cloned().unwrap_or_default();
    members.insert(URL.to_owned(), url.map(|url| origin(url.expose())).unwrap_or_default().into());
    members.insert("apiKeySet".to_owned(), is_set(SecretName::ApiKey).into());
    let n_signing = [SecretName::SigningSecret, SecretName::SecondSigningSecret]
        .into_iter()
        .filter(|name| is_set(*name))
        .count();
    members.insert("signingSecretsSet".to_owned(), json!(n_signing));
    if let Some(network) = members.get_mut("network").and_then(Value::as_object_mut) {
        network.insert("clientKeySet".to_owned(), is_set(SecretName::ClientKey).into());
        network.insert("proxyCredentialSet".to_owned(), is_set(SecretName::ProxyCredential).into());
    }
    Value::Object(members)
}

/// For a trial whose result is not used.
const fn nobody() -> Instance {
    Instance { name: String::new(), domain: String::new(), environment: String::new(), public_url: None }
}
