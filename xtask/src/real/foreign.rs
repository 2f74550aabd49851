//! A server that is not ours, as a process with all that it starts: its log, its readiness, its end.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::fetch::last_lines;
use crate::{Failure, process};

/// Between two looks at a process.
const PAUSE: Duration = Duration::from_millis(100);

/// A running server. Ended, with all that it started, when it is dropped.
pub(super) struct Foreign {
    name: &'static str,
    child: Child,
}

impl Foreign {
    /// Starts it; what it says is added to `log`.
    pub(super) fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Self, Failure> {
        let out = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out);
        let child = command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
        Ok(Self { name, child })
    }

    /// Waits until it is ready.
    pub(super) fn until_ready(
        &mut self,
        patience: Duration,
        mut is_ready: impl FnMut() -> bool,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        while !is_ready() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("{} ended at once: {status}", self.name).into());
            }
            if start.elapsed() > patience {
                return Err(format!("{} is not ready after {} s", self.name, patience.as_secs()).into());
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// The most memory that one of its processes has held, in MB (10⁶ bytes).
    pub(super) fn peak_mb(&self) -> f64 {
        let of = |pid: &u32| process::peak_mb(*pid).unwrap_or_default();
        self.family().iter().map(of).fold(0.0, f64::max)
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub(super) fn stop(mut self, patience: Duration) -> Result<(), Failure> {
        signal("-TERM", &[self.child.id()]);
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > patience {
                return Err(format!("{} does not stop", self.name).into());
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Its process and all that came from it.
    fn family(&self) -> Vec<u32> {
        descendants_of(self.child.id(), &parents())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal("-KILL", &self.family());
        }
        // It may have ended by itself.
        let _gone = self.child.wait();
    }
}

/// Sends a signal; processes that are gone do not matter.
fn signal(which: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    let _gone = Command::new("kill").arg(which).args(pids).stderr(Stdio::null()).status();
}

/// Every process and its parent.
fn parents() -> Vec<(u32, u32)> {
    let Ok(folders) = fs::read_dir("/proc") else { return Vec::new() };
    let parent_of = |pid: u32| parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    folders
        .flatten()
        .filter_map(|folder| folder.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent_of(pid)?)))
        .collect()
}

/// Field 4 of `/proc/PID/stat` (proc_pid_stat(5)). The name before it may hold anything.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn descendants_of(root: u32, parents: &[(u32, u32)]) -> Vec<u32> {
    let mut found = vec![root];
    let mut looked_at = 0;
    while let Some(&one) = found.get(looked_at) {
        let children = parents.iter().filter(|(pid, parent)| *parent == one && !found.contains(pid));
        let children: Vec<u32> = children.map(|(pid, _)| *pid).collect();
        found.extend(children);
        looked_at += 1;
    }
    found
}

/// A port that is free now.
pub(super) fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The ends of the logs in a server's folder.
pub(super) fn tail_of_logs(folder: &Path) -> String {
    /// Lines of each.
    const LINES: usize = 30;
    /// Characters of a line.
    const SHOWN: usize = 300;
    let Ok(files) = fs::read_dir(folder) else { return String::new() };
    let logs = files.flatten().map(|file| file.path());
    let logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let tail = |path: &Path| {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let lines: String = last_lines(&text, LINES)
            .lines()
            .flat_map(|line| line.chars().take(SHOWN).chain(['\n']))
            .collect();
        format!("-- {}\n{lines}", path.display())
    };
    logs.map(|path| tail(&path)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_ends_with_all_that_it_started() {
        let parents = [(2, 1), (3, 2), (4, 3), (5, 1), (6, 2), (1, 0)];
        assert_eq!(descendants_of(2, &parents), [2, 3, 6, 4]);
        assert_eq!(descendants_of(9, &parents), [9]);
        assert_eq!(descendants_of(1, &[(1, 1)]), [1], "no circle without an end");
        assert_eq!(parent("42 (a) b) S 7 42 42 0"), Some(7));
        assert_eq!(parent("42"), None);
    }
}
