//! What the directory crate does against servers: scripted and embedded ones in the quick loop, OpenLDAP, 389-ds and Samba behind the
//! feature `real-servers`, where a missing server is a failure.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute, not the functions that they share"
)]

mod embedded;
mod reading;
mod scripted;
mod scripted_server;

#[cfg(feature = "real-servers")]
mod active_directory;
#[cfg(feature = "real-servers")]
mod company;
#[cfg(feature = "real-servers")]
mod consumer;
#[cfg(feature = "real-servers")]
mod content_sync_389;
#[cfg(feature = "real-servers")]
mod content_sync_openldap;
#[cfg(feature = "real-servers")]
mod controllers;
#[cfg(feature = "real-servers")]
mod follower;
#[cfg(feature = "real-servers")]
mod following;
#[cfg(feature = "real-servers")]
mod memory;
#[cfg(feature = "real-servers")]
mod openldap;
#[cfg(feature = "real-servers")]
mod proxy;
#[cfg(feature = "real-servers")]
mod samba;
#[cfg(feature = "real-servers")]
mod server;
