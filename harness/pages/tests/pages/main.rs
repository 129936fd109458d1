//! Reports in a real browser: Debian's Chromium without a window. They are drawn from the results in `tests/results`, by the
//! same code as `peerbed report`.
//!
//! Where no browser is found, the cases are listed as ignored; with `PEERBED_REQUIRE_BROWSER=1` they are not, and fail with the
//! reason. `PEERBED_BROWSER` names another program than `chromium`; `PEERBED_SCREENSHOTS` a directory for what was seen.

mod browser;
mod cases;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // A browser is several processes that load every core.
    arguments.test_threads = Some(1);
    let found = browser::find();
    let required = std::env::var_os("PEERBED_REQUIRE_BROWSER").is_some_and(|value| value != "0");
    if let (Err(why), false) = (&found, required) {
        eprintln!("NOT RUN: the tests of reports in a browser: {why}");
    }
    let ignored = found.is_err() && !required;
    let trials = cases::ALL.iter().map(|(name, case)| {
        let found = found.clone();
        let case = *case;
        Trial::test(*name, move || Ok(browser::run(&found?, case)?)).with_ignored_flag(ignored)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
