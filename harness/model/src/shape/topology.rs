//! The keys of a topology file.

use crate::{
    limits,
    shape::{Form, Key, Need, Shape},
};

const RATE: Form = Form::Rate;
const DELAY: Form = Form::Time(limits::DELAY.0, limits::DELAY.1);
const LOSS: Form = Form::Either(&[Form::Share, Form::Map(&LOSSES)]);

/// Shared by links, access profiles and actions.
pub(crate) const DELAY_KEY: Key =
    Key { name: "delay", form: DELAY, need: Need::Default("0s"), doc: "Propagation delay, one way." };
/// Shared by links, access profiles and actions.
pub(crate) const JITTER_KEY: Key = Key {
    name: "jitter",
    form: DELAY,
    need: Need::Default("0s"),
    doc: "Each packet's delay is drawn evenly from `delay` − `jitter` to `delay` + `jitter`; at most `delay`. Packets are not reordered.",
};
/// Shared by links, access profiles and actions.
pub(crate) const LOSS_KEY: Key = Key {
    name: "loss",
    form: LOSS,
    need: Need::Default("0%"),
    doc: "Packets lost, beside those that the queue drops: each on its own, or in bursts.",
};
/// Shared by links, access profiles and actions.
pub(crate) const QUEUE_KEY: Key = Key {
    name: "queue",
    form: Form::Queue,
    need: Need::Default("100ms"),
    doc: "What may wait in front of the link, as time at its rate (never less than 30 kB) or as bytes; the rest is dropped.",
};

/// Shared by directions, links and actions.
pub(crate) const TRACE_KEY: Key = Key {
    name: "trace",
    form: Form::NameOf("trace"),
    need: Need::Optional("the rate says it"),
    doc: "Instead of a rate: a trace that it follows, from the start of the run or from the action that sets it. For the \
          `wire` engine.",
};

/// One direction of a link, where it differs from the other.
pub(crate) static DIRECTION: Shape = Shape {
    name: "a direction",
    doc: "One direction of a link, where it differs. What is not said is as on the link itself.",
    keys: &[
        Key { name: "rate", form: RATE, need: Need::Optional("as on the link"), doc: "Bits of IP packets a second." },
        Key { need: Need::Optional("as on the link"), ..TRACE_KEY },
        Key { need: Need::Optional("as on the link"), ..DELAY_KEY },
        Key { need: Need::Optional("as on the link"), ..JITTER_KEY },
        Key { need: Need::Optional("as on the link"), ..LOSS_KEY },
        Key { need: Need::Optional("as on the link"), ..QUEUE_KEY },
    ],
};

/// Loss that is more than a percentage.
pub(crate) static LOSSES: Shape = Shape {
    name: "a loss model",
    doc: "Loss in bursts.",
    keys: &[Key {
        name: "gilbert-elliott",
        form: Form::Map(&BURST),
        need: Need::Required,
        doc: "The Gilbert–Elliott model: a good and a bad state, with a transition draw before each packet.",
    }],
};

/// The Gilbert–Elliott model.
pub(crate) static BURST: Shape = Shape {
    name: "a Gilbert–Elliott model",
    doc: "The names are those of `tc-netem`'s `gemodel p r 1-h 1-k`, with `bad` for 1-h and `good` for 1-k.",
    keys: &[
        Key { name: "p", form: Form::Share, need: Need::Required, doc: "From good to bad, per packet." },
        Key { name: "r", form: Form::Share, need: Need::Required, doc: "From bad to good, per packet." },
        Key { name: "bad", form: Form::Share, need: Need::Default("100%"), doc: "Packets lost in the bad state." },
        Key { name: "good", form: Form::Share, need: Need::Default("0%"), doc: "Packets lost in the good state." },
    ],
};

/// An access link.
pub(crate) static ACCESS: Shape = Shape {
    name: "an access profile",
    doc: "The link between a host and its AS. Everything but `up` and `down` holds for each of its directions.",
    keys: &[
        Key {
            name: "up",
            form: Form::Either(&[RATE, Form::Map(&DIRECTION)]),
            need: Need::Default("unlimited"),
            doc: "From the host to its AS: a rate, or a direction of its own.",
        },
        Key {
            name: "down",
            form: Form::Either(&[RATE, Form::Map(&DIRECTION)]),
            need: Need::Default("unlimited"),
            doc: "From the AS to the host: a rate, or a direction of its own.",
        },
        DELAY_KEY,
        JITTER_KEY,
        LOSS_KEY,
        QUEUE_KEY,
    ],
};

pub(crate) static AS: Shape = Shape {
    name: "an AS",
    doc: "An autonomous system.",
    keys: &[
        Key {
            name: "name",
            form: Form::Name,
            need: Need::Required,
            doc: "Its name, unique; links and groups speak of it by this. Not `populated`.",
        },
        Key {
            name: "number",
            form: Form::Whole(1, u32::MAX as u64),
            need: Need::Required,
            doc: "Its AS number, unique.",
        },
        Key {
            name: "region",
            form: Form::Name,
            need: Need::Required,
            doc: "Where it is; ASes that say the same word are near each other for the choice of edges and peers.",
        },
        Key {
            name: "country",
            form: Form::Name,
            need: Need::Optional("the directory knows none"),
            doc: "Its country, as the directory of the control plane tells it and logins record it.",
        },
        Key {
            name: "population",
            form: Form::Whole(0, limits::POPULATION),
            need: Need::Default("0"),
            doc: "How many people live there, beside other ASes: a weight without unit. Groups that are in several ASes are divided \
                  among them by it.",
        },
        Key {
            name: "prefix",
            form: Form::Prefix,
            need: Need::Required,
            doc: "Its block of addresses, /8 to /30; blocks must not overlap. The first and the last address are not used.",
        },
        Key {
            name: "access",
            form: Form::Named("name of a profile", &Form::Map(&ACCESS)),
            need: Need::Optional("the shared profiles alone"),
            doc: "Its own access profiles; one that has the name of a shared profile replaces it in this AS.",
        },
    ],
};

pub(crate) static LINK: Shape = Shape {
    name: "a link",
    doc: "A link between two ASes, shared by every packet that crosses it. Either `customer` and `provider` or `peers` is \
          given. Its name is `customer~provider`, or the two peers in their order: `isp-x~transit`.",
    keys: &[
        Key {
            name: "customer",
            form: Form::NameOf("AS"),
            need: Need::Optional("the link joins `peers`"),
            doc: "The AS that pays.",
        },
        Key {
            name: "provider",
            form: Form::NameOf("AS"),
            need: Need::Optional("the link joins `peers`"),
            doc: "The AS that is paid; it carries the customer's packets to and from everywhere.",
        },
        Key {
            name: "peers",
            form: Form::List(&Form::NameOf("AS")),
            need: Need::Optional("the link joins `customer` and `provider`"),
            doc: "Two ASes that exchange their own and their customers' packets, and nobody else's.",
        },
        Key {
            name: "rate",
            form: RATE,
            need: Need::Default("unlimited"),
            doc: "Bits of IP packets a second, each direction.",
        },
        TRACE_KEY,
        DELAY_KEY,
        JITTER_KEY,
        LOSS_KEY,
        QUEUE_KEY,
        Key {
            name: "forward",
            form: Form::Map(&DIRECTION),
            need: Need::Optional("as on the link"),
            doc: "Where the direction from the customer to the provider, or from the first peer to the second, differs.",
        },
        Key {
            name: "backward",
            form: Form::Map(&DIRECTION),
            need: Need::Optional("as on the link"),
            doc: "Where the other direction differs.",
        },
    ],
};

pub(crate) static INFRASTRUCTURE: Shape = Shape {
    name: "a group of servers",
    doc: "Servers of one kind in one AS.",
    keys: &[
        Key { name: "as", form: Form::NameOf("AS"), need: Need::Required, doc: "Where they are attached." },
        Key { name: "access", form: Form::NameOf("access profile"), need: Need::Required, doc: "Their access link." },
        Key { name: "count", form: Form::Whole(1, 1_000), need: Need::Default("1"), doc: "How many." },
    ],
};

/// The whole file.
pub(crate) static TOPOLOGY: Shape = Shape {
    name: "a topology",
    doc: "A topology is a file in `topologies/`; its name is the file's name without `.yaml`.",
    keys: &[
        Key {
            name: "traces",
            form: Form::Named("name of a trace", &Form::Text),
            need: Need::Optional("no link follows one"),
            doc: "Trace files, each with its path from this file's directory, at most 64: \
                  [what they say](#traces).",
        },
        Key {
            name: "access",
            form: Form::Named("name of a profile", &Form::Map(&ACCESS)),
            need: Need::Optional("every AS has its own alone"),
            doc: "Access profiles that every AS offers.",
        },
        Key { name: "ases", form: Form::List(&Form::Map(&AS)), need: Need::Required, doc: "The ASes, 1 to 512." },
        Key {
            name: "links",
            form: Form::List(&Form::Map(&LINK)),
            need: Need::Optional("there is one AS"),
            doc: "The links between them. Packets take the shortest valley-free path: up to providers, at most once across a \
                  link of peers, down to customers; among equally short ones that with the lowest AS numbers, from its \
                  beginning on. Every AS with hosts must reach every other.",
        },
        Key {
            name: "edges",
            form: Form::List(&Form::Map(&INFRASTRUCTURE)),
            need: Need::Required,
            doc: "The edge servers: `edge-0`, `edge-1`, … in this order. A peer uses one of its own AS, else of its region, \
                  else the nearest (fewest links, then lowest AS number), and falls back to the others in this order.",
        },
        Key {
            name: "control",
            form: Form::List(&Form::Map(&INFRASTRUCTURE)),
            need: Need::Optional("no control plane, so no peer finds another"),
            doc: "The connection nodes of the control plane: `control-0`, … A peer logs in to the nearest, and to another when that \
                  is lost.",
        },
        Key {
            name: "database",
            form: Form::List(&Form::Map(&INFRASTRUCTURE)),
            need: Need::Optional("a lone connection node keeps the registry itself"),
            doc: "The database nodes of the control plane: `database-0`, … They keep who registered a copy of what, each for the \
                  peers of its region (where several are in one, each has a part of them); a region without one uses the nearest. \
                  Needed where there are several connection nodes.",
        },
    ],
};
