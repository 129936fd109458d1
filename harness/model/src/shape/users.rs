//! The keys of what providers and users decide.

use crate::shape::{Form, Key, Need, Shape};

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
