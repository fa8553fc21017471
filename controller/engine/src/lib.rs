//! The pure part of Plumbline: the vocabulary of the field as types, and what follows from them: scope, mapping,
//! plan and guard. No input or output happens here; time and randomness are inputs.
//!
//! [`Engine`](engine::Engine) is a value driven by events: `configure`, `import` what a directory holds, `observe` what
//! the target holds, `plan`. [`port`] has the roles that adapters implement.

pub mod anchor;
pub mod entry;
pub mod operation;
pub mod port;
pub mod reason;
pub mod target;
