//! What is left of the dead is removed, and nothing else is touched.

use std::{collections::HashMap, time::Duration};

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use peerbed::{agent::protocol::Notice, engine::EndsChoice, runtime::Deployment};

use super::Docker;
use crate::{
    bed::{Bed, Up},
    support::{idle, line_of, name, next, plan},
};

/// The container that is not Peerbed's, although its name begins so.
const FOREIGN: &str = "peerbed-tests-foreign";

pub(super) async fn what_a_dead_run_left_goes_at_the_start_of_the_next() {
    let mut living = Up::<Docker>::of(vec![idle()]).await;
    let (look, image) = (&living.bed.look, &living.bed.image);
    let dead = [("peerbed.run", "feedfacefeed"), ("peerbed.part", "node"), ("peerbed.node", "n0")];
    let template = [("peerbed.run", "feedfacefeee"), ("peerbed.part", "template")];
    for name in [FOREIGN, "peerbed-feedfacefeed-n0", "peerbed-feedfacefeee--template"] {
        // An earlier test that failed may have left it.
        if look.inspect(name).await.is_some() {
            look.remove(name).await;
        }
    }
    // An image that somebody makes of a node's container passes its labels on.
    let foreign = look.idle(FOREIGN, image, &dead).await;
    let dead = look.idle("peerbed-feedfacefeed-n0", image, &dead).await;
    let template = look.idle("peerbed-feedfacefeee--template", image, &template).await;

    let next = Up::<Docker>::of(vec![idle()]).await;
    assert!(look.inspect(&dead).await.is_none(), "what a dead run left is still there");
    assert!(look.inspect(&template).await.is_none(), "what an image was being made from is still there");
    let state = look.inspect(&foreign).await.expect("it is not Peerbed's").state.unwrap();
    assert_eq!(state.running, Some(true), "it is not Peerbed's");
    next.deployment.down().await.unwrap();
    living.deployment.line(&name("n0"), "there?").await.unwrap();
    assert_eq!(line_of(&mut living.notices, "n0").await, "there?");
    living.deployment.down().await.unwrap();
    assert!(living.bed.look.inspect(&foreign).await.is_some(), "it is not Peerbed's");
    living.bed.look.remove(&foreign).await;
}

/// While it stands still nothing that it carries goes on, and nobody but the engine would tell.
pub(super) async fn an_agent_that_somebody_stops_is_told_of() {
    let mut up = Up::<Docker>::of(vec![idle()]).await;
    let standing = up.standing().await;
    let run = up.bed.run_of(&up.deployment).await;
    let all = up.bed.look.peerbeds().await;
    let agent = all.iter().find(|one| one.run == run && one.is_agent()).expect("it runs");
    up.bed.look.pause(&agent.id).await;
    let told = loop {
        if let Notice::Broken { message } = next(&mut up.notices).await {
            break message;
        }
    };
    assert!(told.contains("stopped by somebody"), "{told}");
    assert_ends(up, standing).await;
}

/// It knows nothing of the run then, and waits for a harness that has no way to it.
pub(super) async fn an_agent_that_somebody_starts_again_is_told_of() {
    let up = Up::<Docker>::of(vec![idle()]).await;
    let standing = up.standing().await;
    let run = up.bed.run_of(&up.deployment).await;
    // The engine may be told to remove it before it has started it again.
    let _ = up.bed.look.api.restart_container(&format!("peerbed-{run}--agent"), None).await;
    assert_ends(up, standing).await;
}

/// Everything ends, by itself and soon, and nobody waits for what will not come.
async fn assert_ends(mut up: Up<Docker>, standing: <Docker as Bed>::Standing) {
    let ended = async { while up.notices.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("its end is told");
    let error = up.deployment.sample().await.unwrap_err().to_string();
    assert!(error.contains("the agent ended"), "{error}");
    up.deployment.down().await.unwrap();
    up.assert_gone(standing).await;
}

/// An engine that is asked for everything at once answers late, and some engines give up.
pub(super) async fn containers_are_made_a_few_at_a_time() {
    const NODES: usize = 24;
    const AT_ONCE: usize = 8;
    let up = Up::on(Docker::new(EndsChoice::Auto).await, &plan(vec![idle(); NODES])).await;
    let run = up.bed.run_of(&up.deployment).await;
    let filters = HashMap::from([("label", vec![format!("peerbed.run={run}")])]);
    // The stream ends with this second: nothing of what was is missing then.
    let now = jiff::Timestamp::now().as_second();
    let options = EventsOptionsBuilder::default().since(&(now - 300).to_string()).until(&(now + 1).to_string());
    let mut events = up.bed.look.api.events(Some(options.filters(&filters).build()));
    let (mut under_way, mut most, mut started) = (0usize, 0, 0);
    while let Some(event) = events.next().await {
        let event = event.unwrap();
        let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
        if !attributes.contains_key("peerbed.node") {
            continue;
        }
        match event.action.as_deref() {
            Some("create") => under_way += 1,
            Some("start") => (under_way, started) = (under_way - 1, started + 1),
            _ => {}
        }
        most = most.max(under_way);
    }
    assert_eq!(started, NODES);
    assert!((2..=AT_ONCE).contains(&most), "{most} containers at once were made and not yet started");
    up.deployment.down().await.unwrap();
}
