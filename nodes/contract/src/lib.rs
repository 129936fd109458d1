//! What the harness and a node say to each other, as plain values.
//!
//! A node is started as `edge|control|peer --config FILE`. It binds its sockets, prints a [`EventKind::Ready`] line on
//! standard output, waits for [`Command::Start`] on standard input, follows its script, prints [`Event`]s as JSON lines
//! on standard output, logs to standard error, and stops on [`Command::Stop`] or at end of input. It ends with one of
//! the codes in [`exit`]. Any program that keeps this contract can be a node.
//!
//! This crate is pure: no sockets, no clock, no entropy.

mod command;
mod config;
mod event;
mod names;
mod object;
mod order;
mod policy;
mod token;

pub mod content;
pub mod exit;

pub use command::{Command, CommandError};
pub use config::{
    Backstop, CachePolicy, Constants, ControlConfig, ControlLimits, ControlPart, Courtesy, DatabaseAddress, Defences,
    DirectoryEntry, EdgeConfig, EdgeLimits, EdgeMode, Filters, Flood, Habit, HabitAct, Inflate, Misbehaviour, NatClass,
    NodeConfig, PeerConfig, PieceOrder, Pieces, Place, Prefix, ReAddPolicy, Requery, RoleConfig, ScriptStep, Selection,
    Stall, Storage, Strategy, UploadPolicy, UserAct, UserMoment, Waits,
};
pub use event::{
    DownloadRecord, Event, EventKind, Eviction, LoginRecord, Offence, SourceBytes, TerminalStatus, TransferRecord,
    UsageRecord,
};
pub use names::{AsNumber, ContentId, Guid, NameError, NodeName, Role};
pub use object::{Manifest, Object, ObjectError, PieceHash};
pub use order::Order;
pub use policy::{ControlPolicy, EdgePolicy, NodePolicy, PeerPolicy, UploadLimits};
pub use token::{SignedToken, Token};
