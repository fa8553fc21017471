//! Watches the four kinds in each namespace and publishes the [`World`]. One undecodable object (a newer schema, say) is left
//! out with a warning instead of breaking the watch for all.

use std::{fmt::Debug, sync::Arc};

use futures::StreamExt as _;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::{DeserializeGuard, NamespaceResourceScope},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::watch, task::JoinSet};
use tracing::{debug, warn};

use crate::world::{Key, World};

/// Publishes the world of the given namespaces, for as long as the returned set lives. `ready` counts the watches that have
/// listed their kind once; the world is complete when it has reached the second value.
pub fn watch(
    client: &Client,
    namespaces: &[String],
) -> (
    watch::Receiver<World>,
    watch::Receiver<usize>,
    usize,
    JoinSet<()>,
) {
    let (world, worlds) = watch::channel(World::default());
    let (ready, readies) = watch::channel(0);
    let (world, ready) = (Arc::new(world), Arc::new(ready));
    let mut tasks = JoinSet::new();
    for namespace in namespaces {
        tasks.spawn(follow(
            client.clone(),
            namespace.clone(),
            world.clone(),
            ready.clone(),
            |w| &mut w.connectors,
        ));
        tasks.spawn(follow(
            client.clone(),
            namespace.clone(),
            world.clone(),
            ready.clone(),
            |w| &mut w.tenants,
        ));
        tasks.spawn(follow(
            client.clone(),
            namespace.clone(),
            world.clone(),
            ready.clone(),
            |w| &mut w.scopes,
        ));
        tasks.spawn(follow(
            client.clone(),
            namespace.clone(),
            world.clone(),
            ready.clone(),
            |w| &mut w.syncs,
        ));
    }
    (worlds, readies, namespaces.len() * 4, tasks)
}

type Objects<K> = std::collections::BTreeMap<Key, Arc<K>>;

async fn follow<K>(
    client: Client,
    namespace: String,
    world: Arc<watch::Sender<World>>,
    ready: Arc<watch::Sender<usize>>,
    objects: fn(&mut World) -> &mut Objects<K>,
) where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let api: Api<DeserializeGuard<K>> = Api::namespaced(client, &namespace);
    let mut events = kube::runtime::watcher(api, watcher::Config::default())
        .default_backoff()
        .boxed();
    let mut listing: Option<Objects<K>> = None;
    let mut listed = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listing = Some(Objects::new()),
            Ok(Event::InitApply(object)) => {
                if let (Some(object), Some(listing)) = (decoded(object), listing.as_mut()) {
                    listing.insert(Key::of(&object), Arc::new(object));
                }
            }
            Ok(Event::InitDone) => {
                if let Some(listing) = listing.take() {
                    world.send_modify(|world| {
                        objects(world).retain(|key, _| key.namespace != namespace);
                        objects(world).extend(listing);
                    });
                }
                if !listed {
                    listed = true;
                    ready.send_modify(|count| *count += 1);
                }
            }
            Ok(Event::Apply(object)) => {
                if let Some(object) = decoded(object) {
                    world.send_modify(|world| {
                        drop(objects(world).insert(Key::of(&object), Arc::new(object)))
                    });
                }
            }
            Ok(Event::Delete(object)) => {
                let key = Key::of(&object);
                world.send_modify(|world| drop(objects(world).remove(&key)));
            }
            Err(error) => debug!(kind = %K::kind(&()), %namespace, %error, "watch interrupted"),
        }
    }
}

fn decoded<K: Resource<DynamicType = ()>>(object: DeserializeGuard<K>) -> Option<K> {
    let name = object.name_any();
    match object.0 {
        Ok(object) => Some(object),
        Err(error) => {
            warn!(kind = %K::kind(&()), name, %error, "resource cannot be read and is left out; was it written for another version?");
            None
        }
    }
}
