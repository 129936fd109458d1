//! Installations that exist more than once: copied disks, and machines that went back to an older image of theirs.
//!
//! Each start of an installation draws a secondary GUID and tells those before it, so its starts are a chain. Where two
//! starts follow the same one, or two are the first, there are two disks, or one that went back.

use std::collections::{BTreeMap, BTreeSet};

use peerbed_contract::{EventKind, Guid, LoginRecord};

use super::RunView;

/// The most secondary GUIDs that a login tells; of a chain that long the beginning may be missing.
const CHAIN_MAX: usize = 5;

/// The GUIDs of installations that the login log shows more than once, with the most starts that follow the same one.
pub fn copied_installations(view: &RunView<'_>) -> BTreeMap<Guid, usize> {
    let logins = view.record.events.iter().filter_map(|event| match &event.kind {
        EventKind::Login(login) => Some(&**login),
        _ => None,
    });
    copied(logins)
}

fn copied<'a>(logins: impl Iterator<Item = &'a LoginRecord>) -> BTreeMap<Guid, usize> {
    // What follows a start; what follows none is a first start.
    let mut followers: BTreeMap<(Guid, Option<Guid>), BTreeSet<Guid>> = BTreeMap::new();
    for login in logins {
        for pair in login.secondary.windows(2) {
            followers.entry((login.guid, Some(pair[1]))).or_default().insert(pair[0]);
        }
        if let Some(first) = login.secondary.last().filter(|_| login.secondary.len() < CHAIN_MAX) {
            followers.entry((login.guid, None)).or_default().insert(*first);
        }
    }
    let mut copied = BTreeMap::new();
    for ((guid, _), after) in followers.iter().filter(|(_, after)| after.len() > 1) {
        let most = copied.entry(*guid).or_default();
        *most = after.len().max(*most);
    }
    copied
}

#[cfg(test)]
mod tests {
    use peerbed_contract::NatClass;

    use super::*;

    fn login(guid: u8, chain: &[u8]) -> LoginRecord {
        let guid_of = |byte: &u8| Guid::from_bytes([*byte; 16]);
        LoginRecord {
            guid: guid_of(&guid),
            secondary: chain.iter().map(guid_of).collect(),
            address: "10.0.0.1:7001".parse().unwrap(),
            as_number: None,
            region: None,
            country: None,
            uploads: true,
            nat: NatClass::None,
            version: "test".to_owned(),
        }
    }

    fn found(logins: &[LoginRecord]) -> Vec<(u8, usize)> {
        copied(logins.iter()).into_iter().map(|(guid, most)| (guid.as_bytes()[0], most)).collect()
    }

    #[test]
    fn starts_in_a_row_are_one_installation_however_many_they_are() {
        let chain: Vec<LoginRecord> = (1..=9_u8)
            .map(|newest| login(1, &(newest.saturating_sub(4).max(1)..=newest).rev().collect::<Vec<_>>()))
            .collect();
        assert_eq!(found(&chain), []);
        assert_eq!(
            found(&[login(1, &[5, 4]), login(1, &[5, 4]), login(2, &[6, 4])]),
            [],
            "a login again, another GUID"
        );
    }

    #[test]
    fn copies_and_machines_that_went_back_are_found() {
        // Three copies made after the start 4; one that went back from 5 to 4; two made before any start.
        assert_eq!(found(&[login(1, &[5, 4]), login(1, &[6, 4]), login(1, &[7, 4])]), [(1, 3)]);
        assert_eq!(found(&[login(1, &[4]), login(1, &[5, 4]), login(1, &[6, 5, 4]), login(1, &[7, 4])]), [(1, 2)]);
        assert_eq!(found(&[login(1, &[4]), login(1, &[5]), login(2, &[9])]), [(1, 2)]);
    }
}
