//! What every request passes before it reaches its handler, one file each; the order is in [`crate::app`].

pub mod access_log;
pub mod announced;
pub mod compression;
pub mod concurrency;
pub mod cors;
pub mod cross_site;
pub mod decompression;
pub mod panic;
pub mod request_id;
pub mod security_headers;
pub(crate) mod tail;
pub(crate) mod trace;
pub mod unread;
