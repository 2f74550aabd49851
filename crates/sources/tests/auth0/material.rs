//! Real events and lists that others have published. They are not part of the repository; without them the tests that read
//! them fail.

use std::path::PathBuf;

/// The text of a file of the test data. The folder is `$IDSTREAM_SHARED/data`, else `data` in the folder `shared` beside
/// the workspace. A missing folder fails the test: skipping would prove nothing.
pub(crate) fn data_file(name: &str) -> String {
    let path = data_folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of the event files in a folder of the test data.
pub(crate) fn event_files(folder: &str) -> Vec<String> {
    let path = data_folder().join(folder);
    let entries = std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".ndjson"))
        .filter(|name| !name.ends_with(".meta.ndjson") && !name.ends_with(".expected.ndjson"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    names.sort();
    names
}

fn data_folder() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "where the test data lies is the test run's environment")]
    let set = std::env::var("IDSTREAM_SHARED").ok();
    let default = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_owned();
    PathBuf::from(set.unwrap_or_else(default)).join("data")
}
