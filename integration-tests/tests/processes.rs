//! The programs themselves, seen from outside: version, ports, readiness, log lines, what the service manager hears, metrics, the ordered
//! end, who may call what, and one trace through all of them. Each of the six binaries, in both deployments.

#[path = "processes/access.rs"]
mod access;
#[path = "processes/calls.rs"]
mod calls;
#[path = "processes/life.rs"]
mod life;
#[path = "processes/program.rs"]
mod program;
#[path = "processes/receiver.rs"]
mod receiver;
#[path = "processes/trace.rs"]
mod trace;
