//! OpenSearch: one node in one process, with its default modules and no security plugin.

mod scenes;
mod search;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ::http::Method;
use serde_json::Value;

use super::foreign::{Foreign, free_port};
use super::ground::Ground;
use super::scene::Scenes;
use super::web::Web;
use super::{Cache, Stage, fetch};
use crate::{Failure, workspace};

pub(super) use self::scenes::run;

/// A node starts in ten seconds on an idle machine.
const START: Duration = Duration::from_mins(3);
const STOP: Duration = Duration::from_mins(1);
const JSON: &str = "application/json";

/// The folder with `lib` and `classes`.
pub(super) fn fetch(cache: &Cache) -> Result<PathBuf, Failure> {
    let ours = workspace::root().join("xtask/real/opensearch");
    let (pom, launcher) = (ours.join("pom.xml"), ours.join("Launcher.java"));
    let recipe = [fs::read(&pom)?, fs::read(&launcher)?].concat();
    cache.ready("opensearch-3.8.0.0", &recipe, |part| {
        fetch::maven_classpath(cache.root(), &pom, &part.join("lib"))?;
        let mut compile = Command::new(cache.jdk()?.join("bin/javac"));
        compile.args(["-cp", "lib/*", "-d", "classes"]).arg(&launcher).current_dir(part);
        fetch::quietly(&mut compile)
    })
}

/// A node that can be ended and started again on the same port and data.
struct Node {
    java: PathBuf,
    program: PathBuf,
    data: PathBuf,
    log: PathBuf,
    port: u16,
    /// `None` between two lives.
    process: Option<Foreign>,
    web: Web,
    peak_mb: f64,
}

impl Node {
    fn start(stage: &Stage<'_>) -> Result<Self, Failure> {
        let port = free_port()?;
        let mut node = Self {
            java: stage.cache.jdk()?.join("bin/java"),
            program: fetch(stage.cache)?,
            data: stage.folder.join("node"),
            log: stage.folder.join("opensearch.log"),
            port,
            process: None,
            web: Web::new(&format!("http://127.0.0.1:{port}"))?,
            peak_mb: 0.0,
        };
        node.begin()?;
        Ok(node)
    }

    /// Starts it and waits until it answers.
    fn begin(&mut self) -> Result<(), Failure> {
        let mut command = Command::new(&self.java);
        command.args(["-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED"]);
        command.args(["-cp", "lib/*:classes", "Launcher"]).arg(&self.data);
        command.arg(format!("http.port={}", self.port)).current_dir(&self.program);
        let mut process = Foreign::start("opensearch", &mut command, &self.log)?;
        let web = &self.web;
        let is_ready = || {
            let path = "/_cluster/health?wait_for_status=yellow&timeout=1s";
            web.json(Method::GET, path, None)
                .is_ok_and(|health| health.get("timed_out") == Some(&Value::Bool(false)))
        };
        process.until_ready(START, is_ready)?;
        self.process = Some(process);
        Ok(())
    }

    /// SIGKILL: nothing is flushed.
    fn kill(&mut self) {
        self.note_peak();
        self.process = None;
    }

    fn note_peak(&mut self) {
        let now = self.process.as_ref().map_or(0.0, Foreign::peak_mb);
        self.peak_mb = self.peak_mb.max(now);
    }

    fn stop(mut self) -> Result<(), Failure> {
        self.process.take().map_or(Ok(()), |process| process.stop(STOP))
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Installs our templates with our own program; what it says must be that it did.
fn install_templates(program: &Path, node: &Node, more: &[&str]) -> Result<(), Failure> {
    let mut command = Command::new(program);
    command.args(["template", "opensearch", "--apply", "--url", &node.url()]).args(more);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() && said.contains("installed") {
        return Ok(());
    }
    Err(format!("the templates are not installed: {said}{}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Notes who held how much, and ends both.
fn end(scenes: &mut Scenes, mut node: Node, ground: Ground) -> Result<(), Failure> {
    node.note_peak();
    scenes.held(node.peak_mb, ground.peak_mb());
    ground.stop()?;
    node.stop()
}
