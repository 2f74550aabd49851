//! Every sealed credential of the catalog, found by its form, and sealed anew with the newest key.
//!
//! The catalog knows no document's meaning, and need not: a credential's place follows from where it stands ([`place`]).
//! So a kind of document that is added later is not forgotten when the master key is replaced.

use base::Random;
use serde_json::Value;

use crate::keyring::PROBE_KIND;
use crate::{Catalog, CatalogError, KeyError, Keyring, Sealed};

/// What a credential is sealed for: the document that it stands in, and the name of the member that holds it. Names of
/// credentials are unique within a document.
pub fn place(kind: &str, id: &str, name: &str) -> String {
    format!("{kind}/{id}/{name}")
}

/// A sealed credential, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The kind of its document.
    pub kind: String,
    /// The id of its document.
    pub id: String,
    /// The name of the member that holds it.
    pub name: String,
    sealed: Sealed,
}

impl Credential {
    /// The id of the key that it is sealed with.
    pub fn key_id(&self) -> &str {
        self.sealed.key_id()
    }

    /// Fails unless it opens with one of these keys.
    pub fn check(&self, keyring: &Keyring) -> Result<(), KeyError> {
        keyring.open(&self.sealed, &place(&self.kind, &self.id, &self.name)).map(drop)
    }
}

impl Catalog {
    /// Every sealed credential, in order of kinds and ids.
    pub fn credentials(&self) -> Vec<Credential> {
        let mut found = Vec::new();
        for (kind, id, text) in self.texts() {
            // What asks for the right key at a start is no credential.
            if kind != PROBE_KIND
                && let Ok(mut document) = serde_json::from_str(text.get())
            {
                each_sealed(&mut document, "", &mut |name, sealed| {
                    let (kind, id, name) = (kind.clone(), id.clone(), name.to_owned());
                    found.push(Credential { kind, id, name, sealed });
                    None
                });
            }
        }
        found
    }

    /// Seals the credentials of one document with the newest key, all in one change. Nothing that callers see differs, so
    /// its revision stays. Returns how many were sealed anew. Durable when it returns.
    pub fn reseal(
        &self,
        kind: &str,
        id: &str,
        keyring: &Keyring,
        random: &Random,
    ) -> Result<usize, KeyError> {
        let damaged = |cause| CatalogError::Damaged { kind: kind.to_owned(), id: id.to_owned(), cause };
        let text = self.text(kind, id).ok_or(CatalogError::NotFound)?;
        let mut document: Value = serde_json::from_str(text.get()).map_err(damaged)?;
        let (mut n_resealed, mut problem) = (0, None);
        each_sealed(&mut document, "", &mut |name, sealed| {
            if sealed.key_id() == keyring.key_id() {
                return None;
            }
            let place = place(kind, id, name);
            let opened = keyring.open(&sealed, &place);
            match opened.and_then(|secret| keyring.seal(&secret, &place, random)) {
                Ok(sealed) => {
                    n_resealed += 1;
                    Some(sealed)
                }
                Err(error) => {
                    problem = Some(error);
                    None
                }
            }
        });
        if let Some(problem) = problem {
            return Err(problem);
        }
        if n_resealed > 0 {
            let after = serde_json::value::to_raw_value(&document).map_err(damaged)?;
            self.rewrite(kind, id, &text, after)?;
        }
        Ok(n_resealed)
    }
}

/// Shows each sealed credential below `value`, with the name of its member, and replaces it by what comes back.
fn each_sealed(value: &mut Value, name: &str, visit: &mut impl FnMut(&str, Sealed) -> Option<Sealed>) {
    match value {
        Value::Object(members) => {
            let sealed = (members.len() == 3).then(|| Sealed::from_members(members)).flatten();
            if let Some(sealed) = sealed {
                if let Some(sealed) = visit(name, sealed) {
                    *members = sealed.into_members();
                }
                return;
            }
            for (name, member) in members {
                each_sealed(member, name, visit);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_sealed(item, name, visit)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base::Secret;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;
    use crate::{Document, MemoryStore};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Thing(Value);

    impl Document for Thing {
        const KIND: &'static str = "thing";
    }

    fn sealed(keyring: &Keyring, id: &str, name: &str, random: &Random) -> Value {
        let secret = Secret::new(format!("secret of {name}"));
        serde_json::to_value(keyring.seal(&secret, &place("thing", id, name), random).unwrap()).unwrap()
    }

    #[test]
    fn what_is_sealed_is_found_wherever_it_stands_and_sealed_anew_with_nothing_else_changed() {
        let random = Random::from_seed(1);
        let catalog = Catalog::open(Arc::new(MemoryStore::default())).unwrap();
        let old = Keyring::new(&[7; 32]);
        old.check(&catalog, &random).unwrap();
        let thing = |a: Value, b: Value| {
            Thing(json!({"secrets": {"a": a}, "list": [{"b": b}], "n": 1.5, "keyId": "x", "none": null}))
        };
        let before = thing(sealed(&old, "1", "a", &random), sealed(&old, "1", "b", &random));
        catalog.create("1", &before, None).unwrap();
        let both =
            Keyring::from_text(&Secret::new(format!("{} {}", "08".repeat(32), "07".repeat(32)))).unwrap();
        let names = |catalog: &Catalog, keyring: &Keyring| {
            let all = catalog.credentials().into_iter();
            all.filter(|one| one.check(keyring).is_ok()).map(|one| one.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&catalog, &both), ["b", "a"]);
        assert_eq!(catalog.reseal("thing", "1", &both, &random).unwrap(), 2);
        assert_eq!(catalog.reseal("thing", "1", &both, &random).unwrap(), 0);
        let new = Keyring::new(&[8; 32]);
        assert_eq!(names(&catalog, &new), ["b", "a"]);
        assert_eq!(names(&catalog, &old), [""; 0]);
        let found = catalog.get::<Thing>("1").unwrap();
        assert_eq!(found.revision, 1, "what callers see is the same");
        let after = found.value.0;
        assert_eq!(Thing(after.clone()), thing(after["secrets"]["a"].clone(), after["list"][0]["b"].clone()));
    }

    #[test]
    fn what_does_not_open_is_left_as_it_is_with_all_of_its_document() {
        let random = Random::from_seed(1);
        let catalog = Catalog::open(Arc::new(MemoryStore::default())).unwrap();
        let (old, other) = (Keyring::new(&[7; 32]), Keyring::new(&[9; 32]));
        let thing =
            Thing(json!({"a": sealed(&old, "1", "a", &random), "b": sealed(&other, "1", "b", &random)}));
        catalog.create("1", &thing, None).unwrap();
        let both =
            Keyring::from_text(&Secret::new(format!("{} {}", "08".repeat(32), "07".repeat(32)))).unwrap();
        assert!(matches!(catalog.reseal("thing", "1", &both, &random), Err(KeyError::WrongKey { .. })));
        assert_eq!(catalog.get::<Thing>("1").unwrap().value, thing);
        assert!(catalog.reseal("thing", "2", &both, &random).is_err(), "there is none");
    }
}
