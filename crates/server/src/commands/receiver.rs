//! `idstream receiver`: a stand-in for Splunk, Elasticsearch and HTTPS receivers.

use std::net::SocketAddr;
use std::time::Duration;

use receiver::{FORMS, Misbehaviour, Options, Receiver};

use super::Failure;
use crate::http::cannot_listen;
use crate::output::answer;
use crate::settings::parse_address;
use crate::signals::Signals;

#[derive(clap::Args)]
#[command(
    after_help = format!("\
It answers HEC on /services/collector/event, the bulk API on /_bulk and /INDEX/_bulk, and takes JSON
arrays and lines on any other path.

It can be told to misbehave: --misbehave every:3=status:503 --misbehave first:10=hang
Requests are counted from 1. Of several misbehaviours, the first whose time has come applies.

{FORMS}
")
)]
pub(crate) struct Arguments {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS", value_parser = parse_address)]
    listen: SocketAddr,
    /// The only credential that is accepted [default: any]
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Checks every document strictly and shows the first faults
    #[arg(long)]
    check: bool,
    /// HEC: the token has indexer acknowledgement, and events are stored after so many milliseconds [default: it has none]
    #[arg(long, value_name = "MS")]
    acknowledge_after: Option<u64>,
    /// Does something wrong; may be given several times. Every form stands below
    #[arg(long, value_name = "WHEN=WHAT")]
    misbehave: Vec<Misbehaviour>,
    /// Seconds between two lines of counts; 0 prints only at the end
    #[arg(long, default_value_t = 1, value_name = "S")]
    every: u64,
    /// Prints each line as JSON: first {"listening":"http://…"}, then counts
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let options = Options {
        listen: arguments.listen,
        token: arguments.token,
        check: arguments.check,
        acknowledges_after: arguments.acknowledge_after.map(Duration::from_millis),
        misbehaviour: arguments.misbehave,
        ..Default::default()
    };
    let mut signals = Signals::catch()?;
    let receiver = Receiver::start(options)
        .await
        .map_err(|error| cannot_listen(arguments.listen, &error, "--listen"))?;
    let address = format!("http://{}", receiver.address());
    if arguments.json {
        answer(serde_json::json!({"listening": address}))?;
    } else {
        answer(format_args!("listening on {address}"))?;
    }
    let every = Duration::from_secs(if arguments.every == 0 { u64::from(u32::MAX) } else { arguments.every });
    let mut shown = String::new();
    loop {
        let stopped = tokio::time::timeout(every, signals.next()).await.is_ok();
        let stats = receiver.stats();
        let line = if arguments.json { serde_json::to_string(&stats)? } else { stats.to_string() };
        if line != shown {
            answer(&line)?;
            shown = line;
        }
        if stopped {
            return Ok(());
        }
    }
}
