//! Claims that events carry and the catalog of claims lacks: their names are noticed as events are stored, to be offered.
//!
//! Storing events is what matters, so the price is one look-up in a set for each claim that is stored: no lock is taken
//! while events are looked at, and one for each batch with a new name, of which there are [`MAX_DISCOVERED`] at most.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use base::Timestamp;
use base::mask::MASK;
use event::model::Draft;
use event::{Stream, claims};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

/// Most names that are offered. A producer that makes up names cannot fill more.
pub const MAX_DISCOVERED: usize = 500;

/// A name that was noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Discovered {
    /// The claim's name in events.
    pub name: String,
    /// When the first event with it was received.
    pub first_seen_at: Timestamp,
    /// The `sourceId` of that event.
    pub source_id: String,
}

/// The names that are offered, oldest first, as the catalog keeps them: one document with the id [`DiscoveredClaims::ID`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscoveredClaims {
    /// At most [`MAX_DISCOVERED`].
    pub claims: Vec<Discovered>,
}

impl DiscoveredClaims {
    /// The id of the one document.
    pub const ID: &'static str = "all";
}

impl catalog::Document for DiscoveredClaims {
    const KIND: &'static str = "discoveredClaims";
}

/// Notices names. Somebody else keeps them, and says what is known.
#[derive(Default)]
pub struct Discovery {
    /// Replaced as a whole when a name comes or goes: whoever looks names up holds a copy of the pointer, no lock.
    known: RwLock<Arc<Known>>,
    /// What was noticed and is not kept yet. Its lock is taken before the other.
    fresh: Mutex<Vec<Discovered>>,
}

/// The names that are not news.
struct Known {
    names: HashSet<String>,
    n_offered: usize,
}

impl Default for Known {
    fn default() -> Self {
        Self { names: claims::BUILT_IN.iter().map(|(_, name, _)| (*name).to_owned()).collect(), n_offered: 0 }
    }
}

impl Known {
    const fn has_room(&self) -> bool {
        self.n_offered < MAX_DISCOVERED
    }
}

impl Discovery {
    /// What was noticed and is not kept yet, oldest first.
    pub fn fresh(&self) -> Vec<Discovered> {
        self.fresh.lock().clone()
    }

    /// Says which names have a claim, beside the built-in ones, and which are kept as an offer. A name that is neither any
    /// more is noticed anew when it comes again.
    pub fn know<'a>(&self, custom: impl IntoIterator<Item = &'a str>, kept: &[Discovered]) {
        let mut known = Known::default();
        known.names.extend(custom.into_iter().map(ToOwned::to_owned));
        known.names.extend(kept.iter().map(|each| each.name.clone()));
        let mut fresh = self.fresh.lock();
        fresh.retain(|each| known.names.insert(each.name.clone()));
        known.n_offered = kept.len() + fresh.len();
        *self.known.write() = Arc::new(known);
    }

    /// Begins to look at events that are stored together.
    pub(crate) fn look(&self) -> Look<'_> {
        Look { discovery: self, known: Arc::clone(&self.known.read()), names: BTreeSet::new() }
    }

    fn note(&self, names: BTreeSet<String>, first_seen_at: Timestamp, source: &str) {
        let mut fresh = self.fresh.lock();
        let before = Arc::clone(&self.known.read());
        let mut known = Known { names: before.names.clone(), n_offered: before.n_offered };
        for name in names {
            if known.has_room() && known.names.insert(name.clone()) {
                known.n_offered += 1;
                fresh.push(Discovered { name, first_seen_at, source_id: source.to_owned() });
            }
        }
        *self.known.write() = Arc::new(known);
    }
}

/// A look at events that are stored together.
pub(crate) struct Look<'a> {
    discovery: &'a Discovery,
    known: Arc<Known>,
    names: BTreeSet<String>,
}

impl Look<'_> {
    /// Looks at one of them. Only account events are sent with claims.
    pub(crate) fn at(&mut self, draft: &Draft) {
        if draft.stream() != Stream::AccountEvent || !self.known.has_room() {
            return;
        }
        for name in draft.native_claims().filter_map(name_of) {
            let is_news = !self.known.names.contains(name) && self.names.len() < MAX_DISCOVERED;
            if is_news && claims::is_name(name) && !name.contains(MASK) {
                self.names.insert(name.to_owned());
            }
        }
    }

    /// Notes what was new.
    pub(crate) fn end(self, received_at: Timestamp, source: &str) {
        if !self.names.is_empty() {
            self.discovery.note(self.names, received_at, source);
        }
    }
}

/// The name of a claim that is spelled `"name":value`. One that is escaped comes out cut, at a character that no claim's
/// name may hold.
fn name_of(member: &str) -> Option<&str> {
    member.strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests {
    use base::mask::MaskRule;
    use event::model::incoming;

    use super::*;

    fn draft(stream: &str, claims: &str) -> Draft {
        let rest = match stream {
            "auditLog" => {
                r#""date":"2026-01-31T12:00:00Z","action":"Update","entityType":"Policy","name":"p""#
            }
            _ => r#""type":"selfService","endTimestamp":"2026-01-31T12:00:00Z""#,
        };
        let text = format!(r#"{{"stream":"{stream}",{rest},"nativeClaims":{claims}}}"#);
        incoming::parse(&text, &MaskRule::default()).unwrap()
    }

    fn see(discovery: &Discovery, stream: &str, claims: &str) {
        let mut look = discovery.look();
        look.at(&draft(stream, claims));
        look.end(Timestamp::default(), "shop");
    }

    fn names(discovered: &[Discovered]) -> Vec<&str> {
        discovered.iter().map(|each| each.name.as_str()).collect()
    }

    #[test]
    fn a_name_is_noticed_once_unless_it_is_known_or_cannot_be_a_claims() {
        let discovery = Discovery::default();
        discovery.know(["level"], &[]);
        let long = "n".repeat(256);
        see(&discovery, "accountEvent", &format!(r#"{{"tier":1,"email":"e","level":[2],"{long}":{{}}}}"#));
        see(
            &discovery,
            "accountEvent",
            r#"{"tier":2,"shoe size":3,"a\"b":4,"a\\b":5,"a-b":6,"ä":7,"pin=1":8}"#,
        );
        see(&discovery, "auditLog", r#"{"of_an_audit_log":1}"#);
        assert_eq!(names(&discovery.fresh()), [&long, "tier"]);
        assert_eq!(discovery.fresh()[1].source_id, "shop");
    }

    #[test]
    fn what_is_kept_is_fresh_no_more_and_what_is_forgotten_is_noticed_again() {
        let discovery = Discovery::default();
        see(&discovery, "accountEvent", r#"{"tier":1}"#);
        let kept = discovery.fresh();
        see(&discovery, "accountEvent", r#"{"level":1}"#);
        discovery.know([], &kept);
        assert_eq!(names(&discovery.fresh()), ["level"], "it came after the others were kept");
        discovery.know(["tier", "level"], &[]);
        assert_eq!(discovery.fresh(), []);
        discovery.know([], &[]);
        see(&discovery, "accountEvent", r#"{"tier":1}"#);
        assert_eq!(names(&discovery.fresh()), ["tier"]);
    }

    #[test]
    fn made_up_names_fill_no_more_than_the_offer_holds() {
        let discovery = Discovery::default();
        for batch in 0..3 {
            let claims: Vec<String> = (0..400).map(|n| format!("\"n{batch}_{n}\":1")).collect();
            see(&discovery, "accountEvent", &format!("{{{}}}", claims.join(",")));
        }
        assert_eq!(discovery.fresh().len(), MAX_DISCOVERED);
        let kept = discovery.fresh();
        discovery.know([], &kept);
        see(&discovery, "accountEvent", r#"{"tier":1}"#);
        assert_eq!(discovery.fresh(), []);
        discovery.know([], &kept[1..]);
        see(&discovery, "accountEvent", r#"{"tier":1}"#);
        assert_eq!(names(&discovery.fresh()), ["tier"], "there is room again");
    }
}
