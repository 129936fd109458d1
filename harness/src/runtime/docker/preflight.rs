//! What an engine lacks for a plan. Changes nothing.

use std::collections::BTreeSet;

use peerbed_model::{Plan, PlannedNode};

use crate::{
    docker::{About, Engine, Foreign, OLDEST_API, Program},
    runtime::{Programs, Unmet},
};

/// What to say of an image that the engine does not have.
pub(super) fn no_image(name: &str, group: &str) -> Unmet {
    Unmet {
        need: format!("the image `{name}`"),
        found: format!("group {group} names it, and the engine does not have it"),
        remedy: format!("make it, or fetch it with `docker pull {name}`: Peerbed never fetches images by itself"),
    }
}

fn nothing_to_run(image: &Foreign, node: &PlannedNode) -> bool {
    image.entrypoint.is_empty() && image.command.is_empty() && node.command.is_empty()
}

pub(super) async fn unmet(engine: &Engine, about: &About, programs: &Programs, plan: &Plan) -> Vec<Unmet> {
    let mut unmet = Vec::new();
    let lacks =
        |need: &str, found: String, remedy: &str| Unmet { need: need.to_owned(), found, remedy: remedy.to_owned() };
    if !engine.is_new_enough() {
        let (major, minor) = OLDEST_API;
        let found = format!("Engine {} speaks API {}, {major}.{minor} is needed", about.version, about.api);
        unmet.push(lacks("a Docker engine", found, "use Engine 20.10 or newer"));
    }
    if about.system != "linux" {
        let found = format!("its containers run on {}", about.system);
        unmet.push(lacks("a Docker engine for Linux", found, "switch it to Linux"));
    }
    if !(about.limits_memory && about.limits_pids) {
        // Nodes of ours need little; a plan is not refused for a limit that should never be met.
        tracing::warn!("the engine cannot limit what containers use ({about}): `memory` and `pids` are not enforced");
    }
    let mut seen = BTreeSet::new();
    for node in &plan.nodes {
        match &node.image {
            Some(image) if seen.insert(image) => match engine.foreign(image).await {
                Ok(Some(found)) if nothing_to_run(&found, node) => unmet.push(lacks(
                    "a program",
                    format!("the image `{image}` of group {} has neither an entrypoint nor a command", node.group),
                    "give the group a `command`",
                )),
                Ok(Some(_)) => {}
                Ok(None) => unmet.push(no_image(image, &node.group)),
                Err(error) => unmet.push(lacks("an image", error.to_string(), "see what the engine logs")),
            },
            None if !node.command.is_empty() && seen.insert(&node.group) => unmet.push(lacks(
                "an image",
                format!("group {} names a command, and no image that has it", node.group),
                "give the group an `image`, or use --runtime netns",
            )),
            _ => {}
        }
    }
    unmet.extend(programs.missing(plan));
    for (name, path) in programs.present() {
        if let Err(error) = Program::read(name, &path) {
            let remedy = "`make build` makes programs that can be put into an image".to_owned();
            unmet.push(Unmet { need: format!("the node program `{name}`"), found: error.to_string(), remedy });
        }
    }
    unmet
}

impl std::fmt::Display for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { version, api, rootless, cgroup, .. } = self;
        let rootless = if *rootless { ", rootless" } else { "" };
        write!(f, "Engine {version}, API {api}, cgroup v{cgroup}{rootless}")
    }
}
