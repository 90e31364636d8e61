//! The metrics of this service: names, help, units.

/// Logins by outcome.
pub const LOGINS: &str = "auth_logins_total";
/// Sessions removed since they were past their end.
pub const SESSIONS_PRUNED: &str = "auth_sessions_pruned_total";
/// Rows of the audit log removed since they were too old or too many.
pub const AUDIT_PRUNED: &str = "auth_audit_rows_pruned_total";

/// What came of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginOutcome {
    Done,
    WrongCredentials,
    TooManyAttempts,
    Failed,
}

/// Tells the recorder of the process what the metrics mean.
pub(crate) fn describe() {
    metrics::describe_counter!(
        LOGINS,
        "logins by outcome: done, wrong-credentials, too-many-attempts, failed"
    );
    metrics::describe_counter!(SESSIONS_PRUNED, "sessions removed since they were past their end");
    metrics::describe_counter!(
        AUDIT_PRUNED,
        "rows of the audit log removed since they were too old or too many"
    );
}

pub(crate) fn login(outcome: LoginOutcome) {
    let outcome = match outcome {
        LoginOutcome::Done => "done",
        LoginOutcome::WrongCredentials => "wrong-credentials",
        LoginOutcome::TooManyAttempts => "too-many-attempts",
        LoginOutcome::Failed => "failed",
    };
    metrics::counter!(LOGINS, "outcome" => outcome).increment(1);
}
