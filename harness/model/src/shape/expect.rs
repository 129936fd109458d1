//! The keys of an expectation: the metrics, and the bounds on them.

use crate::shape::{Form, Key, Need, Shape};

/// In the unit of some metric.
const VALUE: Form = Form::Either(&[
    Form::Number(0.0, 1e15),
    Form::Share,
    Form::Rate,
    Form::Size(0, 1 << 50),
    Form::Time(std::time::Duration::ZERO, crate::limits::DURATION.1),
    Form::Difference,
]);

pub(crate) static BOUND: Shape = Shape {
    name: "a bound",
    doc: "What a value must be. A number in the metric's unit, a percentage for shares (and for `downloads.…`: of the downloads \
          planned), a rate for speeds, a time for what is in milliseconds, or a size for bytes. With `over`: where the values go.",
    keys: &[
        Key { name: "at_least", form: VALUE, need: Need::Optional("no lower bound"), doc: "At least this." },
        Key { name: "at_most", form: VALUE, need: Need::Optional("no upper bound"), doc: "At most this." },
        Key {
            name: "within",
            form: Form::List(&VALUE),
            need: Need::Optional("`at_least` and `at_most` say it"),
            doc: "Both at once: `within: [40%, 60%]`.",
        },
        Key {
            name: "of",
            form: Form::NameOf("arm"),
            need: Need::Optional("the bound is in the metric's unit"),
            doc: "The bound is so many times the value of this arm: `speed_mbps.p50: {at_least: 0.97, of: edge-only}`. \
                  Without `arm` every other arm is compared with it.",
        },
        Key {
            name: "minus",
            form: Form::NameOf("arm"),
            need: Need::Optional("nothing is taken from the value"),
            doc: "The bound is on the difference: the value less that of this arm. `pause_rate: {at_most: 2%, minus: edge-only}`: at \
                  most two points more; `at_least: -5%`: at most five points less.",
        },
        Key {
            name: "trend",
            form: Form::Words(&["rising", "falling", "flat"]),
            need: Need::Optional("required with `over`"),
            doc: "Where the medians go in the order of the matrix. `rising`: no step goes down by more than `slack`, and the last is \
                  above the first by more than that; `falling`: likewise; `flat`: all are within `slack` of one another.",
        },
        Key {
            name: "slack",
            form: VALUE,
            need: Need::Default("0"),
            doc: "How far a step may go the other way, in the metric's unit; a percentage of what is no share is of the largest value. \
                  Required with `flat`.",
        },
    ],
};

pub(crate) static CLAIM: Shape = Shape {
    name: "a claim",
    doc: "Something that the experiment is to show, with `shown_by` or `untestable`. The results say of each whether it is shown.",
    keys: &[
        Key { name: "claim", form: Form::Text, need: Need::Required, doc: "What is claimed, in a sentence." },
        Key {
            name: "source",
            form: Form::Text,
            need: Need::Optional("it is the project's own"),
            doc: "Where it is from: `Figure 6`. Required unless `basis` is `ours`.",
        },
        Key {
            name: "says",
            form: Form::Text,
            need: Need::Optional("what it claims"),
            doc: "What the source says of it, with its figures.",
        },
        Key {
            name: "basis",
            form: Form::Words(&["paper", "recalled", "ours"]),
            need: Need::Required,
            doc: "How well that is known. `paper`: it stands there; `recalled`: it is remembered and was not checked; `ours`: the \
                  project's own.",
        },
        Key {
            name: "shown_by",
            form: Form::List(&Form::Map(&EXPECTATION)),
            need: Need::Optional("it is `untestable`"),
            doc: "What shows it: all of these must hold.",
        },
        Key {
            name: "untestable",
            form: Form::Text,
            need: Need::Optional("`shown_by` shows it"),
            doc: "Why nothing here can show it.",
        },
    ],
};

/// The names of metrics.
pub(crate) fn metric_names() -> impl Iterator<Item = &'static str> + Clone {
    EXPECTATION.keys.iter().filter(|key| matches!(key.form, Form::Map(_))).map(|key| key.name)
}

const fn metric(name: &'static str, doc: &'static str) -> Key {
    Key { name, form: Form::Map(&BOUND), need: Need::Optional("nothing is expected of it"), doc }
}

pub(crate) static EXPECTATION: Shape = Shape {
    name: "an expectation",
    doc: "What the experiment expects of the metrics of an arm's runs: bounds by metric; with `over`, trends.",
    keys: &[
        Key {
            name: "arm",
            form: Form::NameOf("arm"),
            need: Need::Optional("every arm"),
            doc: "The arm that it is about.",
        },
        Key {
            name: "over",
            form: Form::Text,
            need: Need::Optional("every arm by itself"),
            doc: "A path of the matrix over which metrics have a `trend`; `arm` names one of `arms` then. Of a matrix with several \
                  paths each series is judged in which only this one changes.",
        },
        metric("peer_efficiency", "The same as `peer_efficiency.bytes`."),
        metric("peer_efficiency.bytes", "Bytes from peers / bytes from peers and edges, over all downloads."),
        metric("peer_efficiency.mean", "The mean of that share over the downloads."),
        metric("pause_rate", "Downloads that the user paused before completion / downloads started."),
        metric("speed_mbps.p10", "The 10th percentile of the downloads' average speeds, in Mbit/s."),
        metric("speed_mbps.p50", "Their median."),
        metric("speed_mbps.p90", "Their 90th percentile."),
        metric(
            "speed_wall_mbps.p10",
            "The 10th percentile of the speeds with pauses and absence counted in, in Mbit/s.",
        ),
        metric("speed_wall_mbps.p50", "Their median."),
        metric("speed_wall_mbps.p90", "Their 90th percentile."),
        metric(
            "speed_ranked_mbps.p10",
            "The 10th percentile of the speeds with failed and unfinished downloads as 0, in Mbit/s.",
        ),
        metric("speed_ranked_mbps.p50", "Their median."),
        metric("speed_ranked_mbps.p90", "Their 90th percentile."),
        metric("startup_ms.p50", "The median time to a download's first byte, in milliseconds."),
        metric("startup_ms.p90", "Its 90th percentile."),
        metric("downloads.planned", "Downloads in the plan."),
        metric("downloads.started", "Downloads that users asked for."),
        metric("downloads.completed", "Downloads that were received and verified whole."),
        metric("downloads.paused", "Downloads that the user paused and never resumed."),
        metric("downloads.aborted", "Downloads that the user gave up."),
        metric("downloads.lost", "Downloads whose node was killed before it could tell how they ended."),
        metric("downloads.failed", "Downloads that the system could not deliver."),
        metric("rejected_pieces", "Pieces that failed their hash."),
        metric("accounting.accused", "Peers whose usage reports must be lies."),
        metric("accounting.disputes", "Pairs of which one lied and nobody was singled out."),
        metric("accounting.false_accusations", "Peers that were accused and whose reports are true."),
        metric("accounting.missed", "Peers that reported lies and were not accused."),
        metric("offences.told", "Offences against the rules that nodes saw."),
        metric("offences.offenders", "Nodes that committed them, counted once for each kind."),
        metric("offences.honest", "Those of them that keep the rules."),
        metric("downloads.unfinished", "Downloads that the end of the run cut off."),
        metric("pause_terminal_rate", "Downloads that were paused and never resumed / downloads started."),
        metric("pause_resumed_rate", "Downloads that were paused and resumed / downloads started."),
        metric("failure_rate", "Downloads that the system could not deliver / downloads started."),
        metric("stalled_rate", "Downloads that stood still for two seconds or more while active / downloads started."),
        metric("stalls", "How often they did."),
        metric("offline_rate", "Downloads whose machine was away meanwhile / downloads started."),
        metric("moved_rate", "Downloads whose peer changed its address meanwhile / downloads started."),
        metric(
            "inter_as.top_share",
            "The share of the inter-AS bytes of peers that the AS sent which sent most of them.",
        ),
        metric("bytes.edge", "Content bytes from edges."),
        metric("bytes.peer", "Content bytes from peers."),
        metric("bytes.intra_as", "Content bytes between peers of one AS."),
        metric("bytes.inter_as", "Content bytes between peers of different ASes."),
        metric("bytes.inter_as_by_login", "The same by the login log alone."),
        metric("bytes.wasted", "Content bytes that were received and not used."),
        metric("bytes.misattributed", "Content bytes from peers that the login log puts in the wrong AS."),
        metric("edge_peak_egress_mbps", "The most that all edges together sent in one second, in Mbit/s."),
        metric("fluid_bound.seconds", "The fluid bound of a crowd's distribution time, in seconds."),
        metric("fluid_bound.first", "The first completion of a crowd against it."),
        metric("fluid_bound.last", "The last completion of a crowd against the fluid bound of its distribution time."),
        metric("requests.served", "Requests for content that edges served."),
        metric("requests.refused", "Requests that edges answered with 503."),
        metric("moves", "Changes of address that peers told of."),
        metric("packets.missed", "Packets that came to addresses which their hosts had left."),
        metric("packets.nat_dropped", "Packets that address translation dropped."),
        metric("registry_recovery_ms.p50", "The median time until a lost registry is whole again, in milliseconds."),
        metric("control_refusals", "What the control plane refused as too much."),
        metric("copies_registered.p50", "The median of the copies registered when a download first asked for peers."),
        metric("peers_returned.p50", "The median number of peers in the first answer to a download."),
        metric("peers_returned.mean", "Their mean."),
        metric("bytes.control", "Wire bytes to and from the control plane."),
        metric("bytes.intra_lan", "Content bytes between peers of one LAN."),
        metric("bytes.transit", "Content bytes of peers, once for each link between ASes that they crossed."),
        metric("edge_p95_egress_mbps", "What all edges together sent a second, its 95th percentile, in Mbit/s."),
        metric("control_messages_per_download", "Messages to and from the control plane / downloads started."),
        metric("cpu_s_per_gb", "Seconds of the machine's processors for each GB of content that downloads used."),
        metric("pause_by_size.smallest", "The pause rate of the smallest class of sizes."),
        metric("pause_by_size.largest", "The same of the largest."),
        metric("providers.least", "Downloads that used peers / downloads, of the provider of which that is least."),
        metric("providers.most", "The same of the one of which it is most."),
        metric("places.least", "Peer efficiency in the country (else the region) in which it is least."),
        metric("places.most", "The same where it is most."),
        metric("lan.copies_share", "Downloads at whose start another peer of the LAN had a copy / downloads started."),
        metric("lan.served_share", "Downloads that used bytes of another peer of the LAN / downloads started."),
        metric("as.gini", "The Gini coefficient of the inter-AS bytes that ASes sent."),
        metric("as.intra_share", "Of the content bytes of peers, those inside one AS."),
        metric("as.silent_share", "ASes with peers that sent nothing to other ASes / ASes with peers."),
        metric("as.symmetry", "abs(up − down) / (up + down) of inter-AS bytes, summed over ASes."),
        metric("as.direct_share", "Of the inter-AS bytes, those between ASes with a direct link."),
        metric("as.mean_hops", "Links between ASes that an inter-AS byte crossed, on average."),
        metric("as.heavy", "Heavy uploaders: the fewest ASes that together sent 90 % of the inter-AS bytes."),
        metric("as.heavy_share", "Heavy uploaders / ASes with peers."),
        metric("as.heavy_symmetry", "The symmetry of heavy uploaders alone."),
        metric("as.pair_symmetry", "The same over pairs of them."),
        metric("as.heavy_direct_share", "Of the bytes between heavy uploaders, those between ASes with a direct link."),
        metric("as.heavy_peers_ratio", "The median number of peers' addresses in a heavy uploader / in another AS."),
    ],
};
