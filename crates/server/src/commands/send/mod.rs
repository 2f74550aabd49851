//! `idstream send`: posts a file of events, with progress, retries and a summary.

mod lines;
mod naming;
mod rejects;
mod totals;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{Backoff, Random};
use destinations::Answer;
use http::{HeaderValue, Method};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinSet;

use super::called::Called;
use super::{Failed, Failure};
use crate::client::{Client, ClientError};
use crate::output::{ReaderGone, answer, tell};
use lines::{Batch, Lines, Refused};
use naming::{Names, content_hash};
use rejects::Rejects;
use totals::Totals;

/// How often a request is sent before the server is given up.
const MAX_ATTEMPTS: u32 = 20;
/// Refusals that are shown; all of them stand in the file of rejects.
const MAX_SHOWN: u64 = 10;
const INTAKE: &str = "intake/v1/events";

#[derive(clap::Args)]
#[command(after_help = "\
Each line of FILE is one event, a JSON object; empty lines and lines that begin with # are skipped.
docs/EVENTS.md says what an event may hold.

A line without an eventID gets one that follows from what it says. So the same file may be sent again
whenever something went wrong, whole or mended: what is stored already is not stored again, as long as
the server remembers ids (72 hours unless it is set otherwise).

Refused lines are written to a file of their own, each with its reason: mend them there and send that
file. A file that is there already is never written over. An answer that is not idstream's, such as a
proxy's, refuses no line: it ends the run.

    idstream send events.ndjson --token-file token
    idstream send events.ndjson.rejected --token-file token
")]
pub(crate) struct Arguments {
    /// File with one event per line (`-` for standard input)
    file: PathBuf,
    #[command(flatten)]
    called: Called,
    /// Events of one request
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch: u16,
    /// Requests under way at once
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: u16,
    /// Where refused lines are written; must not be there yet [default: FILE.rejected, or FILE.rejected.2 and so on when that
    /// is there]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Store lines without an eventID anew, even if they are stored already
    #[arg(long)]
    again: bool,
}

/// Not all of the file was sent.
#[derive(Debug, thiserror::Error)]
#[error(
    "not all was sent; when the cause is mended, send the same file again: what is stored is not stored twice"
)]
struct Unfinished(#[source] Failure);

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let token = arguments.called.token()?;
    let client = arguments.called.client(&token)?;
    let random = Arc::new(Random::from_system());
    let salt = if arguments.again { format!("{:016x}", random.up_to(u64::MAX)) } else { String::new() };
    let lines = Lines::new(open(&arguments)?, Names::new(token.expose(), salt));
    let mut sending = Sending {
        sender: Sender { client, random, bar: bar(&arguments)? },
        rejects: Rejects::new(arguments.rejects, &arguments.file)?,
        totals: Totals::default(),
    };
    let done = sending.all(lines, arguments.batch.into(), arguments.connections.into()).await;
    let Sending { sender, rejects, totals } = sending;
    sender.bar.finish_and_clear();
    match answer(totals) {
        // What was sent decides how this ends, not who reads about it.
        Err(error) if !error.is::<ReaderGone>() => return Err(error),
        _ => {}
    }
    done.map_err(Unfinished)?;
    match rejects.path().map(|path| path.display()) {
        None => Ok(()),
        Some(path) => {
            let what = match totals.refused {
                1 => format!("1 line was refused: mend it in {path}, then: idstream send {path}"),
                n => format!("{n} lines were refused: mend them in {path}, then: idstream send {path}"),
            };
            Err(what.into())
        }
    }
}

/// A file on its way.
struct Sending {
    sender: Sender,
    rejects: Rejects,
    totals: Totals,
}

impl Sending {
    /// Sends all lines, so many of them in a request and so many requests at once.
    async fn all(
        &mut self,
        mut lines: Lines<impl BufRead>,
        batch: usize,
        connections: usize,
    ) -> Result<(), Failure> {
        let mut under_way: JoinSet<Result<Vec<(Batch, Answer)>, Failure>> = JoinSet::new();
        let mut ended = false;
        while !ended || !under_way.is_empty() {
            while !ended && under_way.len() < connections {
                let Some(portion) = lines.next_portion(batch)? else {
                    ended = true;
                    break;
                };
                self.sender.bar.inc(portion.n_bytes);
                self.totals.refused += portion.refused.len() as u64;
                self.refuse(&portion.refused)?;
                if !portion.lines.is_empty() {
                    under_way.spawn(self.sender.clone().send(Batch { lines: portion.lines }));
                }
            }
            let Some(done) = under_way.join_next().await else { continue };
            for (batch, answer) in done?? {
                let counted = self.totals.add(batch, &answer);
                let refused = counted.ok_or_else(|| self.sender.client.foreign(INTAKE, &answer))?;
                self.refuse(&refused)?;
            }
            let Totals { accepted, refused, .. } = self.totals;
            self.sender.bar.set_message(format!("{accepted} accepted, {refused} refused"));
        }
        Ok(())
    }

    fn refuse(&mut self, refused: &[Refused]) -> Result<(), Failure> {
        let shown_before = self.totals.refused - refused.len() as u64;
        for refused in refused.iter().take(MAX_SHOWN.saturating_sub(shown_before) as usize) {
            let text = format!("line {}: {}", refused.line.number, refused.reason);
            self.sender.bar.suspend(|| tell(text));
        }
        self.rejects.add(refused)
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

/// Sends single requests.
#[derive(Clone)]
struct Sender {
    client: Client,
    random: Arc<Random>,
    bar: ProgressBar,
}

impl Sender {
    /// Sends a batch until the server has answered all of it: in one request, or in parts when it is too large for that.
    async fn send(self, batch: Batch) -> Result<Vec<(Batch, Answer)>, Failure> {
        let mut answered = Vec::new();
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            let answer = self.send_until_answered(&batch).await?;
            if answer.status != 413 {
                answered.push((batch, answer));
                continue;
            }
            match batch.halves() {
                Ok((first, second)) => waiting.extend([second, first]),
                Err(single) => answered.push((single, answer)),
            }
        }
        Ok(answered)
    }

    /// Sends a request until the server answers with a receipt or a refusal that will not change.
    async fn send_until_answered(&self, batch: &Batch) -> Result<Answer, Failure> {
        let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10))
            .ok_or("a back-off must grow")?;
        let body = bytes::Bytes::from(batch.body());
        let first_line = batch.lines.first().map_or(0, |line| line.number);
        // Lines that could not be named are safe within this run, too.
        let key = HeaderValue::from_str(&format!("send-{:016x}-{first_line}", content_hash(&body)))?;
        for attempt in 1..=MAX_ATTEMPTS {
            let content_type = "application/x-ndjson";
            let answer = self
                .client
                .call_with(Method::POST, INTAKE, content_type, body.clone(), Some(key.clone()))
                .await;
            let asked = match answer {
                Ok(answer) if matches!(answer.status, 409 | 429 | 502..=504) => answer.retry_after,
                Ok(answer) if matches!(answer.status, 200 | 400 | 413) => return Ok(answer),
                Ok(answer) => return Err(self.client.refused(INTAKE, &answer).into()),
                Err(error) => match error.remedy() {
                    Some(remedy) => return Err(Failed::at(remedy.to_owned())(error).into()),
                    None if attempt == MAX_ATTEMPTS => return Err(error.into()),
                    None => {
                        self.tell_once(attempt, &error);
                        None
                    }
                },
            };
            tokio::time::sleep(backoff.delay(attempt, asked, &self.random)).await;
        }
        Err(format!("the server is still busy after {MAX_ATTEMPTS} tries").into())
    }

    /// A server that does not answer is waited for; who waits should know.
    fn tell_once(&self, attempt: u32, error: &ClientError) {
        if attempt == 1 {
            let cause =
                std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            self.bar.suspend(|| tell(format_args!("{error}{cause}; trying again")));
        }
    }
}
