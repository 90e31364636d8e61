//! Bad input of every kind: a clear error that names the field and the fix, and nothing lost or half-written. In both deployments.

#[path = "bad_input/archive.rs"]
mod archive;
#[path = "bad_input/clusters.rs"]
mod clusters;
#[path = "bad_input/events.rs"]
mod events;
#[path = "bad_input/full.rs"]
mod full;
#[path = "bad_input/house.rs"]
mod house;
#[path = "bad_input/samples.rs"]
mod samples;
#[path = "bad_input/sizes.rs"]
mod sizes;
#[path = "bad_input/starts.rs"]
mod starts;
#[path = "bad_input/tokens.rs"]
mod tokens;

/// One test per deployment.
macro_rules! both {
    ($($module:ident::$name:ident),+ $(,)?) => {$(
        mod $name {
            use cc_integration_tests::server::Deployment;

            #[tokio::test(flavor = "multi_thread")]
            async fn in_one_process() {
                super::$module::$name(Deployment::OneProcess).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn split_over_tls() {
                super::$module::$name(Deployment::SplitTls).await;
            }
        }
    )+};
}

both! {
    events::a_bad_start_names_what_is_wrong_and_starts_nothing,
    events::a_bad_stop_names_what_is_wrong_and_stops_nothing,
    events::a_bad_node_report_changes_no_node,
    samples::a_bad_line_in_the_middle_costs_only_itself,
    samples::unknown_names_cost_only_their_lines,
    samples::asking_for_what_is_not_there_says_so,
    tokens::wrong_expired_and_weak_tokens_are_told_apart,
    tokens::a_role_that_may_not_is_refused,
    tokens::the_scheduler_interface_refuses_them_too,
    sizes::what_is_too_large_is_refused_whole,
    clusters::a_broken_cluster_file_stops_the_start,
    clusters::a_broken_change_leaves_the_cluster_as_it_was,
    archive::an_unreadable_entry_harms_no_other,
    starts::a_taken_port_is_named,
    starts::a_missing_directory_is_named,
    starts::a_broken_configuration_is_named,
    full::a_full_database_acknowledges_nothing_and_recovers,
    full::a_full_log_acknowledges_nothing_and_recovers,
    full::a_full_archive_waits_and_recovers,
}
