//! The kinds of Plumbline as Rust types, and what is generated from them.
//!
//! One module a kind holds its `spec` and `status`; their doc comments are the text of `kubectl explain`. From these types come
//! the CustomResourceDefinitions (`all`, `yaml`), the reference pages (`explain`) and the offline check of a manifest
//! (`validate`), which applies the same schema and the same CEL rules as the API server. Nothing here talks to a network.

#![expect(
    unreachable_pub,
    reason = "the derive of KubeSchema makes a hidden copy of each struct, with its visibility, inside a function"
)]

pub mod conditions;
mod duration;
pub mod explain;
mod reference;
mod rule;
mod schema;
mod validate;

mod cloud_tenant;
mod directory_connector;
mod directory_sync;
mod sync_scope;

pub use cloud_tenant::*;
pub use directory_connector::*;
pub use directory_sync::*;
pub use duration::{Duration, DurationError};
pub use reference::{CaKind, CaRef, LocalRef, SecretAuth, ServerTrust};
pub use schema::{GenerateError, all, yaml};
pub use sync_scope::*;
pub use validate::{Violation, validate, validate_update, without_nulls};

/// The API group of every kind.
pub const GROUP: &str = "plumbline.dev";
/// The one served and stored version.
pub const VERSION: &str = "v1alpha1";
/// The annotation that asks for a cycle now: any new value triggers one; the handled value is in `status.lastHandledReconcileAt`.
pub const REQUESTED_AT: &str = "reconcile.plumbline.dev/requestedAt";
/// The longest `lastHandledReconcileAt` that a status can hold, in characters; a longer token is stored cut to this length.
pub const REQUESTED_AT_MAX: usize = 256;
