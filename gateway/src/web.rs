//! What browsers get: the pages, the login, the files of the UI, the event stream.

pub mod assets;
pub mod config;
pub mod events;
pub mod fallback;
mod form;
pub mod login;
mod notice;
pub mod pages;
pub mod redirect;
pub(crate) mod refusal;
pub mod spa;
