//! The flags of the programs (config-and-cli.md 6.2, 7, 13.1).

use super::{Flag, Kind};

const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag { name, kind: Kind::Bool, help }
}

const fn text(name: &'static str, default: &'static str, help: &'static str) -> Flag {
    Flag { name, kind: Kind::Text(default), help }
}

const CONFIG: Flag = text("config", "./config.json", "The configuration file.");
const LOG_LEVEL: Flag =
    text("loglevel", "warn", "What is logged: debug, info, warn, err, fatal (the same as err) or crit.");
const LOG_DATE: Flag = switch("logdate", "Put date and time into log lines.");
const VERSION: Flag = switch("version", "Print version information and exit.");
const DEV: Flag = switch("dev", "Serve the API playground and documentation, without authentication.");
const GOPS: Flag =
    switch("gops", "Accepted for compatibility; diagnostics are served by observability.metrics-addr.");
const CLEANUP: Flag =
    switch("cleanup-checkpoints", "Delete or archive checkpoints older than the retention, once, and exit.");
const EXPORT: Flag = switch(
    "export-checkpoints",
    "Write the checkpoint files that the reference lacks, from the store's own log, and exit.",
);
const ENV_FILE: Flag = text("env-file", "./.env", "The file with secrets.");
const CHDIR: Flag = text("chdir", "", "Change to this directory first; relative paths start there.");
const CHECK_CONFIG: Flag =
    switch("check-config", "Check the configuration, report every problem, exit 0 or 1.");
const FORMAT: Flag = text("format", "text", "Form of the report of -check-config: text or json.");
const LISTEN_FILE: Flag = text("listen-file", "", "Write the bound addresses into this file, as JSON.");

/// `cc-backend`.
pub const BACKEND: &[Flag] = &[
    CONFIG,
    LOG_LEVEL,
    LOG_DATE,
    VERSION,
    DEV,
    GOPS,
    CLEANUP,
    EXPORT,
    ENV_FILE,
    CHDIR,
    CHECK_CONFIG,
    FORMAT,
    LISTEN_FILE,
    switch("init", "Set up configuration, secrets, database and archive in this directory, and exit."),
    switch("server", "Start the server."),
    switch("migrate-db", "Migrate the database to the supported version and exit."),
    switch("no-backup", "Migrate without a backup copy beside the database: there is one already."),
    switch("revert-db", "Take the database back to the previous version and exit."),
    switch(
        "force-db",
        "Declare the database to be of the supported version, clear its dirty flag, and exit.",
    ),
    switch("optimize-db", "Make missing indexes, run VACUUM and ANALYZE on the database and exit."),
    text(
        "add-user",
        "",
        "Add a user: <name>:<role>[,<role>...]:<password>; roles are admin, support, manager, api, user; a password `-` is read from standard input.",
    ),
    text("del-user", "", "Delete the user of this name."),
    switch("sync-ldap", "Synchronise the users with LDAP once."),
    text("jwt", "", "Print a token for the user of this name."),
    switch("init-db", "Rebuild the job tables from the archive."),
    text("import-job", "", "Import jobs: <meta.json>:<data.json>[,<meta.json>:<data.json>...]"),
    switch("apply-tags", "Run the taggers on all finished jobs."),
    Flag {
        name: "init-tls",
        kind: Kind::Optional("./var/tls"),
        help: "Make keys and certificates for split services in this directory, and exit.",
    },
];

/// The split services and the gateway. Serving is what they do; `-server` is accepted.
pub const SERVICE: &[Flag] = &[
    CONFIG,
    LOG_LEVEL,
    LOG_DATE,
    VERSION,
    DEV,
    ENV_FILE,
    CHDIR,
    CHECK_CONFIG,
    FORMAT,
    LISTEN_FILE,
    switch("server", "Accepted for compatibility; the program always serves."),
];

/// `cc-metric-store`.
pub const STORE: &[Flag] = &[
    CONFIG,
    LOG_LEVEL,
    LOG_DATE,
    VERSION,
    DEV,
    GOPS,
    CLEANUP,
    EXPORT,
    ENV_FILE,
    CHDIR,
    CHECK_CONFIG,
    FORMAT,
    LISTEN_FILE,
];
