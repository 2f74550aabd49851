//! VictoriaLogs: HEC without acknowledgement, and a `_bulk` that knows no ids. What it holds is asked back by eventID.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ::http::Method;
use base::EventId;
use serde_json::{Map, Value, json};

use super::foreign::{Foreign, free_port};
use super::ground::Ground;
use super::same::{Found, exactly, flattened};
use super::scene::{Scenes, wait};
use super::web::{Web, form, json_lines};
use super::{Cache, Stage, fetch};
use crate::Failure;
use crate::process::text_field;

const MODULE: &str = "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@v1.52.1";
const NAME: &str = "victorialogs 1.52.1";
/// It starts in a second.
const START: Duration = Duration::from_mins(1);
const STOP: Duration = Duration::from_secs(30);
/// Ids of one query, which may have 16 KiB.
const IDS: usize = 300;

/// The program, built when it is not there.
pub(super) fn fetch(cache: &Cache) -> Result<PathBuf, Failure> {
    let make = |part: &Path| fetch::go_install(MODULE, part);
    Ok(cache.ready("victorialogs-1.52.1", MODULE.as_bytes(), make)?.join("victoria-logs"))
}

/// Every scene.
pub(super) fn run(stage: &Stage<'_>, scenes: &mut Scenes) -> Result<(), Failure> {
    scenes.name(NAME.to_owned());
    let program = fetch(stage.cache)?;
    let ground = Ground::new(stage)?;
    over_hec(stage, scenes, &ground, Logs::start(&program, stage, "hec")?)?;
    over_bulk(stage, scenes, &ground, Logs::start(&program, stage, "bulk")?)?;
    ground.stop()
}

/// A running server.
struct Logs {
    program: PathBuf,
    folder: PathBuf,
    log: PathBuf,
    port: u16,
    process: Foreign,
    web: Web,
}

impl Logs {
    fn start(program: &Path, stage: &Stage<'_>, name: &str) -> Result<Self, Failure> {
        let port = free_port()?;
        let (folder, log) = (stage.folder.join(name), stage.folder.join(format!("{name}.log")));
        let process = launch(program, &folder, &log, port)?;
        let web = Web::new(&format!("http://127.0.0.1:{port}"))?;
        let mut logs = Self { program: program.to_owned(), folder, log, port, process, web };
        logs.until_ready()?;
        Ok(logs)
    }

    fn until_ready(&mut self) -> Result<(), Failure> {
        let web = &self.web;
        self.process.until_ready(START, || web.status("/health") == Some(200))
    }

    /// Stops it in order and starts it on the same port and data. What it was sent in its last seconds would be lost if it
    /// were killed: it says so itself, and no sender can mend that.
    fn again(mut self, between: impl FnOnce() -> Result<(), Failure>) -> Result<Self, Failure> {
        self.process.stop(STOP)?;
        between()?;
        self.process = launch(&self.program, &self.folder, &self.log, self.port)?;
        self.until_ready()?;
        Ok(self)
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn query(&self, text: &str) -> Result<Vec<Value>, Failure> {
        let content_type = "application/x-www-form-urlencoded";
        let answer =
            self.web.text(Method::POST, "/select/logsql/query", content_type, form("query", text))?;
        json_lines(&answer)
    }

    /// All that it holds; `column` is the name under which it has an event's id.
    fn found(&self, column: &str) -> Result<Found<Map<String, Value>>, Failure> {
        self.web.text(Method::POST, "/internal/force_flush", "text/plain", "")?;
        let ids: Vec<String> = self
            .query(&format!("* | uniq by (\"{column}\")"))?
            .iter()
            .map(|row| text_field(row, column))
            .collect::<Result<_, _>>()?;
        let mut found = Found::default();
        for part in ids.chunks(IDS) {
            let list: Vec<String> = part.iter().map(|id| format!("\"{id}\"")).collect();
            for row in self.query(&format!("\"{column}\":in({})", list.join(",")))? {
                found.total += 1;
                let Value::Object(row) = row else { return Err("a row is no object".into()) };
                let id = row.get(column).and_then(Value::as_str).unwrap_or_default();
                found.events.insert(EventId::parse(id)?, row);
            }
        }
        Ok(found)
    }
}

fn launch(program: &Path, folder: &Path, log: &Path, port: u16) -> Result<Foreign, Failure> {
    let mut command = Command::new(program);
    command.arg(format!("-httpListenAddr=127.0.0.1:{port}"));
    command.arg(format!("-storageDataPath={}", folder.display()));
    // Without it what is older than seven days is dropped, and nobody is told.
    command.args(["-retentionPeriod=100y", "-memory.allowedPercent=5", "-loggerLevel=WARN"]);
    // An event stays the one JSON text that it was sent as.
    command.arg("-splunk.preserveJSONKeys=event");
    Foreign::start("victorialogs", &mut command, log)
}

/// A row of HEC: the event is its message, the envelope's fields stand beside it.
fn in_envelope(expected: &Value, row: &Map<String, Value>) -> Result<(), String> {
    let of = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
    let event: Value = serde_json::from_str(of("_msg")).map_err(|error| format!("its message: {error}"))?;
    exactly(expected, &event)?;
    for (column, field) in [("fields.idstream_id", "eventID"), ("fields.idstream_stream", "stream")] {
        if expected.get(field).and_then(Value::as_str) != Some(of(column)) {
            return Err(format!("{column} is {:?}", of(column)));
        }
    }
    if of("source") != "idstream" || !of("sourcetype").starts_with("idstream:") {
        return Err(format!("source is {:?}, sourcetype {:?}", of("source"), of("sourcetype")));
    }
    Ok(())
}

const HEC_ID: &str = "fields.idstream_id";

fn over_hec(stage: &Stage<'_>, scenes: &mut Scenes, ground: &Ground, logs: Logs) -> Result<(), Failure> {
    let url = logs.url("");
    let mut all = Vec::new();
    scenes.hold("HEC, acknowledgement auto", || {
        let id = ground.configure("hec", "splunk", json!({"url": url, "apiKey": "any-token"}))?;
        all.extend(ground.post(stage.events)?);
        let n = ground.delivered(&id, "accepted")?;
        let offered = ground.status(&id)?.pointer("/live/acknowledgement").cloned();
        if offered != Some(json!("notOffered")) {
            return Err(format!("acknowledgement is {offered:?}").into());
        }
        ground.remove(&id)?;
        Ok(format!(
            "{}; {n} accepted, not acknowledged",
            ground.proven(&all, &logs.found(HEC_ID)?, in_envelope)?.without_copies()?
        ))
    })?;
    scenes.hold("HEC, gzip", || {
        let configuration = json!({"url": url, "apiKey": "any-token", "acknowledgement": "off", "batch": {"compression": "gzip"}});
        let id = ground.configure("hec gzip", "splunk", configuration)?;
        all.extend(ground.post(stage.events / 4)?);
        ground.delivered(&id, "accepted")?;
        ground.remove(&id)?;
        Ok(ground.proven(&all, &logs.found(HEC_ID)?, in_envelope)?.to_string())
    })?;
    scenes.hold("HEC, acknowledgement required of one that has none", || {
        let before = logs.found(HEC_ID)?.total;
        let configuration = json!({"url": url, "apiKey": "any-token", "acknowledgement": "required"});
        let id = ground.configure("hec required", "splunk", configuration)?;
        ground.post(10)?;
        let reason = |status: &Value| text_field(status, "reason").unwrap_or_default();
        let status =
            ground.until(&id, "it asks in vain", |status| reason(status).contains("acknowledgements"))?;
        if logs.found(HEC_ID)?.total != before {
            return Err("something was sent".into());
        }
        ground.remove(&id)?;
        Ok(format!("nothing sent, {}: {}", text_field(&status, "state")?, reason(&status)))
    })?;
    scenes.held(logs.process.peak_mb(), ground.peak_mb());
    logs.process.stop(STOP)
}

fn over_bulk(stage: &Stage<'_>, scenes: &mut Scenes, ground: &Ground, logs: Logs) -> Result<(), Failure> {
    let url = logs.url("/insert/elasticsearch/_bulk?_time_field=@timestamp&_stream_fields=stream");
    let configuration = json!({"url": url, "apiKey": "", "batch": {"maxEvents": 100}});
    let id = ground.configure("bulk", "elasticsearch", configuration)?;
    let mut all = Vec::new();
    scenes.hold("_bulk", || {
        all.extend(ground.post(stage.events)?);
        let n = ground.delivered(&id, "confirmed")?;
        let counts = ground.proven(&all, &logs.found("eventID")?, flattened)?.without_copies()?;
        Ok(format!("{counts}; {n} confirmed"))
    })?;
    let mut logs = Some(logs);
    scenes.hold("_bulk, stopped in mid-stream and started again", || {
        let running = logs.take().ok_or("it is not running")?;
        all.extend(ground.post(stage.events)?);
        let running = running.again(|| {
            all.extend(ground.post(stage.events)?);
            wait(START, "a request fails", || {
                let status = ground.status(&id)?;
                Ok((status.get("state") != Some(&json!("active"))).then_some(()))
            })
        })?;
        ground.delivered(&id, "confirmed")?;
        let counts = ground.proven(&all, &running.found("eventID")?, flattened)?;
        logs = Some(running);
        Ok(format!("{counts} (it knows no ids)"))
    })?;
    let logs = logs.ok_or("it is not running")?;
    scenes.held(logs.process.peak_mb(), ground.peak_mb());
    logs.process.stop(STOP)
}
