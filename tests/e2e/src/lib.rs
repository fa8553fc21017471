//! The harness of the scenarios: real servers, the real binary, and what stands between them.
//!
//! Everything here blocks, except for what takes a [`kube::Client`]: a scenario that serves something itself (the lab
//! tenant) runs on tokio's multi-thread runtime. What a scenario starts is gone when it ends, also when it is killed.

pub mod audit;
pub mod binary;
pub mod control_plane;
pub mod kubelet;
pub mod login;
pub mod openldap;
pub mod samba;
pub mod script;

pub use control_plane::ControlPlane;
pub use kubelet::Kubelet;
pub use login::Login;
pub use openldap::OpenLdap;
pub use samba::Samba;

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}
