//! `idstream erase`: has a running server erase every stored event of a subject, or one event.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::Failure;
use super::called::Called;
use crate::output::{answer, counted, tell};

const ERASURES: &str = "admin/api/v1/instance/erasures";
/// How often the server is asked how far it is.
const EVERY: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
#[command(after_help = "\
A subject is a text such as an e-mail address, a user name or an account id. Every stored event in which
some value is this text, in whatever case, is erased, with its copies in quarantine: at once nobody can
read it any more, then its bytes go from the journal. What it was signed with stays, so that
idstream journal verify still passes. See first with --dry-run how many events are meant.

What destinations have received stays there: the answer lists them. Backups that were made before still
hold the events. The audit log says that something was erased, by whom, and a digest of the text.

The API client needs the scopes delete:event and read:config_instance.
")]
#[command(group = clap::ArgGroup::new("whose").required(true).args(["subject", "event_id"]))]
pub(crate) struct Arguments {
    /// Erases every event that names this subject
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// Erases the event with this eventID
    #[arg(long, value_name = "UUID")]
    event_id: Option<String>,
    /// Only counts the events
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    called: Called,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let client = arguments.called.client(&arguments.called.token()?)?;
    let mut body = json!({ "dryRun": arguments.dry_run });
    for (name, value) in [("subject", &arguments.subject), ("eventId", &arguments.event_id)] {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    let mut erasure = client.json(Method::POST, ERASURES, Some(&body)).await?;
    let id = erasure.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    tell(format_args!("erasure {id}: searching; it goes on when this command is ended"));
    let is_under_way = |erasure: &Value| matches!(text(erasure, "progress"), "searching" | "erasing");
    while is_under_way(&erasure) {
        tokio::time::sleep(EVERY).await;
        erasure = client.json(Method::GET, &format!("{ERASURES}/{id}"), None).await?;
    }
    say(&erasure, arguments.dry_run)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn say(erasure: &Value, is_dry_run: bool) -> Result<(), Failure> {
    if text(erasure, "progress") == "refused" {
        return Err(
            "too many events were found for one erasure; nothing was erased: name a narrower subject".into(),
        );
    }
    let what = if is_dry_run { "would be erased" } else { "erased" };
    answer(format_args!("{} {what}", counted(number(erasure, "nEvents"), "event")))?;
    let destinations = erasure.get("destinations").and_then(Value::as_array);
    for of in
        destinations.into_iter().flatten().filter(|of| number(of, "received") + number(of, "withheld") > 0)
    {
        let name = of.get("name").and_then(Value::as_str).unwrap_or_else(|| text(of, "id"));
        answer(format_args!(
            "{name}: {} received already, unless its settings left them out; {} not sent",
            number(of, "received"),
            number(of, "withheld")
        ))?;
    }
    Ok(())
}
