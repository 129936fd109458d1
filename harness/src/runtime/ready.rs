//! Waits until every node has said that it is ready, and says which ones have not.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::{Duration, Instant},
};

use peerbed_contract::{Event, EventKind, NodeName};

use super::{NodeFiles, Notices, Progress, RuntimeError};
use crate::{agent::protocol::Notice, say::harmless};

/// At most so many nodes are shown in an error.
const SHOWN: usize = 5;
/// Lines of a node's log shown in an error.
const TAIL_LINES: usize = 8;
/// Nodes that are not ready yet may print so many lines together, which are all kept.
const MOST_LINES: usize = 100_000;
/// Bytes of a node's log that its last lines are taken from.
const TAIL_BYTES: u64 = 4096;

/// Read notices until every node of `awaited` has printed its `ready` line. What was read goes back, so the run sees it.
pub(super) async fn wait(
    awaited: &BTreeSet<NodeName>,
    within: Duration,
    notices: &mut Notices,
    files: &NodeFiles,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), RuntimeError> {
    let since = Instant::now();
    let deadline = tokio::time::sleep(within);
    tokio::pin!(deadline);
    let mut missing = awaited.clone();
    let mut said = Vec::new();
    // The last thing that a node said instead of being ready.
    let mut other: BTreeMap<NodeName, String> = BTreeMap::new();
    let total = awaited.len();
    let mut unready = 0;
    while !missing.is_empty() {
        let notice = tokio::select! {
            notice = notices.next() => notice,
            () = &mut deadline => {
                let details = details(&missing, &other, files);
                return Err(RuntimeError::NotReady { missing: missing.len(), total, waited: since.elapsed(), details });
            }
        };
        let Some(notice) = notice else {
            return Err(RuntimeError::Gone("before every node was ready".to_owned()));
        };
        match &notice {
            Notice::Line { node, line } if missing.contains(node) => {
                if is_ready(node, line) {
                    missing.remove(node);
                    progress(Progress::Ready { ready: total - missing.len(), total });
                } else {
                    other.insert(node.clone(), harmless(line).chars().take(200).collect());
                    unready += 1;
                    if unready > MOST_LINES {
                        let details = details(&missing, &other, files);
                        return Err(RuntimeError::TooMuchSaid { lines: MOST_LINES, details });
                    }
                }
            }
            Notice::Exited { node, code, signal } => {
                let how = match (code, signal) {
                    (Some(code), _) => format!("exit code {code}"),
                    (None, Some(signal)) => format!("signal {signal}"),
                    (None, None) => "no status".to_owned(),
                };
                let log = files.log(node);
                let said = other.get(node).map_or(String::new(), |line| format!("\n  it printed `{line}`"));
                let tail = tail(&log) + &said;
                return Err(RuntimeError::EndedEarly { node: node.clone(), how, log, tail });
            }
            Notice::Broken { message } => return Err(RuntimeError::Broken(message.clone())),
            Notice::Line { .. } | Notice::Progress { .. } | Notice::Frozen { .. } | Notice::Thawed { .. } => {}
        }
        said.push(notice);
    }
    notices.put_back(said);
    Ok(())
}

/// Whether a line of a node is its `ready` event.
fn is_ready(node: &NodeName, line: &str) -> bool {
    matches!(serde_json::from_str(line), Ok(Event { node: by, kind: EventKind::Ready { .. }, .. }) if by == *node)
}

fn details(missing: &BTreeSet<NodeName>, other: &BTreeMap<NodeName, String>, files: &NodeFiles) -> String {
    let mut text = Vec::new();
    for node in missing.iter().take(SHOWN) {
        let log = files.log(node);
        text.push(format!("{node} ({}):\n{}", log.display(), tail(&log)));
        if let Some(line) = other.get(node) {
            text.push(format!("  it printed `{line}`, which is not its ready event"));
        }
    }
    if missing.len() > SHOWN {
        let names: Vec<_> = missing.iter().skip(SHOWN).take(20).map(NodeName::as_str).collect();
        let more = if missing.len() > SHOWN + names.len() { ", …" } else { "" };
        text.push(format!("and {}{more}", names.join(", ")));
    }
    text.join("\n")
}

/// The last lines of a file, indented; a sentence if there are none.
pub(super) fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut end = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut end)?;
        Ok(end)
    };
    match read() {
        Ok(end) if end.is_empty() => "  (nothing was logged)".to_owned(),
        Ok(end) => {
            let text = String::from_utf8_lossy(&end);
            let lines: Vec<_> = text.lines().collect();
            let last = lines.iter().skip(lines.len().saturating_sub(TAIL_LINES));
            last.map(|line| format!("  {}", harmless(line))).collect::<Vec<_>>().join("\n")
        }
        Err(error) => format!("  (its log cannot be read: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_nodes_own_ready_event_counts() {
        let node: NodeName = "edge-0".parse().unwrap();
        let ready = |by: &str| {
            format!(r#"{{"node":"{by}","t":0,"event":"ready","role":"edge","listen":"10.0.0.1:80","version":"1"}}"#)
        };
        assert!(is_ready(&node, &ready("edge-0")));
        assert!(!is_ready(&node, &ready("edge-1")));
        assert!(!is_ready(&node, r#"{"node":"edge-0","t":0,"event":"started"}"#));
        assert!(!is_ready(&node, "ready"));
    }

    #[test]
    fn the_tail_is_the_last_lines() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("x.log");
        let lines: Vec<_> = (0..1000).map(|n| format!("line {n}")).collect();
        std::fs::write(&log, lines.join("\n")).unwrap();
        assert_eq!(tail(&log).lines().count(), TAIL_LINES);
        assert!(tail(&log).ends_with("  line 999"));
        std::fs::write(&log, "").unwrap();
        assert_eq!(tail(&log), "  (nothing was logged)");
        std::fs::write(&log, "\x1b[31mred\0").unwrap();
        assert_eq!(tail(&log), r"  \u{1b}[31mred\0");
        assert!(tail(&directory.path().join("absent")).contains("cannot be read"));
    }
}
