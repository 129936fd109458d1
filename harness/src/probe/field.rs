//! A network of its own in which probes measure: it stands, programs run in its hosts, they report, it goes.

use std::{
    collections::BTreeMap,
    fmt::Display,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use peerbed_contract::NodeName;
use peerbed_link::Fabric;

use super::Report;
use crate::{
    agent::protocol::{Installed, Notice, Reply, Request, Signal, Spawn},
    engine::{EngineOptions, Sample},
    host::monotonic_ns,
    runtime::{Launch, Notices, client::Client},
};

/// Probes that say nothing for so long have failed.
const PATIENCE: Duration = Duration::from_mins(2);

/// A network that stands.
pub(crate) struct Field {
    client: Arc<Client>,
    notices: Notices,
    log: PathBuf,
    /// This program's file, as the agent sees it.
    program: String,
    agent_pid: u32,
}

/// Reads the counters of a network.
pub(crate) struct Gauge(Arc<Client>);

impl Gauge {
    /// Every counter.
    pub(crate) async fn read(&self) -> anyhow::Result<Sample> {
        match self.0.call(Request::Sample).await? {
            Reply::Sample(sample) => Ok(*sample),
            other => bail!("the agent answered {other:?}"),
        }
    }
}

/// Two probes that work together: a listening one, and one that begins when the other is ready.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    /// Where the first runs.
    pub(crate) server: NodeName,
    /// Its arguments.
    pub(crate) serve: Vec<String>,
    /// It ends only when it is killed, and reports nothing.
    pub(crate) endless: bool,
    /// Where the second runs.
    pub(crate) client: NodeName,
    /// Its arguments.
    pub(crate) ask: Vec<String>,
}

/// What the two probes of an exchange said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reports {
    /// The listening one; none if it is endless.
    pub(crate) server: Option<Report>,
    /// The other.
    pub(crate) client: Report,
}

/// Arguments of a probe.
pub(crate) fn words(words: &[&dyn Display]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// What was heard of a probe since it was started.
#[derive(Debug, Default)]
struct Heard {
    ready: bool,
    report: Option<Report>,
    ended: bool,
}

impl Field {
    /// Builds it. What agent and probes complain of goes to `log`.
    pub(crate) async fn up(
        launch: &Launch,
        fabric: Fabric,
        options: EngineOptions,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let program = launch.own_program()?.display().to_string();
        let (client, notices) = launch.start(log).await?;
        match client.call(Request::Install { fabric: Box::new(fabric), later: Vec::new(), options }).await? {
            Reply::Installed(Installed { agent_pid, .. }) => {
                Ok(Self { client: Arc::new(client), notices, log: log.to_owned(), program, agent_pid })
            }
            other => bail!("the agent answered {other:?}"),
        }
    }

    /// Traces begin now; when that is by the clock of probes' stamps.
    pub(crate) async fn begin(&self) -> anyhow::Result<Duration> {
        let (at_ns, now) = (monotonic_ns(), super::now()?);
        match self.client.call(Request::Begin { at_ns }).await? {
            Reply::Done => Ok(now),
            other => bail!("the agent answered {other:?}"),
        }
    }

    /// Every counter.
    pub(crate) async fn sample(&self) -> anyhow::Result<Sample> {
        self.gauge().read().await
    }

    /// What reads its counters while it carries something out.
    pub(crate) fn gauge(&self) -> Gauge {
        Gauge(Arc::clone(&self.client))
    }

    /// The process that holds it, and in which the `wire` engine works.
    pub(crate) fn agent_pid(&self) -> u32 {
        self.agent_pid
    }

    /// Carries out exchanges side by side, no two of them in the same host, and gives what each reported.
    pub(crate) async fn carry_out(&mut self, exchanges: &[Exchange]) -> anyhow::Result<Vec<Reports>> {
        let mut heard: BTreeMap<NodeName, Heard> = BTreeMap::new();
        let servers = exchanges.iter().map(|exchange| (&exchange.server, &exchange.serve));
        self.spawn(servers, &mut heard).await?;
        self.listen(&mut heard, |heard| heard.values().all(|heard| heard.ready)).await?;
        let clients = exchanges.iter().map(|exchange| (&exchange.client, &exchange.ask));
        self.spawn(clients, &mut heard).await?;
        let endless = |node: &NodeName| exchanges.iter().any(|exchange| exchange.endless && exchange.server == *node);
        self.listen(&mut heard, |heard| heard.iter().all(|(node, heard)| heard.ended || endless(node))).await?;
        for exchange in exchanges.iter().filter(|exchange| exchange.endless) {
            let node = exchange.server.clone();
            self.client.call(Request::Signal { node, signal: Signal::Kill }).await?;
        }
        self.listen(&mut heard, |heard| heard.values().all(|heard| heard.ended)).await?;
        let mut report = |node: &NodeName| heard.get_mut(node).and_then(|heard| heard.report.take());
        let reports = exchanges.iter().map(|exchange| {
            let client = report(&exchange.client).with_context(|| format!("{} reported nothing", exchange.client))?;
            Ok(Reports { server: report(&exchange.server), client })
        });
        reports.collect()
    }

    async fn spawn<'a>(
        &self,
        probes: impl Iterator<Item = (&'a NodeName, &'a Vec<String>)>,
        heard: &mut BTreeMap<NodeName, Heard>,
    ) -> anyhow::Result<()> {
        let mut spawned = Vec::new();
        for (node, arguments) in probes {
            let argv =
                [self.program.clone(), "probe".to_owned()].into_iter().chain(arguments.iter().cloned()).collect();
            heard.insert(node.clone(), Heard::default());
            let spawn = Spawn { node: node.clone(), argv, log: None };
            spawned.push(self.client.call(Request::Spawn(spawn)));
        }
        for reply in spawned {
            reply.await?;
        }
        Ok(())
    }

    /// Takes in what the probes say until enough was heard.
    async fn listen(
        &mut self,
        heard: &mut BTreeMap<NodeName, Heard>,
        enough: impl Fn(&BTreeMap<NodeName, Heard>) -> bool,
    ) -> anyhow::Result<()> {
        while !enough(heard) {
            let notice = tokio::time::timeout(PATIENCE, self.notices.next()).await;
            let notice = notice.with_context(|| format!("the probes said nothing for {PATIENCE:?}"))?;
            match notice.context("the agent ended")? {
                Notice::Line { node, line } => {
                    let report = serde_json::from_str(&line).with_context(|| format!("{node} said `{line}`"))?;
                    let probe = heard.entry(node).or_default();
                    match report {
                        Report::Ready => probe.ready = true,
                        report => probe.report = Some(report),
                    }
                }
                Notice::Exited { node, code, signal } => {
                    if code != Some(0) && signal != Some(9) {
                        let log = std::fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string());
                        bail!("the probe in {node} ended with {code:?}:\n{log}");
                    }
                    heard.entry(node).or_default().ended = true;
                }
                Notice::Broken { message } => bail!(message),
                Notice::Progress { .. } | Notice::Frozen { .. } | Notice::Thawed { .. } => {}
            }
        }
        Ok(())
    }

    /// Takes it down.
    pub(crate) async fn down(self) -> anyhow::Result<()> {
        Ok(self.client.end().await?)
    }
}
