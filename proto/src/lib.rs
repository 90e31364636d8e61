//! The contracts between services, and the public one for scheduler adapters.
//!
//! The `.proto` files are the text to read; this crate holds the code generated from them, one module per package, and
//! [`access`], the table that says who may call each method, and [`convert`], the way to and from `cc-model`.

pub mod access;
pub mod convert;

/// Descriptor set of all packages: compared with the committed one, and served by reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

macro_rules! package {
    ($(#[$doc:meta])* $name:ident, $package:literal) => {
        $(#[$doc])*
        pub mod $name {
            /// Version 1: additions only; a breaking change becomes `v2` beside it.
            pub mod v1 {
                tonic::include_proto!($package);
            }
        }
    };
}

package!(
    /// Messages shared by the internal services.
    common, "clustercockpit.common.v1"
);
package!(
    /// Users, tokens, sessions.
    auth, "clustercockpit.auth.v1"
);
package!(
    /// The job archive and the cluster files.
    archive, "clustercockpit.archive.v1"
);
package!(
    /// Samples of the last days.
    metric_store, "clustercockpit.metric_store.v1"
);
package!(
    /// Jobs, tags, nodes.
    job_db, "clustercockpit.job_db.v1"
);
package!(
    /// The public API for scheduler adapters.
    scheduler, "clustercockpit.scheduler.v1"
);
