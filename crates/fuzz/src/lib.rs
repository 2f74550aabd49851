//! What must hold whatever bytes come in. Each target takes bytes, gives them to a reader of ours, and fails where a
//! property of that reader does not hold; `cargo xtask fuzz` looks for such bytes, guided by the coverage that they reach.
//!
//! Without the engine the targets are run over their seeds by this crate's tests, and over what once failed.

mod answers;
mod documents;
mod journals;
mod masking;
mod packed;
mod posted;
mod records;

/// One reader, and what must hold of it.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Fails when the property does not hold for these bytes.
    pub check: fn(&[u8]),
    /// Inputs to begin with, made by our own encoders.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words that inputs are made of.
    pub words: &'static [&'static str],
}

/// Every target.
pub const TARGETS: [Target; 10] = [
    Target { name: "format", check: journals::format, seeds: journals::format_seeds, words: &[] },
    Target { name: "journal", check: journals::directory, seeds: journals::directory_seeds, words: &[] },
    Target { name: "intake", check: posted::intake, seeds: posted::intake_seeds, words: posted::WORDS },
    Target { name: "webhook", check: posted::webhook, seeds: posted::webhook_seeds, words: posted::WORDS },
    Target { name: "inflate", check: packed::inflate, seeds: packed::seeds, words: &[] },
    Target { name: "hec", check: answers::hec, seeds: answers::hec_seeds, words: answers::HEC_WORDS },
    Target { name: "acks", check: answers::acks, seeds: answers::acks_seeds, words: answers::HEC_WORDS },
    Target { name: "bulk", check: answers::bulk, seeds: answers::bulk_seeds, words: answers::BULK_WORDS },
    Target { name: "records", check: records::records, seeds: records::seeds, words: &[] },
    Target {
        name: "documents",
        check: documents::documents,
        seeds: documents::seeds,
        words: documents::WORDS,
    },
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_holds_for_its_seeds_and_for_what_is_near_them() {
        for target in TARGETS {
            (target.check)(b"");
            for seed in (target.seeds)() {
                (target.check)(&seed);
                for at in (0..seed.len()).step_by(1 + seed.len() / 40) {
                    (target.check)(&seed[..at]);
                    let mut changed = seed.clone();
                    changed[at] ^= 1 << (at % 8);
                    (target.check)(&changed);
                }
            }
        }
    }
}
