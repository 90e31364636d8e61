//! The whole service behind its layers, with played neighbours: what the other processes see of it.

#[cfg(test)]
mod adapters;
#[cfg(test)]
mod edits;
#[cfg(test)]
mod house;
#[cfg(test)]
mod life;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod recorded;
