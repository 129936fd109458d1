//! The keys of a suite file.

use crate::{
    limits,
    shape::{Form, Key, Need, Shape},
};

const EXPERIMENT: Key = Key {
    name: "experiment",
    form: Form::NameOf("experiment"),
    need: Need::Required,
    doc: "The name of a file in `experiments/`.",
};

const SCALE: Key = Key {
    name: "scale",
    form: Form::NameOf("scale"),
    need: Need::Optional("the file as it stands"),
    doc: "One of its scales.",
};

const ARM: Key = Key {
    name: "arm",
    form: Form::NameOf("arm"),
    need: Need::Optional("that of its `compare`, or there is one"),
    doc: "The arm whose runs are compared.",
};

const PAIRS: Key = Key {
    name: "pairs",
    form: Form::List(&Form::Whole(limits::PAIRS.0, limits::PAIRS.1)),
    need: Need::Optional("those of its `compare`"),
    doc: "After how many pairs of runs results are looked at.",
};

pub(crate) static MEASURE: Shape = Shape {
    name: "a measurement",
    doc: "The newest version is compared with each reference by this experiment.",
    keys: &[EXPERIMENT, SCALE, ARM, PAIRS],
};

pub(crate) static NEGATIVE: Shape = Shape {
    name: "a negative control",
    doc: "The newest version is compared with itself, and must not differ.",
    keys: &[EXPERIMENT, SCALE, ARM, PAIRS],
};

pub(crate) static POSITIVE: Shape = Shape {
    name: "a positive control",
    doc: "The newest version is compared with itself in another arm, which is worse, and must be found worse.",
    keys: &[
        EXPERIMENT,
        SCALE,
        ARM,
        Key {
            name: "injected",
            form: Form::NameOf("arm"),
            need: Need::Required,
            doc: "The arm that is worse: the change that is injected.",
        },
        PAIRS,
    ],
};

/// The whole file.
pub(crate) static SUITE: Shape = Shape {
    name: "a suite",
    doc: "A suite is a file in `experiments/suites/`: what `peerbed nightly` measures.",
    keys: &[
        Key {
            name: "references",
            form: Form::List(&Form::Text),
            need: Need::Required,
            doc: "The pinned commit with which the newest version is compared; two while one takes the place of the other, so that their \
                  nights overlap. Full hashes: branches move.",
        },
        Key {
            name: "measure",
            form: Form::List(&Form::Map(&MEASURE)),
            need: Need::Required,
            doc: "What is measured, at most 64 experiments.",
        },
        Key {
            name: "negative",
            form: Form::List(&Form::Map(&NEGATIVE)),
            need: Need::Optional("there is none"),
            doc: "Controls in which nothing may be found.",
        },
        Key {
            name: "positive",
            form: Form::List(&Form::Map(&POSITIVE)),
            need: Need::Optional("there is none"),
            doc: "Controls in which the injected change must be found: a night that misses it cannot be believed.",
        },
    ],
};
