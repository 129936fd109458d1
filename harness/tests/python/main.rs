//! The Parquet tables of a results directory open in `DuckDB`, pandas and Polars, and what is computed there from them is what
//! `summary.json` says.
//!
//! The results are of runs that were made up (`runs`), so that no network is needed. What is needed is Python with the packages of
//! `requirements.txt`: `PEERBED_PYTHON` names it, else it is `python3`. Where it lacks them, the cases are listed as ignored; with
//! `PEERBED_REQUIRE_PYTHON=1` they are not, and fail with the reason. Which it is is known only when it runs, so that this is a
//! program of its own instead of the usual test harness.

mod runs;

use std::{
    path::Path,
    process::{Command, ExitCode, Output},
};

use libtest_mimic::{Arguments, Failed, Trial};

const TOOLS: [&str; 3] = ["duckdb", "pandas", "polars"];

/// Says which of the packages are not there, without loading them.
const LOOK: &str = "\
import importlib.util, sys
lacking = [name for name in ('duckdb', 'pandas', 'polars', 'pyarrow') if importlib.util.find_spec(name) is None]
sys.exit(f'{sys.executable} lacks {lacking}' if lacking else 0)
";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let ignored = !is_required() && python(&["-c", LOOK]).is_err();
    let case = |tool: &'static str| {
        Trial::test(format!("{tool}::tables_say_what_the_summary_says"), move || compare(tool))
            .with_ignored_flag(ignored)
    };
    let mut cases: Vec<Trial> = TOOLS.map(case).into();
    cases
        .push(Trial::test("xml::exported_cases_are_xml_whatever_their_names", exported_xml).with_ignored_flag(ignored));
    libtest_mimic::run(&arguments, cases).exit_code()
}

fn is_required() -> bool {
    std::env::var("PEERBED_REQUIRE_PYTHON").is_ok_and(|value| value == "1")
}

/// Runs Python; what it printed, or why it failed.
fn python(args: &[&str]) -> Result<String, String> {
    let program = std::env::var("PEERBED_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(&program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    let Output { status, stdout, stderr } = output;
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if status.success() { Ok(said) } else { Err(format!("{program} ended with {status}: {said}")) }
}

/// Prints the counts of a file of `JUnit`'s XML and what it has in text, by Python's own parser.
const READ_XML: &str = "\
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == 'testsuites' and {suite.tag for suite in root} == {'testsuite'}, root
for of in [root, *root]:
    for name, tag in [('tests', 'testcase'), ('failures', 'failure'), ('errors', 'error'), ('skipped', 'skipped')]:
        assert int(of.get(name)) == len(list(of.iter(tag))), (of.attrib, name)
names = [(case.get('classname'), case.get('name')) for case in root.iter('testcase')]
assert len(names) == len(set(names)), names
print(root.get('tests'), ascii(root.get('name')), [ascii(error.get('message')) for error in root.iter('error')])
";

fn exported_xml() -> Result<(), Failed> {
    let root = tempfile::tempdir()?;
    let results = runs::results(root.path());
    let summary = results.join("summary.json");
    let mut value: serde_json::Value = serde_json::from_slice(&std::fs::read(&summary)?)?;
    let hostile = "a\"<b>&'\t\n]]>\u{0}\u{1b}\u{ffff}\u{10ffff}";
    value["experiment"] = hostile.into();
    value["arms"]["hybrid"]["runs_detail"][1]["valid"] = false.into();
    value["arms"]["hybrid"]["runs_detail"][1]["invalid_reasons"] = vec![hostile].into();
    std::fs::write(&summary, value.to_string())?;
    let file = root.path().join("cases.xml");
    std::fs::write(&file, peerbed::export::junit::text(&peerbed::export::Exported::read(&results)?)?)?;
    let said = python(&["-c", READ_XML, &file.to_string_lossy()])?;
    // What XML has no character for is in letters, everything else is what it was.
    let read = "a\"<b>&\\'\\t\\n]]>\\\\u{0}\\\\u{1b}\\\\u{ffff}\\U0010ffff";
    if said.contains(&format!("'peerbed: {read}'")) { Ok(()) } else { Err(format!("{read} is not in {said}").into()) }
}

fn compare(tool: &str) -> Result<(), Failed> {
    let root = tempfile::tempdir()?;
    let results = runs::results(root.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/check.py");
    let said = python(&[&script.to_string_lossy(), tool, &results.to_string_lossy()])?;
    // Two arms, three runs, five figures.
    if said.contains("30 values compared") {
        Ok(())
    } else {
        Err(format!("not everything was compared: {said}").into())
    }
}
