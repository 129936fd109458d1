//! Metrics of traffic.

use super::{Definition, lower, neither};

pub(super) const DEFINITIONS: &[Definition] = &[
    neither(
        "bytes.intra_as",
        "B",
        "content bytes that peers sent inside their own AS, whether they were used or not: with `bytes.inter_as` this \
         may be more than `bytes.peer`, which is what downloads used",
    ),
    lower("bytes.inter_as", "B", "content bytes that peers sent to another AS, whether they were used or not"),
    neither("inter_as_top_share", "share", "of `bytes.inter_as`, what the AS sent that sent most / all"),
    neither("peer_bytes_between", "B", "content bytes that peers sent, by `from` and `to` AS"),
    lower("bytes.control", "B", "wire bytes to and from the control plane"),
    lower("wire_bytes", "B", "wire bytes by `kind`: `edge`, `peer`, `control`"),
    lower("wire_bytes_between", "B", "wire bytes by `from` AS, `to` AS and `kind`"),
    lower(
        "edge_peak_egress_mbps",
        "Mbit/s",
        "the most that the uplinks of all edges together carried in one second, wire bytes; with the label `node`, of \
         one edge alone",
    ),
    lower(
        "edge_egress_mbps",
        "Mbit/s",
        "what the uplinks of all edges together carried in each second of the run, idle ones included: a value for \
         each second",
    ),
    neither("requests.served", "1", "requests for content that edges served; an edge that is killed does not tell"),
    neither("requests.refused", "1", "requests that edges answered with 503, because of their limits or an outage"),
    neither("packets.nat_dropped", "packets", "packets that address translation dropped"),
    neither("packets.missed", "packets", "packets that came to addresses which their hosts had left"),
    lower(
        "cpu_s_per_gb",
        "s",
        "processor seconds (user, system and interrupts) of the whole machine, for each 10^9 content bytes that \
         downloads used: nodes, link engine, harness and whatever else ran",
    ),
];
