//! Plays a story by a schedule.

use chrono::TimeDelta;
use futures_util::future::join_all;
use onerouter_tests::harness::Reply;
use onerouter_tests::write_path::{advance, eventually};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::scene::Scene;
use super::schedule::{Move, Schedule};
use crate::hostile;
use crate::messages::stored;
use crate::post::Post;

/// Looks for what is left over, each a minute later.
const ROUNDS_MAX: usize = 40;
/// How much later a late answer comes. What happens meanwhile is not waited for.
const LATE_MS: u64 = 60;
/// A provider is not asked again any sooner.
const REFRESH_AFTER: TimeDelta = TimeDelta::seconds(3);

/// What happens at a provider, and to which objects here.
pub(super) trait Story {
    const PROVIDER: &'static str;
    const STEPS: usize;
    /// In the path of whatever the provider is asked about these objects; empty where it is not asked.
    const ASKED_AT: &'static str;
    /// Whether a reader gets to know the same as who is told.
    const READS: bool = true;
    /// How often the provider does what must be done so often, by the ledger's kinds.
    const EFFECTS: &'static [(&'static str, u64)] = &[];

    /// Makes the objects that are there from the beginning.
    async fn begin(&self, case: &mut Case<'_>);

    /// The step of this number.
    async fn step(&self, case: &mut Case<'_>, number: usize);

    /// What must hold at the end besides, of the objects as they are then.
    async fn end(&self, case: &Case<'_>, objects: &[Value]);
}

/// An object whose way is followed.
struct Followed {
    path: String,
    id: String,
    /// The statuses that it has where everything arrives in order.
    course: &'static [&'static str],
    /// Those that were seen.
    seen: Vec<String>,
}

/// A story that is being played.
pub(super) struct Case<'a> {
    pub(super) scene: &'a Scene,
    objects: Vec<Followed>,
    /// What was sent so far, and whether it has arrived.
    sent: Vec<(Post, bool)>,
    last_attempt: u64,
    /// What has arrived and is not answered yet.
    late: Vec<JoinHandle<u16>>,
}

impl Case<'_> {
    /// Follows an object through these statuses. Of one that it never had the next may be skipped, and no other
    /// order be seen.
    pub(super) fn follow(&mut self, object: &Reply, course: &'static [&'static str]) {
        let collection = match object.text("object") {
            one @ ("sms" | "email") => one.to_owned(),
            other => format!("{other}s"),
        };
        let id = object.text("id").to_owned();
        self.objects.push(Followed {
            path: format!("/v1/{collection}/{id}"),
            id,
            course,
            seen: Vec::new(),
        });
    }

    /// The object that was made as this one, as it is stored.
    pub(super) async fn object(&self, place: usize) -> Value {
        stored(&self.scene.acme, &self.objects[place].path).await
    }

    /// The object, after its provider was asked.
    async fn fresh(&self, place: usize) -> Value {
        advance(&self.scene.host, REFRESH_AFTER);
        let read = self.scene.acme.get(&self.objects[place].path).await;
        assert_eq!(read.status, 200, "{read:?}");
        read.json
    }

    /// The object, as soon as it has this status by what its provider says.
    pub(super) async fn reached(&self, place: usize, status: &str) -> Value {
        eventually(status, || async {
            self.fresh(place).await["status"] == status
        })
        .await;
        self.object(place).await
    }

    /// What was told about an object, without its family's name.
    pub(super) async fn told(&self, place: usize) -> Vec<String> {
        let events = self.scene.ground.events(&self.objects[place].id).await;
        let verb = |(kind, _): (String, i64)| kind.split_once('.').unwrap().1.to_owned();
        events.into_iter().map(verb).collect()
    }

    async fn gather(&mut self) {
        let sandbox = &self.scene.host.sandbox;
        sandbox.webhooks_settled().await;
        for attempt in sandbox.webhook_attempts() {
            if attempt.number > self.last_attempt {
                assert_eq!(attempt.status, Some(204), "{attempt:?}");
                self.last_attempt = attempt.number;
                self.sent.push((Post::of(&attempt), false));
            }
        }
    }

    /// These arrive at once.
    async fn arrive(&mut self, places: &[usize]) {
        let scene = self.scene;
        let mut posts = Vec::new();
        for place in places {
            let post = self.take(*place);
            posts.push(async move { post.taken(&scene.host).await });
        }
        join_all(posts).await;
    }

    /// One that arrives.
    fn take(&mut self, place: usize) -> Post {
        let (post, has_arrived) = &mut self.sent[place];
        *has_arrived = true;
        let mut post = post.clone();
        if let Some(secret) = &self.scene.secret {
            post.sign_at(self.scene.host.clock.now().timestamp(), secret);
        }
        post
    }

    /// One arrives, and the provider is asked about it and answers later.
    async fn arrive_late(&mut self, place: usize, asked_at: &str) {
        let scene = self.scene;
        let late = json!({"fault": "latency_after", "delay_ms": LATE_MS, "times": 1});
        scene.fault(asked_at, late).await;
        let before = scene.asked().await;
        let request = self.take(place).request(&scene.host);
        let answer = tokio::spawn(async move { request.send().await.unwrap().status().as_u16() });
        eventually("it is acted on", || async {
            answer.is_finished() || scene.asked().await > before
        })
        .await;
        self.late.push(answer);
    }

    fn not_arrived(&self) -> Vec<usize> {
        let sent = self.sent.iter().enumerate();
        sent.filter(|(_, (_, has_arrived))| !has_arrived)
            .map(|(place, _)| place)
            .collect()
    }

    /// Nothing has gone back.
    async fn look(&mut self) {
        for object in &mut self.objects {
            let now = stored(&self.scene.acme, &object.path).await;
            let status = now["status"].as_str().unwrap();
            if object.seen.last().is_none_or(|last| last != status) {
                object.seen.push(status.to_owned());
            }
            assert_in_course(&object.seen, object.course);
        }
    }

    async fn make(&mut self, one: &Move, asked_at: &str) {
        let scene = self.scene;
        self.gather().await;
        let count = self.sent.len();
        match one {
            Move::Next => unreachable!("the story's own"),
            Move::Arrive(index) if count > 0 => self.arrive(&[index.index(count)]).await,
            Move::Together(one, other) if count > 0 => {
                self.arrive(&[one.index(count), other.index(count)]).await;
            }
            Move::Late(index) if !asked_at.is_empty() => {
                let open = self.not_arrived();
                if !open.is_empty() {
                    let place = open[index.index(open.len())];
                    self.arrive_late(place, asked_at).await;
                }
            }
            Move::Arrive(_) | Move::Together(..) | Move::Late(_) => {}
            Move::Rest => {
                for place in self.not_arrived() {
                    self.arrive(&[place]).await;
                }
            }
            Move::Pass(seconds) => advance(&scene.host, TimeDelta::seconds((*seconds).into())),
            Move::Sweep => drop(scene.host.sweep().await),
            Move::Read => {
                for object in &self.objects {
                    scene.acme.get(&object.path).await;
                }
            }
            Move::Deaf if !asked_at.is_empty() => {
                let deaf = json!({"fault": "reset_before", "times": 2});
                scene.fault(asked_at, deaf).await;
            }
            Move::Deaf => {}
        }
    }

    /// Everything has arrived, and nothing is left to do.
    async fn settle(&mut self, schedule: &Schedule) {
        self.scene.mend().await;
        for answer in self.late.drain(..) {
            assert_eq!(answer.await.unwrap(), 200);
        }
        let mut arrived = 0;
        let mut is_quiet = false;
        for _ in 0..ROUNDS_MAX {
            self.gather().await;
            loop {
                let rest = self.not_arrived();
                if rest.is_empty() {
                    break;
                }
                is_quiet = false;
                self.arrive(&[rest[schedule.rest(arrived, rest.len())]])
                    .await;
                self.look().await;
                self.gather().await;
                arrived += 1;
            }
            if is_quiet && hostile::webhooks_due(&self.scene.ground).await == 0 {
                return;
            }
            is_quiet = true;
            advance(&self.scene.host, TimeDelta::minutes(1));
            self.scene.host.sweep().await;
            self.look().await;
        }
        panic!("something is still to be done");
    }
}

/// Plays a story. Gives its objects as they are at the end.
pub(super) async fn play<S: Story>(scene: &Scene, story: &S, schedule: &Schedule) -> Vec<Value> {
    let mut before = Vec::new();
    for (kind, _) in S::EFFECTS {
        before.push(scene.effects(kind).await);
    }
    let attempts = scene.host.sandbox.webhook_attempts();
    let mut case = Case {
        scene,
        objects: Vec::new(),
        sent: Vec::new(),
        last_attempt: attempts.last().map_or(0, |attempt| attempt.number),
        late: Vec::new(),
    };
    story.begin(&mut case).await;
    let mut steps = 0..S::STEPS;
    for one in &schedule.moves {
        match one {
            Move::Next => step(story, &mut case, steps.next()).await,
            Move::Read if !S::READS => {}
            other => case.make(other, S::ASKED_AT).await,
        }
        case.look().await;
    }
    for number in steps {
        step(story, &mut case, Some(number)).await;
        case.look().await;
    }
    case.settle(schedule).await;
    let mut ends = Vec::new();
    for (place, object) in case.objects.iter().enumerate() {
        let end = case.object(place).await;
        let last = object.course.last().unwrap();
        assert_eq!(end["status"], **last, "{end}");
        // These have no status behind them, and may be told at any time.
        let mut told = case.told(place).await;
        told.retain(|verb| !["opened", "clicked"].contains(&verb.as_str()));
        assert_in_course(&told, object.course);
        assert_eq!(told.last().unwrap(), last);
        ends.push(end);
    }
    story.end(&case, &ends).await;
    for ((kind, wanted), before) in S::EFFECTS.iter().zip(before) {
        assert_eq!(scene.effects(kind).await - before, *wanted, "{kind}");
    }
    ends
}

async fn step<S: Story>(story: &S, case: &mut Case<'_>, number: Option<usize>) {
    if let Some(number) = number {
        // What the merchant does here is not to fail.
        case.scene.mend().await;
        story.step(case, number).await;
    }
}

/// The one is the other with places left out: each status is reached as often as it is on the way at most, and
/// none after a later one.
#[track_caller]
fn assert_in_course(seen: &[String], course: &[&str]) {
    let mut rest = course.iter();
    let is_in_course = seen.iter().all(|one| rest.any(|status| status == one));
    assert!(is_in_course, "{seen:?} is not on the way {course:?}");
}
