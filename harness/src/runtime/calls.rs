//! What every runtime asks of its agent in the same way: to build the network, to count, to change links.

use peerbed_contract::NodeName;
use peerbed_link::LinkSpec;
use peerbed_model::Plan;

use super::{Notices, Progress, RuntimeError, client::Client};
use crate::{
    agent::protocol::{Installed, Notice, Reply, Request},
    engine::{EngineOptions, Sample},
};

/// Build the plan's network.
pub(super) async fn install(
    plan: &Plan,
    options: &EngineOptions,
    client: &Client,
    notices: &mut Notices,
    progress: &mut dyn FnMut(Progress),
) -> Result<Installed, RuntimeError> {
    let (fabric, later) = (Box::new(plan.fabric.clone()), plan.links_to_come());
    let request = Request::Install { fabric, later, options: options.clone() };
    let installed = client.call(request);
    tokio::pin!(installed);
    // What the agent said before it ended tells more than that it ended.
    let mut broken = None;
    loop {
        let reply = tokio::select! {
            biased;
            notice = notices.next(), if broken.is_none() => {
                match notice {
                    Some(Notice::Progress { made, total }) => {
                        progress(Progress::Hosts { made: made as usize, total: total as usize });
                    }
                    Some(Notice::Broken { message }) => broken = Some(message),
                    Some(_) => {}
                    None => broken = Some("its output ended".to_owned()),
                }
                continue;
            }
            reply = &mut installed => reply,
        };
        return match (reply, broken) {
            (Ok(Reply::Installed(installed)), _) => Ok(installed),
            (Ok(other), _) => Err(confused("install", &other)),
            (Err(RuntimeError::Gone(_)), Some(message)) => Err(RuntimeError::Broken(message)),
            (Err(error), _) => Err(error),
        };
    }
}

/// Every counter of the network.
pub(super) async fn sample(client: &Client) -> Result<Sample, RuntimeError> {
    match client.call(Request::Sample).await? {
        Reply::Sample(sample) => Ok(*sample),
        other => Err(confused("sample", &other)),
    }
}

/// Traces that links follow begin at this time (`CLOCK_MONOTONIC`).
pub(super) async fn begin(client: &Client, at_ns: u64) -> Result<(), RuntimeError> {
    done("begin", client.call(Request::Begin { at_ns }).await?)
}

/// Change a link between ASes.
pub(super) async fn set_link(
    client: &Client,
    link: u32,
    [forward, backward]: [LinkSpec; 2],
) -> Result<(), RuntimeError> {
    done("set link", client.call(Request::SetLink { link, forward, backward }).await?)
}

/// Change a node's access link.
pub(super) async fn set_access(
    client: &Client,
    node: &NodeName,
    [up, down]: [LinkSpec; 2],
) -> Result<(), RuntimeError> {
    done("set access", client.call(Request::SetAccess { node: node.clone(), up, down }).await?)
}

/// Move a node's host to a place of the fabric.
pub(super) async fn relocate(client: &Client, node: &NodeName, place: &NodeName) -> Result<(), RuntimeError> {
    done("move", client.call(Request::Move { node: node.clone(), place: place.clone() }).await?)
}

/// A call that has nothing to tell is done.
pub(super) fn done(call: &'static str, reply: Reply) -> Result<(), RuntimeError> {
    match reply {
        Reply::Done => Ok(()),
        other => Err(confused(call, &other)),
    }
}

/// An answer that does not answer the call.
pub(super) fn confused(call: &'static str, answer: &Reply) -> RuntimeError {
    RuntimeError::Confused { call, answer: format!("{answer:?}").chars().take(200).collect() }
}
