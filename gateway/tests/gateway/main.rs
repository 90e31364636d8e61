//! The gateway over services that are played by this suite: every layer, codec and token is the real one, only the
//! answers are made up.

#[cfg(test)]
mod changes;
#[cfg(test)]
mod events;
#[cfg(test)]
mod fakes;
#[cfg(test)]
mod graphql;
#[cfg(test)]
mod house;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod scheduler;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod users;
#[cfg(test)]
mod web;
