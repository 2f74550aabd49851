//! `idstream receiver`: a stand-in for Splunk, Elasticsearch and HTTPS receivers.

use std::net::SocketAddr;
use std::time::Duration;

use receiver::{Options, Receiver};

use super::Failure;
use super::serve::stop_signal;

#[derive(clap::Args)]
#[command(
    after_help = "It answers HEC on /services/collector/event, the bulk API on /_bulk and /INDEX/_bulk, and takes \
    JSON arrays and lines on any other path."
)]
pub(crate) struct Arguments {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The only credential that is accepted [default: any]
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Checks every document strictly and shows the first faults
    #[arg(long)]
    check: bool,
    /// Seconds between two lines of counts; 0 prints only at the end
    #[arg(long, default_value_t = 1, value_name = "S")]
    every: u64,
    /// Prints counts as JSON
    #[arg(long)]
    json: bool,
}

#[expect(clippy::print_stdout, reason = "the address and the counts are this command's output")]
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let options = Options {
        listen: arguments.listen,
        token: arguments.token,
        check: arguments.check,
        ..Default::default()
    };
    let receiver = Receiver::start(options).await?;
    println!("listening on http://{}", receiver.address());
    let mut stop = std::pin::pin!(stop_signal());
    let every = Duration::from_secs(if arguments.every == 0 { u64::from(u32::MAX) } else { arguments.every });
    let mut shown = String::new();
    loop {
        let stopped = tokio::time::timeout(every, &mut stop).await;
        let stats = receiver.stats();
        let line = if arguments.json { serde_json::to_string(&stats)? } else { stats.to_string() };
        if line != shown {
            println!("{line}");
            shown = line;
        }
        if let Ok(stopped) = stopped {
            return Ok(stopped?);
        }
    }
}
