//! The keys of what providers and users decide.

use crate::{
    experiment::users::PERIOD,
    shape::{Form, Key, Need, Shape},
};

pub(crate) static PROVIDER: Shape = Shape {
    name: "a provider",
    doc: "A customer of the system: what holds for its content and for installations that came with its installer.",
    keys: &[
        Key {
            name: "peers",
            form: Form::Words(&["allowed", "forbidden"]),
            need: Need::Default("allowed"),
            doc: "Whether peers may distribute its content, where an object does not say it itself.",
        },
        Key {
            name: "uploads",
            form: Form::Words(&["on", "off"]),
            need: Need::Default("on"),
            doc: "Whether installations that came with its installer upload, unless their user changed the setting.",
        },
    ],
};

pub(crate) static BUSY: Shape = Shape {
    name: "a pattern of use",
    doc: "When users use their link for something else: periods of exponential length, drawn for each peer. The client is \
          told when they begin and end; how it would measure that, and the traffic itself, are not modelled.",
    keys: &[
        Key { name: "on", form: PERIOD_FORM, need: Need::Required, doc: "How long the link is used, on average." },
        Key { name: "off", form: PERIOD_FORM, need: Need::Required, doc: "How long it is not, on average." },
    ],
};

pub(crate) static SESSIONS: Shape = Shape {
    name: "a pattern of sessions",
    doc: "When machines are there. All are at the start; the lengths of sessions and of the times between them are drawn \
          for each peer from Weibull's distribution.",
    keys: &[
        Key { name: "online", form: PERIOD_FORM, need: Need::Required, doc: "How long a session lasts, on average." },
        Key {
            name: "offline",
            form: PERIOD_FORM,
            need: Need::Required,
            doc: "How long a machine is away, on average.",
        },
        Key {
            name: "shape",
            form: Form::Number(0.2, 10.0),
            need: Need::Default("1"),
            doc: "The distribution's shape: 1 is exponential, less has many short and some very long times, more has times \
                  about as long as the mean.",
        },
        Key {
            name: "leave",
            form: Form::Words(&["clean", "abrupt"]),
            need: Need::Default("clean"),
            doc: "How a session ends. `clean`: as when a machine is shut down, connections end in good order. `abrupt`: as \
                  when it goes to sleep, they are closed without a word.",
        },
    ],
};

pub(crate) static MOVES: Shape = Shape {
    name: "a pattern of moves",
    doc: "When machines change their address, as a laptop does that is carried from one network to another. Each mover has a place in \
          each of the ASes beside where it is at the start, and stays in each for a time of exponential length; where it goes \
          next is drawn, each of its other places as likely.",
    keys: &[
        Key {
            name: "share",
            form: Form::Share,
            need: Need::Default("100%"),
            doc: "How many of the group move: this share, rounded, drawn.",
        },
        Key {
            name: "to",
            form: Form::List(&Form::NameOf("AS")),
            need: Need::Required,
            doc: "The ASes of its other places, at most 16: their own AS is a place with another address there.",
        },
        Key {
            name: "every",
            form: PERIOD_FORM,
            need: Need::Required,
            doc: "How long one stays in a place, on average.",
        },
        Key {
            name: "access",
            form: Form::NameOf("access profile"),
            need: Need::Optional("that of the group"),
            doc: "The access link of the other places: a profile of each of the ASes, or a shared one.",
        },
    ],
};

pub(crate) static DAILY: Shape = Shape {
    name: "a daily pattern",
    doc: "A day, scaled down: the process is busiest half a period after its beginning. With the rate m, a = (1 − trough) / \
          (1 + trough) and t since `from`, downloads begin at the rate m · (1 − a · cos(2πt / period)).",
    keys: &[
        Key { name: "period", form: PERIOD_FORM, need: Need::Required, doc: "How long a day is." },
        Key {
            name: "trough",
            form: Form::Share,
            need: Need::Required,
            doc: "The lowest rate of the day as a share of the highest; 100%: all hours are the same.",
        },
    ],
};

const PERIOD_FORM: Form = Form::Time(PERIOD.0, PERIOD.1);
