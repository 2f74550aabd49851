//! `idstream send`: posts a file of events, with progress, retries and a summary.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{Backoff, Random, Secret};
use destinations::Answer;
use http::{HeaderValue, Method};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::Failure;
use crate::client::Client;

/// The server refuses larger requests by default (8 MiB).
const MAX_BATCH_BYTES: usize = 4 << 20;

#[derive(clap::Args)]
#[command(
    after_help = "A batch that was not answered is sent again. Sending the same file again within 24 hours stores \
    nothing twice, unless --again is given."
)]
pub(crate) struct Arguments {
    /// File with one event per line (`-` for standard input)
    file: PathBuf,
    /// The server's address
    #[arg(long, env = "IDSTREAM_URL", default_value = "http://127.0.0.1:7600", value_name = "URL")]
    url: url::Url,
    /// Token of an API client with the scope write:event
    #[arg(
        long,
        env = "IDSTREAM_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        conflicts_with = "token_file"
    )]
    token: Option<String>,
    /// File that holds the token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Events of one request
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch: u16,
    /// Requests under way at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: u16,
    /// Store the events anew even if the same file was sent within 24 hours
    #[arg(long)]
    again: bool,
}

/// What has become of the file so far.
#[derive(Default)]
struct Totals {
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    /// The first refusals, to be shown: line and reason.
    examples: Vec<String>,
}

#[derive(Deserialize)]
struct Answered {
    #[serde(default)]
    accepted: Vec<Stored>,
    #[serde(default)]
    rejected: Vec<Refused>,
}

#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    duplicate: bool,
}

#[derive(Deserialize)]
struct Refused {
    index: u64,
    #[serde(default)]
    field: Option<String>,
    detail: String,
}

/// Lines that are sent together.
struct Batch {
    first_line: u64,
    body: Vec<u8>,
}

#[expect(clippy::print_stdout, reason = "the summary is this command's output")]
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let token = token(&arguments)?;
    let transport = Arc::new(destinations::transport::HttpTransport::new()?);
    let client = Client::new(transport, arguments.url.clone(), &token)?;
    let bar = bar(&arguments)?;
    let mut lines = open(&arguments)?;
    let mut totals = Totals::default();
    let random = Arc::new(Random::from_system());
    let salt = if arguments.again { format!("{:016x}-", random.up_to(u64::MAX)) } else { String::new() };
    let mut under_way: JoinSet<Result<(u64, Answer), Failure>> = JoinSet::new();
    let mut line = 1;
    let mut ended = false;
    while !ended || !under_way.is_empty() {
        while !ended && under_way.len() < usize::from(arguments.connections) {
            let Some((batch, n_lines)) = next_batch(&mut *lines, line, usize::from(arguments.batch))? else {
                ended = true;
                break;
            };
            line += n_lines;
            bar.inc(batch.body.len() as u64);
            under_way.spawn(send_until_answered(client.clone(), batch, salt.clone(), Arc::clone(&random)));
        }
        if let Some(done) = under_way.join_next().await {
            let (first_line, answer) = done??;
            totals.add(first_line, &answer);
            bar.set_message(format!("{} accepted, {} refused", totals.accepted, totals.rejected));
        }
    }
    bar.finish_and_clear();
    println!(
        "{} accepted, {} of them stored before, {} refused",
        totals.accepted, totals.duplicates, totals.rejected
    );
    for example in &totals.examples {
        println!("  {example}");
    }
    if totals.rejected > 0 {
        Err("some events were refused; mend them and send the file again".into())
    } else {
        Ok(())
    }
}

fn token(arguments: &Arguments) -> Result<Secret, Failure> {
    match (&arguments.token, &arguments.token_file) {
        (Some(token), _) => Ok(Secret::new(token.clone())),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            Ok(Secret::new(text.trim()))
        }
        (None, None) => Err("a token is needed: --token, --token-file or IDSTREAM_TOKEN".into()),
    }
}

fn open(arguments: &Arguments) -> Result<Box<dyn BufRead>, Failure> {
    if arguments.file.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let file = std::fs::File::open(&arguments.file)
        .map_err(|error| format!("cannot open {}: {error}", arguments.file.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

fn bar(arguments: &Arguments) -> Result<ProgressBar, Failure> {
    let size = std::fs::metadata(&arguments.file).map_or(0, |file| file.len());
    let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}";
    let bar = if size > 0 { ProgressBar::new(size) } else { ProgressBar::no_length() };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    Ok(bar.with_style(ProgressStyle::with_template(style)?))
}

/// The next lines, at most `max_lines` events; how many lines of the file they are.
fn next_batch(
    lines: &mut dyn BufRead,
    first_line: u64,
    max_lines: usize,
) -> Result<Option<(Batch, u64)>, Failure> {
    let mut body = Vec::new();
    let (mut n_lines, mut n_events) = (0, 0);
    while n_events < max_lines && body.len() < MAX_BATCH_BYTES {
        let before = body.len();
        if lines.read_until(b'\n', &mut body)? == 0 {
            break;
        }
        n_lines += 1;
        if body.get(before..).is_some_and(|line| !line.trim_ascii().is_empty()) {
            n_events += 1;
        }
    }
    Ok((n_events > 0).then_some((Batch { first_line, body }, n_lines)))
}

/// Sends a batch until the server answers with a receipt or a refusal that will not change.
async fn send_until_answered(
    client: Client,
    batch: Batch,
    salt: String,
    random: Arc<Random>,
) -> Result<(u64, Answer), Failure> {
    let backoff =
        Backoff::new(Duration::from_millis(200), Duration::from_secs(10)).ok_or("a back-off must grow")?;
    let key = format!("send-{salt}{:016x}-{}", content_hash(&batch.body), batch.first_line);
    let key = HeaderValue::from_str(&key)?;
    let body = bytes::Bytes::from(batch.body);
    for attempt in 1..=20 {
        let answer = client.post_events(body.clone(), key.clone()).await;
        let asked = match answer {
            Ok(answer) if matches!(answer.status, 409 | 429 | 502..=504) => answer.retry_after,
            Ok(answer) if answer.status == 200 || answer.status == 400 => {
                return Ok((batch.first_line, answer));
            }
            Ok(answer) => return Err(client.refused("intake/v1/events", &answer).into()),
            Err(error) if attempt == 20 => return Err(error.into()),
            Err(_) => None,
        };
        tokio::time::sleep(backoff.delay(attempt, asked, &random)).await;
    }
    Err("the server is still busy after 20 tries; send the file again later".into())
}

/// A hash that is the same on every run (FNV-1a, 64 bits): names a batch, protects nothing.
fn content_hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Totals {
    fn add(&mut self, first_line: u64, answer: &Answer) {
        let Ok(answered) = serde_json::from_slice::<Answered>(&answer.body) else {
            self.examples.push(format!("line {first_line}: the server's answer was not understood"));
            self.rejected += 1;
            return;
        };
        if answered.accepted.is_empty() && answered.rejected.is_empty() {
            let detail = String::from_utf8_lossy(answer.body.get(..300).unwrap_or(&answer.body)).into_owned();
            self.examples.push(format!("the lines from {first_line} on were refused together: {detail}"));
            self.rejected += 1;
            return;
        }
        self.accepted += answered.accepted.len() as u64;
        self.duplicates += answered.accepted.iter().filter(|stored| stored.duplicate).count() as u64;
        self.rejected += answered.rejected.len() as u64;
        for refused in answered.rejected.iter().take(10_usize.saturating_sub(self.examples.len())) {
            let field = refused.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
            self.examples.push(format!(
                "event {} from line {first_line} on: {field}{}",
                refused.index + 1,
                refused.detail
            ));
        }
    }
}

impl Client {
    async fn post_events(
        &self,
        body: bytes::Bytes,
        key: HeaderValue,
    ) -> Result<Answer, crate::client::ClientError> {
        self.call_with(Method::POST, "intake/v1/events", "application/x-ndjson", body, Some(key)).await
    }
}
