//! One account event: who did what to whom, with what, and how that is written.

use std::net::IpAddr;
use std::time::Duration;

use base::{EventId, Timestamp};

use crate::administration::Administrator;
use crate::application::Application;
use crate::attack::Intruder;
use crate::customer::{Customer, Town};
use crate::deed::Deed;
use crate::dice::{Dice, Uuid};
use crate::json::{Object, object};

/// The identity store that all customers are in.
pub(crate) const STORE: &str = "customers";

/// What every event has: an id, when wanted, and a time.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) id: Option<EventId>,
    pub(crate) now: Timestamp,
}

impl Frame {
    /// Writes the event's own id, when it has one.
    pub(crate) fn write_id(&self, event: &mut Object<'_>) {
        if let Some(id) = self.id {
            event.shown("eventID", id);
        }
    }
}

/// Who does it.
#[derive(Debug)]
pub(crate) enum By {
    /// The customer itself.
    Customer,
    /// Somebody who tries the customer's name.
    Intruder(Intruder),
    /// An administrator.
    Administrator(&'static Administrator),
    /// The platform, in the job of this id.
    Job(Uuid),
    /// The platform, by the lifecycle rule of this id.
    Rule(Uuid),
}

/// One account event.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) deed: &'static Deed,
    pub(crate) subject: Customer,
    /// Whether there is an account of the subject's name.
    pub(crate) is_known: bool,
    pub(crate) by: By,
    pub(crate) application: &'static Application,
    pub(crate) session: Option<Uuid>,
}

impl Scene {
    /// A customer does something to its own account, in its session when it has one.
    pub(crate) fn of(deed: &'static Deed, subject: &Customer, application: &'static Application) -> Self {
        let session = subject.session;
        Self {
            deed,
            subject: subject.clone(),
            is_known: true,
            by: By::Customer,
            application: session.map_or(application, |session| session.application),
            session: session.map(|session| session.id),
        }
    }

    /// Somebody else does something to a customer's account.
    pub(crate) fn done(
        deed: &'static Deed,
        subject: &Customer,
        by: By,
        application: &'static Application,
    ) -> Self {
        Self { deed, subject: subject.clone(), is_known: true, by, application, session: None }
    }

    /// The same, in this session or to it.
    pub(crate) fn in_session(self, session: Uuid) -> Self {
        Self { session: Some(session), ..self }
    }

    /// The same, but there is no account of that name.
    pub(crate) fn of_nobody(self) -> Self {
        Self { is_known: false, ..self }
    }

    /// Writes the event.
    pub(crate) fn write(&self, frame: &Frame, dice: &mut Dice, out: &mut String) {
        let start = frame.now.minus(Duration::from_millis(self.duration_ms(dice)));
        let mail = self.subject.mail();
        object(out, |event| {
            event.plain("stream", "\"accountEvent\"");
            frame.write_id(event);
            event.text("type", self.deed.kind);
            event.text("sourceEventType", self.deed.code);
            event.texts("labels", self.deed.labels);
            event.shown("startTimestamp", start);
            event.shown("endTimestamp", frame.now);
            if let Some(session) = self.session {
                event.shown("loginSessionId", session);
            }
            event.object("actor", |actor| self.write_actor(&mail, actor));
            event.object("actorApplication", |application| {
                application.text("id", self.application.id);
                application.text("name", self.application.name);
            });
            event.object("actorClient", |client| client.text("id", self.application.client_id));
            event.object("subject", |subject| {
                if self.is_known {
                    subject.shown("accountId", self.subject.id);
                }
                subject.text("userName", &mail);
                subject.text("store", STORE);
            });
            if self.is_known {
                event.object("nativeClaims", |claims| self.write_claims(&mail, claims));
            }
            self.write_actions(start, event);
        });
    }

    fn duration_ms(&self, dice: &mut Dice) -> u64 {
        match self.by {
            By::Customer if self.deed.labels.len() > 1 => dice.between(1_800, 45_000),
            By::Customer => dice.between(40, 900),
            _ => dice.between(20, 400),
        }
    }

    fn write_actor(&self, mail: &str, actor: &mut Object<'_>) {
        match &self.by {
            By::Customer => {
                // Who fails to prove who it is has a name only.
                if self.is_known && self.deed.is_success() {
                    actor.shown("accountId", self.subject.id);
                }
                actor.text("userName", mail);
                let town = (!self.deed.is_quiet).then_some(self.subject.town);
                write_place(self.subject.ip, self.subject.browser, town, actor);
            }
            By::Intruder(intruder) => {
                if self.deed.is_success() {
                    actor.shown("accountId", self.subject.id);
                }
                actor.text("userName", mail);
                write_place(intruder.ip, intruder.program, None, actor);
            }
            By::Administrator(administrator) => {
                actor.text("accountId", administrator.id);
                actor.text("userName", administrator.user_name);
                actor.text("store", "administrators");
                write_place(administrator.ip, administrator.browser, None, actor);
            }
            By::Job(id) => actor.shown("bulkJobId", id),
            By::Rule(id) => actor.shown("ruleId", id),
        }
    }

    fn write_claims(&self, mail: &str, claims: &mut Object<'_>) {
        let (customer, town) = (&self.subject, self.subject.town);
        claims.text("email", mail);
        claims.text("given_name", customer.given_name);
        claims.text("family_name", &customer.family_name());
        claims.text("locality", town.name);
        claims.text("country", town.country);
        claims.text("loyalty_tier", customer.tier);
    }

    /// The steps of what takes several: one block for each label.
    fn write_actions(&self, start: Timestamp, event: &mut Object<'_>) {
        if self.deed.labels.len() < 2 {
            return;
        }
        event.objects("actions", &[self.deed], |deed, action| {
            action.text("type", deed.kind);
            action.shown("timestamp", start);
            action.objects("details", deed.labels, |label, block| {
                let (outcome, name) = label.split_once(':').unwrap_or_default();
                block.text("name", name);
                block.text("outcome", outcome);
            });
        });
    }
}

fn write_place(ip: IpAddr, program: &str, town: Option<&Town>, actor: &mut Object<'_>) {
    actor.shown("ip", ip);
    actor.text("userAgent", program);
    let Some(town) = town else { return };
    actor.object("location", |location| {
        location.text("type", "Feature");
        location.object("properties", |properties| {
            properties.text("city", town.name);
            properties.text("state", town.region);
            properties.text("country", town.country);
        });
        location.object("geometry", |geometry| {
            geometry.text("type", "Point");
            geometry.plain("coordinates", format_args!("[{},{}]", town.longitude, town.latitude));
        });
    });
}
