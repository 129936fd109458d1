//! The keys of a workload: who asks for what, and when.

use std::time::Duration;

use crate::{
    limits,
    shape::{Form, Key, MOMENT, Need, Shape, users::DAILY},
};

pub(crate) static ARRIVALS: Shape = Shape {
    name: "arrivals",
    doc: "When downloads begin: exactly one of `poisson`, `burst` and `at` alone.",
    keys: &[
        Key {
            name: "poisson",
            form: Form::PerTime,
            need: Need::Optional("another form"),
            doc: "A Poisson process of this rate, all peers together, from `from` to `until`. It ends early when every peer \
                  has asked for everything.",
        },
        Key {
            name: "daily",
            form: Form::Map(&DAILY),
            need: Need::Optional("all hours are the same"),
            doc: "How the rate comes and goes with the hours of a day, around the rate of `poisson`; with `poisson`.",
        },
        Key { name: "from", form: MOMENT, need: Need::Default("0s"), doc: "When the process begins; with `poisson`." },
        Key {
            name: "until",
            form: MOMENT,
            need: Need::Optional("the end of the run"),
            doc: "When the process ends; with `poisson`.",
        },
        Key {
            name: "burst",
            form: Form::Either(&[Form::Words(&["all"]), Form::Whole(1, limits::DOWNLOADS)]),
            need: Need::Optional("another form"),
            doc: "So many downloads from `at` on; `all`: one of every peer that lacks something.",
        },
        Key {
            name: "at",
            form: Form::Either(&[MOMENT, Form::List(&MOMENT)]),
            need: Need::Optional("`0s` with `burst`"),
            doc: "Alone: one download at each of these moments. With `burst`: when it begins.",
        },
        Key {
            name: "within",
            form: MOMENT,
            need: Need::Default("0s"),
            doc: "The downloads of a burst are spread evenly at random over this time; with `burst`.",
        },
    ],
};

pub(crate) static POPULARITY: Shape = Shape {
    name: "a popularity",
    doc: "How downloads are divided among the content.",
    keys: &[Key {
        name: "zipf",
        form: Form::Number(0.0, 10.0),
        need: Need::Required,
        doc: "Zipf's law: the k-th object in the order of the list is asked for in proportion to 1/k to this power.",
    }],
};

pub(crate) static PATIENCE: Shape = Shape {
    name: "a patience",
    doc: "When users lose patience with a download that is not finished.",
    keys: &[
        Key {
            name: "hazard",
            form: Form::PerTime,
            need: Need::Required,
            doc: "How often the user acts, per time that the download is active: exponential waiting times.",
        },
        Key {
            name: "resume",
            form: Form::Share,
            need: Need::Default("0%"),
            doc: "How many pauses are followed by a resume; after the others the download is never taken up again.",
        },
        Key {
            name: "pause",
            form: Form::Time(Duration::from_millis(1), limits::DURATION.1),
            need: Need::Default("5s"),
            doc: "How long a pause lasts that is followed by a resume.",
        },
        Key {
            name: "abort",
            form: Form::Share,
            need: Need::Default("0%"),
            doc: "How often the user gives the download up instead of pausing it.",
        },
    ],
};

pub(crate) static WORKLOAD: Shape = Shape {
    name: "a workload",
    doc: "Who asks for what, and when. A peer asks for each object at most once and never for one that it holds. Who and \
          what is drawn from the seed; the same for every arm that leaves groups, content and workload alone.",
    keys: &[
        Key {
            name: "name",
            form: Form::Name,
            need: Need::Optional("its number, from 0"),
            doc: "Names its random draws, so that another workload before it in the list changes nothing.",
        },
        Key {
            name: "groups",
            form: Form::List(&Form::NameOf("group")),
            need: Need::Optional("all groups"),
            doc: "The groups whose peers ask.",
        },
        Key {
            name: "content",
            form: Form::List(&Form::NameOf("content object")),
            need: Need::Optional("all content"),
            doc: "What is asked for, the most popular first.",
        },
        Key { name: "arrivals", form: Form::Map(&ARRIVALS), need: Need::Required, doc: "When." },
        Key {
            name: "popularity",
            form: Form::Either(&[Form::Words(&["uniform"]), Form::Map(&POPULARITY)]),
            need: Need::Default("uniform"),
            doc: "How the downloads are divided among the content.",
        },
        Key {
            name: "patience",
            form: Form::Map(&PATIENCE),
            need: Need::Optional("users wait for ever"),
            doc: "When users pause, resume and give up.",
        },
    ],
};
