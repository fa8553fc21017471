//! The lab's own tests: stand-ins are only worth what they are held to.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests stand outside of test functions"
)]

#[cfg(feature = "real-servers")]
mod command_line;
mod company;
mod directory;
mod dirsync;
#[cfg(feature = "real-servers")]
mod real_samba;
#[cfg(feature = "real-servers")]
mod real_slapd;
mod sync;
#[cfg(feature = "real-servers")]
mod sync_transcript;
mod tenant;
