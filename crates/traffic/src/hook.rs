//! Event hook logs: what the platform's own extension code wrote while it ran for an account event.

use base::{EventId, Timestamp};

use crate::application::Application;
use crate::dice::{Dice, Uuid};
use crate::json::{Object, object};
use crate::scene::{Frame, STORE, Scene};

/// A piece of extension code.
#[derive(Debug)]
pub(crate) struct Hook {
    id: &'static str,
    name: &'static str,
    /// Where in the flow it runs: a hook type of the reference product.
    kind: &'static str,
    /// What it writes when all goes well.
    lines: &'static [&'static str],
    /// What it writes instead of its last line when its service does not answer.
    complaint: &'static str,
}

pub(crate) static REGISTERED: Hook = Hook {
    id: "6f0d1c52-63b1-4c0e-9a55-6a4f2f5f7a01",
    name: "Welcome new customers",
    kind: "POST_REGISTRATION",
    lines: &[
        "Registration received, looking for an earlier newsletter subscription of the same address",
        "No earlier subscription; a customer record is created in the customer service",
        "Customer record created, the welcome letter is queued for the language of the customer",
    ],
    complaint: "The customer service did not answer within 2000 ms; the record will be created by the nightly job",
};
pub(crate) static LOGGED_IN: Hook = Hook {
    id: "6f0d1c52-63b1-4c0e-9a55-6a4f2f5f7a02",
    name: "Enrich profile at login",
    kind: "POST_ACCOUNT_LOGIN",
    lines: &[
        "Asking the loyalty service for points and tier of this account",
        "Points and tier received, written to the session as additional claims",
        "Risk signals of this login passed on to the fraud service",
    ],
    complaint: "The loyalty service answered with status 503; the tier of the last login is kept",
};
pub(crate) static DENIED: Hook = Hook {
    id: "6f0d1c52-63b1-4c0e-9a55-6a4f2f5f7a03",
    name: "Watch denied logins",
    kind: "DENY_AUTHENTICATION",
    lines: &[
        "Denied authentication counted for the address and for the user name",
        "Counters are below the threshold of the fraud service, or the alert is out already",
    ],
    complaint: "The counters could not be updated: connection to the fraud service refused",
};
pub(crate) static REFRESHED: Hook = Hook {
    id: "6f0d1c52-63b1-4c0e-9a55-6a4f2f5f7a04",
    name: "Check entitlements at refresh",
    kind: "POST_TOKEN_REFRESH",
    lines: &[
        "Checking that the account is still entitled to the scopes of the refreshed session",
        "Entitlements are unchanged since the session was opened, nothing to withdraw",
    ],
    complaint: "The entitlement service did not answer within 500 ms; the session keeps its scopes until the next refresh",
};
pub(crate) static UPDATED: Hook = Hook {
    id: "6f0d1c52-63b1-4c0e-9a55-6a4f2f5f7a05",
    name: "Carry changes to the customer service",
    kind: "POST_ACCOUNT_UPDATE",
    lines: &[
        "Changed attributes collected: those that the customer service keeps are compared",
        "Customer record updated to the new values",
    ],
    complaint: "The customer service answered with status 409: the record was changed in the meantime; queued for a second try",
};
pub(crate) static FACTOR_CHANGED: Hook = Hook {
    id: "6f0d1c52-63b1-4c0e-9a55-6a4f2f5f7a06",
    name: "Tell customers of changed factors",
    kind: "POST_MFA_FACTOR_CHANGE",
    lines: &[
        "A second factor of the account was added or removed, composing the notice in the customer's language",
        "Notice handed to the mail service",
    ],
    complaint: "The mail service refused the notice: the address is on its suppression list",
};
pub(crate) static CONSENTED: Hook = Hook {
    id: "6f0d1c52-63b1-4c0e-9a55-6a4f2f5f7a07",
    name: "Record consents",
    kind: "POST_CONSENT_UPDATE",
    lines: &[
        "Consent document and version read, writing the decision to the consent ledger",
        "Decision written; marketing lists will follow within the hour",
    ],
    complaint: "The consent ledger is read-only at the moment; the decision is queued",
};

/// Of 100 runs so many fail.
const FAILED_PERCENT: u64 = 6;

/// A hook, and the account event that it runs for.
#[derive(Debug)]
pub(crate) struct HookRun {
    hook: &'static Hook,
    application: &'static Application,
    /// Nobody, when the login named no account.
    account: Option<Uuid>,
    event: Option<EventId>,
}

impl HookRun {
    /// The hook that listens to what happened in this scene.
    pub(crate) fn of(scene: &Scene, frame: &Frame) -> Option<Self> {
        let hook = scene.deed.hook?;
        let account = scene.is_known.then_some(scene.subject.id);
        Some(Self { hook, application: scene.application, account, event: frame.id })
    }

    /// Writes the log of this run.
    pub(crate) fn write(&self, frame: &Frame, dice: &mut Dice, out: &mut String) {
        let has_failed = dice.chance(FAILED_PERCENT);
        let has_thrown = has_failed && dice.chance(40);
        let n_good = self.hook.lines.len() - usize::from(has_failed);
        let step_ms = dice.between(4, 90);
        object(out, |event| {
            event.plain("stream", "\"eventHookLog\"");
            frame.write_id(event);
            event.shown("timestamp", frame.now);
            event.object("hook", |hook| {
                hook.text("id", self.hook.id);
                hook.text("name", self.hook.name);
                hook.text("type", self.hook.kind);
            });
            self.write_place(event);
            event.object("logSummary", |summary| {
                summary.plain("info", n_good);
                summary.plain("error", usize::from(has_failed));
                summary.plain("exception", has_thrown);
            });
            let complaint = has_failed.then_some(("error", self.hook.complaint));
            let good = self.hook.lines.iter().take(n_good).map(|line| ("info", *line));
            let lines: Vec<(&str, &str)> = good.chain(complaint).collect();
            let written: Vec<_> = lines.iter().zip(times(frame.now, step_ms, lines.len())).collect();
            event.objects("logs", &written, |((level, message), time), line| {
                line.text("level", level);
                line.text("message", message);
                line.shown("timestamp", time);
            });
        });
    }

    fn write_place(&self, event: &mut Object<'_>) {
        event.object("application", |application| {
            application.text("id", self.application.id);
            application.text("name", self.application.name);
        });
        event.object("client", |client| {
            client.text("id", self.application.client_id);
            client.text("name", self.application.client_name);
        });
        event.text("identityStore", STORE);
        if let Some(account) = self.account {
            event.shown("accountId", account);
        }
        if let Some(id) = self.event {
            event.shown("accountEventId", id);
        }
    }
}

/// `count` times, `step_ms` apart, the last one at `end`.
fn times(end: Timestamp, step_ms: u64, count: usize) -> impl Iterator<Item = Timestamp> {
    (0..count as u64).rev().map(move |left| end.minus(std::time::Duration::from_millis(left * step_ms)))
}
