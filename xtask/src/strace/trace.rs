//! Reading what strace writes with `-f -y`: system calls of many threads, with the places at which each began and ended.

use std::collections::HashMap;

use crate::Failure;

/// What a call that another thread's calls interrupted ends with, for now.
const UNFINISHED: &str = " <unfinished ...>";

/// A system call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// What its first argument, a file descriptor, stands for: a path, or `socket:[…]`.
    pub(super) target: String,
    /// Its arguments as they stand in the trace.
    pub(super) arguments: String,
    /// The line of the trace at which it began.
    pub(super) began: usize,
    /// The line at which it returned: the same, unless other threads' calls came between.
    pub(super) ended: usize,
    /// What it returned; `None` when the process ended within it.
    pub(super) result: Option<i64>,
}

/// The calls, in the order in which they ended.
pub(super) fn parse(trace: &str) -> Result<Vec<Call>, Failure> {
    let mut calls = Vec::new();
    let mut unfinished: HashMap<&str, (usize, &str)> = HashMap::new();
    for (at, line) in trace.lines().enumerate() {
        let unclear = || format!("line {} of the trace is not understood: {line:.200}", at + 1);
        let (thread, what) = line.split_once(' ').ok_or_else(unclear)?;
        let what = what.trim_start();
        if what.starts_with("+++") || what.starts_with("---") {
            continue;
        }
        if let Some(begun) = what.strip_suffix(UNFINISHED) {
            unfinished.insert(thread, (at, begun));
            continue;
        }
        let (began, text) = if what.starts_with("<... ") {
            let (_, rest) = what.split_once(" resumed>").ok_or_else(unclear)?;
            let (began, begun) = unfinished.remove(thread).ok_or_else(unclear)?;
            (began, format!("{begun}{rest}"))
        } else {
            (at, what.to_owned())
        };
        calls.push(call(&text, began, at).ok_or_else(unclear)?);
    }
    Ok(calls)
}

/// `name(arguments) = result`, or `None` when it is not that.
fn call(text: &str, began: usize, ended: usize) -> Option<Call> {
    let (head, result) = text.rsplit_once(" = ")?;
    let (name, arguments) = head.trim_end().strip_suffix(')')?.split_once('(')?;
    let result = match result.split(' ').next()? {
        "?" => None,
        number => Some(number.parse().ok()?),
    };
    // A descriptor is shown as 9</path>; a path of a deleted file ends with (deleted).
    let first = arguments.split(", ").next().unwrap_or_default();
    let target =
        first.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>')).map_or("", |(target, _)| target);
    Some(Call {
        name: name.to_owned(),
        target: target.to_owned(),
        arguments: arguments.to_owned(),
        began,
        ended,
        result,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_put_together_across_what_comes_between() {
        let trace = "\
71 pwrite64(9</d/journal/1.segment>, \"a) = 1, \\\"b\\\"\", 9, 192) = 9
71 fdatasync(9</d/journal/1.segment> <unfinished ...>
7  sendto(12<socket:[33]>, \"HTTP/1.1 200 OK\\r\\n\", 17, MSG_NOSIGNAL, NULL, 0) = 17
7  --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=1, si_uid=0} ---
71 <... fdatasync resumed>)         = 0
72 fsync(5</d>)     = -1 EIO (Input/output error)
72 write(4, \"x\", 1) = ?
71 +++ exited with 0 +++
";
        let calls = parse(trace).unwrap();
        let seen: Vec<_> = calls
            .iter()
            .map(|call| (call.name.as_str(), call.target.as_str(), call.began, call.ended, call.result))
            .collect();
        assert_eq!(
            seen,
            [
                ("pwrite64", "/d/journal/1.segment", 0, 0, Some(9)),
                ("sendto", "socket:[33]", 2, 2, Some(17)),
                ("fdatasync", "/d/journal/1.segment", 1, 4, Some(0)),
                ("fsync", "/d", 5, 5, Some(-1)),
                ("write", "", 6, 6, None),
            ]
        );
        assert!(calls[0].arguments.contains("a) = 1"), "{}", calls[0].arguments);
    }

    #[test]
    fn what_is_no_trace_is_told_by_its_line() {
        for trace in ["nonsense", "1 nonsense", "1 <... write resumed>) = 1", "1 write(1) = x"] {
            let error = parse(&format!("1 fsync(3</a>) = 0\n{trace}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 2 of the trace is not understood"), "{error}");
        }
    }
}
