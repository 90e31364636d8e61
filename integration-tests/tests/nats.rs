//! Events and samples over a real NATS broker, in both deployments and for the stand-alone store.

#[path = "nats/connection.rs"]
mod connection;
#[path = "nats/durable.rs"]
mod durable;
#[path = "nats/events.rs"]
mod events;
#[path = "nats/house.rs"]
mod house;
#[path = "nats/samples.rs"]
mod samples;

/// One test per deployment.
macro_rules! both {
    ($($module:ident::$name:ident),+ $(,)?) => {$(
        mod $name {
            use cc_integration_tests::{broker::broker_or_skip, server::Deployment};

            #[tokio::test(flavor = "multi_thread")]
            async fn in_one_process() {
                if broker_or_skip(stringify!($name)) {
                    super::$module::$name(Deployment::OneProcess).await;
                }
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn split() {
                if broker_or_skip(stringify!($name)) {
                    super::$module::$name(Deployment::Split).await;
                }
            }
        }
    )+};
}

both! {
    events::every_job_that_started_and_stopped_is_stopped,
    events::what_is_wrong_costs_only_itself,
    events::one_subject_for_everything,
    events::one_durable_subject_for_everything,
    events::gateways_of_a_site_share_the_events,
    connection::the_hub_goes_on_without_a_broker_and_takes_up_its_work,
    connection::who_may_not_sign_in_is_told_why,
    connection::a_password_over_tls_is_taken,
    samples::two_subjects_do_not_mix,
    durable::what_was_sent_while_the_hub_was_down_arrives,
    durable::a_stop_waits_for_the_start_that_a_lost_hub_had,
    durable::what_waits_is_not_sent_again,
    durable::what_is_left_undone_comes_again,
    durable::a_stream_that_is_made_later_is_found,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_alone_store_listens_too() {
    if cc_integration_tests::broker::broker_or_skip("the_stand_alone_store_listens_too") {
        samples::the_stand_alone_store_listens_too().await;
    }
}
