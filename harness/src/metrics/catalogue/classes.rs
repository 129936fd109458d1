//! Metrics of downloads by class, and in local networks.

use super::{Definition, higher, lower, neither};

pub(super) const DEFINITIONS: &[Definition] = &[
    lower(
        "pause_rate_by_size",
        "share",
        "`pause_rate` by `size` of the object ([classes](#classes-of-downloads)); with the label `delivery`, of \
         those alone that the policies leave to the edges (`edge-only`) or not (`peer-assisted`)",
    ),
    lower("pause_rate_of_smallest", "share", "`pause_rate` of the smallest class of sizes, where there are several"),
    lower("pause_rate_of_largest", "share", "the same of the largest"),
    neither("peer_share_of_providers", "share", "one value for each provider: its `peer_share_by_provider`"),
    neither(
        "peer_efficiency_of_places",
        "share",
        "one value for each country, or for each region where no country is known: its peer efficiency by bytes",
    ),
    higher(
        "peer_share_by_provider",
        "share",
        "by `provider`: downloads that used any byte from peers / downloads that used any byte",
    ),
    higher("peer_efficiency_by_provider", "share", "`peer_efficiency` by `provider`"),
    higher(
        "peer_efficiency_by_region",
        "share",
        "the same by `region`; `class` is that of the paper's Figure 8: `edge-over-peer`, `edge-50-to-100` (per \
         cent of the bytes from peers), `edge-under-50`",
    ),
    higher(
        "peer_efficiency_by_country",
        "share",
        "the same by `country`, with its `class`; ASes of which the topology does not know the country are left out",
    ),
    higher(
        "peer_efficiency_by_copies",
        "share",
        "the same by `copies` registered, in classes; downloads without an answer are left out",
    ),
    higher(
        "peer_efficiency_by_returned",
        "share",
        "the same by peers `returned`, each number by itself up to 40; downloads without an answer are left out",
    ),
    higher(
        "speed_by_source",
        "Mbit/s",
        "`speed_mbps` of completed downloads by `source` of their bytes: `edge-only`, `up-to-50%-peer`, \
         `over-50%-peer`; with the label `as`, of the downloads of one AS. The source is an outcome: such classes \
         differ in more than it",
    ),
    neither("bytes.intra_lan", "B", "content bytes that peers sent to others of their own LAN (key `lan` of a group)"),
    neither(
        "lan_copies_share",
        "share",
        "downloads at whose start another peer of the LAN, one that uploads and ran, had a whole copy (by the plan, \
         or completed and not evicted) / started",
    ),
    neither("lan_served_share", "share", "downloads that used bytes of another peer of the LAN / started"),
];
