//! `peerbed topology`: topology files that are made, from a seed or from CAIDA's files of AS relationships.

use std::{
    fmt,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use peerbed_link::{Probability, Rate};
use peerbed_model::{
    MAX_RELATIONS_BYTES, Source,
    asgraph::{self, Imported, Recipe, Relations, TierSizes},
};

use crate::{
    regular,
    results::rename_new,
    say::{complain, counted, harmless, say},
    status::Status,
};

/// Make a topology file
#[derive(Debug, Args)]
pub(crate) struct TopologyArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Draw a tiered AS graph from a seed
    ///
    /// A clique of tier-1 ASes, transit ASes that pay two or three of them, stub ASes that pay one to three transit ASes; providers are
    /// chosen by preferential attachment. People live in the stubs. The same arguments give the same bytes. docs/topologies.md has the
    /// details.
    Generate(GenerateArgs),
    /// Sample one of CAIDA's files of AS relationships
    ///
    /// Reads serial-1 and serial-2 files as plain text, and samples the graph down to what a machine carries: ASes and links of the
    /// sample are the file's, populations, regions, rates and delays are made up. How like the whole its degrees are is said on
    /// standard error. docs/topologies.md has the details.
    Import(ImportArgs),
}

#[derive(Debug, Args)]
struct GenerateArgs {
    /// ASes at the top, each a peer of all others
    #[arg(long, value_name = "N", default_value_t = 4)]
    tier1: u32,
    /// ASes between those and the stubs; a fifth of all by default
    #[arg(long, value_name = "N")]
    transit: Option<u32>,
    /// How many of the pairs that may be peers are: of transit ASes of one region, and of the third of its stubs with most people
    #[arg(long, value_name = "SHARE", default_value = "30%", value_parser = written(asgraph::share))]
    peering: Written<Probability>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
struct ImportArgs {
    /// The file, as plain text: decompress it first
    file: PathBuf,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// How many ASes, 2 to 512
    #[arg(long, value_name = "N", default_value_t = 60)]
    ases: u32,
    /// How many regions; delays grow with the distance between them
    #[arg(long, value_name = "N", default_value_t = 4)]
    regions: u32,
    /// The exponent of Zipf's law for the populations, 0 (all the same) to 4
    #[arg(long, value_name = "S", default_value = "1", value_parser = written(zipf))]
    zipf: Written<f64>,
    /// In which share of the ASes where people live there is an edge server: those with most people, at least one
    #[arg(long, value_name = "SHARE", default_value = "25%", value_parser = written(asgraph::share))]
    edges: Written<Probability>,
    /// For how many peers, divided by the populations, links between ASes have room
    #[arg(long, value_name = "N", default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    peers: u32,
    /// With this rate for each of them
    #[arg(long, value_name = "RATE", default_value = "6mbit", value_parser = written(asgraph::rate))]
    rate: Written<Rate>,
    /// What is drawn comes from it
    #[arg(long, default_value_t = 1, value_parser = super::seed)]
    seed: u64,
    /// Where to write it, instead of standard output; a file that is there already stays as it is
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there already
    #[arg(long, requires = "output")]
    force: bool,
}

/// A value with the text that said it.
#[derive(Debug, Clone)]
struct Written<T> {
    text: String,
    value: T,
}

impl<T> fmt::Display for Written<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A parser that keeps the text.
fn written<T>(
    parse: impl Fn(&str) -> Result<T, String> + Clone,
) -> impl Fn(&str) -> Result<Written<T>, String> + Clone {
    move |text| Ok(Written { value: parse(text)?, text: text.to_owned() })
}

fn zipf(text: &str) -> Result<f64, String> {
    let exponent = text.parse().ok().filter(|exponent| (0.0..=4.0).contains(exponent));
    exponent.ok_or_else(|| "a number from 0 to 4 is expected".to_owned())
}

impl CommonArgs {
    fn recipe(&self) -> Recipe {
        Recipe {
            ases: self.ases,
            regions: self.regions,
            zipf: self.zipf.value,
            edges: self.edges.value,
            peers: self.peers,
            rate: self.rate.value,
            seed: self.seed,
        }
    }

    /// As options of a command line.
    fn options(&self) -> String {
        let Self { ases, regions, zipf, edges, peers, rate, seed, .. } = self;
        format!(
            "--ases {ases} --regions {regions} --zipf {zipf} --edges {edges} --peers {peers} --rate {rate} --seed {seed}"
        )
    }

    /// Prints a topology, or writes it where it shall be.
    fn put(&self, text: &str) -> anyhow::Result<()> {
        match &self.output {
            Some(path) => place(path, text, self.force),
            None => say(text),
        }
    }
}

/// Makes the topology.
pub(crate) fn run(args: &TopologyArgs) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::Generate(args) => args.common.put(&generate(args)?)?,
        Verb::Import(args) => {
            let (imported, told) = import(args)?;
            // What is known of it comes first: whoever reads it from a pipe may stop.
            told.iter().for_each(complain);
            args.common.put(&imported.yaml)?;
        }
    }
    Ok(Status::Good.into())
}

fn generate(args: &GenerateArgs) -> anyhow::Result<String> {
    let GenerateArgs { tier1, transit, peering, common } = args;
    let transit = transit.unwrap_or(common.ases / 5);
    let sizes = TierSizes { tier1: *tier1, transit, peering: peering.value };
    let options = common.options();
    let head = [
        "A tiered AS graph that is drawn, with people in its stubs (docs/topologies.md). Made by".to_owned(),
        format!("peerbed topology generate --tier1 {tier1} --transit {transit} --peering {peering} {options}"),
    ];
    Ok(common.recipe().generate(&sizes, &head)?)
}

/// A sample, and what is to be said of it.
fn import(args: &ImportArgs) -> anyhow::Result<(Imported, Vec<String>)> {
    let shown = shown(&args.file);
    let bytes =
        regular::read(&args.file, MAX_RELATIONS_BYTES as u64).with_context(|| format!("cannot read {shown}"))?;
    let hash = blake3::hash(&bytes).to_hex();
    let relations = Relations::parse(&Source::from_relations(&shown, bytes)?)?;
    let name = quoted(&args.file.file_name().unwrap_or_default().to_string_lossy());
    let ases = |count: usize| asgraph::counted(count as u64);
    let links = |count: usize| counted(count, "link");
    let (all, of_all) = (ases(relations.ases()), links(relations.links()));
    let head = [
        "A sample of an AS graph (docs/topologies.md); populations, regions, rates and delays are made up. Made by"
            .to_owned(),
        format!("peerbed topology import {name} {}", args.common.options()),
        format!("from a file with the BLAKE3 hash {hash}."),
    ];
    let imported = args.common.recipe().import(&relations, &head)?;
    let mut told: Vec<String> = relations.warnings().iter().map(ToString::to_string).collect();
    let Imported { top, unjoined, mean_degree: (before, after), distance, links: kept, .. } = imported;
    told.push(format!("{shown}: {all} and {of_all}, {} at the top", ases(top)));
    if unjoined > 0 {
        told.push(format!("without a way up to the top, so in no sample: {unjoined}"));
    }
    let (sample, kept) = (ases(args.common.ases as usize), links(kept));
    told.push(format!("kept: {sample} and {kept}; mean degree {after:.2}, before {before:.2}"));
    told.push(format!(
        "Kolmogorov-Smirnov distance between the degrees before and after, each divided by its mean and corrected for \
         continuity: {distance:.3}"
    ));
    Ok((imported, told))
}

/// The name of a file as a word of a command line; what would end the line or command a terminal is escaped.
fn quoted(name: &str) -> String {
    let mut tamed = String::with_capacity(name.len());
    for c in name.chars() {
        let ends_lines = matches!(c, '\u{2028}' | '\u{2029}');
        if c.is_control() || ends_lines { tamed.extend(c.escape_debug()) } else { tamed.push(c) }
    }
    // It would be read as an option.
    let tamed = if tamed.starts_with('-') { format!("./{tamed}") } else { tamed };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '+' | ',' | '@' | '%' | ':');
    if !tamed.is_empty() && tamed.chars().all(plain) { tamed } else { format!("'{}'", tamed.replace('\'', r"'\''")) }
}

/// A path without what would command a terminal.
fn shown(path: &Path) -> String {
    harmless(&path.display().to_string())
}

/// Writes a file whole or not at all; one that is there already is replaced only by force.
fn place(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let there = || format!("{} is there already; --force replaces it, --output takes another name", shown(path));
    if !force && fs::symlink_metadata(path).is_ok() {
        bail!(there());
    }
    let Some(name) = path.file_name() else { bail!("{} is not the name of a file", shown(path)) };
    let beside = path.with_file_name(format!(".writing-{}-{}", std::process::id(), name.to_string_lossy()));
    let written = (|| {
        let mut file = File::create_new(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        if force { fs::rename(&beside, path) } else { rename_new(&beside, path) }
    })();
    written.map_err(|error| {
        // The first error is the one to report.
        let _ = fs::remove_file(&beside);
        match error.kind() {
            std::io::ErrorKind::AlreadyExists => anyhow::anyhow!(there()),
            _ => anyhow::Error::new(error).context(format!("cannot write {}", shown(path))),
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: TopologyArgs,
    }

    fn parse(line: &str) -> Result<Verb, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.args.verb)
    }

    #[test]
    fn the_shipped_graph_is_what_its_own_head_makes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/tiered.yaml");
        let shipped = fs::read_to_string(path).unwrap();
        let command = shipped.lines().nth(1).unwrap().strip_prefix("# peerbed ").unwrap();
        let Verb::Generate(args) = parse(command).unwrap() else { panic!("{command}") };
        assert!(generate(&args).unwrap() == shipped, "it is not what `peerbed {command}` makes");
        // Those are the defaults.
        let Verb::Generate(args) = parse("topology generate").unwrap() else { panic!() };
        assert!(generate(&args).unwrap() == shipped, "it is not what the defaults make");
    }

    #[test]
    fn what_cannot_be_made_is_refused_with_the_reason() {
        let refused = |options: &str| match parse(&format!("topology generate {options}")) {
            Ok(Verb::Generate(args)) => generate(&args).unwrap_err().to_string(),
            Ok(Verb::Import(_)) => panic!("{options}"),
            Err(error) => error.to_string().lines().next().unwrap().to_owned(),
        };
        let cases = [
            "--ases 1",
            "--ases 513",
            "--ases 10 --tier1 0",
            "--ases 10 --tier1 8 --transit 2",
            "--ases 10 --tier1 4 --transit 4 --regions 3",
            "--regions 0",
            "--ases 512 --tier1 300",
            "--zipf 5",
            "--zipf NaN",
            "--edges 0.5",
            "--rate 6",
            "--peers 0",
            "--force",
        ];
        let said = cases.map(|case| format!("{case}: {}", refused(case))).join("\n");
        insta::assert_snapshot!(said, @"
        --ases 1: 1 AS: a topology that is made has 2 to 512
        --ases 513: 513 ASes: a topology that is made has 2 to 512
        --ases 10 --tier1 0: a graph needs a tier-1 AS, or stubs would have no way to each other
        --ases 10 --tier1 8 --transit 2: 8 ASes at the top and 2 ASes of transit leave none of 10 for people to live in: take more ASes, or fewer of those
        --ases 10 --tier1 4 --transit 4 --regions 3: 3 regions for 2 ASes where people live: there is at least 1 region, and somebody in each
        --regions 0: 0 regions for 44 ASes where people live: there is at least 1 region, and somebody in each
        --ases 512 --tier1 300: 45718 links, and a topology has at most 8192: take fewer ASes, fewer at the top, or less peering
        --zipf 5: error: invalid value '5' for '--zipf <S>': a number from 0 to 4 is expected
        --zipf NaN: error: invalid value 'NaN' for '--zipf <S>': a number from 0 to 4 is expected
        --edges 0.5: error: invalid value '0.5' for '--edges <SHARE>': `0.5` is not a percentage: it has no `%`; write a share as `31%`, from 0% to 100%
        --rate 6: error: invalid value '6' for '--rate <RATE>': `6` is not a rate: it has no unit; write a rate as `10mbit`; units: bit, kbit, mbit, gbit
        --peers 0: error: invalid value '0' for '--peers <N>': 0 is not in 1..=20000
        --force: error: the following required arguments were not provided:
        ");
    }

    #[test]
    fn what_a_sample_is_of_is_said_in_its_head_and_beside_it() {
        let made_up = Path::new(env!("CARGO_MANIFEST_DIR")).join("model/tests/relations/made-up.as-rel2.txt");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("some.as-rel2.txt");
        // One AS more, which has no way up, and a line twice.
        let text = fs::read_to_string(made_up).unwrap();
        let again = text.lines().last().unwrap();
        fs::write(&path, format!("{text}64912|64911|0|mlp\n{again}\n")).unwrap();
        let Verb::Import(args) = parse(&format!("topology import {} --ases 80 --seed 3", path.display())).unwrap()
        else {
            panic!()
        };
        let (imported, told) = import(&args).unwrap();
        let head: Vec<&str> = imported.yaml.lines().take_while(|line| line.starts_with('#')).collect();
        let said = format!("{}\n\n{}", head.join("\n"), told.join("\n"));
        insta::assert_snapshot!(said.replace(directory.path().to_str().unwrap(), "DIR"), @"
        # A sample of an AS graph (docs/topologies.md); populations, regions, rates and delays are made up. Made by
        # peerbed topology import some.as-rel2.txt --ases 80 --regions 4 --zipf 1 --edges 25% --peers 150 --rate 6mbit --seed 3
        # from a file with the BLAKE3 hash d79c29a96097776b07bc2a392733f0933d0806b303fed401e55e78b18b651a47.

        warning: line 1264 says the same of 64746 and 64748
            --> DIR/some.as-rel2.txt:1266:1
             |
        1266 | 64746|64748|0|mlp
             | ^^^^^^^^^^^^^^^^^
             |
             = help: the link is taken once; remove one of the lines
        DIR/some.as-rel2.txt: 401 ASes and 1263 links, 6 ASes at the top
        without a way up to the top, so in no sample: 1
        kept: 80 ASes and 207 links; mean degree 5.17, before 6.30
        Kolmogorov-Smirnov distance between the degrees before and after, each divided by its mean and corrected for continuity: 0.088
        ");
        for (text, reason) in [("BZh9", "the file is compressed (bzip2)"), ("1|2\n", "`1|2` is not a relationship")] {
            fs::write(&path, text).unwrap();
            let error = import(&args).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("some.as-rel2.txt:1:1"), "{error}");
        }
    }

    #[test]
    fn the_example_in_docs_is_what_the_command_says() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let docs = fs::read_to_string(root.join("docs/topologies.md")).unwrap();
        let command = docs.lines().find_map(|line| line.strip_prefix("peerbed topology import harness/")).unwrap();
        let Verb::Import(args) = parse(&format!("topology import {}/{command}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        else {
            panic!("{command}")
        };
        let told = import(&args)
            .unwrap()
            .1
            .join("\n")
            .replace(&format!("{}/model", env!("CARGO_MANIFEST_DIR")), "harness/model");
        assert!(docs.contains(&format!("```\n{told}\n```\n")), "{told}");
    }

    #[test]
    fn names_of_files_are_one_word_of_the_command_in_the_head() {
        for (name, word) in [
            ("20260101.as-rel2.txt", "20260101.as-rel2.txt"),
            ("as rel.txt", "'as rel.txt'"),
            ("$(rm -r x);`y`", "'$(rm -r x);`y`'"),
            ("it's", r"'it'\''s'"),
            ("~x*", "'~x*'"),
            ("-o", "./-o"),
            ("a\nb", r"'a\nb'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(name), word);
        }
    }

    #[test]
    fn one_is_no_plural_beside_a_sample() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("as rel.txt");
        fs::write(&path, "1|2|-1\n").unwrap();
        let common = CommonArgs { ases: 2, regions: 1, ..common() };
        let (imported, told) = import(&ImportArgs { file: path, common }).unwrap();
        assert!(imported.yaml.contains("\n# peerbed topology import 'as rel.txt' --ases 2"), "{}", imported.yaml);
        assert!(told[0].ends_with(": 2 ASes and 1 link, 1 AS at the top"), "{told:?}");
        assert!(told[1].starts_with("kept: 2 ASes and 1 link; "), "{told:?}");
    }

    fn common() -> CommonArgs {
        let Verb::Generate(args) = parse("topology generate").unwrap() else { panic!() };
        args.common
    }

    #[test]
    fn a_file_that_is_there_stays_unless_it_is_forced_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("made.yaml");
        place(&path, "one", false).unwrap();
        let error = place(&path, "two", false).unwrap_err().to_string();
        assert!(error.ends_with("is there already; --force replaces it, --output takes another name"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        place(&path, "two", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        place(&directory.path().join("nowhere/made.yaml"), "three", true).unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
    }
}
