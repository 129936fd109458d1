//! The keys of the constants of a peer's behaviour: defences, waits, and when the edge gives way to peers.

use std::time::Duration;

use crate::{
    limits,
    shape::{Form, Key, Need, Shape},
};

const DAY: Duration = limits::DURATION.1;
const FROM_NOTHING: Form = Form::Time(Duration::ZERO, DAY);
const FROM_A_LITTLE: Form = Form::Time(Duration::from_millis(10), DAY);

const fn time(name: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { name, form: FROM_A_LITTLE, need: Need::Default(default), doc }
}

pub(crate) static DEFENCES: Shape = Shape {
    name: "a set of defences",
    doc: "What a peer does against those who break the rules or give nothing. A time of `24h` switches a rule off.",
    keys: &[
        Key {
            name: "ban",
            form: FROM_NOTHING,
            need: Need::Default("60s"),
            doc: "How long nothing is accepted from the address of who sent a damaged piece or what is no frame, and it is not dialled; \
                  by connection nodes, too. `0s`: nobody is banned.",
        },
        Key {
            name: "offences_to_ban",
            form: Form::Whole(1, 1_000_000),
            need: Need::Default("3"),
            doc: "Every so many lesser offences of an address ban it as well.",
        },
        Key {
            name: "drop_corrupt",
            form: Form::Flag,
            need: Need::Default("true"),
            doc: "Whether who sent a damaged piece is left, banned, and not used again by the download. `false`: the piece is thrown away, \
                  and that is all.",
        },
        time(
            "stuck_after",
            "3s",
            "A source that owes bytes and gave none for so long gets no further requests, and its pieces may be asked elsewhere. Who has \
             waited for a slot for four fifths of it is turned away.",
        ),
        time("dead_after", "10s", "A peer that owes bytes and gave none for so long is left."),
        time(
            "edge_dead_after",
            "5s",
            "An edge that owes bytes, or an authorisation, and gave nothing of it for so long is left for another. Where there is no other, \
             it has three times as long.",
        ),
        time(
            "slow_after",
            "10s",
            "A peer is left as well that gave less than `slow_bytes` of what it owes in so long.",
        ),
        Key {
            name: "slow_bytes",
            form: Form::Size(0, 1 << 30),
            need: Need::Default("10000B"),
            doc: "See `slow_after`. `0B`: none is too slow.",
        },
        Key {
            name: "stalls",
            form: Form::Whole(1, 1_000_000),
            need: Need::Default("2"),
            doc: "A peer that was left so often for giving nothing, or too little, is not used again by the download.",
        },
        time("upload_dead_after", "30s", "A downloader that takes nothing of what is sent to it for so long is dead."),
        time(
            "part_dead_after",
            "60s",
            "So is one that has not taken a part whole by then: it would hold its slot for ever.",
        ),
    ],
};

pub(crate) static WAITS: Shape = Shape {
    name: "a set of waits",
    doc: "How long a peer waits for others, and before it tries again.",
    keys: &[
        Key {
            name: "connect",
            form: Form::Time(Duration::from_millis(10), Duration::from_secs(15)),
            need: Need::Default("5s"),
            doc: "A dialled connection that is not open by then has failed.",
        },
        time(
            "greeting",
            "5s",
            "So has one that is open and not greeted by then; likewise a login that is not answered.",
        ),
        time(
            "query",
            "10s",
            "A query that is not answered by then means that the connection to the control plane is dead.",
        ),
        time(
            "back_off",
            "500ms",
            "The first wait after a failure, of which half to all is waited, drawn; it doubles with every further one.",
        ),
        time("back_off_most", "30s", "The longest wait after a failure."),
        time(
            "busy",
            "5s",
            "What a peer without a free slot says: when it may be asked again. Who was of no use is asked again after six times as long. \
             Neither is longer than `back_off_most`.",
        ),
        time("idle", "20s", "A downloader that asked for nothing for so long loses its upload slot."),
        time("report", "10s", "How long what was received and sent may stay unreported."),
        time(
            "loaded",
            "250ms",
            "An edge that takes so much longer than a round trip to authorise is loaded, perhaps by a crowd: a first piece is asked of it \
             at a drawn moment, and not where a peer gave one meanwhile. `24h`: it is asked at once.",
        ),
    ],
};

pub(crate) static BACKSTOP: Shape = Shape {
    name: "a backstop",
    doc: "When the edge gives way to peers in the mode `backstop`: it fills until the total rate grows no more, then yields step by step, \
          and fills again when the total falls.",
    keys: &[
        Key {
            name: "peers_from",
            form: Form::Share,
            need: Need::Default("25%"),
            doc: "The edge yields once peers give this share of the total. `100%`: it never does while it gives anything.",
        },
        Key {
            name: "step",
            form: Form::Share,
            need: Need::Default("15%"),
            doc: "How much of the best total it gives up in one step.",
        },
        Key {
            name: "tolerance",
            form: Form::Share,
            need: Need::Default("7%"),
            doc: "How far the total may fall below the best before it fills again; less than a step, so that a step for which nobody \
                  stands in is noticed. `100%`: it does not fill again before `probe`.",
        },
        time("fill", "500ms", "How long it fills before it first yields; four times as long after each failure."),
        time("fill_most", "16s", "The longest that it fills."),
        time(
            "probe",
            "10s",
            "How often an edge that gives nothing fills to learn whether there is more to have by now.",
        ),
    ],
};
