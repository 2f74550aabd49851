//! The binary as a process: started on free ports, told apart by what it says, ended with the value.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// What no test waits longer for.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A command of the binary, with nothing of the environment that would change it.
pub(crate) fn idstream(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idstream"));
    command.args(arguments).stdin(Stdio::null());
    for variable in ["IDSTREAM_CONFIG", "IDSTREAM_MASTER_KEY", "IDSTREAM_TOKEN", "IDSTREAM_URL"] {
        command.env_remove(variable);
    }
    command
}

/// `serve` on a free port, on the data directory `data`.
pub(crate) fn serve(data: &Path) -> Command {
    let mut command = idstream(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    // Tests look at the books many times a second.
    command.arg(data).env("IDSTREAM__LIMITS__ENABLED", "false");
    command
}

/// A running program.
pub(crate) struct Program {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

/// How a program ended, and what it said that was not read before.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first line of standard output that begins with `start`, without it. What was said before is gone.
    pub(crate) fn answers(&self, start: &str) -> String {
        loop {
            let line = self.stdout.recv_timeout(PATIENCE).unwrap_or_else(|error| {
                let rest: Vec<String> = self.stderr.try_iter().collect();
                panic!("{error} before {start:?}; it said: {rest:?}")
            });
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }

    /// The first line of standard error that holds `text`. What was said before is gone.
    pub(crate) fn tells(&self, text: &str) -> String {
        loop {
            let line = self
                .stderr
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|error| panic!("{error} before it told {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        // Its streams end with it: no need to poll.
        let stdout: Vec<String> = std::iter::from_fn(|| self.stdout.recv_timeout(PATIENCE).ok()).collect();
        let stderr: Vec<String> = std::iter::from_fn(|| self.stderr.recv_timeout(PATIENCE).ok()).collect();
        Ended { status: self.child.wait().unwrap(), stdout: stdout.join("\n"), stderr: stderr.join("\n") }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// One call to the server at `address`: the status, and the body as far as it is JSON.
pub(crate) fn call(
    address: &str,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> (u16, serde_json::Value) {
    call_with(address, method, path, token, "", body)
}

/// The same with more lines in its head, each with its end.
pub(crate) fn call_with(
    address: &str,
    method: &str,
    path: &str,
    token: &str,
    more: &str,
    body: &str,
) -> (u16, serde_json::Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         {more}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (into, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if into.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
