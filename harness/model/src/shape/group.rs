//! The keys of a group of peers: what it is, its NATs, its attackers.

use std::time::Duration;

use crate::{
    limits,
    shape::{
        Form, Key, Need, Shape,
        users::{BUSY, MOVES, SESSIONS},
    },
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

pub(crate) static POPULATED: Shape = Shape {
    name: "a choice of populated ASes",
    doc: "The ASes with a `population` in some regions.",
    keys: &[Key {
        name: "regions",
        form: Form::List(&Form::NameOf("region")),
        need: Need::Required,
        doc: "The regions, at least one.",
    }],
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
        Key {
            name: "as",
            form: Form::Either(&[
                Form::NameOf("AS"),
                Form::List(&Form::NameOf("AS")),
                Form::Words(&["populated"]),
                Form::Map(&POPULATED),
            ]),
            need: Need::Required,
            doc: "Where its peers are attached: one AS, several, or every AS with a `population`. How they are divided among several: \
                  [populations](#populations).",
        },
        Key { name: "peers", form: Form::Whole(1, limits::NODES), need: Need::Required, doc: "How many." },
        Key {
            name: "access",
            form: Form::NameOf("access profile"),
            need: Need::Required,
            doc: "Their access link: a profile of the AS or a shared one; of each AS where there are several.",
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
            name: "moves",
            form: Form::Map(&MOVES),
            need: Need::Optional("they stay where they are"),
            doc: "When they change their address. The process goes on, and with it its downloads; its connections are lost without a \
                  word. The `tc` engine refuses it.",
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
            doc: "The local network that its peers share, with other groups of the same AS that say the same word; `as` is one AS then. It \
                  counts for the choice of peers; packets between them still cross their access links.",
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
