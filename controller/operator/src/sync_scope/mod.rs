//! SyncScope: who takes part, checked and compiled for the engine.

pub mod status;
pub mod validate;
