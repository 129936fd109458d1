//! One suite for every implementation of the runtime seam, and what only the `docker` runtime has beside it.
//!
//! A case is written once, generic over its [`bed::Bed`], and stands here as `netns::CASE` and `docker::CASE`. Where no
//! Docker engine answers, those of `docker` are listed as ignored; with `PEERBED_REQUIRE_DOCKER=1` they are not, and fail
//! with the reason. It is a program of its own instead of the usual test harness, because which cases are ignored is
//! known only when it runs, and because it is also what some tests start: `runtimes helper …`.

mod bed;
mod docker;
mod exec;
mod helper;
mod namespaces;
mod network;
mod nodes;
#[path = "../e2e/program.rs"]
#[allow(dead_code, reason = "another test program uses the rest")]
mod program;
mod readiness;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "another test program uses the rest")]
mod support;
mod vanish;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use self::{bed::Bed, docker::Docker, namespaces::Namespaces, support::block_on};

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == "helper") {
        block_on(helper::main());
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    // They load every core and measure: one at a time.
    arguments.test_threads = Some(1);
    let mut docker = suite::<Docker>();
    docker.extend(docker::cases());
    let ignored = !docker::is_wanted();
    let docker = docker.into_iter().map(|case| case.with_ignored_flag(ignored));
    let all = suite::<Namespaces>().into_iter().chain(docker).collect();
    libtest_mimic::run(&arguments, all).exit_code()
}

/// The cases that every runtime has to pass, for this one.
fn suite<B: Bed>() -> Vec<Trial> {
    macro_rules! cases {
        ($($module:ident: $($case:ident),+;)+) => {
            vec![$($(trial(B::NAME, stringify!($case), $module::$case::<B>)),+),+]
        };
    }
    cases! {
        readiness:
            nodes_that_are_not_ready_are_named,
            a_node_that_dies_at_once_is_named,
            a_node_that_prints_without_end_is_named,
            a_program_that_is_not_there_is_named,
            a_congestion_control_that_is_not_there_is_named,
            every_node_is_ready_when_it_stands,
            many_nodes_stand_with_their_settings;
        nodes:
            an_end_is_noticed_after_the_last_line,
            nothing_printed_before_the_end_is_lost,
            killed_nodes_start_again,
            latecomers_are_started_when_they_are_added,
            a_line_that_nobody_reads_holds_nothing_up,
            frozen_nodes_stand_still,
            orders_are_lines_to_their_node,
            a_frozen_node_can_be_killed_and_starts_again,
            a_flood_is_held_back_and_not_lost,
            garbage_and_endless_lines_do_no_harm,
            a_node_that_does_not_read_is_refused_more;
        network:
            packets_cross_packet_ends,
            packets_cross_the_ends_this_user_gets,
            links_change_while_they_are_used,
            a_restarted_node_has_its_link_again,
            the_kernel_carries_and_counts,
            two_networks_do_not_meet;
        exec:
            programs_run_inside_nodes;
        vanish:
            a_killed_harness_leaves_nothing_at_ten_moments,
            a_killed_agent_ends_every_node,
            a_dropped_deployment_leaves_nothing,
            what_is_given_up_half_way_leaves_nothing,
            a_frozen_node_does_not_hold_up_the_end;
    }
}

/// A case as test runners see it; its body runs on a runtime like the harness's own.
fn trial<F: Future<Output = ()> + 'static>(bed: &str, name: &str, case: fn() -> F) -> Trial {
    let run = move || {
        block_on(case());
        Ok(())
    };
    Trial::test(format!("{bed}::{name}"), run)
}
