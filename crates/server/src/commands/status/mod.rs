//! `idstream status`: how a running server and its configurations fare.

mod table;

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::Failure;
use super::called::{Called, unknown};
use crate::client::Client;
use crate::output::answer;

const INSTANCE: &str = "admin/api/v1/instance/status";
const STREAMING: &str = "admin/api/v1/instance/eventStreaming";

#[derive(clap::Args)]
#[command(after_help = "\
Ends with 0 when all is well, with 3 when something needs attention (a configuration is degraded, holding,
stopped or awaits a choice, or the server takes no events), with 1 when that cannot be found out. What
somebody has paused or disabled on purpose is shown, and needs none.

The API client needs the scope read:config_instance.
")]
pub(crate) struct Arguments {
    /// Shows everything about the configuration with this name, or id
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Answers JSON, as the API has it
    #[arg(long)]
    json: bool,
    /// Shows it again every so many seconds, until it is ended
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
    #[command(flatten)]
    called: Called,
}

/// Something is not as it should be. The table says what.
#[derive(Debug, thiserror::Error)]
#[error("something needs attention")]
pub(crate) struct NeedsAttention;

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let client = arguments.called.client(&arguments.called.token()?)?;
    let is_terminal = stdout().is_terminal();
    loop {
        let (lines, needs_attention) = look(&client, &arguments, is_terminal).await?;
        if arguments.watch.is_some() && is_terminal {
            // From the upper left corner of an empty screen.
            answer("\u{1b}[2J\u{1b}[H")?;
        }
        for line in lines {
            answer(line)?;
        }
        match arguments.watch {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None if needs_attention => return Err(NeedsAttention.into()),
            None => return Ok(()),
        }
    }
}

/// What to show, and whether something needs attention.
async fn look(
    client: &Client,
    arguments: &Arguments,
    is_terminal: bool,
) -> Result<(Vec<String>, bool), Failure> {
    let all = client.list(&format!("{STREAMING}/status")).await?;
    if let Some(name) = &arguments.name {
        let is_it = |each: &&Value| [&each["name"], &each["id"]].contains(&&json!(name));
        let brief = all.iter().find(is_it).ok_or_else(|| unknown(name, &all))?;
        let id = brief["id"].as_str().unwrap_or_default();
        let mut whole = client.json(Method::GET, &format!("{STREAMING}/{id}/status"), None).await?;
        for field in ["name", "type", "needsAttention"] {
            whole[field] = brief[field].clone();
        }
        let lines = if arguments.json { vec![pretty(&whole)?] } else { table::details(&whole, is_terminal) };
        return Ok((lines, whole["needsAttention"] == true));
    }
    let instance = client.json(Method::GET, INSTANCE, None).await?;
    let needs_attention =
        all.iter().any(|each| each["needsAttention"] == true) || instance["takesEvents"] == false;
    let lines = if arguments.json {
        vec![pretty(
            &json!({"instance": instance, "eventStreaming": all, "needsAttention": needs_attention}),
        )?]
    } else {
        table::overview(&instance, &all, is_terminal)
    };
    Ok((lines, needs_attention))
}

fn pretty(value: &Value) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(value)?)
}
