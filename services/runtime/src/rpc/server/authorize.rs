//! Which calls are allowed: by the access table, nothing else.

use cc_proto::access::{Needs, Peer, Rpc};
use tonic::Status;

use crate::caller::{Caller, Role};
use crate::error::{Failure, Kind};
use crate::rpc::identity::Verdict;

/// Whether the issuing service may call the method and the caller has what the method needs. A service may always
/// call itself (command-line actions work in its own process).
pub(super) fn check(rpc: &'static Rpc, verdict: &Verdict, own: Peer) -> Result<(), Status> {
    if verdict.issuer != own && !rpc.callers.contains(&verdict.issuer) {
        return Err(Failure::new(
            Kind::Forbidden,
            "PEER_NOT_ALLOWED",
            format!("{} may not call {}", verdict.issuer.name(), rpc.path),
        )
        .into());
    }
    if suffices(rpc.needs, &verdict.caller) {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Forbidden,
        "ROLE_REQUIRED",
        format!("the caller's roles do not allow {}", rpc.path),
    )
    .with("method", rpc.path)
    .into())
}

fn suffices(needs: Needs, caller: &Caller) -> bool {
    let service = caller.has(Role::Service);
    match needs {
        Needs::Service => service,
        Needs::AnyOf(roles) => service || caller.roles.iter().any(|role| roles.contains(&role.as_str())),
        Needs::Authenticated => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cc_proto::access::TABLE;

    use super::*;
    use crate::caller::How;
    use crate::error::reason;

    fn verdict(issuer: Peer, caller: Caller) -> Verdict {
        Verdict { issuer, caller: Arc::new(caller), expires: 0 }
    }

    fn person(role: Role) -> Caller {
        Caller { name: "p".to_owned(), roles: vec![role], projects: Vec::new(), how: How::Jwt }
    }

    /// Every row, every issuing peer, every single role: allowed exactly when the table says so.
    #[test]
    fn the_whole_table_is_enforced() {
        let mut allowed = 0;
        let mut refused = 0;
        for rpc in TABLE {
            for issuer in Peer::ALL {
                for role in Role::ALL {
                    let caller =
                        if role == Role::Service { Caller::service(issuer.name()) } else { person(role) };
                    let by_peer = rpc.callers.contains(&issuer);
                    let by_role = match rpc.needs {
                        Needs::Service => role == Role::Service,
                        Needs::AnyOf(roles) => role == Role::Service || roles.contains(&role.as_str()),
                        Needs::Authenticated => true,
                    };
                    // seen from a service that is not the issuer
                    let own = if issuer == Peer::Auth { Peer::Archive } else { Peer::Auth };
                    match check(rpc, &verdict(issuer, caller), own) {
                        Ok(()) => {
                            assert!(by_peer && by_role, "{} {issuer:?} {role}", rpc.path);
                            allowed += 1;
                        }
                        Err(status) => {
                            let expected = if by_peer { "ROLE_REQUIRED" } else { "PEER_NOT_ALLOWED" };
                            assert!(!(by_peer && by_role), "{} {issuer:?} {role}", rpc.path);
                            assert_eq!(reason(&status).as_deref(), Some(expected));
                            refused += 1;
                        }
                    }
                }
            }
        }
        assert!(allowed > 50 && refused > 500, "{allowed} allowed, {refused} refused");
    }

    #[test]
    fn a_service_may_call_itself() {
        let own = TABLE.iter().find(|rpc| rpc.callers.is_empty() && rpc.needs == Needs::Service).unwrap();
        assert!(check(own, &verdict(Peer::JobDb, Caller::service("job-db")), Peer::JobDb).is_ok());
        assert!(check(own, &verdict(Peer::JobDb, person(Role::Admin)), Peer::JobDb).is_err());
        assert!(check(own, &verdict(Peer::Gateway, Caller::service("gateway")), Peer::JobDb).is_err());
    }

    #[test]
    fn a_caller_without_roles_is_only_authenticated() {
        let nobody = Caller { roles: Vec::new(), ..person(Role::User) };
        assert!(suffices(Needs::Authenticated, &nobody));
        assert!(!suffices(Needs::AnyOf(&["user"]), &nobody));
        assert!(!suffices(Needs::Service, &nobody));
    }
}
