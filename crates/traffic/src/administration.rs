//! Administrators and what they change: audit logs.

use std::net::{IpAddr, Ipv4Addr};

use crate::application::CONSOLE;
use crate::dice::{Dice, Uuid};
use crate::entity::{Action, Entity, KINDS, Step};
use crate::json::{Object, object};
use crate::scene::Frame;

/// Stands before every secret of an audit body, so that tests find those that got through.
const MADE_UP_SECRET: &str = "made-up-secret-";

/// Somebody who may change the platform.
#[derive(Debug)]
pub(crate) struct Administrator {
    pub(crate) id: &'static str,
    pub(crate) user_name: &'static str,
    pub(crate) ip: IpAddr,
    pub(crate) browser: &'static str,
}

const fn administrator(
    id: &'static str,
    user_name: &'static str,
    last: u8,
    browser: &'static str,
) -> Administrator {
    Administrator { id, user_name, ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)), browser }
}

/// Few, and at addresses where no customer is: 192.0.2.10 to .13.
static ADMINISTRATORS: [Administrator; 4] = [
    administrator(
        "0b6b7c1e-5a43-4a3f-8d6e-2f1f0a9c1001",
        "platform.owner@admins.example.com",
        10,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    ),
    administrator(
        "0b6b7c1e-5a43-4a3f-8d6e-2f1f0a9c1002",
        "security.desk@admins.example.com",
        11,
        "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    ),
    administrator(
        "0b6b7c1e-5a43-4a3f-8d6e-2f1f0a9c1003",
        "helpdesk.one@admins.example.com",
        12,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ),
    administrator(
        "0b6b7c1e-5a43-4a3f-8d6e-2f1f0a9c1004",
        "helpdesk.two@admins.example.com",
        13,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ),
];
/// Where the pipeline that applies configuration runs.
const PIPELINE_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 20));

/// The administrators' side of the platform.
#[derive(Debug)]
pub(crate) struct Administration {
    entities: Vec<Entity>,
    session_rule: Uuid,
    bulk_job: Uuid,
}

impl Administration {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let entities = KINDS.iter().map(|kind| Entity::new(kind, dice)).collect();
        Self { entities, session_rule: dice.uuid(), bulk_job: dice.uuid() }
    }

    /// One of the administrators.
    pub(crate) fn somebody(dice: &mut Dice) -> &'static Administrator {
        &ADMINISTRATORS[dice.index(ADMINISTRATORS.len())]
    }

    /// The lifecycle rule that ends idle sessions.
    pub(crate) const fn session_rule(&self) -> Uuid {
        self.session_rule
    }

    /// The job that sorts customers into groups.
    pub(crate) const fn bulk_job(&self) -> Uuid {
        self.bulk_job
    }

    /// Changes something and writes the audit log of it.
    pub(crate) fn write(&mut self, frame: &Frame, dice: &mut Dice, out: &mut String) {
        let at = dice.index(self.entities.len());
        let entity = &mut self.entities[at];
        let step = entity.change(dice);
        let kind = entity.kind;
        let has_secret = step.action != Action::Delete;
        let secret =
            kind.secret.filter(|_| has_secret).map(|name| (name, format!("{MADE_UP_SECRET}{}", dice.uuid())));
        let (action, method) = step.action.words();
        object(out, |event| {
            event.plain("stream", "\"auditLog\"");
            frame.write_id(event);
            event.shown("date", frame.now);
            event.text("action", action);
            event.text("entityType", kind.name);
            event.text("name", kind.title);
            event.shown("url", format_args!("/admin/api/v1/{}/{}", kind.path, entity.id));
            event.text("method", method);
            event.plain("version", step.version);
            event.text("outcome", "success");
            write_actor(kind.is_temporary || dice.chance(75), dice, event);
            if !kind.is_bulky {
                if step.action != Action::Delete {
                    event.text("request", &body(entity, &step, secret.as_ref()));
                }
                event.text("response", &body(entity, &step, None));
            }
            write_changes(entity, &step, secret.as_ref(), event);
        });
    }
}

/// In three of four cases an administrator in the console, else the pipeline with a token of its own.
fn write_actor(is_somebody: bool, dice: &mut Dice, event: &mut Object<'_>) {
    if !is_somebody {
        event.object("actor", |actor| {
            actor.shown("ip", PIPELINE_IP);
            actor.text("userAgent", "configuration-pipeline/3.2 (applies settings from version control)");
        });
        event.object("actorClient", |client| {
            client.text("id", "configuration-pipeline");
            client.text("name", "Configuration pipeline");
        });
        return;
    }
    let administrator = Administration::somebody(dice);
    event.object("actor", |actor| {
        actor.text("accountId", administrator.id);
        actor.text("userName", administrator.user_name);
        actor.shown("ip", administrator.ip);
        actor.text("userAgent", administrator.browser);
    });
    event.object("actorClient", |client| {
        client.text("id", CONSOLE.client_id);
        client.text("name", CONSOLE.client_name);
    });
}

/// The entity as it is sent or answered: JSON, which the event carries as a text.
fn body(entity: &Entity, step: &Step, secret: Option<&(&str, String)>) -> String {
    let kind = entity.kind;
    let mut out = String::with_capacity(384);
    object(&mut out, |body| {
        body.shown("id", entity.id);
        body.text("name", kind.title);
        body.members(kind.rest);
        if let Some(value) = step.after.or(step.before) {
            body.plain(kind.setting, value);
        }
        if let Some((name, value)) = secret {
            body.text(name, value);
        }
        body.plain("version", step.version);
    });
    out
}

fn write_changes(entity: &Entity, step: &Step, secret: Option<&(&str, String)>, event: &mut Object<'_>) {
    let setting = (entity.kind.setting, step.before, step.after);
    let quoted = secret.map(|(name, value)| (*name, format!("\"{value}\"")));
    let credential = quoted.as_ref().map(|(name, value)| (*name, None, Some(value.as_str())));
    let changes: Vec<_> = [Some(setting), credential].into_iter().flatten().collect();
    event.objects("changes", &changes, |(name, before, after), change| {
        change.shown("path", format_args!("/{name}"));
        if let Some(before) = before {
            change.plain("before", before);
        }
        if let Some(after) = after {
            change.plain("after", after);
        }
    });
}
