//! Whatever the order in which a provider's webhooks arrive, however often and however late: the end is the
//! same, nothing goes back on the way to it, and whoever hears of events hears of it once.
//!
//! The sandbox's providers sign and send what they have to tell, to somebody who swallows it. A schedule then
//! says when each of it arrives at the gateway, between what else happens: the provider's next change, time that
//! passes, the background's work, a reader, a provider that cannot be asked. The end is compared with that of a
//! story told in order.
//!
//! - [`alike`]: when two objects that were made apart are the same
//! - [`scene`]: a gateway, and a provider that calls somebody else
//! - [`schedule`]: schedules, and how many of them
//! - [`story`]: plays a story by a schedule
//! - the others: the stories

mod alike;
mod messages;
mod paypal;
mod razorpay;
mod scene;
mod schedule;
mod story;

use onerouter_tests::write_path::Ground;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use self::scene::Scene;
use self::schedule::Schedule;
use self::story::{Story, play};

/// Plays a story in order, then by many schedules, and has them end alike.
async fn always_ends_alike<S: Story>(ground: Ground, story: S) {
    let scene = Scene::of(ground, S::PROVIDER).await;
    let usual = play(&scene, &story, &Schedule::in_order(S::STEPS)).await;
    schedule::for_each(|schedule| {
        let play = Box::pin(play(&scene, &story, &schedule));
        let end = block_in_place(|| Handle::current().block_on(play));
        alike::assert_alike(&usual, &end);
    });
}
