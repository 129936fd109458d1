//! Which engines this machine has, and what each of them can do here.

use std::path::PathBuf;

use peerbed::{
    agent::probe,
    engine::{EndsChoice, EngineChoice, EngineOptions},
};

/// What a case needs of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Delay, jitter and loss.
    Delay,
    /// That its work is done by the agent, which can be held up and sees super-packets.
    Agent,
    /// That it is the kernel's work, and the kernel nobody else's, so that its settings may be changed.
    OwnKernel,
}

/// An engine, with one kind of link ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bed {
    /// What its cases are called.
    pub(crate) name: &'static str,
    /// `wire` or `tc`.
    pub(crate) engine: EngineChoice,
    ends: EndsChoice,
    netem: bool,
}

impl Bed {
    /// All that are here; what is not says so.
    pub(crate) fn all() -> Vec<Self> {
        let wire = |name, ends| Self { name, engine: EngineChoice::Wire, ends, netem: true };
        let mut all = vec![wire("packet", EndsChoice::Packet)];
        match std::fs::File::options().read(true).write(true).open("/dev/net/tun") {
            Ok(_) => all.push(wire("tun", EndsChoice::Tun)),
            Err(error) => eprintln!("no cases with TUN devices: /dev/net/tun: {error}"),
        }
        let lacking = probe::ask(&program(), "cubic").expect("the probe runs").kernel_engine;
        let netem = lacking.iter().all(|lack| !lack.for_delays);
        let required = std::env::var("PEERBED_REQUIRE_NETEM").is_ok_and(|value| value == "1");
        assert!(netem || !required, "netem is required: {lacking:?}");
        if lacking.iter().all(|lack| lack.for_delays) {
            for lack in &lacking {
                eprintln!("no cases of tc with delay, jitter or loss: {lack}");
            }
            all.push(Self { name: "tc", engine: EngineChoice::Tc, ends: EndsChoice::Auto, netem });
        } else {
            eprintln!("no cases of tc: {lacking:?}");
        }
        all
    }

    /// Whether it has what a case needs.
    pub(crate) fn has(&self, needs: &[Need]) -> bool {
        needs.iter().all(|need| match need {
            Need::Delay => self.netem,
            Need::Agent => self.engine == EngineChoice::Wire,
            Need::OwnKernel => {
                self.engine == EngineChoice::Tc
                    && std::env::var("PEERBED_TEST_OWN_KERNEL").is_ok_and(|value| value == "1")
            }
        })
    }

    /// How it is chosen.
    pub(crate) fn options(&self, threads: Option<u32>) -> EngineOptions {
        EngineOptions { engine: self.engine, ends: self.ends, threads }
    }
}

/// `peerbed`, where `make test` has it, or beside this program's directory, where cargo puts it.
pub(crate) fn program() -> PathBuf {
    let own = || {
        let this = std::env::current_exe().expect("this program has a path");
        this.parent().and_then(|deps| deps.parent()).expect("it is in a directory of a directory").to_owned()
    };
    std::env::var_os("PEERBED_BIN").map_or_else(own, PathBuf::from).join("peerbed")
}

/// How much slower than others this machine may be, as a factor of allowances for time: the emulated processor of
/// `make test-kernel` is.
pub(crate) fn slowness() -> f64 {
    std::env::var("PEERBED_TEST_SLOWNESS").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0)
}
