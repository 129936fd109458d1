//! A deployment that outlives the command that made it: `peerbed up` leaves a holder process behind, `peerbed exec` finds
//! its nodes, `peerbed down` ends it.
//!
//! The holder is `peerbed hold`: it reads an [`Order`] from its standard input, tells how it gets on as [`Said`] lines on
//! its standard output until everything is ready, and then holds the deployment until SIGTERM or the agent's end. What
//! others must know of it is in the [`state`] directory.

mod holder;
pub(crate) mod process;
pub(crate) mod state;

use peerbed_model::Plan;
use serde::{Deserialize, Serialize};

pub(crate) use self::holder::{ALREADY_UP, main};
use crate::{
    engine::EngineOptions,
    runtime::{Kind, Progress},
};

/// What a holder is to hold.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The nodes and their network.
    pub(crate) plan: Plan,
    /// What carries them.
    pub(crate) runtime: Kind,
    /// How the links are made.
    pub(crate) options: EngineOptions,
    /// Leave the nodes waiting instead of starting their scripts.
    pub(crate) idle: bool,
}

/// What a holder says until all is ready.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// How far it is.
    Progress(Progress),
    /// Everything stands; the last line.
    Ready,
    /// It could not be done, and nothing is left; the last line.
    Failed {
        /// Why, and what to do.
        message: String,
    },
}
