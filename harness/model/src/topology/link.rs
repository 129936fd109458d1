//! What is said of a link's directions, laid over what was there before.

use std::time::Duration;

use peerbed_link::{Burst, Duplex, LinkSpec, Loss, Probability, Queue};

use crate::{
    diagnostic::{Report, Span},
    limits,
    read::Fields,
    shape::topology::{BURST, DIRECTION, LOSSES},
    topology::trace::Traces,
    units,
    yaml::{Node, Value},
};

/// What a file says of one direction; what it does not say stays as it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    bandwidth: Option<peerbed_link::Bandwidth>,
    delay: Option<Duration>,
    jitter: Option<Duration>,
    loss: Option<Loss>,
    queue: Option<Queue>,
    /// Where it is said.
    span: Span,
}

impl Change {
    /// Reads `rate` or `trace`, `delay`, `jitter`, `loss` and `queue`, those of them that the map's shape has.
    pub(crate) fn read(fields: &Fields<'_>, traces: &Traces, report: &mut Report) -> Self {
        let mut change =
            Self { bandwidth: None, delay: None, jitter: None, loss: None, queue: None, span: fields.span };
        for (key, node) in fields.given() {
            match key {
                "rate" => change.bandwidth = report.bandwidth(node),
                "trace" if fields.given().any(|(other, _)| other == "rate") => {
                    report.error(node.span, "a link has either a `rate` or a `trace`").help("remove one of the two");
                }
                "trace" => change.bandwidth = traces.bandwidth(node, report),
                "delay" => change.delay = report.time(node, limits::DELAY),
                "jitter" => {
                    change.jitter = report.time(node, limits::DELAY);
                    change.span = node.span;
                }
                "loss" => change.loss = read_loss(node, report),
                "queue" => change.queue = read_queue(node, report),
                _ => {}
            }
        }
        change
    }

    /// Reads a direction: a rate alone, or a map.
    pub(crate) fn read_direction(node: &Node, traces: &Traces, report: &mut Report) -> Option<Self> {
        if matches!(node.value, Value::Scalar { .. }) {
            let bandwidth = Some(report.bandwidth(node)?);
            return Some(Self { bandwidth, delay: None, jitter: None, loss: None, queue: None, span: node.span });
        }
        let fields = report.map(node, &DIRECTION)?;
        Some(Self::read(&fields, traces, report))
    }

    /// The link with this change; a jitter above the delay is noted.
    pub(crate) fn apply(&self, old: LinkSpec, report: &mut Report) -> LinkSpec {
        let new = LinkSpec {
            bandwidth: self.bandwidth.unwrap_or(old.bandwidth),
            delay: self.delay.unwrap_or(old.delay),
            jitter: self.jitter.unwrap_or(old.jitter),
            loss: self.loss.unwrap_or(old.loss),
            queue: self.queue.unwrap_or(old.queue),
        };
        if new.jitter > new.delay {
            let (jitter, delay) = (units::show_time(new.jitter), units::show_time(new.delay));
            let message =
                format!("a jitter of {jitter} on a delay of {delay} would deliver packets before they are sent");
            report.error(self.span, message).help("the jitter is at most the delay");
        }
        new
    }
}

/// Reads the two directions of an access link, `up` and `down`, laid over `old`.
pub(crate) fn read_access(fields: &Fields<'_>, old: Duplex, traces: &Traces, report: &mut Report) -> Duplex {
    let both = Change::read(fields, traces, report);
    let mut one = |key, old: LinkSpec| {
        let own = fields.get(key).and_then(|node| Change::read_direction(node, traces, report));
        lay(&both, own.as_ref(), old, report)
    };
    let up = one("up", old.up);
    Duplex { up, down: one("down", old.down) }
}

/// Reads the two directions of a link between ASes, `forward` and `backward`, laid over `old`.
pub(crate) fn read_link(
    fields: &Fields<'_>,
    (forward, backward): (LinkSpec, LinkSpec),
    traces: &Traces,
    report: &mut Report,
) -> (LinkSpec, LinkSpec) {
    let both = Change::read(fields, traces, report);
    let mut one = |key, old: LinkSpec| {
        let own = fields.get(key).and_then(|node| report.map(node, &DIRECTION));
        let own = own.map(|fields| Change::read(&fields, traces, report));
        lay(&both, own.as_ref(), old, report)
    };
    let forward = one("forward", forward);
    (forward, one("backward", backward))
}

/// First what holds for both directions, then what one says of itself; only the result must make sense.
fn lay(both: &Change, own: Option<&Change>, old: LinkSpec, report: &mut Report) -> LinkSpec {
    let Some(own) = own else { return both.apply(old, report) };
    let merged = Change {
        bandwidth: own.bandwidth.or(both.bandwidth),
        delay: own.delay.or(both.delay),
        jitter: own.jitter.or(both.jitter),
        loss: own.loss.or(both.loss),
        queue: own.queue.or(both.queue),
        span: if own.delay.is_some() || own.jitter.is_some() { own.span } else { both.span },
    };
    merged.apply(old, report)
}

fn read_loss(node: &Node, report: &mut Report) -> Option<Loss> {
    if matches!(node.value, Value::Scalar { .. }) {
        let share = report.share(node)?;
        return Some(if share == Probability::ZERO { Loss::None } else { Loss::Random(share) });
    }
    let fields = report.map(node, &LOSSES)?;
    let fields = report.map(fields.get("gilbert-elliott")?, &BURST)?;
    let mut share = |key, default| fields.get(key).map_or(Some(default), |node| report.share(node));
    let (p, r) = (share("p", Probability::ZERO), share("r", Probability::ZERO));
    let (loss_bad, loss_good) = (share("bad", Probability::ONE), share("good", Probability::ZERO));
    Some(Loss::GilbertElliott(Burst { p: p?, r: r?, loss_bad: loss_bad?, loss_good: loss_good? }))
}

fn read_queue(node: &Node, report: &mut Report) -> Option<Queue> {
    let bytes = |text: &str| text.ends_with('B');
    if matches!(&node.value, Value::Scalar { text, .. } if bytes(text)) {
        return report.size(node, limits::QUEUE_BYTES).map(Queue::Bytes);
    }
    report
        .scalar(node, "a time such as `100ms`, or a size such as `64KiB`", |text| units::time(text, limits::QUEUE_TIME))
        .map(Queue::Time)
}
