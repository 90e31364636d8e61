//! The browser UI, built by Vite, pre-compressed and embedded.
//!
//! [`asset`] gives the files a browser may cache, [`page()`] the two HTML documents with what the
//! server knows filled in. The pages themselves (Svelte, TypeScript) lie beside this file; what
//! they ask the server is in `schema.graphql`. Without a build (`make web`) nothing is embedded,
//! and [`page()`] says so.

mod embedded;
mod encoding;
mod page;

pub use embedded::{Asset, asset, is_built};
pub use page::{Page, page};
