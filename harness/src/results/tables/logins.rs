//! `logins.parquet`: one row for each login and logout, as the connection nodes logged them.

use peerbed_contract::{EventKind, Guid};

use crate::results::{
    RunOutcome,
    columns::{Cell, Column, Rows, Table, Type},
};

pub(super) const TABLE: Table = Table {
    file: "logins.parquet",
    columns: &[
        Column::new("arm", Type::Text, "", "the arm"),
        Column::new("repeat", Type::Int, "", "the repeat, from 0"),
        Column::new("node", Type::Text, "", "the connection node"),
        Column::new("t_ns", Type::Int, "ns", "when, nanoseconds since the start of the run"),
        Column::new(
            "event",
            Type::Text,
            "",
            "`login` or `logout`; of a logout the columns after `port` are null, and `secondary`",
        ),
        Column::new("guid", Type::Text, "", "the installation"),
        Column::maybe(
            "secondary",
            Type::Text,
            "",
            "the secondary GUIDs of its starts, newest first, with spaces between them",
        ),
        Column::new("address", Type::Text, "", "the address that was seen"),
        Column::new("port", Type::Int, "", "the port that it told"),
        Column::maybe("as_number", Type::Int, "", "the AS of the address by the directory"),
        Column::maybe("region", Type::Text, "", "the region of that AS"),
        Column::maybe("country", Type::Text, "", "its country, where the topology says it"),
        Column::maybe("uploads", Type::Bool, "", "whether it uploads"),
        Column::maybe("nat", Type::Text, "", "its NAT class"),
        Column::maybe("version", Type::Text, "", "the version of its program"),
    ],
};

pub(super) fn rows(outcome: &RunOutcome, rows: &mut Rows) {
    let plan = &outcome.record().plan;
    for event in &outcome.record().events {
        let (guid, address, login) = match &event.kind {
            EventKind::Login(login) => (login.guid, login.address, Some(&**login)),
            EventKind::Logout { guid, address } => (*guid, *address, None),
            _ => continue,
        };
        let word = if login.is_some() { "login" } else { "logout" };
        let (guid, ip) = (guid.to_string(), address.ip().to_string());
        let secondary = login.map(|login| login.secondary.iter().map(Guid::to_string).collect::<Vec<_>>().join(" "));
        let nat = login.map(|login| match serde_json::to_value(login.nat) {
            Ok(serde_json::Value::String(word)) => word,
            _ => unreachable!("a class is a word"),
        });
        rows.push(&[
            Cell::from(plan.arm.as_str()),
            plan.repeat.into(),
            event.node.as_str().into(),
            event.t.into(),
            word.into(),
            guid.as_str().into(),
            secondary.as_deref().into(),
            ip.as_str().into(),
            u32::from(address.port()).into(),
            login.and_then(|login| login.as_number).map(|number| u64::from(number.get())).into(),
            login.and_then(|login| login.region.as_deref()).into(),
            login.and_then(|login| login.country.as_deref()).into(),
            login.map_or(Cell::Null, |login| login.uploads.into()),
            nat.as_deref().into(),
            login.map(|login| login.version.as_str()).into(),
        ]);
    }
}
