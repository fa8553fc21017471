//! The directory on the ground: an LDAP server or Active Directory as a [`Source`](plumbline_engine::port::Source).
//!
//! [`DirectorySource`] connects over TLS, finds out what kind of server it talks to, reads everything in pages and
//! searches by anchor. What it could not read to the end is an error, never a shorter list. Entries are decoded without
//! panicking on what a server sends (RFC 4511 §4.5.2).

mod anchor;
mod bind;
mod connection;
mod decode;
mod deleted;
mod error;
mod feed;
mod find;
mod kind;
mod page;
mod range;
mod read;
mod result_code;
mod server;
mod settings;
mod source;
mod tls;

pub use error::DirectoryError;
pub use feed::{Detect, FeedFacts, FeedKind};
pub use server::{DeletedObjects, ServerFacts};
pub use settings::{Bind, FULL_READS, PAGE_SIZE, Settings, Timeouts};
pub use source::DirectorySource;
