//! The browser UI, built by Vite, pre-compressed and embedded.
