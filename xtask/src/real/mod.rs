//! `cargo xtask real`: what is said about other people's servers is checked against those servers. Each is fetched from its
//! package registry in a pinned version, started on loopback, sent a seeded story's events by a running idstream, and asked
//! what it holds; every event must be there, field for field.
//!
//! Nothing is skipped: a prerequisite that is missing fails the command in one line.

mod cache;
mod cut;
mod fetch;
mod foreign;
mod ground;
mod kills;
mod needs;
mod opensearch;
mod same;
mod scene;
mod victorialogs;
mod web;

use std::path::{Path, PathBuf};
use std::time::Instant;

use base::Random;

use self::cache::Cache;
use self::needs::{Needs, Who};
use self::scene::Scenes;
use crate::{Failure, say, workspace};

/// Which servers, and how much.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this server
    #[arg(long, value_name = "NAME", value_enum)]
    only: Option<Who>,
    /// Events of each scene's traffic
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    events: u64,
    /// How often OpenSearch's node is killed in mid-stream
    #[arg(long, value_name = "N", default_value_t = 20)]
    kills: u32,
    /// Decides the traffic and the times of kills; drawn and told when it is not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Only fetches and builds what is missing
    #[arg(long)]
    fetch: bool,
    /// Leaves logs and data behind, and says where
    #[arg(long)]
    keep: bool,
    /// The program that delivers; without it the release binary is built
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
}

/// What every server's scenes are given.
struct Stage<'a> {
    cache: &'a Cache,
    program: &'a Path,
    /// For the server's log and data; empty.
    folder: PathBuf,
    events: u64,
    kills: u32,
    seed: u64,
}

/// Fetches, starts, tries and stops one server after another. A server that fails does not keep the others from their turn.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let servers = arguments.only.map_or_else(|| Who::ALL.to_vec(), |one| vec![one]);
    let needs = Needs::find(&servers)?;
    let cache = Cache::open(needs)?;
    if arguments.fetch {
        return servers.iter().try_for_each(|who| who.fetch(&cache));
    }
    let program = match &arguments.server {
        Some(program) => program.clone(),
        None => workspace::release_server()?,
    };
    let seed = arguments.seed.unwrap_or_else(|| Random::from_system().up_to(u64::from(u32::MAX)));
    say(&format!("seed {seed}"));
    let (mut summary, mut failed, mut n_scenes) = (Vec::new(), Vec::new(), 0);
    for who in servers {
        match who.turn(arguments, &cache, &program, seed) {
            Ok(scenes) => {
                n_scenes += scenes.n();
                summary.push(scenes.summary());
            }
            Err(error) => {
                say(&format!("{}: {error}", who.name()));
                failed.push(who.name());
            }
        }
    }
    for line in summary {
        say(&line);
    }
    if failed.is_empty() {
        say(&format!("all {n_scenes} scenes hold"));
        Ok(())
    } else {
        Err(format!("failed: {} (again with --seed {seed})", failed.join(", ")).into())
    }
}

impl Who {
    fn fetch(self, cache: &Cache) -> Result<(), Failure> {
        match self {
            Self::Victorialogs => victorialogs::fetch(cache).map(drop),
            Self::Opensearch => opensearch::fetch(cache).map(drop),
        }
    }

    fn turn(
        self,
        arguments: &Arguments,
        cache: &Cache,
        program: &Path,
        seed: u64,
    ) -> Result<Scenes, Failure> {
        self.fetch(cache)?;
        let folder = workspace::target_directory()?.join("real");
        std::fs::create_dir_all(&folder)?;
        let folder = tempfile::Builder::new().prefix(&format!("{}-", self.name())).tempdir_in(folder)?;
        let stage = Stage {
            cache,
            program,
            folder: folder.path().to_owned(),
            events: arguments.events,
            kills: arguments.kills,
            seed,
        };
        let mut scenes = Scenes::new(self.name(), Instant::now());
        let done = match self {
            Self::Victorialogs => victorialogs::run(&stage, &mut scenes),
            Self::Opensearch => opensearch::run(&stage, &mut scenes),
        };
        let done = done.map_err(|error| format!("{error}\n{}", foreign::tail_of_logs(&stage.folder)).into());
        if arguments.keep {
            say(&format!("logs and data are in {}", folder.keep().display()));
        }
        done.map(|()| scenes)
    }
}
