//! Consumers and their checkpoints; trimming.

use std::sync::Arc;

use async_nats::jetstream::kv::UpdateErrorKind;
use futures::StreamExt;
use journal::{Consumer, ConsumerCommand, ConsumerName, JournalError, LeaseError, StartAt, Tally};
use tokio::sync::Mutex as Turn;

use crate::books::{Books, Saved};
use crate::broker::{failed, key};
use crate::jet::{Inner, Mapping};
use crate::pull::Pull;

fn no_consumer(error: LeaseError) -> JournalError {
    match error {
        LeaseError::Journal(error) => error,
        _ => JournalError::Refused("there is no consumer of this name"),
    }
}

impl Inner {
    /// Reads the checkpoints of all consumers.
    pub(crate) async fn load_books(&self) -> Result<(), JournalError> {
        let mut keys = self.broker.books.keys().await.map_err(failed)?;
        while let Some(key) = keys.next().await {
            self.load(&key.map_err(failed)?).await?;
        }
        Ok(())
    }

    async fn load(&self, key: &str) -> Result<(), JournalError> {
        let Some(entry) = self.broker.books.entry(key).await.map_err(failed)? else { return Ok(()) };
        let Ok(saved) = serde_json::from_slice::<Saved>(&entry.value) else { return Ok(()) };
        let Some(name) = ConsumerName::new(saved.name.clone()) else { return Ok(()) };
        let mut books = Books::new(name, saved, entry.revision);
        books.count(&self.view.lock());
        self.admit(books).await
    }

    async fn admit(&self, books: Books) -> Result<(), JournalError> {
        let (name, streams, start) = (books.name.clone(), books.streams(), books.saved.started_at);
        let pull = match self.mapping {
            Mapping::Pull => Some(Pull::open(&self.broker, &name, streams, start).await?),
            Mapping::Cursor => None,
        };
        self.pulls.lock().insert(name.clone(), Arc::new(Turn::new(pull)));
        self.books.lock().insert(name, books);
        Ok(())
    }

    /// Writes the checkpoint of a consumer, then acknowledges to the server what it says is done. In this order: an
    /// acknowledged block never comes again, so its tally must be safe by then.
    async fn save(&self, name: &ConsumerName) -> Result<(), JournalError> {
        let turn = self.turn(name).map_err(no_consumer)?;
        let mut pull = turn.lock().await;
        let prepared = {
            let view = self.view.lock();
            self.books.lock().get_mut(name).filter(|books| books.is_dirty).map(|books| {
                books.is_dirty = false;
                (serde_json::to_vec(&books.checkpoint(&view)).unwrap_or_default(), books.revision)
            })
        };
        let Some((value, revision)) = prepared else { return Ok(()) };
        match self.broker.books.update(key(name), value.into(), revision).await {
            Ok(revision) => {
                if let Some(books) = self.books.lock().get_mut(name) {
                    books.revision = revision;
                }
            }
            Err(error) => {
                if error.kind() == UpdateErrorKind::WrongLastRevision {
                    // Another process has this consumer now: what was settled here comes again, there.
                    self.forget(name);
                } else if let Some(books) = self.books.lock().get_mut(name) {
                    books.is_dirty = true;
                }
                return Err(failed(error));
            }
        }
        if let Some(pull) = pull.as_mut() {
            pull.acknowledge(|sequence| {
                self.books.lock().get(name).is_some_and(|books| books.is_done(sequence))
            })
            .await?;
        }
        Ok(())
    }

    fn forget(&self, name: &ConsumerName) -> Option<Books> {
        self.leases.lock().retain(|_, (of, _)| of != name);
        self.pulls.lock().remove(name);
        self.books.lock().remove(name)
    }

    fn dirty(&self) -> Vec<ConsumerName> {
        let all = self.books.lock();
        all.values().filter(|books| books.is_dirty).map(|books| books.name.clone()).collect()
    }

    pub(crate) async fn save_dirty(&self) -> Result<(), JournalError> {
        for name in self.dirty() {
            self.save(&name).await?;
        }
        Ok(())
    }

    pub(crate) async fn keep(&self) -> Result<(), JournalError> {
        let turns: Vec<_> = self.pulls.lock().values().cloned().collect();
        for turn in turns {
            if let Some(pull) = turn.lock().await.as_ref() {
                pull.keep().await?;
            }
        }
        Ok(())
    }

    fn resolve(&self, start: StartAt) -> u64 {
        let view = self.view.lock();
        match start {
            StartAt::Now => view.next(),
            StartAt::Earliest => view.first(),
            StartAt::Block(sequence) => sequence.clamp(view.first(), view.next()),
        }
    }

    fn describe(&self, name: &ConsumerName) -> Vec<Consumer> {
        let view = self.view.lock();
        self.books.lock().get(name).map(|books| books.describe(&view)).into_iter().collect()
    }

    pub(crate) async fn consumers(&self, command: ConsumerCommand) -> Result<Vec<Consumer>, JournalError> {
        match command {
            ConsumerCommand::List => {
                let view = self.view.lock();
                Ok(self.books.lock().values().map(|books| books.describe(&view)).collect())
            }
            ConsumerCommand::Create { name, streams, start, until } => {
                if !self.books.lock().contains_key(&name) {
                    // "Now" is after what anybody has appended until now.
                    let _writing = self.writing.lock().await;
                    self.catch_up().await?;
                    let mut books = Books::create(name.clone(), streams, self.resolve(start), until);
                    books.count(&self.view.lock());
                    let value = serde_json::to_vec(&books.saved).unwrap_or_default();
                    match self.broker.books.create(key(&name), value.into()).await {
                        Ok(revision) => {
                            books.revision = revision;
                            self.admit(books).await?;
                        }
                        // Another process was first.
                        Err(_exists) => self.load(&key(&name)).await?,
                    }
                }
                Ok(self.describe(&name))
            }
            ConsumerCommand::Seek { name, to } => {
                self.move_up(&name, to, |discarded| Tally { discarded, ..Tally::default() }, true).await
            }
            ConsumerCommand::Expire { name, to } => {
                self.move_up(&name, to, |expired| Tally { expired, ..Tally::default() }, false).await
            }
            ConsumerCommand::Remove { name } => {
                let answer = self.describe(&name);
                let turn = self.turn(&name).ok();
                self.forget(&name);
                if let Some(turn) = turn {
                    self.broker.books.purge(key(&name)).await.map_err(failed)?;
                    if let Some(pull) = turn.lock().await.take() {
                        pull.remove(&self.broker, &name).await?;
                    }
                }
                Ok(answer)
            }
        }
    }

    /// Moves a consumer up; what it passes is counted as `count` says. Backwards is refused, or does nothing.
    async fn move_up(
        &self,
        name: &ConsumerName,
        to: StartAt,
        count: fn(u64) -> Tally,
        refuses_back: bool,
    ) -> Result<Vec<Consumer>, JournalError> {
        let to = self.resolve(to);
        let is_back = {
            let view = self.view.lock();
            let mut all = self.books.lock();
            let books = all.get_mut(name).ok_or(LeaseError::NoConsumer).map_err(no_consumer)?;
            let is_back = to < books.floor(&view);
            if is_back && refuses_back {
                return Err(JournalError::Refused("a consumer cannot be moved back"));
            }
            if !is_back {
                books.pass(to, &view, count);
            }
            is_back
        };
        if is_back {
            return Ok(self.describe(name));
        }
        self.save(name).await?;
        if let Some(pull) = self.turn(name).map_err(no_consumer)?.lock().await.as_mut() {
            pull.seek(&self.broker, name, to).await?;
        }
        self.changed.notify_waiters();
        Ok(self.describe(name))
    }

    /// The books first, then the blocks: the other way round a crash would lose what expired.
    pub(crate) async fn trim(&self, up_to: u64) -> Result<(), JournalError> {
        let _writing = self.writing.lock().await;
        self.catch_up().await?;
        let up_to = up_to.min(self.view.lock().next());
        // To JetStream, "purge below 0" means everything.
        if up_to <= self.view.lock().first() {
            return Ok(());
        }
        let names: Vec<ConsumerName> = {
            let view = self.view.lock();
            let mut all = self.books.lock();
            let expire = |expired| Tally { expired, ..Tally::default() };
            all.values_mut().for_each(|books| books.pass(up_to, &view, expire));
            all.keys().cloned().collect()
        };
        for name in names {
            self.save(&name).await?;
        }
        self.broker.stream.purge().sequence(up_to).await.map_err(failed)?;
        self.view.lock().drop_below(up_to);
        Ok(())
    }
}
