//! Whatever happens, the explorer answers what a map of everything that is stored would.

use std::collections::HashMap;
use std::time::Duration;

use base::{Clock, EventId};
use event::Stream;
use explorer::Found;
use journal::Offset;
use proptest::prelude::*;

use crate::world::{World, dated, id};

#[derive(Clone, Debug)]
enum Deed {
    /// Stores events, of ids with a time or without.
    Store {
        n: usize,
        are_dated: bool,
    },
    /// Stores an event again, when its id was forgotten.
    Again(prop::sample::Index),
    /// Removes a share of what is stored, in percent.
    Trim(u64),
    Restart,
    LosePower,
    /// Changes a byte of a file.
    Damage(prop::sample::Index, prop::sample::Index),
    /// Lets it index all.
    Settle,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    use prop::sample::Index;
    let deed = prop_oneof![
        8 => (1..12_usize, any::<bool>()).prop_map(|(n, are_dated)| Deed::Store { n, are_dated }),
        2 => any::<Index>().prop_map(Deed::Again),
        1 => (0..60_u64).prop_map(Deed::Trim),
        1 => Just(Deed::Restart),
        1 => Just(Deed::LosePower),
        2 => any::<(Index, Index)>().prop_map(|(file, byte)| Deed::Damage(file, byte)),
        2 => Just(Deed::Settle),
    ];
    prop::collection::vec(deed, 1..40)
}

#[derive(Default)]
struct Model {
    known: Vec<EventId>,
    places: HashMap<EventId, Offset>,
}

impl Model {
    async fn act(&mut self, mut world: World, deed: &Deed) -> World {
        match deed {
            Deed::Store { n, are_dated } => {
                let begin = self.known.len() as u64;
                let make = |n| if *are_dated { dated(world.clock.now(), n) } else { id(n) };
                let ids: Vec<EventId> = (begin..begin + *n as u64).map(make).collect();
                let offsets = world.store(Stream::PRODUCT[n % 3], &ids).await;
                self.known.extend(&ids);
                self.places.extend(ids.into_iter().zip(offsets));
            }
            Deed::Again(which) if !self.known.is_empty() => {
                world.pass(Duration::from_hours(24 * 4));
                let id = *which.get(&self.known);
                let offset = world.store(Stream::AccountEvent, &[id]).await[0];
                self.places.insert(id, offset);
            }
            Deed::Trim(percent) => {
                let head = world.journal.head();
                world.journal.trim(head.first + (head.next - head.first) * percent / 100).await.unwrap();
            }
            Deed::Restart => world = world.restarted().await,
            Deed::LosePower => {
                world.explorer.shutdown().await;
                world.disk.crash();
                world = World::on(world.journal, world.clock, world.disk);
            }
            Deed::Damage(file, byte) => {
                let files = world.files();
                if !files.is_empty() {
                    let name = file.get(&files);
                    let mut bytes = world.disk.bytes(name).unwrap();
                    if !bytes.is_empty() {
                        let at = byte.index(bytes.len());
                        bytes[at] ^= 0x10;
                    }
                    world.disk.set_bytes(name, bytes);
                }
            }
            Deed::Settle => world.settle().await,
            Deed::Again(_) => {}
        }
        world
    }

    async fn check(&self, world: &World) {
        // Before, of two events with one id the older one may be found.
        world.settle().await;
        let first = world.journal.head().first;
        for id in &self.known {
            let place = self.places[id];
            let mut found = world.find(*id).await;
            // When damage is met, the newer of two events with one id may be missing until it is indexed again.
            while matches!(&found, Found::Stored(stored) if stored.offset() < place) {
                world.settle().await;
                found = world.find(*id).await;
            }
            match found {
                Found::Stored(stored) => {
                    assert_eq!(stored.offset(), place);
                    assert!(place.block >= first);
                }
                Found::Removed(_) | Found::ProbablyRemoved(_) | Found::Unknown => {
                    assert!(place.block < first, "{place} is stored");
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(!matches!(world.find(id(u64::MAX)).await, Found::Stored(_) | Found::Removed(_)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn it_answers_as_a_map_would(deeds in deeds()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (mut world, mut model) = (World::new(), Model::default());
            for deed in &deeds {
                world = model.act(world, deed).await;
            }
            model.check(&world).await;
            model.check(&world.restarted().await).await;
        });
    }
}
