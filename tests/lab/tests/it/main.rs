//! The lab's own tests: what stands in for the outside world must behave like it.

mod company;
//mod directory;
#[cfg(feature = "real-servers")]
mod real_slapd;
