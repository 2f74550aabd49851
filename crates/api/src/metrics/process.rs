//! What the system says of this process, where it says it in files (Linux).

/// What is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Facts {
    pub(super) resident_bytes: Option<u64>,
    pub(super) cpu_seconds: Option<f64>,
    pub(super) open_files: Option<u64>,
    pub(super) max_files: Option<u64>,
}

/// Ticks of a second in these files; the same on every Linux that runs this.
const TICKS: f64 = 100.0;

/// Reads it. Blocks for a moment.
pub(super) fn facts() -> Facts {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    Facts {
        resident_bytes: resident(&read("status")),
        cpu_seconds: cpu(&read("stat")),
        open_files: std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
        max_files: max_files(&read("limits")),
    }
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The name of the program stands in parentheses and may hold anything, also spaces.
fn cpu(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) as f64 / TICKS)
}

fn max_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_files_are_read_as_they_are_written() {
        assert_eq!(resident("Name:\tidstream\nVmRSS:\t   1024 kB\n"), Some(1 << 20));
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 5 0 100 1 1";
        assert_eq!(cpu(stat), Some(2.0));
        assert_eq!(
            max_files("Max open files            1024                 4096                 files\n"),
            Some(1024)
        );
        assert_eq!((resident(""), cpu(""), max_files("")), (None, None, None));
    }
}
