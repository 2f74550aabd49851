//! `idstream backup` and `idstream restore`.

use std::path::PathBuf;

use base::{ByteSize, Clock, Random, SystemClock};

use super::Failure;
use super::journal::{Where, advance, bar};
use crate::output::{answer, counted};

#[derive(clap::Args)]
#[command(after_help = "\
A server may be running. The backup holds the catalog and the journal, and every event that was accepted
before it began. It does not hold the master key, without which the credentials in it cannot be opened:
keep a copy of the key elsewhere, not beside the backup.
")]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,
    /// Directory of the backup; must be empty or not there
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

#[derive(clap::Args)]
#[command(after_help = "\
The backup is verified before anything is written. Afterwards put the master key where the server expects
it, and start the server. What was delivered after the backup began is delivered again, with the same
eventIDs; what came in after it is not there. The next start tells the restore as an audit log.
")]
pub(crate) struct RestoreArguments {
    /// Directory of the backup
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Data directory to restore to; must be empty or not there
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let data = arguments.place.data()?;
    let bar = bar()?;
    let made = custody::backup::back_up(&data, &arguments.to, SystemClock.now(), &mut |done, total| {
        advance(&bar, done, total);
    });
    bar.finish_and_clear();
    let made = made?;
    let bytes = ByteSize(made.files.iter().map(|file| file.bytes).sum());
    let to = arguments.to.display();
    answer(format_args!(
        "{to}: blocks {} to {}, {}, {bytes}",
        made.first_block,
        made.last_block,
        counted(made.records, "event")
    ))?;
    answer(format_args!("complete up to {}: every event accepted before is in it", made.complete_up_to))?;
    answer("the master key is not in it: keep a copy of the key elsewhere")
}

pub(crate) fn restore(arguments: &RestoreArguments) -> Result<(), Failure> {
    let bar = bar()?;
    let (now, random) = (SystemClock.now(), Random::from_system());
    let restored =
        custody::backup::restore(&arguments.from, &arguments.data, now, &random, &mut |done, total| {
            advance(&bar, done, total);
        });
    bar.finish_and_clear();
    let restored = restored?;
    let (made, data) = (&restored.manifest, arguments.data.display());
    answer(format_args!(
        "{data}: {} files, {}, blocks {} to {}, {}",
        made.files.len(),
        ByteSize(restored.bytes),
        made.first_block,
        made.last_block,
        counted(made.records, "event")
    ))?;
    answer(format_args!(
        "events accepted up to {} are there; later ones may be missing",
        made.complete_up_to
    ))?;
    answer("what was delivered after that is delivered again, with the same eventIDs")?;
    answer(format_args!(
        "put the master key to {data}.key, or name it with --key-file, before the server is started"
    ))
}
