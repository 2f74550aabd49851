//! `idstream reconcile`: has a running server compare what a destination holds with what it was sent, and sends again what
//! is missing.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::Failure;
use super::called::{Called, unknown};
use crate::client::Client;
use crate::output::{answer, counted, tell};

const STREAMING: &str = "admin/api/v1/instance/eventStreaming";
/// Most events that are named; all of them are counted.
const MAX_SHOWN: usize = 20;
/// How often a destination that does not answer is asked again, and how long that is waited for.
const MAX_UNANSWERED: u32 = 10;
const WAIT: Duration = Duration::from_secs(5);
/// Most events of one replay; the API takes no more.
const MAX_REPLAYED: usize = 10_000;
/// How often the server is asked how far a replay is.
const EVERY: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
#[command(after_help = "\
Looks at every event that was received in the period, and asks the destination (Elasticsearch or
OpenSearch) which of those that it was sent it holds, by eventID. Events on their way, parked ones and
those in quarantine are not expected; those that were given up (a backlog that expired, or was discarded
after a pause) are, since they are counted and not noted one by one. Nothing is changed unless --redeliver
is given; then what is missing is sent again, under the same eventID.

Asking needs a credential that may read: readCredential of the configuration, else its apiKey.
The API client needs the scopes write:config_instance, read:config_instance, read:event_account,
read:admin_event_account, read:admin_event_audit and read:event_hook_log.

The command ends with 0 when every event is there once, else with 1.

    idstream reconcile \"Search cluster\" --from 2026-01-30T00:00:00Z --to 2026-01-31T00:00:00Z
")]
pub(crate) struct Arguments {
    /// Name or id of the event streaming configuration
    configuration: String,
    /// Events received from this time on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Events received before this time [default: a minute ago]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Sends again what is missing
    #[arg(long)]
    redeliver: bool,
    /// Answers with JSON: all that was found
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    called: Called,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    n_looked_at: u64,
    n_expected: u64,
    n_assumed: u64,
    n_unknown: u64,
    n_set_aside: u64,
    n_unreadable: u64,
    n_given_up: u64,
    missing: Vec<Value>,
    repeated: Vec<Value>,
    /// Where the period ends.
    to: String,
    /// Where the period could not be judged any further, and why.
    unfinished: Option<String>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let client = arguments.called.client(&arguments.called.token()?)?;
    let (id, name) = find(&client, &arguments.configuration).await?;
    let path = format!("{STREAMING}/{id}");
    let found = look(&client, &path, &arguments).await?;
    say(&found, &name, arguments.json)?;
    if let Some(why) = &found.unfinished {
        return Err(format!("the period could not be judged to its end: {why}").into());
    }
    if found.missing.is_empty() && found.repeated.is_empty() {
        return match found.n_unreadable {
            0 => Ok(()),
            n => Err(format!("{} not judged", counted(n, "damaged block")).into()),
        };
    }
    if arguments.redeliver && !found.missing.is_empty() {
        redeliver(&client, &path, &found.missing).await?;
        return Err("what was missing was sent again: run this command without --redeliver in a minute to see that it is there".into());
    }
    Err("the destination does not hold each event once".into())
}

/// The id and the name of the configuration that is called so, by either.
async fn find(client: &Client, wanted: &str) -> Result<(String, String), Failure> {
    let all = client.list(STREAMING).await?;
    let named = |field: &str| all.iter().find(|each| text(each, field) == wanted);
    let Some(found) = named("id").or_else(|| named("name")) else {
        return Err(unknown(wanted, &all).into());
    };
    Ok((text(found, "id").to_owned(), text(found, "name").to_owned()))
}

/// Asks until the period is done, or cannot be judged any further.
async fn look(client: &Client, path: &str, arguments: &Arguments) -> Result<Found, Failure> {
    let mut found = Found::default();
    let (mut to, mut cursor, mut n_unanswered) = (arguments.to.clone(), Value::Null, 0);
    loop {
        let body = json!({"from": arguments.from, "to": to, "cursor": cursor});
        let part = client.json(Method::POST, &format!("{path}/reconcile"), Some(&body)).await?;
        found.add(&part);
        // The end of the period stays where the first call set it.
        to = Some(text(&part, "to").to_owned());
        cursor = part.get("cursor").cloned().unwrap_or_default();
        let reason = text(&part, "reason");
        tell(format_args!(
            "{} looked at, {} expected, {} missing, {} found several times",
            counted(found.n_looked_at, "event"),
            found.n_expected,
            found.missing.len(),
            found.repeated.len()
        ));
        match text(&part, "ended") {
            "done" => return Ok(found),
            "more" => n_unanswered = 0,
            "unanswered" if n_unanswered < MAX_UNANSWERED => {
                n_unanswered += 1;
                tell(format_args!("the destination did not answer; it is asked again: {reason}"));
                tokio::time::sleep(WAIT).await;
            }
            ended => {
                let why: Vec<&str> =
                    [reason, what_to_do(ended)].into_iter().filter(|text| !text.is_empty()).collect();
                found.unfinished = Some(why.join("; "));
                return Ok(found);
            }
        }
    }
}

/// What somebody at a terminal does next, who has no cursor.
fn what_to_do(ended: &str) -> &'static str {
    match ended {
        "unsettled" => {
            "the rest is on its way, or the configuration sends nothing: see idstream status, and run this again later"
        }
        "refused" => {
            "give the configuration a readCredential that may read what it sends, then run this again"
        }
        _ => "run this again in a while",
    }
}

impl Found {
    fn add(&mut self, part: &Value) {
        text(part, "to").clone_into(&mut self.to);
        self.n_looked_at += number(part, "lookedAt");
        self.n_expected += number(part, "expected");
        self.n_assumed += number(part, "assumed");
        self.n_unknown += number(part, "unknown");
        self.n_set_aside += number(part, "setAside");
        self.n_unreadable += number(part, "unreadable");
        // Of all time, and not of the part.
        self.n_given_up = number(part, "givenUp");
        for (all, field) in [(&mut self.missing, "missing"), (&mut self.repeated, "repeated")] {
            all.extend(part.get(field).and_then(Value::as_array).into_iter().flatten().cloned());
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "lookedAt": self.n_looked_at,
            "expected": self.n_expected,
            "assumed": self.n_assumed,
            "unknown": self.n_unknown,
            "setAside": self.n_set_aside,
            "unreadable": self.n_unreadable,
            "givenUp": self.n_given_up,
            "missing": self.missing,
            "repeated": self.repeated,
            "unfinished": self.unfinished,
        })
    }
}

fn say(found: &Found, name: &str, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return answer(found.to_json());
    }
    for (events, what) in [(&found.missing, "is missing"), (&found.repeated, "was found several times")] {
        for event in events.iter().take(MAX_SHOWN) {
            answer(format_args!(
                "{} {what}: {}, received {}, offset {}",
                text(event, "eventID"),
                text(event, "stream"),
                text(event, "receivedAt"),
                text(event, "journalOffset")
            ))?;
        }
        if let Some(more) = events.len().checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
            answer(format_args!("… and {more} more; --json names all"))?;
        }
    }
    if found.n_assumed > 0 {
        answer(format_args!(
            "{} judged by settings that came later: what was selected then is not known any more",
            counted(found.n_assumed, "event")
        ))?;
    }
    if found.n_unknown > 0 {
        answer(format_args!(
            "{} not judged: settings that came later leave them out, and earlier ones are not known any more",
            counted(found.n_unknown, "event")
        ))?;
    }
    if found.n_unreadable > 0 {
        answer(format_args!(
            "{} passed over: which events they held is not known; `idstream journal verify` names them",
            counted(found.n_unreadable, "damaged block")
        ))?;
    }
    if found.n_given_up > 0 && !found.missing.is_empty() {
        answer(format_args!(
            "the configuration has given up {} in all its time, which can be among the missing ones",
            counted(found.n_given_up, "event")
        ))?;
    }
    if found.n_looked_at == 0 {
        answer(format_args!(
            "no event that it is done with was received in the period, which ends {}",
            found.to
        ))?;
    }
    answer(format_args!(
        "{name}: {} expected, {} missing, {} found several times; {} parked, in quarantine or discarded",
        counted(found.n_expected, "event"),
        found.missing.len(),
        found.repeated.len(),
        found.n_set_aside
    ))
}

/// Has what is missing replayed, some at a time, each when the one before has ended. It goes on when this command is ended.
async fn redeliver(client: &Client, path: &str, missing: &[Value]) -> Result<(), Failure> {
    for part in missing.chunks(MAX_REPLAYED) {
        let ids: Vec<&str> = part.iter().map(|event| text(event, "eventID")).collect();
        let body = json!({"eventIDs": ids});
        let mut run = client.json(Method::POST, &format!("{path}/replays"), Some(&body)).await?;
        let id = text(&run, "id").to_owned();
        tell(format_args!("replay {id} of {}", counted(ids.len() as u64, "event")));
        while matches!(text(&run, "state"), "queued" | "running") {
            tokio::time::sleep(EVERY).await;
            run = client.json(Method::GET, &format!("{path}/runs/{id}"), None).await?;
            match text(&run, "waitsFor") {
                "" => {}
                why => tell(format_args!("replay {id} waits: {why}")),
            }
        }
        if text(&run, "state") != "completed" {
            let (state, why) = (text(&run, "state"), text(&run, "failure"));
            return Err(format!("replay {id} is {state}: {why}").into());
        }
    }
    Ok(())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}
