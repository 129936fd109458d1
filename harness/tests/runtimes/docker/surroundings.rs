//! What of the machine and of the engine no deployment may change: links, addresses, routes, rules of the firewall, settings,
//! and the engine's networks with the addresses they take.

use std::{collections::BTreeMap, process::Command};

use super::{is_required, look::Look};
use crate::support::host;

/// As it is now.
pub(super) async fn now(look: &Look) -> BTreeMap<String, String> {
    let mut found = host();
    for (what, arguments) in [("links", "-o link"), ("addresses", "-o addr"), ("routes", "route show table all")] {
        found.insert(what.to_owned(), told_by("ip", arguments).unwrap_or_else(|| missing("ip")));
    }
    let rules = [("nft", "list ruleset"), ("iptables-save", ""), ("ip6tables-save", "")];
    let rules = rules.map(|(tool, arguments)| (tool, told_by(tool, arguments)));
    if rules.iter().all(|(_, told)| told.is_none()) {
        missing("neither nft nor iptables-save");
    }
    for (tool, told) in rules {
        found.insert(format!("rules as {tool} has them"), told.unwrap_or_default());
    }
    found.insert("networks".to_owned(), format!("{:#?}", look.networks().await));
    found.insert("volumes".to_owned(), format!("{:#?}", look.volumes().await));
    found
}

/// What a tool of the machine says, without its counters and comments; none if it is not there or may not be used.
fn told_by(tool: &str, arguments: &str) -> Option<String> {
    let run = |command: &mut Command| {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let output = command.args(arguments.split_whitespace()).env("PATH", path).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let told = run(&mut Command::new(tool)).or_else(|| run(Command::new("sudo").args(["-n", tool])))?;
    let lines = told.lines().filter(|line| !line.starts_with('#')).map(without_counters);
    Some(lines.collect::<Vec<_>>().join("\n"))
}

/// Without `[12:3456]` of iptables, `packets 12 bytes 3456` of nft, and the times of addresses.
fn without_counters(line: &str) -> String {
    let mut words = Vec::new();
    let mut skip = false;
    for word in line.split_whitespace() {
        let counts = word.starts_with('[') && word.ends_with(']') && word.contains(':');
        if !(skip || counts) {
            words.push(word);
        }
        skip = ["packets", "bytes", "valid_lft", "preferred_lft", "expires"].contains(&word);
    }
    words.join(" ")
}

/// Say that a tool is missing; where Docker has to be there, so has this.
fn missing(tool: &str) -> String {
    let words =
        format!("of the tools of the machine, {tool} cannot be used: what it tells of the machine was NOT compared");
    assert!(!is_required(), "{words}");
    eprintln!("{words}");
    String::new()
}
