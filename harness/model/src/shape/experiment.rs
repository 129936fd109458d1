//! The keys of an experiment file.

use std::time::Duration;

use crate::{
    limits,
    shape::{
        Form, Key, MOMENT, Need, Shape,
        policy::POLICY,
        topology::{DELAY_KEY, DIRECTION, JITTER_KEY, LOSS_KEY, QUEUE_KEY, TRACE_KEY},
        users::{BUSY, PROVIDER, SESSIONS},
        workload::WORKLOAD,
    },
};

pub(crate) static CONTENT: Shape = Shape {
    name: "a content object",
    doc: "An object that is downloaded. Its bytes are generated, but every one of them crosses the network.",
    keys: &[
        Key { name: "id", form: Form::Name, need: Need::Required, doc: "Its name, unique." },
        Key {
            name: "size",
            form: Form::Size(limits::SIZE.0, limits::SIZE.1),
            need: Need::Required,
            doc: "Its size; at most 262144 pieces.",
        },
        Key { name: "provider", form: Form::Name, need: Need::Required, doc: "The customer whose content it is." },
        Key {
            name: "peers",
            form: Form::Words(&["allowed", "forbidden"]),
            need: Need::Optional("as its provider has it"),
            doc: "Whether the provider lets peers distribute it.",
        },
        Key {
            name: "piece",
            form: Form::Size(limits::PIECE.0, limits::PIECE.1),
            need: Need::Default("256KiB"),
            doc: "What is checked and exchanged as one: every piece but the last has this size.",
        },
    ],
};

const NAT_CLASSES: &[&str] = &["none", "full-cone", "port-restricted", "symmetric", "blocked"];

const fn nat_class(name: &'static str, doc: &'static str) -> Key {
    Key { name, form: Form::Share, need: Need::Default("0%"), doc }
}

pub(crate) static NAT: Shape = Shape {
    name: "shares of NAT classes",
    doc: "How many of a group's peers are behind which address translation, in the terms of RFC 4787; together 100%. Every \
          peer has an address of its own, so only ports are translated, to drawn ones.",
    keys: &[
        nat_class("none", "No translation; anybody may connect."),
        nat_class("full-cone", "Mapping and filtering independent of the endpoint."),
        nat_class("port-restricted", "Mapping independent of the endpoint, filtering by address and port."),
        nat_class("symmetric", "Mapping and filtering by address and port."),
        nat_class(
            "blocked",
            "No translation, but a firewall: only answers come in, no connection is begun from outside.",
        ),
    ],
};

/// All of the group, or a share of it.
const WHO: Form = Form::Either(&[Form::Flag, Form::Share]);

const SHARE: Key = Key {
    name: "share",
    form: Form::Share,
    need: Need::Default("100%"),
    doc: "How many of the group do it: this share, rounded, drawn.",
};

pub(crate) static STALL: Shape = Shape {
    name: "a stall",
    doc: "Peers that take slots and requests and then give nothing.",
    keys: &[
        SHARE,
        Key {
            name: "trickle",
            form: Form::Rate,
            need: Need::Optional("nothing"),
            doc: "What each gives all the same, over all downloaders.",
        },
    ],
};

pub(crate) static INFLATE: Shape = Shape {
    name: "an inflation",
    doc: "Peers whose usage reports are lies.",
    keys: &[
        SHARE,
        Key {
            name: "factor",
            form: Form::Whole(limits::INFLATE.0, limits::INFLATE.1),
            need: Need::Default("3"),
            doc: "They report so many times what they sent and received, and an object sent to each peer that they were told \
                  of and never served.",
        },
    ],
};

pub(crate) static FLOOD: Shape = Shape {
    name: "a flood",
    doc: "Peers that flood the control plane: with logins, and with queries whose tokens are forged.",
    keys: &[
        SHARE,
        Key {
            name: "per_second",
            form: Form::Whole(limits::FLOOD.0, limits::FLOOD.1),
            need: Need::Default("50"),
            doc: "Messages of each, a second.",
        },
        Key {
            name: "lasts",
            form: Form::Time(Duration::ZERO, limits::DURATION.1),
            need: Need::Default("10s"),
            doc: "For so long from the start.",
        },
    ],
};

pub(crate) static BEHAVIOUR: Shape = Shape {
    name: "a behaviour",
    doc: "What peers of attackers do. Each is `true` for all of the group or a share of it, drawn apart from the others; a peer \
          may have several.",
    keys: &[
        Key {
            name: "corrupt",
            form: WHO,
            need: Need::Default("false"),
            doc: "They damage every piece that they upload.",
        },
        Key {
            name: "stall",
            form: Form::Either(&[Form::Flag, Form::Share, Form::Map(&STALL)]),
            need: Need::Default("false"),
            doc: "They take slots and requests and then give nothing.",
        },
        Key {
            name: "inflate",
            form: Form::Either(&[Form::Flag, Form::Share, Form::Map(&INFLATE)]),
            need: Need::Default("false"),
            doc: "Their usage reports are lies.",
        },
        Key {
            name: "flood",
            form: Form::Either(&[Form::Flag, Form::Share, Form::Map(&FLOOD)]),
            need: Need::Default("false"),
            doc: "They flood the control plane.",
        },
        Key {
            name: "ignore-caps",
            form: WHO,
            need: Need::Default("false"),
            doc: "They upload without any limit, and ask for more at once than others allow.",
        },
        Key {
            name: "malformed",
            form: WHO,
            need: Need::Default("false"),
            doc: "They send frames that nobody can decode, too long ones, and content that nobody asked for, to the peers that \
                  they meet or are told of and to the control plane.",
        },
    ],
};

pub(crate) static GROUP: Shape = Shape {
    name: "a group",
    doc: "Peers declared together: `NAME-0`, `NAME-1`, …",
    keys: &[
        Key {
            name: "name",
            form: Form::Name,
            need: Need::Required,
            doc: "Its name, unique; not `edge`, `edges`, `control` or `database`.",
        },
        Key { name: "as", form: Form::NameOf("AS"), need: Need::Required, doc: "Where its peers are attached." },
        Key { name: "peers", form: Form::Whole(1, limits::NODES), need: Need::Required, doc: "How many." },
        Key {
            name: "access",
            form: Form::NameOf("access profile"),
            need: Need::Required,
            doc: "Their access link: a profile of the AS or a shared one.",
        },
        Key {
            name: "uploads",
            form: Form::Share,
            need: Need::Optional("`100%`, or as `installer` has it"),
            doc: "How many of them upload at all: exactly this share, rounded, drawn.",
        },
        Key {
            name: "installer",
            form: Form::NameOf("provider"),
            need: Need::Optional("`uploads` says it"),
            doc: "The provider with whose installer they came; they upload if it leaves uploads on. Instead of `uploads`.",
        },
        Key {
            name: "switched",
            form: Form::Share,
            need: Need::Default("0%"),
            doc: "How many of their users changed that setting before the run: exactly this share, rounded, drawn.",
        },
        Key {
            name: "toggles",
            form: Form::PerTime,
            need: Need::Optional("nobody switches"),
            doc: "How often each of their users switches uploads off or on during the run: a Poisson process.",
        },
        Key {
            name: "busy",
            form: Form::Map(&BUSY),
            need: Need::Optional("the link is theirs"),
            doc: "When their users use the link for something else; `policy.uploads.while_busy` says what that means.",
        },
        Key {
            name: "sessions",
            form: Form::Map(&SESSIONS),
            need: Need::Optional("they are always there"),
            doc: "When their machines are there. While one is away, its downloads stand still; a download that would begin then \
                  begins when it is back.",
        },
        Key {
            name: "clones",
            form: Form::Whole(1, limits::NODES),
            need: Need::Default("1"),
            doc: "So many in a row are copies of one installation: they have one GUID, and had one secondary GUID before the run.",
        },
        Key {
            name: "rollback",
            form: Form::Share,
            need: Need::Default("0%"),
            doc: "How many of them begin their second session from an image of their disk that is older than the run, so that \
                  they no longer know the secondary GUID of the first: this share, rounded, drawn; with `sessions`.",
        },
        Key {
            name: "holds",
            form: Form::Named("content", &Form::Whole(0, limits::NODES)),
            need: Need::Optional("nothing"),
            doc: "How many of them hold a copy at the start, drawn apart from who uploads; a copy is only of use where its \
                  holder uploads.",
        },
        Key {
            name: "behaviour",
            form: Form::Map(&BEHAVIOUR),
            need: Need::Optional("they keep the rules"),
            doc: "What they do against the rules: attackers.",
        },
        Key {
            name: "lan",
            form: Form::Name,
            need: Need::Optional("each peer is on its own"),
            doc: "The local network that its peers share, with other groups of the same AS that say the same word. It counts for the choice \
                  of peers; packets between them still cross their access links.",
        },
        Key {
            name: "nat",
            form: Form::Either(&[Form::Words(NAT_CLASSES), Form::Map(&NAT)]),
            need: Need::Default("none"),
            doc: "The address translation between them and their access links: the same for all, or a share of them for \
                  each class, rounded, drawn. `none`: none. `full-cone`: anybody may connect to the port that it gives a \
                  host's port. `port-restricted`: only who was dialled, from the port that was dialled. `symmetric`: the \
                  same, with another port for each remote. `blocked`: ports stay, and no connection comes in. The peers are \
                  told their class. The `tc` engine refuses it.",
        },
        Key {
            name: "command",
            form: Form::List(&Form::Text),
            need: Need::Optional("the project's own peer"),
            doc: "The program and its arguments to run instead; `--config FILE` is appended. A program with a `/` in it is a path from the directory where `peerbed` was started (not from this file), any other is looked up in PATH. With `image`: the arguments behind the image's entrypoint, in place of the image's own command.",
        },
        Key {
            name: "image",
            form: Form::Text,
            need: Need::Optional("the project's own"),
            doc: "The container image whose program is run instead, for the docker runtime: its entrypoint, then `command` (else \
                  the image's own command), then `--config FILE`. It must be in the engine already, it is never pulled; at \
                  most 255 bytes without whitespace.",
        },
        Key {
            name: "memory",
            form: Form::Size(limits::MEMORY.0, limits::MEMORY.1),
            need: Need::Default("256MiB"),
            doc: "The most memory that the container of one of its peers may use; the docker runtime enforces it, the others \
                  do not.",
        },
        Key {
            name: "pids",
            form: Form::Whole(limits::PIDS.0, limits::PIDS.1),
            need: Need::Default("256"),
            doc: "The most processes and threads that one of its peers may have, counted together; enforced like `memory`.",
        },
    ],
};

/// How long something that happens from outside may last.
pub(crate) const LASTS: (Duration, Duration) = (Duration::from_millis(1), limits::DURATION.1);

const UNCHANGED: Need = Need::Optional("unchanged");

pub(crate) static ACTION: Shape = Shape {
    name: "an action",
    doc: "Something that happens from outside.",
    keys: &[
        Key { name: "at", form: MOMENT, need: Need::Required, doc: "When, since the start of the run." },
        Key {
            name: "do",
            form: Form::Words(&[
                "kill",
                "restart",
                "freeze",
                "thaw",
                "set-link",
                "cut-link",
                "heal-link",
                "partition",
                "heal",
                "set-access",
                "wipe",
                "outage",
            ]),
            need: Need::Required,
            doc: "`kill`: the process is killed. `restart`: it is started again. `freeze`: it stands still, its sockets \
                  stay. `thaw`: it goes on. `set-link`, `set-access`: a link changes; what is not said stays as it is. \
                  `cut-link`: a link loses whatever comes to it, `heal-link`: no longer. `partition`: all links between some ASes \
                  and all others are cut, `heal`: no longer, unless something else cuts them. \
                  `wipe`: a node of the control plane forgets its soft state. `outage`: an edge answers every request with \
                  503 and `Retry-After` for a time; what it serves already goes on.",
        },
        Key {
            name: "node",
            form: Form::NameOf("node"),
            need: Need::Optional("it is about a link"),
            doc: "Whom it happens to, for example `control-0`.",
        },
        Key {
            name: "group",
            form: Form::NameOf("group"),
            need: Need::Optional("it is about a node"),
            doc: "Instead of a node: peers of this group; for `kill` and `freeze` of those that run, for `restart` of those \
                  that were killed, for `thaw` of those that were frozen.",
        },
        Key {
            name: "share",
            form: Form::Share,
            need: Need::Optional("all of those"),
            doc: "How many of the group's peers: this share of all of them, rounded, at least one, drawn from those; the same in \
                  every arm.",
        },
        Key {
            name: "ases",
            form: Form::List(&Form::NameOf("AS")),
            need: Need::Optional("`heal`: all partitions end"),
            doc: "The ASes that are cut off from all others, but not from each other; for `partition` and `heal`.",
        },
        Key {
            name: "for",
            form: Form::Time(LASTS.0, LASTS.1),
            need: Need::Optional("required with `outage`"),
            doc: "How long; for `outage`.",
        },
        Key {
            name: "link",
            form: Form::NameOf("link"),
            need: Need::Optional("it is about a node"),
            doc: "Which link between ASes, for example `isp-x~transit`; for `set-link`, `cut-link` and `heal-link`.",
        },
        Key { name: "rate", form: Form::Rate, need: UNCHANGED, doc: "Each direction's new rate; for `set-link`." },
        Key { need: UNCHANGED, doc: "A trace instead, which begins then; for `set-link`.", ..TRACE_KEY },
        Key {
            name: "up",
            form: Form::Either(&[Form::Rate, Form::Map(&DIRECTION)]),
            need: UNCHANGED,
            doc: "The new uplink; for `set-access`.",
        },
        Key {
            name: "down",
            form: Form::Either(&[Form::Rate, Form::Map(&DIRECTION)]),
            need: UNCHANGED,
            doc: "The new downlink; for `set-access`.",
        },
        Key { need: UNCHANGED, ..DELAY_KEY },
        Key { need: UNCHANGED, ..JITTER_KEY },
        Key { need: UNCHANGED, ..LOSS_KEY },
        Key { need: UNCHANGED, ..QUEUE_KEY },
        Key {
            name: "forward",
            form: Form::Map(&DIRECTION),
            need: UNCHANGED,
            doc: "What changes in the direction named first alone; for `set-link`.",
        },
        Key {
            name: "backward",
            form: Form::Map(&DIRECTION),
            need: UNCHANGED,
            doc: "What changes in the other direction alone; for `set-link`.",
        },
    ],
};

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
            doc: "The bound is so many times the value of this arm: `speed_mbps.p50: {at_least: 0.97, of: edge-only}`.",
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
        metric(
            "inter_as.top_share",
            "The share of the inter-AS bytes of peers that the AS sent which sent most of them.",
        ),
        metric("bytes.edge", "Content bytes from edges."),
        metric("bytes.peer", "Content bytes from peers."),
        metric("bytes.intra_as", "Content bytes between peers of one AS."),
        metric("bytes.inter_as", "Content bytes between peers of different ASes."),
        metric("fluid_bound.last", "The last completion of a crowd against the fluid bound of its distribution time."),
        metric("requests.refused", "Requests that edges answered with 503."),
        metric("bytes.control", "Wire bytes to and from the control plane."),
    ],
};

pub(crate) static TOLERANCE: Shape = Shape {
    name: "a tolerance",
    doc: "How far links may be from what was asked for when they are calibrated before a run; a run whose links are \
          farther off does not begin.",
    keys: &[
        Key { name: "rate", form: Form::Share, need: Need::Default("2%"), doc: "Of a rate." },
        Key {
            name: "round_trip",
            form: Form::Time(Duration::from_micros(1), limits::DELAY.1),
            need: Need::Default("500us"),
            doc: "Of the median round trip, whatever its length.",
        },
        Key {
            name: "round_trip_share",
            form: Form::Share,
            need: Need::Default("2%"),
            doc: "Of the median round trip, as a share of it; the larger of the two counts.",
        },
        Key {
            name: "loss_deviations",
            form: Form::Number(1.0, 100.0),
            need: Need::Default("4"),
            doc: "Of the number of lost packets: so many standard deviations of what chance gives.",
        },
        Key {
            name: "queue",
            form: Form::Share,
            need: Need::Default("5%"),
            doc: "Of what may wait in front of a link, beside two packets.",
        },
    ],
};

/// The whole file.
pub(crate) static EXPERIMENT: Shape = Shape {
    name: "an experiment",
    doc: "An experiment is a file in `experiments/`; its name is the file's name without `.yaml`.",
    keys: &[
        Key { name: "question", form: Form::Text, need: Need::Required, doc: "What it asks, in a sentence." },
        Key {
            name: "topology",
            form: Form::NameOf("topology"),
            need: Need::Required,
            doc: "The network: the name of a file in `topologies/`.",
        },
        Key {
            name: "seed",
            form: Form::Whole(0, limits::SEED),
            need: Need::Required,
            doc: "Everything that is drawn comes from it; each repeat has a seed of its own, derived from this one.",
        },
        Key {
            name: "duration",
            form: Form::Time(limits::DURATION.0, limits::DURATION.1),
            need: Need::Required,
            doc: "The run ends at this time even if downloads are under way.",
        },
        Key {
            name: "providers",
            form: Form::Named("provider", &Form::Map(&PROVIDER)),
            need: Need::Optional("peers are allowed, uploads are on"),
            doc: "What providers decided for their content and their installations.",
        },
        Key {
            name: "content",
            form: Form::List(&Form::Map(&CONTENT)),
            need: Need::Required,
            doc: "What can be downloaded, at most 1000 objects.",
        },
        Key {
            name: "groups",
            form: Form::List(&Form::Map(&GROUP)),
            need: Need::Required,
            doc: "The peers, in at most 256 groups.",
        },
        Key {
            name: "workload",
            form: Form::Either(&[Form::Map(&WORKLOAD), Form::List(&Form::Map(&WORKLOAD))]),
            need: Need::Optional("nobody asks for anything"),
            doc: "The downloads: one workload, or a list of at most 16. At most 200000 downloads a run.",
        },
        Key {
            name: "policy",
            form: Form::Map(&POLICY),
            need: Need::Optional("the defaults"),
            doc: "What the system does.",
        },
        Key {
            name: "congestion_control",
            form: Form::Name,
            need: Need::Default("cubic"),
            doc: "TCP congestion control of every node, as the kernel calls it.",
        },
        Key {
            name: "engine",
            form: Form::Words(&["auto", "tc", "wire"]),
            need: Need::Default("wire"),
            doc: "What makes links behave, unless `--engine` says it: Peerbed itself, the kernel, or the kernel where it can.",
        },
        Key {
            name: "tolerance",
            form: Form::Map(&TOLERANCE),
            need: Need::Optional("the defaults"),
            doc: "How far links may be from what was asked for.",
        },
        Key {
            name: "arms",
            form: Form::Named("name of an arm", &Form::Named("path", &Form::Any)),
            need: Need::Required,
            doc: "The variants: what each sets otherwise, by path.",
        },
        Key {
            name: "timeline",
            form: Form::List(&Form::Map(&ACTION)),
            need: Need::Optional("nothing happens"),
            doc: "What happens from outside.",
        },
        Key {
            name: "repeats",
            form: Form::Whole(1, limits::REPEATS),
            need: Need::Default("1"),
            doc: "How many runs of every arm.",
        },
        Key {
            name: "expect",
            form: Form::List(&Form::Map(&EXPECTATION)),
            need: Need::Optional("nothing is expected"),
            doc: "What the results should be.",
        },
    ],
};
