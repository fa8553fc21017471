//! The pure part of Plumbline: the vocabulary of the field as types, and what follows from them: scope, mapping,
//! plan and guard. No input or output happens here; time and randomness are inputs.
//!
//! [`Engine`](engine::Engine) is a value driven by events: `configure`, `import` what a directory holds, `observe` what
//! the target holds, `plan`. [`port`] has the roles that adapters implement.

pub mod anchor;
pub mod configuration;
mod difference;
pub mod dn;
mod draft;
pub mod drift;
pub mod engine;
pub mod entry;
pub mod exclusion;
pub mod explain;
pub mod expression;
mod fault;
pub mod filter;
mod fold;
pub mod format;
mod gone;
pub mod guard;
pub mod identity;
mod index;
#[cfg(test)]
mod laws;
mod leaving;
pub mod mapping;
mod matching;
pub mod memory;
mod metaverse;
mod near;
mod numbers;
pub mod operation;
mod overlay;
mod parting;
mod pieces;
pub mod plan;
pub mod port;
pub mod quarantine;
pub mod reason;
pub mod record;
mod scope;
mod sid;
mod space;
pub mod target;
mod target_view;
mod unique;
