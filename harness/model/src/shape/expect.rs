//! The keys of an expectation: the metrics, and the bounds on them.

use crate::shape::{Form, Key, Need, Shape};

const VALUE: Form = Form::Either(&[Form::Number(0.0, 1e15), Form::Share, Form::Size(0, 1 << 50)]);

pub(crate) static BOUND: Shape = Shape {
    name: "a bound",
    doc: "What a value must be. A number in the metric's unit, a percentage for shares (and for `downloads.completed`: of \
          the downloads planned), or a size for bytes.",
    keys: &[
        Key { name: "at_least", form: VALUE, need: Need::Optional("no lower bound"), doc: "At least this." },
        Key { name: "at_most", form: VALUE, need: Need::Optional("no upper bound"), doc: "At most this." },
        Key {
            name: "of",
            form: Form::NameOf("arm"),
            need: Need::Optional("the bound is in the metric's unit"),
            doc: "The bound is so many times the value of this arm: `speed_mbps.p50: {at_least: 0.97, of: edge-only}`. \
                  Without `arm` every other arm is compared with it.",
        },
    ],
};

const fn metric(name: &'static str, doc: &'static str) -> Key {
    Key { name, form: Form::Map(&BOUND), need: Need::Optional("nothing is expected of it"), doc }
}

pub(crate) static EXPECTATION: Shape = Shape {
    name: "an expectation",
    doc: "What the experiment expects of the metrics of an arm's runs: bounds by metric.",
    keys: &[
        Key {
            name: "arm",
            form: Form::NameOf("arm"),
            need: Need::Optional("every arm"),
            doc: "The arm that it is about.",
        },
        metric("peer_efficiency", "The same as `peer_efficiency.bytes`."),
        metric("peer_efficiency.bytes", "Bytes from peers / bytes from peers and edges, over all downloads."),
        metric("peer_efficiency.mean", "The mean of that share over the downloads."),
        metric("pause_rate", "Downloads that the user paused before completion / downloads started."),
        metric("speed_mbps.p10", "The 10th percentile of the downloads' average speeds, in Mbit/s."),
        metric("speed_mbps.p50", "Their median."),
        metric("speed_mbps.p90", "Their 90th percentile."),
        metric("downloads.started", "Downloads that users asked for."),
        metric("downloads.completed", "Downloads that were received and verified whole."),
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
        metric("bytes.misattributed", "Content bytes from peers that the login log puts in the wrong AS."),
        metric("fluid_bound.last", "The last completion of a crowd against the fluid bound of its distribution time."),
        metric("requests.refused", "Requests that edges answered with 503."),
        metric("bytes.control", "Wire bytes to and from the control plane."),
    ],
};
