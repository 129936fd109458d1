//! What containers are made from.

use std::collections::BTreeSet;

use bollard::query_parameters::RemoveImageOptionsBuilder;
use peerbed::{engine::EndsChoice, runtime::Deployment};

use super::Docker;
use crate::{
    bed::{Bed, Up},
    support::{idle, plan},
};

/// The images that the containers of a network are made from, by their ids, which each making of one changes.
async fn used() -> BTreeSet<(String, String)> {
    let up = Up::on(Docker::new(EndsChoice::Auto).await, &plan(vec![idle(); 2])).await;
    let run = up.bed.run_of(&up.deployment).await;
    let mut used = BTreeSet::new();
    for container in up.bed.look.peerbeds().await.into_iter().filter(|one| one.run == run) {
        let about = up.bed.look.inspect(&container.id).await.unwrap();
        used.insert((about.config.unwrap().image.unwrap(), about.image.unwrap()));
    }
    up.deployment.down().await.unwrap();
    used
}

pub(super) async fn no_image_is_made_twice() {
    let first = used().await;
    let names: BTreeSet<_> = first.iter().map(|(name, _)| name.split(':').next().unwrap()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["peerbed", "peerbed-gated"]);
    let look = Docker::new(EndsChoice::Auto).await.look;
    let created = async || {
        let mut created = Vec::new();
        for (name, _) in &first {
            created.push(look.image(name).await.unwrap().created);
        }
        created
    };
    let before = created().await;
    assert_eq!(used().await, first);
    assert_eq!(created().await, before);
}

pub(super) async fn an_image_that_goes_between_two_runs_is_made_again() {
    let bed = Docker::new(EndsChoice::Auto).await;
    let own = bed.runtime.image().await.unwrap();
    let look = Docker::new(EndsChoice::Auto).await.look;
    let options = RemoveImageOptionsBuilder::default().force(true).build();
    look.api.remove_image(&own, Some(options), None).await.unwrap();
    // The same runtime made it before, and knows its name.
    let up = Up::on(bed, &plan(vec![idle()])).await;
    assert!(look.image(&own).await.is_some());
    up.deployment.down().await.unwrap();
}
