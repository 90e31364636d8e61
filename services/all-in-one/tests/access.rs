//! Every method is called in every way in one process as well: by each service, for itself and on behalf of each role. The split
//! deployments have the same test, with the same requests, in `integration-tests/tests/processes/access.rs`.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

#[path = "../../../integration-tests/tests/processes/calls.rs"]
mod calls;

use std::path::Path;
use std::sync::Arc;

use cc_backend::actions;
use cc_backend::compose::{self, Parts};
use cc_proto::access::{Needs, Peer, Rpc, TABLE};
use cc_runtime::caller::{Caller, How, Role, set};
use cc_runtime::clock::Clock;
use cc_runtime::config::{Config, Program};
use cc_runtime::env::{MapEnv, ProcessEnv, ProgramEnv};
use cc_runtime::health::Health;
use cc_runtime::tasks::Tasks;
use tonic::Code;

/// One cluster, as small as one may be.
const CLUSTER: &str = r#"{"name":"p","metricConfig":[{"name":"load","unit":{"base":""},"scope":"node","aggregation":"avg","timestep":10,
    "peak":4,"normal":3,"caution":2,"alert":1}],"subClusters":[{"name":"main","nodes":"p[1-4]","processorType":"x","socketsPerNode":1,
    "coresPerSocket":1,"threadsPerCore":1,"flopRateScalar":{"unit":{"base":"F/s"},"value":1},"flopRateSimd":{"unit":{"base":"F/s"},"value":1},
    "memoryBandwidth":{"unit":{"base":"B/s"},"value":1},"topology":{"node":[0],"socket":[[0]],"memoryDomain":[[0]],"core":[[0]]}}]}"#;

/// A site in the working directory, with one user; its parts, and a token of the user.
async fn site() -> (Parts, String) {
    let (clock, mut out) = (Clock::system(), Vec::new());
    actions::init(&mut out).await.unwrap();
    std::fs::create_dir("var/job-archive/p").unwrap();
    std::fs::write("var/job-archive/p/cluster.json", CLUSTER).unwrap();
    let env = ProgramEnv::load(Arc::new(ProcessEnv), Path::new(".env")).unwrap();
    let config = Config::load("config.json", Program::Backend, &MapEnv::new()).unwrap().config;
    let parts = Parts {
        config: Arc::new(config),
        env: Arc::new(env),
        clock,
        tasks: Tasks::new(),
        health: Health::new(),
    };
    let (database, _lock) = cc_database::Database::of_action(&parts.config).await.unwrap();
    let settings = cc_auth::Settings::load(&parts.config, &*parts.env).unwrap();
    cc_auth::cli::add_user(&database, &parts.clock, "operator:admin:operator", &mut std::io::empty())
        .await
        .unwrap();
    let line = cc_auth::cli::mint_jwt(&database, &parts.clock, &settings, "operator").await.unwrap();
    database.close().await.unwrap();
    (parts, line.rsplit_once("': ").unwrap().1.trim().to_owned())
}

/// On whose behalf a service may call.
fn callers(from: Peer) -> Vec<(Option<Role>, Caller)> {
    let person =
        |roles: Vec<Role>| Caller { name: "eve".to_owned(), roles, projects: Vec::new(), how: How::Jwt };
    let own = (Some(Role::Service), Caller::service(from.name()));
    let roles = [Role::Api, Role::User, Role::Manager, Role::Support, Role::Admin];
    let people = roles.map(|role| (Some(role), person(vec![role])));
    [own, (None, person(Vec::new()))].into_iter().chain(people).collect()
}

fn suffices(needs: Needs, role: Option<Role>) -> bool {
    let named =
        |roles: &[&str]| role.is_some_and(|role| role == Role::Service || roles.contains(&role.as_str()));
    match needs {
        Needs::Service => named(&[]),
        Needs::AnyOf(roles) => named(roles),
        Needs::Authenticated => true,
    }
}

/// The service that answers a method; none for the public ones, which have no way but the gateway's port.
fn owner(rpc: &Rpc) -> Option<Peer> {
    Peer::from_name(&rpc.path.split('.').nth(1).unwrap().replace('_', "-"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_table_holds_in_one_process() {
    let directory = tempfile::tempdir().unwrap();
    std::env::set_current_dir(directory.path()).unwrap();
    let (parts, token) = site().await;
    let wires = compose::services(&parts).await.unwrap();
    for peer in Peer::ALL.into_iter().filter(|peer| *peer != Peer::Gateway) {
        parts.health.part(peer.name()).wait_ready().await;
    }
    let (mut allowed, mut refused) = (0, 0);
    for rpc in TABLE {
        let Some(owner) = owner(rpc) else { continue };
        let call = calls::of(rpc.path, &token, CLUSTER);
        for from in Peer::ALL {
            let transport = wires.to(from, owner).unwrap();
            for (role, caller) in callers(from) {
                let mut request = call.request();
                set(&mut request, &caller);
                let (code, reason) = calls::send(rpc.path, transport.clone(), request).await;
                let what = format!("{} by {from:?} for {role:?}: {code:?} {reason}", rpc.path);
                let by_peer = from == owner || rpc.callers.contains(&from);
                if by_peer && suffices(rpc.needs, role) {
                    assert!(!["PEER_NOT_ALLOWED", "ROLE_REQUIRED"].contains(&reason.as_str()), "{what}");
                    assert!(role != Some(Role::Service) || call.fits(code), "{what}");
                    allowed += 1;
                } else {
                    let expected = if by_peer { "ROLE_REQUIRED" } else { "PEER_NOT_ALLOWED" };
                    assert_eq!((code, reason.as_str()), (Code::PermissionDenied, expected), "{what}");
                    refused += 1;
                }
            }
        }
    }
    assert!(allowed > 40 && refused > 400, "{allowed} allowed, {refused} refused");
    let late = parts.tasks.shutdown(std::time::Duration::from_mins(1)).await;
    assert!(late.is_empty(), "{late:?}");
}
