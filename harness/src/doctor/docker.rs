//! What a Docker engine can do, and what it lacks. Starts one container, which is gone when this returns.

use anyhow::Context;

use super::{Finding, Report, State, choose, inside_findings, machine};
use crate::{
    docker::{About, DockerError, OLDEST_API},
    engine::{EndsChoice, EngineOptions},
    runtime::{RuntimeError, docker::Docker},
};

const ENGINE: &str = "Docker engine";

/// Look at everything, for an experiment of so many nodes.
pub(super) fn examine(nodes: usize, congestion_control: &str) -> anyhow::Result<Report> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    Ok(tokio.block_on(look(nodes, congestion_control)))
}

async fn look(nodes: usize, congestion_control: &str) -> Report {
    let mut findings = vec![machine::kernel()];
    let mut ends = None;
    match Docker::find(EngineOptions::wire(EndsChoice::Auto)).await {
        Err(error) => findings.push(absent(error)),
        Ok(runtime) => {
            findings.push(engine(runtime.about(), runtime.engine().is_new_enough()));
            findings.push(limits(runtime.about()));
            match runtime.look(congestion_control).await {
                Ok(inside) => {
                    findings.push(Finding::ok("agent's container", "runs, with the rights that it needs"));
                    ends = choose(&inside, EndsChoice::Auto);
                    findings.extend(inside_findings(&inside, EndsChoice::Auto, congestion_control));
                }
                Err(error) => findings.push(Finding::not_ok(
                    State::Missing,
                    "agent's container",
                    error.to_string(),
                    "the engine must be allowed to give a container CAP_SYS_ADMIN and CAP_NET_ADMIN",
                )),
            }
        }
    }
    findings.push(machine::processes(nodes * PROCESSES_A_CONTAINER));
    findings.extend([machine::memory(nodes), machine::cores(), machine::pressure()]);
    findings.extend((ends != Some("tun")).then(machine::receive_buffer));
    let able = findings.iter().all(|finding| finding.state != State::Missing);
    Report { able, ends, findings }
}

/// The engine keeps a process with eleven threads beside each container; a node alone is taken to have two.
const PROCESSES_A_CONTAINER: usize = 7;

fn absent(error: RuntimeError) -> Finding {
    match error {
        RuntimeError::Docker(DockerError::Unreachable { endpoint, from, reason, remedy }) => {
            let found = format!("none answers at {endpoint} (named by {from}): {reason}");
            Finding::not_ok(State::Missing, ENGINE, found, remedy)
        }
        error => Finding::not_ok(State::Missing, ENGINE, error.to_string(), "`docker version` shows what Docker finds"),
    }
}

fn engine(about: &About, new_enough: bool) -> Finding {
    if !new_enough {
        let (major, minor) = OLDEST_API;
        let found = format!("{about}; API {major}.{minor} is needed");
        return Finding::not_ok(State::Missing, ENGINE, found, "use Engine 20.10 or newer");
    }
    if about.system != "linux" {
        let found = format!("its containers run on {}", about.system);
        return Finding::not_ok(State::Missing, ENGINE, found, "switch it to Linux");
    }
    Finding::ok(ENGINE, about.to_string())
}

fn limits(about: &About) -> Finding {
    const TOPIC: &str = "limits of containers";
    match (about.limits_memory, about.limits_pids) {
        (true, true) => Finding::ok(TOPIC, "memory and processes can be limited"),
        (memory, _) => Finding::not_ok(
            State::Warn,
            TOPIC,
            format!("{} cannot be limited", if memory { "processes" } else { "memory and processes" }),
            "keys `memory` and `pids` are not enforced; a rootless engine can limit with cgroup v2 and systemd",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About {
            version: "20.10.24".to_owned(),
            api: "1.41".to_owned(),
            rootless: true,
            cgroup: "2".to_owned(),
            limits_memory: true,
            limits_pids: true,
            system: "linux".to_owned(),
        }
    }

    #[test]
    fn an_engine_is_judged() {
        assert_eq!(engine(&about(), true), Finding::ok(ENGINE, "Engine 20.10.24, API 1.41, cgroup v2, rootless"));
        assert_eq!(engine(&about(), false).state, State::Missing);
        assert_eq!(engine(&About { system: "windows".to_owned(), ..about() }, true).state, State::Missing);
        assert_eq!(limits(&about()).state, State::Ok);
        let unlimited = limits(&About { limits_memory: false, limits_pids: false, ..about() });
        assert_eq!(
            (unlimited.state, unlimited.found.as_str()),
            (State::Warn, "memory and processes cannot be limited")
        );
    }
}
