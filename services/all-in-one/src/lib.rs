//! The single binary: every service and the gateway linked into one process, and the thin binaries of each service.
