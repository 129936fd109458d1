//! The keys of a policy: what the system does.

use std::time::Duration;

use crate::{
    limits,
    shape::{
        Form, Key, Need, Shape,
        constants::{BACKSTOP, DEFENCES, WAITS},
    },
};

pub(crate) static FILTERS: Shape = Shape {
    name: "a set of filters",
    doc: "Who is never returned for a query. Each rule can be switched off, to see what it is worth.",
    keys: &[
        Key {
            name: "uploads_on",
            form: Form::Flag,
            need: Need::Default("true"),
            doc: "Peers whose uploads are off. `false`: they may register copies, too.",
        },
        Key {
            name: "free_slots",
            form: Form::Flag,
            need: Need::Default("true"),
            doc: "Peers that told that all their upload slots are taken.",
        },
        Key {
            name: "nat",
            form: Form::Flag,
            need: Need::Default("true"),
            doc: "Peers that cannot connect with the asker, by the NAT classes of both.",
        },
    ],
};

const PER_TIME_DOC: &str = "At most so many on average; what `burst` says may come at once.";

pub(crate) static CONTROL: Shape = Shape {
    name: "a control plane policy",
    doc: "What the nodes of the control plane bear, and what they do when a registry was lost. What is beyond a limit is \
          refused with the reason, and counted in the events.",
    keys: &[
        Key {
            name: "readd",
            form: Form::Flag,
            need: Need::Default("true"),
            doc: "Whether peers are asked to register again when a registry was lost (RE-ADD).",
        },
        Key {
            name: "readd_within",
            form: Form::Time(Duration::ZERO, limits::DURATION.1),
            need: Need::Default("5s"),
            doc: "Each of them does it at a moment that it draws within this time, so that there is no storm.",
        },
        Key { name: "logins_per_guid", form: Form::PerTime, need: Need::Default("2/s"), doc: PER_TIME_DOC },
        Key { name: "logins_per_address", form: Form::PerTime, need: Need::Default("20/s"), doc: PER_TIME_DOC },
        Key { name: "queries_per_guid", form: Form::PerTime, need: Need::Default("10/s"), doc: PER_TIME_DOC },
        Key { name: "queries_per_address", form: Form::PerTime, need: Need::Default("100/s"), doc: PER_TIME_DOC },
        Key {
            name: "connections_per_address",
            form: Form::Whole(1, 10_000_000),
            need: Need::Default("256"),
            doc: "Connections from one address to one connection node, at a time.",
        },
        Key {
            name: "connections",
            form: Form::Whole(1, 10_000_000),
            need: Need::Default("65536"),
            doc: "Connections to one connection node, at a time.",
        },
        Key {
            name: "contents_per_peer",
            form: Form::Whole(1, 10_000_000),
            need: Need::Default("1000"),
            doc: "Contents that one peer has registered, at a time.",
        },
        Key {
            name: "usage_reports",
            form: Form::Whole(1, 10_000_000),
            need: Need::Default("200000"),
            doc: "Entries of usage reports that one connection node keeps: one for each start of a peer, content and partner.",
        },
        Key {
            name: "burst",
            form: Form::Time(Duration::ZERO, Duration::from_hours(1)),
            need: Need::Default("10s"),
            doc: "How much of the rates of logins and queries may come at once: what they give in this time, at least one.",
        },
        Key {
            name: "refusals",
            form: Form::Whole(1, 10_000_000),
            need: Need::Default("100"),
            doc: "Refusals on one connection after which it is closed.",
        },
        Key {
            name: "lookup",
            form: Form::Time(Duration::from_millis(10), Duration::from_hours(1)),
            need: Need::Default("2s"),
            doc: "A database node that has not answered by then is done without.",
        },
    ],
};

pub(crate) static SELECTION: Shape = Shape {
    name: "a selection policy",
    doc: "How the control plane answers a query for peers.",
    keys: &[
        Key {
            name: "strategy",
            form: Form::Words(&["nested", "random", "local"]),
            need: Need::Default("nested"),
            doc: "`nested`: peers of the same LAN first, then of the AS, of the region, of the world. `random`: any, all equally \
                  likely. `local`: peers of the same LAN, then of the AS, and nobody else. Among equals those come first that were \
                  not returned for longest.",
        },
        Key {
            name: "max_returned",
            form: Form::Whole(0, 1_000),
            need: Need::Default("40"),
            doc: "At most so many peers are returned; with 0 everything comes from edges.",
        },
        Key {
            name: "diversity",
            form: Form::Share,
            need: Need::Default("10%"),
            doc: "The share of a `nested` answer that is taken from everywhere, at least one place where somebody is left \
                  over; those first that were not returned for longest.",
        },
        Key {
            name: "rotation",
            form: Form::Flag,
            need: Need::Default("true"),
            doc: "Whether those come first, among equals, that were not returned for longest. `false`: nested and local answers have \
                  always the same order, random ones are drawn anew each time.",
        },
        Key {
            name: "filters",
            form: Form::Map(&FILTERS),
            need: Need::Optional("the defaults"),
            doc: "Who is left out.",
        },
    ],
};

pub(crate) static UPLOADS: Shape = Shape {
    name: "an upload policy",
    doc: "What a peer that uploads gives to others.",
    keys: &[
        Key {
            name: "per_copy",
            form: Form::Whole(1, 1_000_000),
            need: Need::Default("5"),
            doc: "How many downloaders one held copy serves in its life.",
        },
        Key {
            name: "connections",
            form: Form::Whole(1, 1_000),
            need: Need::Default("8"),
            doc: "How many downloaders a peer serves at the same time; after a piece each makes room for one that waits.",
        },
        Key {
            name: "waiting",
            form: Form::Whole(0, 1_000),
            need: Need::Default("32"),
            doc: "How many more downloaders may be connected and wait for their turn; others are turned away.",
        },
        Key {
            name: "rate",
            form: Form::Either(&[Form::Share, Form::Rate]),
            need: Need::Default("80%"),
            doc: "The most that a peer uploads, in content bits: a share of its uplink, or a rate.",
        },
        Key {
            name: "connection_rate",
            form: Form::Rate,
            need: Need::Default("unlimited"),
            doc: "The most that it uploads to one downloader, in content bits.",
        },
        Key {
            name: "while_busy",
            form: Form::Share,
            need: Need::Default("0%"),
            doc: "The share of its rate (where that is unlimited, of its uplink) that it may use while the user uses the link \
                  (`busy` of the group). 0%: it stops, calls off what it was asked for, and turns new downloaders away.",
        },
        Key {
            name: "back_off",
            form: Form::Time(Duration::ZERO, Duration::from_hours(1)),
            need: Need::Default("1s"),
            doc: "After the user's use the rate begins with a tenth of the whole, or with `while_busy` if that is more, and \
                  doubles each time so long has passed. 0s: it is there at once, as it is where `rate` is unlimited.",
        },
        Key {
            name: "while_downloading",
            form: Form::Share,
            need: Need::Default("100%"),
            doc: "The share of its rate that it may use while a download of its own is active.",
        },
    ],
};

pub(crate) static CACHE: Shape = Shape {
    name: "a cache policy",
    doc: "What a peer keeps of what it downloaded. What it does not keep it neither offers nor serves.",
    keys: &[
        Key {
            name: "time",
            form: Form::Time(Duration::from_millis(1), limits::DURATION.1),
            need: Need::Default("24h"),
            doc: "How long an object is kept after it was whole; what is held at the start was whole then.",
        },
        Key {
            name: "size",
            form: Form::Either(&[Form::Words(&["unlimited"]), Form::Size(limits::SIZE.0, limits::SIZE.1)]),
            need: Need::Default("unlimited"),
            doc: "The most that is kept, a download under way counted with its whole size: beyond it, what was downloaded or \
                  uploaded from longest ago is removed, but never what is being downloaded.",
        },
    ],
};

pub(crate) static EDGE: Shape = Shape {
    name: "an edge policy",
    doc: "What the edge servers do.",
    keys: &[
        Key {
            name: "mode",
            form: Form::Words(&["only", "backstop", "deficit", "first"]),
            need: Need::Default("backstop"),
            doc: "`only`: the edge alone, peers are not asked. `backstop`: peers where they can, the edge for the rest. \
                  `deficit`: the edge adds what peers lack of `target_rate`. `first`: the edge as fast as it goes, peers \
                  beside it.",
        },
        Key {
            name: "target_rate",
            form: Form::Either(&[Form::Share, Form::Rate]),
            need: Need::Default("80%"),
            doc: "The rate of a download up to which the edge fills in the mode `deficit`, in content bits: a share of the \
                  downlink, or a rate.",
        },
        Key {
            name: "token_lifetime",
            form: Form::Time(Duration::from_secs(1), limits::DURATION.1),
            need: Need::Default("24h"),
            doc: "How long the authorisation of a download is valid.",
        },
        Key {
            name: "requests",
            form: Form::Either(&[Form::Whole(1, 1_000_000), Form::Words(&["unlimited"])]),
            need: Need::Default("unlimited"),
            doc: "How many requests for content an edge serves at the same time; it answers others with 503.",
        },
        Key {
            name: "rate",
            form: Form::Either(&[Form::PerTime, Form::Words(&["unlimited"])]),
            need: Need::Default("unlimited"),
            doc: "How many requests for content an edge serves in a time, with bursts of a second's worth, at least one; it \
                  answers others with 503.",
        },
        Key {
            name: "retry_after",
            form: Form::Time(Duration::from_secs(1), Duration::from_mins(10)),
            need: Need::Default("1s"),
            doc: "When those may come again, rounded up to whole seconds: `Retry-After` of the 503.",
        },
        Key {
            name: "backstop",
            form: Form::Map(&BACKSTOP),
            need: Need::Optional("the defaults"),
            doc: "When the edge gives way to peers in the mode `backstop`.",
        },
    ],
};

pub(crate) static DOWNLOADS: Shape = Shape {
    name: "a download policy",
    doc: "How a peer downloads.",
    keys: &[
        Key {
            name: "max_sources",
            form: Form::Whole(1, 1_000),
            need: Need::Default("20"),
            doc: "At most so many peers are connected to for one download.",
        },
        Key {
            name: "requery_below",
            form: Form::Share,
            need: Need::Default("100%"),
            doc: "The control plane is asked for peers again while fewer than this share of `max_sources` are connected, or about \
                  to be. `0%`: it is asked once.",
        },
        Key {
            name: "requery_every",
            form: Form::Time(Duration::from_millis(100), limits::DURATION.1),
            need: Need::Default("10s"),
            doc: "The longest time between two queries; a second after the first one, then twice as long each time.",
        },
        Key {
            name: "both_sides",
            form: Form::Flag,
            need: Need::Default("true"),
            doc: "Whether a peer that is asked for its copy dials too where NAT keeps the asker from reaching it alone. \
                  `false`: askers alone dial.",
        },
        Key {
            name: "order",
            form: Form::Words(&["rarest", "random", "in-order"]),
            need: Need::Default("rarest"),
            doc: "Which piece is asked for next. `rarest`: that which the fewest connected peers have. `random`: any. `in-order`: the \
                  first that is missing.",
        },
        Key {
            name: "duplicates",
            form: Form::Whole(1, 255),
            need: Need::Default("3"),
            doc: "Requests for one piece that may be under way in the end-game, when every missing piece is under way. 1: there is no \
                  end-game.",
        },
        Key {
            name: "news_every",
            form: Form::Time(Duration::ZERO, Duration::from_hours(1)),
            need: Need::Default("400ms"),
            doc: "How long new pieces are kept back, to be told to other peers together.",
        },
        Key {
            name: "news_at_once",
            form: Form::Whole(0, 262_144),
            need: Need::Default("16"),
            doc: "So many first pieces of a download are told at once all the same; and as long as a peer has fewer, every second time it turns \
                  from who had a new piece first to the next who has it.",
        },
    ],
};

pub(crate) static POLICY: Shape = Shape {
    name: "a policy",
    doc: "What the system does. Every value, defaults included, is recorded in the results.",
    keys: &[
        Key {
            name: "selection",
            form: Form::Map(&SELECTION),
            need: Need::Optional("the defaults"),
            doc: "Answers to queries.",
        },
        Key {
            name: "control",
            form: Form::Map(&CONTROL),
            need: Need::Optional("the defaults"),
            doc: "What the control plane bears.",
        },
        Key {
            name: "uploads",
            form: Form::Map(&UPLOADS),
            need: Need::Optional("the defaults"),
            doc: "What peers give.",
        },
        Key { name: "cache", form: Form::Map(&CACHE), need: Need::Optional("the defaults"), doc: "What peers keep." },
        Key { name: "edge", form: Form::Map(&EDGE), need: Need::Optional("the defaults"), doc: "What edges do." },
        Key {
            name: "downloads",
            form: Form::Map(&DOWNLOADS),
            need: Need::Optional("the defaults"),
            doc: "What peers take.",
        },
        Key {
            name: "defences",
            form: Form::Map(&DEFENCES),
            need: Need::Optional("the defaults"),
            doc: "What they do against those who break the rules.",
        },
        Key {
            name: "waits",
            form: Form::Map(&WAITS),
            need: Need::Optional("the defaults"),
            doc: "How long they wait for others.",
        },
    ],
};
