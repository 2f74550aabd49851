//! The network: each request meets its fate, drawn from the seed and the weather of its site.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use destinations::transport::FailureKind;
use destinations::{Answer, Request, Transport, TransportError, Vendor};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use receiver::{Items, Told, What};

use crate::receivers::{Site, Weather};
use crate::world::World;

/// How long a request without an answer is waited for, as the real transport does.
const PATIENCE: Duration = Duration::from_secs(30);
/// What proxies say.
const PAGE: &str = "<html><body>Bad gateway</body></html>";

/// The way out of a world.
pub(crate) struct WorldNetwork(pub(crate) Arc<World>);

/// What becomes of a request.
enum Fate {
    /// It arrives, this happens to it, and its answer comes.
    Served(Option<What>),
    /// It arrives, and its answer does not.
    AnswerLost(&'static str),
    Hangs {
        arrives: bool,
    },
    Refused,
    Lost,
    /// Something between answers.
    Page(u16),
}

impl WorldNetwork {
    fn fate(&self, site: &Site, is_question: bool) -> Fate {
        let world = &self.0;
        let flaky = world.plan.flaky;
        let dice = &world.dice;
        let weather = *site.weather.lock();
        match weather {
            Weather::Down => return Fate::Refused,
            Weather::Partition => return Fate::Lost,
            Weather::Hang if dice.up_to(3) > 0 => return Fate::Hangs { arrives: dice.up_to(1) == 0 },
            Weather::Pages => return self.page(site),
            _ => {}
        }
        if world.goes_wrong(flaky) {
            match dice.up_to(6) {
                0 => return Fate::Lost,
                1 | 2 => return Fate::AnswerLost("answer lost"),
                3 => return Fate::AnswerLost("answer broken off"),
                4 => return self.page(site),
                5 => return Fate::Hangs { arrives: dice.up_to(1) == 0 },
                _ if !is_question => return Fate::Served(Some(self.odd(site.manner.vendor))),
                _ => {}
            }
        }
        if is_question {
            Fate::Served(None)
        } else {
            Fate::Served(self.of_weather(weather, site.manner.vendor))
        }
    }

    /// A page, with any status; for a plain HTTPS server a 2xx is all there is to prove anything, so not with that.
    fn page(&self, site: &Site) -> Fate {
        let any = [200, 502, 503, 504, 403];
        let from = usize::from(site.manner.vendor == Vendor::Https);
        Fate::Page(self.0.dice.pick(404, any.get(from..).unwrap_or_default()))
    }

    /// What a vendor does with single requests now and then.
    fn odd(&self, vendor: Vendor) -> What {
        let dice = &self.0.dice;
        match (vendor, dice.up_to(3)) {
            (Vendor::Splunk, 0) => {
                self.counted("hec: busy codes", What::Hec(dice.pick(9, &[8, 18, 23, 26, 27])))
            }
            (Vendor::Splunk, 1) => self.counted("hec: never stored", What::NeverStored),
            (Vendor::Splunk, _) => {
                self.counted("hec: wrong index", What::HecWrongIndex(dice.up_to(3) as usize))
            }
            (Vendor::Elasticsearch, 0) => self.counted("bulk: one item too many", What::ItemTooMany),
            (Vendor::Elasticsearch, 1) => {
                let unavailable =
                    Items::new(503, "unavailable_shards_exception", |number, _| number % 5 == 0);
                self.counted("bulk: some items busy", What::Items(unavailable))
            }
            (Vendor::Elasticsearch, _) => self.counted("bulk: some items busy", What::Items(Items::busy(3))),
            (_, 0) => What::status(429),
            (_, _) => What::status(dice.pick(500, &[503, 408, 418])),
        }
    }

    fn of_weather(&self, weather: Weather, vendor: Vendor) -> Option<What> {
        let dice = &self.0.dice;
        let answer = |status, body: &str| What::Answer { status, retry_after: None, body: body.to_owned() };
        let block = r#"{"error":{"type":"cluster_block_exception","reason":"index blocked"},"status":403}"#;
        let missing =
            r#"{"error":{"type":"index_not_found_exception","reason":"no such index"},"status":404}"#;
        let whole = r#"{"error":{"type":"x_content_parse_exception","reason":"one is unfit"},"status":400}"#;
        Some(match (weather, vendor) {
            (Weather::Busy, Vendor::Splunk) => self.counted("hec: busy codes", What::Hec(9)),
            (Weather::Busy, _) => {
                What::Answer { status: 503, retry_after: Some(dice.between(1, 90)), body: String::new() }
            }
            (Weather::Holding, Vendor::Splunk) => {
                self.counted("hec: token refused", What::Hec(dice.pick(4, &[1, 3, 7])))
            }
            (Weather::Holding, Vendor::Elasticsearch) if dice.up_to(1) == 0 => {
                self.counted("bulk: index missing", answer(404, missing))
            }
            (Weather::Holding, Vendor::Elasticsearch) => {
                self.counted("bulk: block of the cluster", answer(dice.pick(403, &[429, 503]), block))
            }
            (Weather::Holding, _) => What::status(dice.pick(401, &[403, 404, 410])),
            (Weather::RefusesAll, Vendor::Splunk) => self.counted("whole request refused", What::Hec(6)),
            (Weather::RefusesAll, Vendor::Elasticsearch) => {
                self.counted("whole request refused", answer(400, whole))
            }
            (Weather::RefusesAll, _) => self.counted("whole request refused", What::status(422)),
            (Weather::NearLimits, Vendor::Splunk) => {
                self.counted("hec: near its limits", What::Hec(dice.pick(24, &[25])))
            }
            _ => return None,
        })
    }

    fn counted(&self, name: &'static str, what: What) -> What {
        self.0.count(name);
        what
    }

    /// The receiver has the whole request.
    fn serve(&self, site: &Site, request: &Request, what: Option<&What>) -> Result<Told, TransportError> {
        let world = &self.0;
        if world.goes_wrong(4) && site.manner.acknowledges_after.is_some() {
            world.count("hec: indexer restarted");
            site.stand_in.restart(world.clock.elapsed());
        }
        let mut parts = http::Request::new(());
        *parts.method_mut() = request.method.clone();
        *parts.uri_mut() =
            request.url.as_str().parse().map_err(|_| TransportError::broken("no such address"))?;
        *parts.headers_mut() = request.headers.clone();
        let (parts, ()) = parts.into_parts();
        Ok(site.stand_in.answer(&parts, &request.body, what, world.clock.elapsed()))
    }

    async fn meet(&self, site: &Site, request: &Request) -> Result<Answer, TransportError> {
        let world = &self.0;
        let is_question = request.url.path().ends_with("/ack");
        match self.fate(site, is_question) {
            Fate::Refused => {
                world.count("refused: connection");
                Err(TransportError::new(FailureKind::Connect, "the connection was refused"))
            }
            Fate::Lost => {
                world.count("request lost");
                tokio::time::sleep(world.dice.millis(0, 10_000)).await;
                Err(TransportError::broken("the connection was reset"))
            }
            Fate::Hangs { arrives } => {
                world.count("request hung");
                if arrives {
                    drop(self.serve(site, request, None)?);
                }
                tokio::time::sleep(PATIENCE).await;
                Err(TransportError::new(FailureKind::Timeout, "no answer came in time"))
            }
            Fate::Page(status) => {
                world.count("page of a proxy");
                Ok(answer(status, None, "text/html", PAGE.to_owned()))
            }
            Fate::AnswerLost(how) => {
                world.count(how);
                let told = self.serve(site, request, None)?;
                if how == "answer broken off" && world.dice.up_to(1) == 0 {
                    // As of a proxy that passes on what it has.
                    let half: String = told.body.chars().take(told.body.len() / 2).collect();
                    return Ok(answer(told.status.as_u16(), None, "application/json", half));
                }
                Err(TransportError::broken("the connection was closed before the answer"))
            }
            Fate::Served(what) => {
                if request.body.len() > site.manner.max_body {
                    world.count("request cut: too large");
                }
                let told = self.serve(site, request, what.as_ref())?;
                Ok(answer(told.status.as_u16(), told.retry_after, "application/json", told.body))
            }
        }
    }
}

fn answer(status: u16, retry_after: Option<u64>, kind: &'static str, body: String) -> Answer {
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    Answer { status, retry_after: retry_after.map(Duration::from_secs), headers, body: Bytes::from(body) }
}

#[async_trait]
impl Transport for WorldNetwork {
    async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        let world = &self.0;
        world.fate.call().await;
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let site = world.sites.lock().get(&host).cloned();
        let Some(site) = site else {
            return Err(TransportError::new(FailureKind::Resolve, "there is no such host"));
        };
        let is_slow = *site.weather.lock() == Weather::Slow;
        tokio::time::sleep(world.dice.millis(0, if is_slow { 8_000 } else { 20 })).await;
        let met = self.meet(&site, &request).await;
        tokio::time::sleep(world.dice.millis(0, if is_slow { 8_000 } else { 20 })).await;
        match &met {
            Ok(answer) => world.note(format_args!(
                "{host} answers {} to {} bytes: {}",
                answer.status,
                request.body.len(),
                String::from_utf8_lossy(answer.body.get(..answer.body.len().min(90)).unwrap_or_default())
            )),
            Err(error) => world.note(format_args!("{host}: {error}")),
        }
        world.fate.call().await;
        met
    }
}
