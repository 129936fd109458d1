//! The keys of an experiment file.

use std::time::Duration;

use crate::{
    limits,
    shape::{
        Form, Key, MOMENT, Need, Shape,
        expect::{CLAIM, EXPECTATION},
        group::GROUP,
        policy::POLICY,
        topology::{DELAY_KEY, DIRECTION, JITTER_KEY, LOSS_KEY, QUEUE_KEY, TRACE_KEY},
        users::PROVIDER,
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
                "add",
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
                "move",
                "set-policy",
            ]),
            need: Need::Required,
            doc: "`add`: peers come that are not there before. `kill`: the process is killed. `restart`: it is started again. `freeze`: it stands still, its sockets \
                  stay. `thaw`: it goes on. `set-link`, `set-access`: a link changes; what is not said stays as it is. \
                  `cut-link`: a link loses whatever comes to it, `heal-link`: no longer. `partition`: all links between some ASes \
                  and all others are cut, `heal`: no longer, unless something else cuts them. \
                  `wipe`: a node of the control plane forgets its soft state. `outage`: an edge answers every request with \
                  503 and `Retry-After` for a time; what it serves already goes on. `set-policy`: the policy becomes another. \
                  `move`: a peer's host has another address, in this AS or another; its process goes on, its connections are \
                  lost without a word.",
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
                  that were killed, for `thaw` of those that were frozen, for `move` of all. For `add` of those that are not \
                  there yet: what all its `add`s name together is not, from the start on.",
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
            name: "to",
            form: Form::NameOf("AS"),
            need: Need::Optional("required with `move`"),
            doc: "Where they go; for `move`. A place in this AS where they were before is taken again, unless they are there now.",
        },
        Key {
            name: "access",
            form: Form::NameOf("access profile"),
            need: Need::Optional("that of the group"),
            doc: "The access link there; for `move`.",
        },
        Key {
            name: "for",
            form: Form::Time(LASTS.0, LASTS.1),
            need: Need::Optional("required with `outage`"),
            doc: "How long; for `outage`.",
        },
        Key {
            name: "policy",
            form: Form::Named("path", &Form::Any),
            need: Need::Optional("required with `set-policy`"),
            doc: "What of the policy changes, by its path there: `{uploads.per_copy: 2, edge.mode: backstop}`; for `set-policy`. \
                  [What that means](#policies-that-change) for each key.",
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

/// What a report can draw beside its usual figures.
pub(crate) const FIGURES: &[&str] = &[
    "speed-by-source",
    "efficiency-by-copies",
    "efficiency-by-returned",
    "pause-by-size",
    "providers",
    "regions",
    "lan",
    "as-sent",
    "as-balance",
    "as-pairs",
    "as-matrix",
    "sweep",
];

/// A value of a matrix with a name.
pub(crate) static LABELLED: Shape = Shape {
    name: "a labelled value",
    doc: "A value of a matrix under a name of its own. Lists and maps need one, and so does text that cannot be part of the name \
          of an arm.",
    keys: &[
        Key {
            name: "label",
            form: Form::Name,
            need: Need::Required,
            doc: "What it is called in the names of arms: `{label: few, value: {burst: 4}}`.",
        },
        Key { name: "value", form: Form::Any, need: Need::Required, doc: "The value." },
    ],
};

pub(crate) static COMPARED: Shape = Shape {
    name: "a compared metric",
    doc: "A metric by which versions are compared.",
    keys: &[
        Key {
            name: "metric",
            form: Form::NameOf("metric"),
            need: Need::Required,
            doc: "Its name, as in [an expectation](#an-expectation): `speed_ranked_mbps.p50`.",
        },
        Key {
            name: "margin",
            form: Form::Share,
            need: Need::Optional(
                "[the usual one](comparison.md#metrics); 10 %, of proportions 5 points, where there is none",
            ),
            doc: "Changes up to this size do not matter: a share of the value; points of a proportion.",
        },
        Key {
            name: "better",
            form: Form::Words(&["higher", "lower", "neither"]),
            need: Need::Optional("that of [the metric](results.md#metricsjsonl)"),
            doc: "Which direction is an improvement. A metric of which neither is cannot be worse.",
        },
        Key {
            name: "kind",
            form: Form::Words(&["distribution", "proportion", "ratio", "count", "exact"]),
            need: Need::Optional(
                "the usual one; `proportion` for other shares, `distribution` for percentiles, else `count`",
            ),
            doc: "[How its values are compared](comparison.md#metrics): `proportion` by the difference, `exact` by equality, the others by \
                  the quotient.",
        },
        Key {
            name: "decides",
            form: Form::Flag,
            need: Need::Default("true"),
            doc: "Whether the verdict rests on it, or it only informs.",
        },
    ],
};

pub(crate) static COMPARE: Shape = Shape {
    name: "a comparison",
    doc: "How [`peerbed compare`](comparison.md) compares versions of the nodes by this experiment, where the command line does not say it.",
    keys: &[
        Key {
            name: "arm",
            form: Form::NameOf("arm"),
            need: Need::Optional("`--arm` says it, or there is one"),
            doc: "The arm whose runs are compared.",
        },
        Key {
            name: "pairs",
            form: Form::List(&Form::Whole(limits::PAIRS.0, limits::PAIRS.1)),
            need: Need::Default("[8, 16]"),
            doc: "After how many pairs of runs results are looked at; at most five looks, each after more than the one before.",
        },
        Key {
            name: "metrics",
            form: Form::List(&Form::Map(&COMPARED)),
            need: Need::Optional("[the usual ones](comparison.md#metrics) decide"),
            doc: "What decides instead of the usual metrics, at most 32; the usual ones inform.",
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
            doc: "The run ends at this time even if downloads are under way; and before, when every download has ended.",
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
            need: Need::Optional("the matrix says it"),
            doc: "The variants: what each sets otherwise, by path. Required where there is no `matrix`.",
        },
        Key {
            name: "matrix",
            form: Form::Named("path", &Form::List(&Form::Either(&[Form::Map(&LABELLED), Form::Any]))),
            need: Need::Optional("the arms are as they stand"),
            doc: "[Lists of values](#sweeps) by path: every arm is there once for each combination of them; at most 64 arms in all.",
        },
        Key {
            name: "scales",
            form: Form::Named("name of a scale", &Form::Named("path", &Form::Any)),
            need: Need::Optional("there is the file's own alone"),
            doc: "The same experiment in other sizes (`--scale`): what each sets otherwise, by path, before the arms do; \
                  `arms` is a list of those that it has, \
                  `matrix.PATH` another list of values.",
        },
        Key {
            name: "timeline",
            form: Form::List(&Form::Map(&ACTION)),
            need: Need::Optional("nothing happens"),
            doc: "What happens from outside, at one moment in the order of the list; not what would happen after every download has ended.",
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
        Key {
            name: "claims",
            form: Form::List(&Form::Map(&CLAIM)),
            need: Need::Optional("it claims nothing"),
            doc: "What the experiment is to show, at most 64 claims. A claim that is not shown is no failure, unlike `expect`.",
        },
        Key {
            name: "compare",
            form: Form::Map(&COMPARE),
            need: Need::Optional("as usual"),
            doc: "How versions of the nodes are compared by it.",
        },
        Key {
            name: "figures",
            form: Form::List(&Form::Words(FIGURES)),
            need: Need::Optional("the usual ones alone"),
            doc: "What `report.html` draws beside its usual figures.",
        },
    ],
};
