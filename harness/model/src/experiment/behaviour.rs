//! What peers of a group do against the rules: how many do what.

use std::time::Duration;

use peerbed_contract::{Flood, Inflate, Misbehaviour, Stall};
use peerbed_link::{Bandwidth, Probability};

use crate::{
    diagnostic::Report,
    limits,
    read::Fields,
    shape::{
        Shape,
        group::{BEHAVIOUR, FLOOD, INFLATE, STALL},
    },
    yaml::{Node, Value},
};

/// One way to misbehave: its name, and how it shows in a peer's configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Deed {
    Corrupt,
    Stall(Stall),
    Inflate(Inflate),
    Flood(Flood),
    IgnoreCaps,
    Malformed,
}

/// So many peers of a group that do something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Culprits {
    pub(crate) deed: Deed,
    pub(crate) count: u32,
}

impl Deed {
    /// Its key.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Deed::Corrupt => "corrupt",
            Deed::Stall(_) => "stall",
            Deed::Inflate(_) => "inflate",
            Deed::Flood(_) => "flood",
            Deed::IgnoreCaps => "ignore-caps",
            Deed::Malformed => "malformed",
        }
    }

    /// Adds it to what a peer does.
    pub(crate) fn join(self, misbehaviour: &mut Misbehaviour) {
        match self {
            Deed::Corrupt => misbehaviour.corrupt = true,
            Deed::Stall(stall) => misbehaviour.stall = Some(stall),
            Deed::Inflate(inflate) => misbehaviour.inflate = Some(inflate),
            Deed::Flood(flood) => misbehaviour.flood = Some(flood),
            Deed::IgnoreCaps => misbehaviour.ignore_caps = true,
            Deed::Malformed => misbehaviour.malformed = true,
        }
    }
}

/// Reads the map; shares are of `peers`. Of what nobody does, nothing is left.
pub(crate) fn decode(node: &Node, peers: u32, report: &mut Report) -> Option<Vec<Culprits>> {
    let fields = report.map(node, &BEHAVIOUR)?;
    let mut all = Vec::new();
    let mut whole = true;
    for (key, node) in fields.given() {
        match read_deed(key, node, report) {
            Some((deed, share)) => {
                all.push(Culprits { deed, count: (share * f64::from(peers)).round() as u32 });
            }
            None => whole = false,
        }
    }
    all.retain(|culprits| culprits.count > 0);
    whole.then_some(all)
}

fn read_deed(key: &str, node: &Node, report: &mut Report) -> Option<(Deed, f64)> {
    match key {
        "corrupt" => Some((Deed::Corrupt, read_who(node, "", report)?)),
        "ignore-caps" => Some((Deed::IgnoreCaps, read_who(node, "", report)?)),
        "malformed" => Some((Deed::Malformed, read_who(node, "", report)?)),
        "stall" => {
            let (fields, share) = read_map(node, &STALL, report)?;
            let trickle = fields.as_ref().and_then(|fields| fields.get("trickle"));
            let trickle_bps = match trickle {
                None => 0,
                Some(node) => {
                    let Bandwidth::Limited(rate) = report.bandwidth(node)? else {
                        report.error(node.span, "a trickle without limit is none").help("write a rate such as `8kbit`");
                        return None;
                    };
                    rate.bps()
                }
            };
            Some((Deed::Stall(Stall { trickle_bps }), share))
        }
        "inflate" => {
            let (fields, share) = read_map(node, &INFLATE, report)?;
            let factor = fields.as_ref().and_then(|fields| fields.get("factor"));
            let factor =
                factor.map_or(Some(3), |node| report.whole(node, limits::INFLATE.0, limits::INFLATE.1))? as u32;
            Some((Deed::Inflate(Inflate { factor }), share))
        }
        _ => {
            let (fields, share) = read_map(node, &FLOOD, report)?;
            let field = |key| fields.as_ref().and_then(|fields| fields.get(key));
            let (per_second, lasts) = (field("per_second"), field("lasts"));
            let rate = per_second.map_or(Some(50), |node| report.whole(node, limits::FLOOD.0, limits::FLOOD.1));
            let ten = Duration::from_secs(10);
            let lasts = lasts.map_or(Some(ten), |node| report.time(node, (Duration::ZERO, limits::DURATION.1)))?;
            Some((Deed::Flood(Flood { per_second: rate? as u32, lasts_ns: lasts.as_nanos() as u64 }), share))
        }
    }
}

/// A map with a share in it, or the share alone.
fn read_map<'n>(node: &'n Node, keys: &'static Shape, report: &mut Report) -> Option<(Option<Fields<'n>>, f64)> {
    if !matches!(node.value, Value::Map(_)) {
        return read_who(node, &format!(", or {} as a map", keys.name), report).map(|share| (None, share));
    }
    let fields = report.map(node, keys)?;
    let share = fields.get("share").map_or(Some(1.0), |node| report.share(node).map(Probability::get))?;
    Some((Some(fields), share))
}

fn read_who(node: &Node, or: &str, report: &mut Report) -> Option<f64> {
    if matches!(&node.value, Value::Scalar { text, .. } if text.ends_with('%')) {
        return report.share(node).map(Probability::get);
    }
    report.word_or(node, &[("true", 1.0), ("false", 0.0)], &format!("a percentage such as `10%`{or}"))
}
