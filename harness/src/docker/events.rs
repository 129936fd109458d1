//! Hears from the engine what becomes of a run's containers.

use std::{collections::HashMap, pin::Pin};

use bollard::{models::EventMessage, query_parameters::EventsOptionsBuilder};
use futures_util::{Stream, StreamExt};
use peerbed_contract::NodeName;

use super::{
    DockerError, Engine,
    error::reason,
    marks::{self, Part, RunId},
};

/// Something that happened to a container of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Which node's; none: the agent's.
    pub node: Option<NodeName>,
    /// What.
    pub what: What,
}

/// What can happen to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Its first process ended; 128 and a signal's number if one ended it.
    Died {
        /// As the engine tells it.
        exit_code: i32,
    },
    /// It wanted more memory than it may have.
    OutOfMemory,
    /// It stands still.
    Paused,
    /// It goes on.
    Unpaused,
}

/// The numbers of the signals that let a process stand still and go on, as the engine writes them.
const STOP: &str = "19";
const CONT: &str = "18";

/// What happens to the containers of a run, as it happens.
pub struct Events(Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send>>);

impl Engine {
    /// What happens to the nodes of this run from now on.
    pub fn events(&self, run: &RunId) -> Events {
        let filters = HashMap::from([("type", vec!["container".to_owned()]), ("label", vec![run.filter()])]);
        // The stream begins only when it is first looked at, so it says by itself from when on.
        let since = jiff::Timestamp::now().as_second().to_string();
        let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
        Events(Box::pin(self.api.events(Some(options))))
    }
}

impl Events {
    /// The next; an error is the end.
    pub async fn next(&mut self) -> Result<Happened, DockerError> {
        let ended =
            |reason| DockerError::Refused { what: "tell what becomes of containers".to_owned(), reason, status: None };
        loop {
            let message = self.0.next().await.ok_or_else(|| ended("it has ended".to_owned()))?;
            if let Some(happened) = understood(message.map_err(|error| ended(reason(&error)))?) {
                return Ok(happened);
            }
        }
    }
}

fn understood(message: EventMessage) -> Option<Happened> {
    let attributes = message.actor?.attributes?;
    let node = match attributes.get(marks::NODE) {
        Some(node) => Some(node.parse().ok()?),
        None if attributes.get(marks::PART)? == Part::Agent.word() => None,
        None => return None,
    };
    let what = match message.action?.as_str() {
        "die" => What::Died { exit_code: attributes.get("exitCode")?.parse().ok()? },
        "oom" => What::OutOfMemory,
        "pause" => What::Paused,
        "unpause" => What::Unpaused,
        // Signals that are sent past the engine are not heard of.
        "kill" if attributes.get("signal")? == STOP => What::Paused,
        "kill" if attributes.get("signal")? == CONT => What::Unpaused,
        _ => return None,
    };
    Some(Happened { node, what })
}

#[cfg(test)]
mod tests {
    use bollard::models::EventActor;

    use super::*;

    fn message(action: &str, attributes: &[(&str, &str)]) -> EventMessage {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let actor = EventActor { id: None, attributes: Some(attributes) };
        EventMessage { action: Some(action.to_owned()), actor: Some(actor), ..EventMessage::default() }
    }

    #[test]
    fn what_concerns_nodes_is_understood() {
        let node = ("peerbed.node", "homes-0");
        let happened = |what| Some(Happened { node: Some("homes-0".parse().unwrap()), what });
        let died = message("die", &[node, ("exitCode", "137")]);
        assert_eq!(understood(died), happened(What::Died { exit_code: 137 }));
        assert_eq!(understood(message("oom", &[node])), happened(What::OutOfMemory));
        assert_eq!(understood(message("pause", &[node])), happened(What::Paused));
        assert_eq!(understood(message("unpause", &[node])), happened(What::Unpaused));
        assert_eq!(understood(message("kill", &[node, ("signal", "19")])), happened(What::Paused));
        assert_eq!(understood(message("kill", &[node, ("signal", "18")])), happened(What::Unpaused));
        assert_eq!(understood(message("kill", &[node, ("signal", "9")])), None, "its end is told apart");
        assert_eq!(understood(message("exec_start: ls", &[node])), None);
        let agent = message("pause", &[("peerbed.part", "agent")]);
        assert_eq!(understood(agent), Some(Happened { node: None, what: What::Paused }));
        assert_eq!(understood(message("pause", &[("peerbed.part", "template")])), None);
        assert_eq!(understood(EventMessage::default()), None);
    }
}
