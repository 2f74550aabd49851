//! What the process asks of the machine's memory.

use crate::program::{Program, serve};

#[test]
#[cfg(target_os = "linux")]
fn a_server_keeps_no_huge_pages_for_small_texts() {
    let directory = tempfile::tempdir().unwrap();
    let server = Program::start(serve(&directory.path().join("data")));
    server.answers("listening on http://");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    // Linux before 5.0 does not tell.
    let enabled = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
    assert!(enabled.is_none_or(|enabled| enabled.trim() == "0"), "{status}");
}
