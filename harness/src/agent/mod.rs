//! The agent: the privileged half, which holds one run's fabric (namespaces, devices, link engine) and its node processes.

pub mod protocol;
