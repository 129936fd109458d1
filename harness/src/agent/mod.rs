//! The agent: the privileged half, which holds one run's fabric (namespaces, devices, link engine) and its node processes.
//!
//! It is the same program, started as `peerbed agent` by a runtime. [`process`] moves it into namespaces of its own,
//! where it is process 1; `serve` answers the calls of [`protocol`] that `stream` reads; `fabric` builds and holds the
//! network with `settings`, `devices` and `crate::netlink`; `spawn` owns the node processes, whose pipes come through a `passage`,
//! and `relay` what they print; [`probe`] tries, for `peerbed doctor`, what this machine lets an agent do; `misshape` lets
//! tests see that wrong links are noticed.
//!
//! Where nodes are containers, the agent is one too: `container` is its beginning and its end, and `plug` moves devices into
//! the namespaces that the nodes' containers have.

mod container;
mod devices;
mod fabric;
mod lines;
mod misshape;
mod passage;
mod plug;
pub mod probe;
pub mod process;
pub mod protocol;
mod relay;
mod serve;
mod settings;
mod spawn;
mod stream;
mod sys;

pub(crate) use self::{devices::kernel_version, fabric::descriptors_needed, lines::Lines, misshape::misshaped};
