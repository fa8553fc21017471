//! What the directory crate does against servers: scripted ones in the quick loop, OpenLDAP and Samba behind the feature
//! `real-servers`, where a missing server is a failure.

#[cfg(feature = "real-servers")]
mod openldap;
#[cfg(feature = "real-servers")]
mod samba;
#[cfg(feature = "real-servers")]
mod server;
