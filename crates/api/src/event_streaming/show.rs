//! A configuration as it is answered: the contract's fields and our few, never a
//! secret.

use base::Timestamp;
use delivery::Configuration;
use destinations::SecretName;
use event::filter::Filter;
use serde::Serialize;
use serde_json::Value;

use super::start::StartsAtOut;

/// The contract's `EventStreamingResponse`. `includeRaw`, `includeBodies`, `filter`, `awaitingChoiceSince`
/// and `startsAt` are additions.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfigurationOut {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    enabled: bool,
    r#type: &'static str,
    configuration: Value,
    account_event_streaming: AccountOut,
    audit_log_streaming: AuditOut,
    event_hook_log_streaming: HookOut,
    #[serde(skip_serializing_if = "Filter::is_empty")]
    filter: Filter,
    /// Since when it sends nothing, although it is enabled, until somebody chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    awaiting_choice_since: Option<Timestamp>,
    /// Where it begins; only answered to the call that creates it with a `startFrom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) starts_at: Option<StartsAtOut>,
}

/// That field; sent back, it is passed over.
pub(super) const AWAITING: &str = "awaitingChoiceSince";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountOut {
    enabled: bool,
    include_actions: bool,
    include_raw: bool,
    native_claims: Vec<OnlyId>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuditOut {
    enabled: bool,
    include_bodies: bool,
    include_raw: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HookOut {
    enabled: bool,
    include_raw: bool,
}

#[derive(Serialize)]
struct OnlyId {
    id: String,
}

/// The vendor's settings, and which secrets are set.
fn with_marks(configuration: &Configuration) -> Value {
    let mut shown = configuration.settings.clone();
    let is_set = |name| configuration.secrets.contains_key(&name);
    for (name, mark) in
        [(SecretName::ClientKey, "clientKeySet"), (SecretName::ProxyCredential, "proxyCredentialSet")]
    {
        if is_set(name)
            && let Some(network) = shown.get_mut("network").and_then(Value::as_object_mut)
        {
            network.insert(mark.to_owned(), true.into());
        }
    }
    let n_signing = [SecretName::SigningSecret, SecretName::SecondSigningSecret]
        .into_iter()
        .filter(|name| is_set(*name))
        .count();
    if let Some(shown) = shown.as_object_mut() {
        if is_set(SecretName::ApiKey) {
            shown.insert("apiKeySet".to_owned(), true.into());
        }
        if n_signing > 0 {
            shown.insert("signingSecretsSet".to_owned(), n_signing.into());
        }
    }
    shown
}

impl ConfigurationOut {
    pub(super) fn of(configuration: &Configuration) -> Self {
        let account = &configuration.account;
        let ids = account.claims.iter().map(|claim| claim.id.clone());
        Self {
            id: configuration.id.clone(),
            name: configuration.name.clone(),
            description: configuration.description.clone(),
            enabled: configuration.enabled,
            r#type: configuration.vendor.name(),
            configuration: with_marks(configuration),
            account_event_streaming: AccountOut {
                enabled: account.enabled,
                include_actions: account.include_actions,
                include_raw: account.include_raw,
                native_claims: ids.map(|id| OnlyId { id }).collect(),
            },
            audit_log_streaming: AuditOut {
                enabled: configuration.audit.enabled,
                include_bodies: configuration.audit.include_bodies,
                include_raw: configuration.audit.include_raw,
            },
            event_hook_log_streaming: HookOut {
                enabled: configuration.hook.enabled,
                include_raw: configuration.hook.include_raw,
            },
            filter: configuration.filter.clone(),
            starts_at: None,
            awaiting_choice_since: configuration.resume.awaits_since.filter(|_| configuration.enabled),
        }
    }
}
