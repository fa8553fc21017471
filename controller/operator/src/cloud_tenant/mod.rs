//! CloudTenant: credentials, token and facts of one tenant, shared by every sync that writes to it.

pub mod dereference;
pub mod status;
pub mod worker;

pub use worker::{State, Tenant};

use std::sync::Arc;

use plumbline_cloud::{Defined, GraphTarget, Settings};
use plumbline_crds::CloudTenant;

use crate::{host::Host, problem::Problem};

/// Defines the directory extension that marks our objects, for the application of this tenant.
pub async fn define_mark(host: &Arc<dyn Host>, tenant: &CloudTenant) -> Result<Defined, Problem> {
    let session = dereference::dereference(host, tenant).await?.session()?;
    let target = GraphTarget::new(Arc::new(session), Settings::default());
    target
        .define_mark()
        .await
        .map_err(|error| Problem::of(&error))
}
