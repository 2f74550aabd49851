//! `idstream serve`: runs the server until it is told to stop.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use super::Failure;
use crate::output::{answer, tell};
use crate::settings::{self, LogFormat};
use crate::signals::Signals;
use crate::wire::{Running, Stage};

#[derive(clap::Args)]
#[command(after_help = "\
It takes events on POST /intake/v1/events, keeps them, and streams them to the destinations that are
created through its API (docs/API.md).

The first start makes the data directory, in it the administrator's token (admin-token), and beside it a
master key. Settings come from the file, then from variables such as IDSTREAM__SERVER__LISTEN, then from
flags (docs/SETTINGS.md); the master key may come from the variable IDSTREAM_MASTER_KEY.

With tls.cert and tls.key it speaks HTTPS, and reads both again at SIGHUP.

SIGTERM or Ctrl-C stops it in order, a second one at once. Diagnostics go to standard error.

    idstream serve
    idstream serve --print-settings > idstream.toml && idstream serve --config idstream.toml
")]
pub(crate) struct Arguments {
    /// Settings file (TOML)
    #[arg(long, env = "IDSTREAM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of everything that is kept, made when it is not there [default: idstream-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:7600]
    #[arg(long, value_name = "ADDRESS", value_parser = settings::parse_address)]
    listen: Option<SocketAddr>,
    /// Where the server is reached, with its https://; without it documents carry no eventLink
    #[arg(long, value_name = "URL", value_parser = settings::parse_url)]
    public_url: Option<url::Url>,
    /// File with the master key (32 bytes in base64 or hex)
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Prints all settings with their defaults, and ends
    #[arg(long)]
    print_settings: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.print_settings {
        say(settings::DEFAULTS.trim_end());
        return Ok(());
    }
    let path = |path: Option<PathBuf>| path.map(|path| path.to_string_lossy().into_owned());
    let settings = settings::read(
        arguments.config,
        &[
            ("server.data", path(arguments.data)),
            ("server.listen", arguments.listen.map(|address| address.to_string())),
            ("instance.public_url", arguments.public_url.map(|url| url.to_string())),
            ("key.file", path(arguments.key_file)),
        ],
    )?;
    log_to_stderr(&settings.log.level, settings.log.format)?;
    // Before anybody can know that it runs: who stops it then is heard.
    let mut signals = Signals::catch()?;
    let running = Running::start(&settings).await?;
    say(&format!("listening on {}", running.url()));
    if let Some(file) = running.admin_token_file() {
        say(&format!("the administrator's token is in {}", file.display()));
    }
    signals.next().await;
    stop(running, signals).await;
    Ok(())
}

/// Stops in order; at a second signal at once.
pub(crate) async fn stop(running: Running, mut signals: Signals) {
    let (at, stage) = watch::channel(Stage::Requests);
    tokio::select! {
        () = running.stop(&at) => {}
        () = signals.next() => end_at_once(*stage.borrow()),
    }
}

/// Ends the process here: taking the server's parts down would wait for them.
fn end_at_once(stage: Stage) -> ! {
    tell(format_args!("idstream: ended at once by a second signal: {}", stage.cut_off()));
    std::process::exit(1)
}

/// Writes a line to standard output. A reader that has gone away is no reason for a server to stop.
fn say(line: &str) {
    if let Err(error) = answer(line) {
        tracing::debug!(%error, "standard output is closed");
    }
}

/// Diagnostics go to standard error, so that standard output stays for answers.
fn log_to_stderr(level: &str, format: LogFormat) -> Result<(), Failure> {
    let filter =
        EnvFilter::try_new(level).map_err(|error| format!("settings: log.level: {level:?}: {error}"))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colours are for people, not for files.
    let subscriber = subscriber.with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    }
}
