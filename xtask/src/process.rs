//! The server, and a stand-in for destinations, as processes of their own: started on a free port, watched through `/proc`,
//! ended with the value.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::Failure;
use crate::http::{Connection, request};

/// Linux counts CPU time for programs in hundredths of a second (USER_HZ), whatever its own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Where configurations are created and asked for.
pub(crate) const STREAMING: &str = "/admin/api/v1/instance/eventStreaming";

/// An API client that was created.
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
}

/// A text of an answer.
pub(crate) fn text_field(value: &Value, name: &str) -> Result<String, Failure> {
    let text = value.get(name).and_then(Value::as_str);
    Ok(text.ok_or_else(|| format!("the answer has no {name}"))?.to_owned())
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// Open as long as the server runs: it may have more to say than the first line.
    _stdout: BufReader<ChildStdout>,
    address: SocketAddr,
    token: String,
}

impl Server {
    /// Starts `program` on the data directory and waits until it says where it listens. `before` may put another program
    /// in front of it, as long as the process is still the server's.
    pub(crate) fn start(before: &[&OsStr], program: &Path, data: &Path) -> Result<Self, Failure> {
        let mut words = before.iter().copied().chain([program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        // A tool calls more often in a minute than people do.
        command.env("IDSTREAM__LIMITS__ENABLED", "false");
        command.env("IDSTREAM__LOG__LEVEL", "error").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot start {command:?}: {error}"))?;
        let stdout = child.stdout.take().ok_or("the server has no standard output")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        let read = stdout.read_line(&mut line);
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        // From here on the process ends with the value, whatever fails.
        let mut server = Self { child, _stdout: stdout, address: nowhere, token: String::new() };
        read?;
        let address = line.trim().strip_prefix("listening on http://").and_then(|text| text.parse().ok());
        server.address = address.ok_or_else(|| format!("the server did not start; it said {line:?}"))?;
        let token = data.join("admin-token");
        let token = fs::read_to_string(&token)
            .map_err(|error| format!("cannot read {}: {error}", token.display()))?;
        token.trim().clone_into(&mut server.token);
        Ok(server)
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The administrator's token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Makes a call, given as the bytes of its request; the JSON of the answer, which must be a 2xx.
    pub(crate) fn call(&self, request: &[u8]) -> Result<Value, Failure> {
        let answer = Connection::open(self.address)?.call(request)?;
        let text = String::from_utf8_lossy(&answer.body);
        if answer.status().is_none_or(|status| status >= 300) {
            return Err(format!("the server answered {}: {text}", answer.first_line).into());
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Creates an API client with these scopes, separated by spaces.
    pub(crate) fn create_client(&self, name: &str, scopes: &str) -> Result<Client, Failure> {
        let body = json!({"name": name, "scopes": scopes.split(' ').collect::<Vec<_>>()}).to_string();
        let path = "/admin/api/v1/instance/apiClients";
        let made = self.call(&request("POST", path, &self.token, "application/json", body.as_bytes()))?;
        let [id, secret, token] = ["id", "clientSecret", "token"].map(|name| text_field(&made, name));
        Ok(Client { id: id?, secret: secret?, token: token? })
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status()?;
        let ended = self.child.wait()?;
        if asked.success() && ended.success() {
            Ok(())
        } else {
            Err("the server did not stop in order".into())
        }
    }

    /// Ends it with SIGKILL: no handler runs, nothing is flushed.
    pub(crate) fn kill(mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// CPU seconds that it has used so far, user and system.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, Failure> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        cpu_ticks(&stat)
            .map(|ticks| ticks as f64 / TICKS_PER_SECOND)
            .ok_or_else(|| "/proc/…/stat is not understood".into())
    }

    /// The most memory that it has held so far, in MB (10⁶ bytes): resident, its high-water mark.
    pub(crate) fn peak_mb(&self) -> Result<f64, Failure> {
        peak_mb(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; its data directory goes with the run either way.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// A stand-in for destinations of every kind: `idstream receiver`.
pub(crate) struct StandIn {
    child: Child,
    url: String,
}

impl StandIn {
    /// Starts it and waits until it says where it listens.
    pub(crate) fn start(program: &Path) -> Result<Self, Failure> {
        let arguments = ["receiver", "--json", "--every", "0"].map(OsStr::new);
        let mut child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take();
        // From here on the process ends with the value, whatever fails.
        let mut stand_in = Self { child, url: String::new() };
        let mut line = String::new();
        BufReader::new(stdout.ok_or("the receiver has no standard output")?).read_line(&mut line)?;
        let listening: Value = serde_json::from_str(&line)?;
        let url = listening.get("listening").and_then(Value::as_str);
        url.ok_or_else(|| format!("the receiver did not start; it said {line:?}"))?
            .clone_into(&mut stand_in.url);
        Ok(stand_in)
    }

    /// Its address, such as `http://127.0.0.1:45678`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Fields 14 and 15 of `/proc/PID/stat` (proc_pid_stat(5)): utime and stime. The name before them may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// The most memory that a process has held so far, in MB (10⁶ bytes): resident, its high-water mark.
pub(crate) fn peak_mb(pid: u32) -> Result<f64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    peak_kib(&status)
        .map(|kib| kib as f64 * 1024.0 / 1e6)
        .ok_or_else(|| "/proc/…/status is not understood".into())
}

/// Runs a command to its end, which must be a good one.
pub(crate) fn pass(command: &mut Command) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| format!("cannot run {program}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} failed").into()) }
}

fn peak_kib(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_cpu_time_and_peak_memory() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 1\n";
        assert_eq!(cpu_ticks(stat), Some(200));
        assert_eq!(peak_kib("VmPeak:\t  9 kB\nVmHWM:\t  1234 kB\n"), Some(1234));
        assert_eq!((cpu_ticks("42"), peak_kib("")), (None, None));
    }
}
