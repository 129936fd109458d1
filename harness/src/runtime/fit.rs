//! What keeps the `tc` engine from carrying a plan on a kernel, for people: asked before a run by every runtime, and where an
//! engine is chosen.

use peerbed_link::LinkSpec;
use peerbed_model::{Act, Plan};

use super::Unmet;
use crate::engine::{
    Lack,
    tc::{self, TcError},
};

/// Everything that does; nothing: it can carry the plan.
pub(crate) fn unfit_for_tc(plan: &Plan, lacks: &[Lack]) -> Vec<Unmet> {
    match tc::unfit(&plan.fabric, &plan.links_to_come(), lacks) {
        None => Vec::new(),
        Some(TcError::Lacking(lacks)) => lacks.into_iter().map(|lack| of_kernel(lack, plan)).collect(),
        Some(why) => vec![Unmet {
            need: "another link engine".to_owned(),
            found: why.to_string(),
            remedy: "use `--engine wire`".to_owned(),
        }],
    }
}

fn of_kernel(Lack { feature, for_delays, found, remedy }: Lack, plan: &Plan) -> Unmet {
    let wanted = first_with_delay(plan).filter(|_| for_delays).map_or(String::new(), |link| {
        format!(", which {link} would need (without delay, jitter and loss tc works here)")
    });
    Unmet { need: format!("for the tc engine, {feature} in the kernel{wanted}"), found, remedy }
}

/// The first link that has what only `netem` can do, or will have it.
fn first_with_delay(plan: &Plan) -> Option<String> {
    let wants = |specs: &[LinkSpec]| specs.iter().any(tc::wants_netem);
    let nodes = plan.fabric.attachments().filter(|node| wants(&[node.access.up, node.access.down]));
    let links = plan.fabric.links.iter().filter(|link| wants(&[link.forward, link.backward]));
    let later = plan.timeline.iter().filter_map(|action| {
        let at = format!("from {} s on", action.at.as_secs_f64());
        let link = action.act.links().iter().find(|link| wants(&[link.forward, link.backward]));
        match &action.act {
            Act::SetAccess { node, up, down } => {
                wants(&[*up, *down]).then(|| format!("the access link of {node} {at}"))
            }
            _ => link.map(|link| format!("the link {} {at}", link.name)),
        }
    });
    let nodes = nodes.map(|node| format!("the access link of {}", node.name));
    nodes.chain(links.map(|link| format!("the link {}", link.name))).chain(later).next()
}
