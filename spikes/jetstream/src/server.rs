//! A NATS server of our own: on loopback, on a free port, in a folder that goes with the run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// When the server syncs what it stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncWhen {
    /// Before it answers. The only setting with which its answer means what ours promises.
    Always,
    /// Every two minutes, as the server does unless told otherwise.
    Interval,
}

/// A running server. It ends with the value.
pub struct Server {
    child: Child,
    program: PathBuf,
    folder: tempfile::TempDir,
    sync: SyncWhen,
    url: String,
}

impl Server {
    /// Starts it and waits until it says where it listens.
    pub fn start(program: &Path, sync: SyncWhen) -> Result<Self, Failure> {
        let folder =
            tempfile::Builder::new().prefix("jetstream-").tempdir_in(program.parent().unwrap_or(program))?;
        let child = spawn(program, folder.path(), sync, "-1")?;
        let mut server = Self { child, program: program.to_owned(), folder, sync, url: String::new() };
        server.url = server.find_url()?;
        Ok(server)
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills the process (what the operating system has is kept: this shows nothing about syncing), and starts it again at
    /// the same address on what it has stored.
    pub fn kill_and_start_again(&mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        let port = self.url.rsplit(':').next().unwrap_or("-1");
        self.child = spawn(&self.program, self.folder.path(), self.sync, port)?;
        self.find_url()?;
        Ok(())
    }

    fn find_url(&mut self) -> Result<String, Failure> {
        let begin = Instant::now();
        let ports = self.folder.path().join(format!("nats-server_{}.ports", self.child.id()));
        while begin.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("nats-server ended at once: {status}").into());
            }
            let text = fs::read_to_string(&ports).unwrap_or_default();
            let found = serde_json::from_str::<Value>(&text).unwrap_or_default();
            if let Some(url) = found.pointer("/nats/0").and_then(Value::as_str) {
                return Ok(url.to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("nats-server did not say where it listens".into())
    }
}

fn spawn(program: &Path, folder: &Path, sync: SyncWhen, port: &str) -> Result<Child, Failure> {
    let sync = match sync {
        SyncWhen::Always => "always",
        SyncWhen::Interval => "2m",
    };
    let (path, store) = (folder.join("server.conf"), folder.join("store"));
    let config = format!(
        "listen: \"127.0.0.1:{port}\"\nports_file_dir: {folder:?}\n\
         jetstream {{ store_dir: {store:?}, max_mem: 64M, max_file: 2G, sync_interval: {sync} }}\n"
    );
    fs::write(&path, config)?;
    let log = fs::File::create(folder.join("server.log"))?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&path).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().map_err(|error| format!("cannot start {}: {error}", program.display()).into())
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
