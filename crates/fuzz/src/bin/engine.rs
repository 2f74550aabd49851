//! The engine's program: libFuzzer over the target that the environment names, or that target's seeds and words as files.
//! Built by `cargo xtask fuzz`, with coverage; without it there is nothing to run.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(init: { engine::prepare() }, |bytes: &[u8]| engine::check(bytes));

#[cfg(fuzzing)]
mod engine {
    //! What the engine calls.

    use std::path::Path;
    use std::sync::OnceLock;
    use std::{env, fs, io, process};

    use fuzz::{Target, target};

    static TARGET: OnceLock<Target> = OnceLock::new();

    /// Chooses the target. Where a folder for seeds is named, writes them and ends.
    pub(crate) fn prepare() {
        let name = env::var_os("IDSTREAM_FUZZ_TARGET").unwrap_or_default();
        let Some(chosen) = target(&name.to_string_lossy()) else { process::exit(2) };
        if let Some(folder) = env::var_os("IDSTREAM_FUZZ_SEEDS") {
            process::exit(i32::from(write(chosen, Path::new(&folder)).is_err()));
        }
        let _first = TARGET.set(chosen);
    }

    pub(crate) fn check(bytes: &[u8]) {
        if let Some(target) = TARGET.get() {
            (target.check)(bytes);
        }
    }

    fn write(target: Target, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
        let quoted = |word: &&str| {
            let word = word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\x0A");
            format!("\"{word}\"\n")
        };
        let words: String = target.words.iter().map(quoted).collect();
        fs::write(folder.with_extension("words"), words)
    }
}

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
