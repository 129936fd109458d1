//! Frames: reading and cutting them, and translating their ports.

mod cut;
mod sending;
mod translate;
