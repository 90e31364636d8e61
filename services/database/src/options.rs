//! The keys of `main.db-config` (spec/job-db.md 2, config-and-cli.md 3.1) as this crate uses them.

use std::time::Duration;

/// How the connections are set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Page cache of all connections together, in MiB. The reference takes its figure per connection and grows to
    /// gigabytes; here it is the whole, half of it for the writer.
    pub cache_mib_total: u32,
    /// Most read-only connections at a time.
    pub readers_max: u32,
    /// A reader that was idle this long is closed.
    pub reader_idle_max: Duration,
    /// How long a write waits for another process before it fails.
    pub busy_timeout: Duration,
    /// Process-wide advisory limit of SQLite's memory, in MiB.
    pub soft_heap_limit_mib: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_mib_total: 64,
            readers_max: 4,
            reader_idle_max: Duration::from_mins(10),
            busy_timeout: Duration::from_mins(1),
            soft_heap_limit_mib: 16384,
        }
    }
}

impl From<&cc_runtime::config::main::DbConfig> for Options {
    fn from(config: &cc_runtime::config::main::DbConfig) -> Self {
        let default = Self::default();
        Self {
            cache_mib_total: config
                .cache_size_mb
                .map_or(default.cache_mib_total, |mib| u32::try_from(mib).unwrap_or(u32::MAX)),
            readers_max: config.max_open_connections,
            reader_idle_max: Duration::from_mins(u64::from(config.max_idle_time_minutes)),
            busy_timeout: Duration::from_millis(u64::from(config.busy_timeout_ms)),
            soft_heap_limit_mib: u32::try_from(config.soft_heap_limit_mb).unwrap_or(u32::MAX),
        }
    }
}

impl Options {
    /// KiB of page cache for the writer, which needs the hot pages of up to 54 indexes.
    pub(crate) fn writer_cache_kib(&self) -> u64 {
        (u64::from(self.cache_mib_total) * 1024 / 2).max(2048)
    }

    /// KiB of page cache for each reader.
    pub(crate) fn reader_cache_kib(&self) -> u64 {
        (u64::from(self.cache_mib_total) * 1024 / 2 / u64::from(self.readers_max.max(1))).max(1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_cache_is_the_whole_of_all_connections() {
        let options = Options { cache_mib_total: 256, readers_max: 8, ..Options::default() };
        assert_eq!(options.writer_cache_kib() + 8 * options.reader_cache_kib(), 256 * 1024);
    }
}
