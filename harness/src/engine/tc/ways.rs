//! The ways of packets through the routers of the ASes: which routers there are, which block of addresses each reaches over
//! which link, and who has which address. Pure.

use std::{collections::BTreeMap, net::Ipv4Addr};

use peerbed_contract::{AsNumber, Role};
use peerbed_link::{Fabric, FabricNode, Heading, Hop, NotIpv4};

use super::TcError;

/// The longest way: each router takes one from a packet's time to live, of which Linux gives 64.
const MOST_HOPS: usize = 60;

/// A block of addresses, `first/length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its first address.
    pub(crate) first: Ipv4Addr,
    /// How many bits all of it have in common.
    pub(crate) length: u8,
}

/// Addresses of one kind of sender that stand in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// The first.
    pub(crate) first: Ipv4Addr,
    /// The last.
    pub(crate) last: Ipv4Addr,
    /// Which kind, an index of [`Ways::senders`].
    pub(crate) sender: u32,
}

/// Where packets go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ways {
    /// One router each.
    pub(crate) ases: Vec<AsNumber>,
    /// For each router the blocks that it reaches over each link, beside its own nodes.
    pub(crate) routes: Vec<Vec<(Block, u32)>>,
    /// Those whose packets are told apart: by AS and role.
    pub(crate) senders: Vec<(AsNumber, Role)>,
    /// Who has which addresses, in their order.
    pub(crate) rows: Vec<Row>,
}

impl Ways {
    /// Of this network. Routers know only where a packet is to go, so two ways to one AS must not part and meet elsewhere.
    pub(crate) fn of(fabric: &Fabric) -> Result<Self, TcError> {
        let nodes = fabric.nodes.iter().map(|node| node.as_number);
        let mut ases: Vec<AsNumber> = nodes.chain(fabric.links.iter().flat_map(|link| [link.a, link.b])).collect();
        ases.sort_unstable();
        ases.dedup();
        let hops = next_hops(fabric)?;

        let holder = |node: &FabricNode| Ok((node.ipv4()?.into(), node.as_number, node.role));
        let mut holders: Vec<(u32, AsNumber, Role)> =
            fabric.nodes.iter().map(holder).collect::<Result<_, NotIpv4>>()?;
        holders.sort_unstable_by_key(|(address, ..)| *address);
        if let Some(pair) = holders.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(TcError::Address(pair[0].0.into()));
        }
        let owned: Vec<(u32, AsNumber)> = holders.iter().map(|(address, number, _)| (*address, *number)).collect();
        let mut blocks = Vec::new();
        split(&owned, 0, &mut blocks);
        let routes = ases.iter().map(|router| {
            let reached = blocks.iter().filter_map(|(block, to)| Some((*block, hops.get(&(*router, *to))?.link)));
            reached.collect()
        });
        let routes = routes.collect();

        let mut senders = Vec::new();
        let mut rows: Vec<Row> = Vec::new();
        for (address, number, role) in holders {
            let known = senders.iter().position(|sender| *sender == (number, role));
            let sender = known.unwrap_or_else(|| {
                senders.push((number, role));
                senders.len() - 1
            }) as u32;
            match rows.last_mut() {
                Some(row) if row.sender == sender => row.last = address.into(),
                _ => rows.push(Row { first: address.into(), last: address.into(), sender }),
            }
        }
        Ok(Self { ases, routes, senders, rows })
    }

    /// The router of an AS.
    pub(crate) fn router(&self, number: AsNumber) -> usize {
        self.ases.binary_search(&number).expect("every AS of the network has a router")
    }
}

/// Over which link each router sends what is for another AS.
fn next_hops(fabric: &Fabric) -> Result<BTreeMap<(AsNumber, AsNumber), Hop>, TcError> {
    let mut next = BTreeMap::new();
    for route in &fabric.routes {
        let hops = route.hops.len();
        if hops > MOST_HOPS {
            return Err(TcError::Far { from: route.from, to: route.to, hops });
        }
        let mut at = route.from;
        for hop in &route.hops {
            let link = fabric.links.get(hop.link as usize).ok_or(TcError::Link(hop.link))?;
            let known = *next.entry((at, route.to)).or_insert(*hop);
            if known != *hop {
                let others = &fabric.links[known.link as usize].name;
                return Err(TcError::Ways {
                    at,
                    to: route.to,
                    one: link.name.clone(),
                    other: others.clone(),
                    from: route.from,
                });
            }
            at = if hop.heading == Heading::Forward { link.b } else { link.a };
        }
    }
    Ok(next)
}

/// The largest blocks that have addresses of one owner only, each no larger than its addresses need; `sorted` have their first
/// `common` bits in common.
fn split<T: Copy + PartialEq>(sorted: &[(u32, T)], common: u32, blocks: &mut Vec<(Block, T)>) {
    let [(first, owner), ..] = *sorted else { return };
    let last = sorted.last().map_or(first, |(address, _)| *address);
    if sorted.iter().all(|(_, other)| *other == owner) {
        let length = (first ^ last).leading_zeros();
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        return blocks.push((Block { first: (first & mask).into(), length: length as u8 }, owner));
    }
    // Two owners have two addresses, so there is a bit left to part them.
    let bit = 1 << (31 - common);
    let middle = sorted.partition_point(|(address, _)| address & bit == 0);
    let (low, high) = sorted.split_at(middle);
    split(low, common + 1, blocks);
    split(high, common + 1, blocks);
}

#[cfg(test)]
mod tests {
    use peerbed_contract::NatClass;
    use peerbed_link::{Duplex, FabricLink, FabricNode, LinkSpec, Route};

    use super::*;

    fn number(number: u32) -> AsNumber {
        AsNumber::try_from(number).unwrap()
    }

    /// ASes 1, 2, 3 in a row, linked 1~2 and 2~3, with these routes, which give the numbers of links.
    fn fabric(nodes: &[(&str, u32, Role)], routes: &[(u32, u32, &[u32])]) -> Fabric {
        let access = Duplex { up: LinkSpec::TRANSPARENT, down: LinkSpec::TRANSPARENT };
        let node = |(index, (address, at, role)): (usize, &(&str, u32, Role))| FabricNode {
            name: format!("n{index}").parse().unwrap(),
            role: *role,
            as_number: number(*at),
            address: address.parse().unwrap(),
            access,
            nat: NatClass::None,
        };
        let link = |name: &str, a, b| FabricLink {
            name: name.to_owned(),
            a: number(a),
            b: number(b),
            forward: LinkSpec::TRANSPARENT,
            backward: LinkSpec::TRANSPARENT,
        };
        let route = |(from, to, links): &(u32, u32, &[u32])| {
            let heading = if from < to { Heading::Forward } else { Heading::Backward };
            let hops = links.iter().map(|link| Hop { link: *link, heading }).collect();
            Route { from: number(*from), to: number(*to), hops }
        };
        Fabric {
            places: Vec::new(),
            seed: 1,
            congestion_control: "cubic".to_owned(),
            nodes: nodes.iter().enumerate().map(node).collect(),
            links: vec![link("one~two", 1, 2), link("two~three", 2, 3), link("two~three again", 2, 3)],
            routes: routes.iter().map(route).collect(),
            traces: BTreeMap::new(),
        }
    }

    fn said(routes: &[(Block, u32)]) -> Vec<String> {
        routes.iter().map(|(block, link)| format!("{}/{} over {link}", block.first, block.length)).collect()
    }

    const NODES: &[(&str, u32, Role)] = &[
        ("10.1.0.1", 1, Role::Edge),
        ("10.1.0.2", 1, Role::Peer),
        ("10.1.0.3", 1, Role::Peer),
        ("10.3.0.1", 3, Role::Peer),
        ("10.3.0.9", 3, Role::Peer),
        ("10.3.1.1", 2, Role::Control),
    ];

    #[test]
    fn routers_know_blocks_of_addresses() {
        let routes: &[(u32, u32, &[u32])] =
            &[(1, 2, &[0]), (1, 3, &[0, 1]), (2, 1, &[0]), (2, 3, &[1]), (3, 1, &[1, 0]), (3, 2, &[1])];
        let ways = Ways::of(&fabric(NODES, routes)).unwrap();
        assert_eq!(ways.ases, [1, 2, 3].map(number));
        assert_eq!(said(&ways.routes[0]), ["10.3.0.0/28 over 0", "10.3.1.1/32 over 0"]);
        assert_eq!(said(&ways.routes[1]), ["10.1.0.0/30 over 0", "10.3.0.0/28 over 1"]);
        assert_eq!(said(&ways.routes[2]), ["10.1.0.0/30 over 1", "10.3.1.1/32 over 1"]);
    }

    #[test]
    fn senders_stand_in_rows() {
        let ways = Ways::of(&fabric(NODES, &[])).unwrap();
        let expected = [(1, Role::Edge), (1, Role::Peer), (3, Role::Peer), (2, Role::Control)]
            .map(|(at, role)| (number(at), role));
        assert_eq!(ways.senders, expected);
        let rows: Vec<String> =
            ways.rows.iter().map(|row| format!("{}-{} {}", row.first, row.last, row.sender)).collect();
        assert_eq!(rows, ["10.1.0.1-10.1.0.1 0", "10.1.0.2-10.1.0.3 1", "10.3.0.1-10.3.0.9 2", "10.3.1.1-10.3.1.1 3"]);
    }

    #[test]
    fn ways_that_are_too_long_are_refused() {
        let error =
            |hops: usize| Ways::of(&fabric(NODES, &[(1, 3, &vec![0; hops])])).err().map(|error| error.to_string());
        assert!(!error(MOST_HOPS).is_some_and(|error| error.contains("links")));
        let error = error(MOST_HOPS + 1).unwrap();
        assert!(error.contains("crosses 61 links"), "{error}");
    }

    #[test]
    fn ways_that_part_are_refused() {
        let error = Ways::of(&fabric(NODES, &[(1, 3, &[0, 1]), (2, 3, &[2])])).unwrap_err().to_string();
        assert!(error.contains("two~three again") && error.contains("AS2"), "{error}");
        let twice = &[("10.1.0.1", 1, Role::Peer), ("10.1.0.1", 2, Role::Peer)];
        assert!(matches!(Ways::of(&fabric(twice, &[])), Err(TcError::Address(_))));
    }
}
