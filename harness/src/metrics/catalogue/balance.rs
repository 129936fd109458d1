//! Metrics of the balance between ASes and of the paths between them.

use super::{Definition, higher, lower, neither};

pub(super) const DEFINITIONS: &[Definition] = &[
    neither(
        "as_sent_bytes",
        "B",
        "for each `as` that has peers or traffic of theirs: content bytes that its peers sent to other ASes",
    ),
    neither("as_received_bytes", "B", "likewise: content bytes that its peers received from peers of other ASes"),
    neither(
        "as_peers",
        "1",
        "likewise: distinct addresses that peers have in it, by the plan and where they moved to, whether or not \
         they sent anything",
    ),
    neither("as_heavy", "1", "likewise: 1 if it is one of the heavy uploaders, else 0"),
    neither(
        "as_symmetry",
        "share",
        "likewise: abs(U − D) / (U + D) of U bytes sent to and D received from other ASes; 0: balanced, 1: all one \
         way",
    ),
    neither(
        "inter_as_gini",
        "1",
        "[Gini coefficient](#balance-between-ases) of `as_sent_bytes` over all ASes with peers; 0: all send the \
         same, near 1: one sends all",
    ),
    higher("intra_as_share", "share", "`bytes.intra_as` / (`bytes.intra_as` + `bytes.inter_as`)"),
    neither(
        "heavy_uploaders",
        "1",
        "ASes in the smallest set that together sends at least 90 % of the inter-AS bytes; of those that sent the \
         same, the lower number first",
    ),
    neither("heavy_uploaders_share", "share", "of the ASes with peers, the heavy uploaders"),
    neither("silent_ases_share", "share", "of the ASes with peers, those that sent nothing to others"),
    neither("inter_as_symmetry", "share", "sum of abs(U − D) / sum of (U + D) over all ASes, as of `as_symmetry`"),
    neither("heavy_symmetry", "share", "the same over the heavy uploaders, whoever is at the other end"),
    neither("pair_symmetry", "share", "the same over the pairs of heavy uploaders: U sent by one to the other, D back"),
    neither("heavy_peers_ratio", "1", "median `as_peers` of the heavy uploaders / median of the other ASes"),
    neither(
        "direct_link_share",
        "share",
        "of the inter-AS bytes, those between two ASes that a link of the topology connects directly",
    ),
    neither("heavy_direct_link_share", "share", "the same of the bytes between two heavy uploaders"),
    lower(
        "transit_bytes",
        "B",
        "content bytes of peers that crossed each `link` between ASes in each `direction` (as in `links.parquet`), \
         by the paths of the plan",
    ),
    lower("transit_bytes_total", "B", "their sum: each byte counts once for each link that it crossed"),
    lower(
        "mean_as_hops",
        "1",
        "`transit_bytes_total` / `bytes.inter_as`: links that an inter-AS byte crossed, on average",
    ),
];
