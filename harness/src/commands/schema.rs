//! `peerbed schema`: prints the JSON Schemas of the YAML files, for editors.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::{say::say, status::Status};

/// Which schema.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Of which kind of file
    #[arg(value_enum, default_value_t = Kind::Experiment)]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// experiments/*.yaml
    Experiment,
    /// topologies/*.yaml
    Topology,
    /// experiments/suites/*.yaml
    Suite,
}

/// Prints it.
pub(crate) fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let schema = match args.kind {
        Kind::Experiment => peerbed_model::schema::experiment(),
        Kind::Topology => peerbed_model::schema::topology(),
        Kind::Suite => peerbed_model::schema::suite(),
    };
    say(&(serde_json::to_string_pretty(&schema)? + "\n"))?;
    Ok(Status::Good.into())
}
