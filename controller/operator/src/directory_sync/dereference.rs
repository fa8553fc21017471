//! Finds everything that a DirectorySync refers to. A missing resource holds the sync; it never means an empty scope.

use std::{collections::BTreeMap, sync::Arc};

use kube::Resource;
use plumbline_crds::{CloudTenant, DirectoryConnector, DirectorySync, SyncScope};
use plumbline_engine::reason::Reason;

use crate::{
    problem::Problem,
    world::{Key, World},
};

/// A DirectorySync with all that it refers to.
#[derive(Clone, Debug)]
pub struct Dereferenced {
    pub sync: Arc<DirectorySync>,
    pub tenant: Arc<CloudTenant>,
    /// By name.
    pub scopes: BTreeMap<String, Arc<SyncScope>>,
    /// By name.
    pub connectors: BTreeMap<String, Arc<DirectoryConnector>>,
}

/// Looks every reference up in the world.
pub fn dereference(world: &World, sync: &Arc<DirectorySync>) -> Result<Dereferenced, Problem> {
    let key = Key::of(&**sync);
    let missing = |field: String, kind: &str, name: &str| {
        let message = format!(
            "`{field}`: {kind} `{name}` does not exist in namespace `{}`; until it does nothing is read or written",
            key.namespace
        );
        Problem::new(Reason::DependencyNotReady, message)
    };
    let tenant_name = &sync.spec.tenant_ref.name;
    let tenant = world
        .tenants
        .get(&key.sibling(tenant_name))
        .ok_or_else(|| missing("spec.tenantRef".into(), "CloudTenant", tenant_name))?;
    let (mut scopes, mut connectors) = (BTreeMap::new(), BTreeMap::new());
    for (at, reference) in sync.spec.scopes.iter().enumerate() {
        let scope = world
            .scopes
            .get(&key.sibling(&reference.name))
            .ok_or_else(|| missing(format!("spec.scopes[{at}]"), "SyncScope", &reference.name))?;
        let connector_name = &scope.spec.connector_ref.name;
        let connector = world
            .connectors
            .get(&key.sibling(connector_name))
            .ok_or_else(|| {
                missing(
                    format!(
                        "spec.scopes[{at}]` and `SyncScope {}: spec.connectorRef",
                        reference.name
                    ),
                    "DirectoryConnector",
                    connector_name,
                )
            })?;
        scopes.insert(reference.name.clone(), scope.clone());
        connectors.insert(connector_name.clone(), connector.clone());
    }
    Ok(Dereferenced {
        sync: sync.clone(),
        tenant: tenant.clone(),
        scopes,
        connectors,
    })
}

impl Dereferenced {
    /// What identifies this state of all the specs: when it is the same, a run goes on.
    pub fn versions(&self) -> Vec<(Option<String>, Option<i64>)> {
        fn version<K: Resource>(object: &K) -> (Option<String>, Option<i64>) {
            (object.meta().uid.clone(), object.meta().generation)
        }
        let mut versions = vec![version(&*self.sync), version(&*self.tenant)];
        versions.extend(self.scopes.values().map(|scope| version(&**scope)));
        versions.extend(
            self.connectors
                .values()
                .map(|connector| version(&**connector)),
        );
        versions
    }
}
