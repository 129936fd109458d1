//! Metrics of the control plane: its log, its accounts, its burden.

use super::{Definition, lower, neither};

pub(super) const DEFINITIONS: &[Definition] = &[
    neither(
        "bytes.inter_as_by_login",
        "B",
        "content bytes used of peers of another AS, by the login log alone: the AS of each GUID at its latest login \
         before the download ended (else its first)",
    ),
    neither(
        "bytes.misattributed",
        "B",
        "of the bytes used of peers, those of which the log does not say what is true, or nothing: copied \
         installations, lost logs, and peers that moved during the download",
    ),
    neither("accounting.accused", "1", "peers whose usage reports must be lies ([below](#attackers))"),
    lower("accounting.disputes", "1", "pairs of which one lied and nobody was singled out"),
    lower("accounting.false_accusations", "1", "accused peers whose reports are true, by the plan"),
    lower("accounting.missed", "1", "peers that reported lies, by the plan, and were not accused"),
    neither("offences.told", "1", "offences against the rules that nodes saw"),
    neither("offences.offenders", "1", "nodes that committed them, once for each kind"),
    lower("offences.honest", "1", "those of them that keep the rules, by the plan"),
    neither("logins", "1", "logins at connection nodes"),
    neither("moves", "1", "changes of address that peers told of"),
    lower(
        "registry_recovery_ms",
        "ms",
        "for each connection node and lost registry: from the moment at which the loss was noticed until every peer \
         that was asked to register again has done so or has gone",
    ),
    neither("control_refusals", "1", "what the control plane refused as too much"),
    lower(
        "control_messages_per_download",
        "1",
        "messages from and to peers that connection nodes counted / downloads started; a connection node that is \
         killed does not tell, and nothing is known if none tells",
    ),
];
