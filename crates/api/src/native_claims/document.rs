//! One native claim as the catalog keeps it, and the names that all of them have.

use std::collections::BTreeMap;

use catalog::{Catalog, Document};
use delivery::Configuration;
use event::claims;
use serde::{Deserialize, Serialize};

/// What a claim belongs to when nobody says; the contract's value.
pub(super) const DEFAULT_DIALECT: &str = "http://strivacity.com/claims";

/// A native claim. Built-in ones are made up as they are needed; the catalog keeps the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NativeClaim {
    /// A UUID, or the fixed id of a built-in one. Never changes.
    pub(super) id: String,
    /// Its name in events and documents, unique.
    pub(super) name: String,
    /// Its name for people.
    pub(super) display_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    /// A URI that says where the name is from; nobody calls it.
    pub(super) dialect_uri: String,
}

impl Document for NativeClaim {
    const KIND: &'static str = "nativeClaim";
}

impl NativeClaim {
    /// Those that every installation has.
    pub(super) fn built_in() -> impl Iterator<Item = Self> {
        claims::BUILT_IN.into_iter().map(|(id, name, display_name)| Self {
            id: id.to_owned(),
            name: name.to_owned(),
            display_name: display_name.to_owned(),
            description: None,
            dialect_uri: DEFAULT_DIALECT.to_owned(),
        })
    }

    pub(super) fn is_built_in(&self) -> bool {
        claims::name_of(&self.id).is_some()
    }
}

/// The name of each claim, by id.
pub(crate) struct ClaimNames(BTreeMap<String, String>);

impl ClaimNames {
    /// As they are now. A claim that cannot be read has none.
    pub(crate) fn of(catalog: &Catalog) -> Self {
        let custom = catalog.list_each::<NativeClaim>().into_iter().filter_map(|(_, found)| found.ok());
        let all = NativeClaim::built_in().chain(custom.map(|found| found.value));
        Self(all.map(|claim| (claim.id, claim.name)).collect())
    }

    /// The name of the claim with this id.
    pub(crate) fn name_of(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    /// Every name.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }

    /// The configuration with the names that its claims have now; `None` when it has them. A claim that is gone keeps the
    /// name that was stored: deleting a selected one is refused, so it cannot be read, and may be again.
    pub(crate) fn renamed(&self, configuration: &Configuration) -> Option<Configuration> {
        let mut renamed = configuration.clone();
        for claim in &mut renamed.account.claims {
            if let Some(name) = self.name_of(&claim.id) {
                name.clone_into(&mut claim.name);
            }
        }
        (renamed.account != configuration.account).then_some(renamed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use delivery::{AccountSwitch, AuditSwitch, HookSwitch, SelectedClaim};
    use destinations::Vendor;

    use super::*;

    #[test]
    fn a_configuration_is_rewritten_when_a_claim_has_another_name_and_only_then() {
        let names =
            ClaimNames([("1", "level"), ("2", "email")].map(|(id, name)| (id.into(), name.into())).into());
        let with = |claims: &[(&str, &str)]| Configuration {
            id: "c".to_owned(),
            name: "c".to_owned(),
            description: None,
            enabled: true,
            vendor: Vendor::Splunk,
            settings: serde_json::json!({}),
            secrets: BTreeMap::new(),
            account: AccountSwitch {
                claims: claims
                    .iter()
                    .map(|(id, name)| SelectedClaim { id: (*id).to_owned(), name: (*name).to_owned() })
                    .collect(),
                ..AccountSwitch::default()
            },
            audit: AuditSwitch::default(),
            hook: HookSwitch::default(),
            earlier: Vec::new(),
            sends_from: None,
            start_from: None,
            filter: event::filter::Filter::default(),
            resume: delivery::Resume::default(),
        };
        let renamed = names.renamed(&with(&[("2", "email"), ("1", "tier"), ("gone", "old")])).unwrap();
        assert_eq!(renamed.account, with(&[("2", "email"), ("1", "level"), ("gone", "old")]).account);
        assert!(names.renamed(&renamed).is_none(), "once is enough");
        assert!(names.renamed(&with(&[])).is_none());
    }
}
