//! A lab tenant with the mark defined, a target for it, and short ways to say operations.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::future::BoxFuture;
use plumbline_cloud::{
    Auth, Credentials, Endpoints, GraphTarget, PaceLimit, RequestObserver, RequestRecord, Session,
    Settings,
};
use plumbline_engine::{
    anchor::Anchor,
    entry::Class,
    operation::{Change, Operation, Outcome},
    port::{Cursor, ObjectChange, Observation, Permit, Removal, Target as _, TargetRead},
    target::{Mark, TargetId, TargetObject, Value, Values},
};
use plumbline_lab::tenant::{Config, LabTenant};
use tokio::sync::Notify;

pub(crate) const OWNER: &str = "identity.contoso";

/// Leave to write that a test can take back.
#[derive(Default)]
pub(crate) struct Leave {
    withdrawn: AtomicBool,
    notify: Notify,
}

impl Leave {
    pub(crate) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }
}

impl Permit for Leave {
    fn granted(&self) -> bool {
        !self.withdrawn.load(Ordering::SeqCst)
    }

    fn withdrawn(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            loop {
                let notified = self.notify.notified();
                if !self.granted() {
                    return;
                }
                notified.await;
            }
        })
    }
}

#[derive(Default)]
pub(crate) struct Records(pub(crate) Mutex<Vec<RequestRecord>>);

impl RequestObserver for Records {
    fn on_request(&self, record: &RequestRecord) {
        self.0.lock().unwrap().push(*record);
    }
}

pub(crate) struct World {
    pub(crate) tenant: LabTenant,
    pub(crate) target: GraphTarget,
    pub(crate) records: Arc<Records>,
}

pub(crate) fn endpoints(tenant: &LabTenant) -> Endpoints {
    Endpoints::custom(tenant.authority(), tenant.graph())
}

pub(crate) fn session(tenant: &LabTenant, auth: Auth) -> Session {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let credentials = Credentials {
        tenant_id: tenant.tenant_id(),
        client_id: tenant.client_id(),
        auth,
    };
    Session::new(credentials, endpoints(tenant), Some(tenant.ca_pem())).unwrap()
}

impl World {
    /// A tenant with the mark defined and an empty log.
    pub(crate) async fn start(config: Config) -> Self {
        let limit = PaceLimit {
            writes: config.write_quota.count,
            window: config.write_quota.window,
        };
        Self::start_with_pace(config, limit).await
    }

    pub(crate) async fn start_with_pace(config: Config, pace: PaceLimit) -> Self {
        let tenant = LabTenant::start(config).await.unwrap();
        let secret = Auth::ClientSecret(tenant.client_secret().into());
        let session = Arc::new(session(&tenant, secret));
        let records = Arc::new(Records::default());
        let observer: Arc<dyn RequestObserver> = records.clone();
        let settings = Settings {
            pace,
            observer: Some(observer),
        };
        let target = GraphTarget::new(session, settings);
        target.define_mark().await.unwrap();
        tenant.clear_log();
        Self {
            tenant,
            target,
            records,
        }
    }

    pub(crate) fn mark_property(&self) -> String {
        format!(
            "extension_{}_plumblineOwner",
            self.tenant.client_id().replace('-', "")
        )
    }

    pub(crate) async fn read(&mut self) -> Read {
        self.read_after(None).await
    }

    pub(crate) async fn read_after(&mut self, cursor: Option<&Cursor>) -> Read {
        let mut read = Read::default();
        self.target
            .read(&request(), cursor, &mut |event| read.take(event))
            .await
            .unwrap();
        assert!(read.ended);
        read
    }

    pub(crate) async fn export(&mut self, operations: Vec<Operation>) -> Vec<Outcome> {
        self.export_with(operations, &Leave::default()).await
    }

    pub(crate) async fn export_with(
        &mut self,
        operations: Vec<Operation>,
        leave: &Leave,
    ) -> Vec<Outcome> {
        let count = operations.len();
        let mut outcomes = BTreeMap::new();
        let result = self
            .target
            .export(operations, leave, &mut |position, outcome| {
                let before = outcomes.insert(position, outcome);
                assert!(
                    before.is_none(),
                    "operation {position} got a second outcome"
                );
            })
            .await;
        result.unwrap();
        assert_eq!(outcomes.len(), count, "an operation got no outcome");
        outcomes.into_values().collect()
    }

    pub(crate) fn user(&self, name: &str) -> serde_json::Value {
        let upn = format!("{name}@corp.example.com");
        self.tenant
            .users()
            .into_iter()
            .find(|user| user["userPrincipalName"] == upn.as_str())
            .unwrap_or_default()
    }

    pub(crate) fn assert_clean(&self) {
        assert!(
            self.tenant.violations().is_empty(),
            "{:?}",
            self.tenant.violations()
        );
    }
}

pub(crate) fn request() -> TargetRead {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    TargetRead {
        owner: OWNER.to_owned(),
        user_attributes: set(&[
            "userPrincipalName",
            "displayName",
            "mailNickname",
            "accountEnabled",
            "city",
            "businessPhones",
            "costCenter",
            "division",
            "extensionAttribute1",
        ]),
        group_attributes: set(&["displayName", "description", "mailNickname"]),
    }
}

/// What a read brought.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) complete: bool,
    pub(crate) changes: Vec<ObjectChange>,
    pub(crate) removals: Vec<Removal>,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) domains: BTreeSet<String>,
    pub(crate) objects: Vec<TargetObject>,
    pub(crate) deleted: Vec<TargetObject>,
    pub(crate) roles: Option<bool>,
    pub(crate) ended: bool,
}

impl Read {
    pub(crate) fn take(&mut self, event: Observation) {
        assert!(!self.ended);
        match event {
            // A delta that was refused begins again.
            Observation::Begin { complete } => {
                *self = Self {
                    complete,
                    ..Self::default()
                }
            }
            Observation::Domains(domains) => self.domains = domains,
            Observation::Batch(objects) => self.objects.extend(objects),
            Observation::Deleted(objects) => self.deleted.extend(objects),
            Observation::RolesReadable(readable) => self.roles = Some(readable),
            Observation::Changed(changes) => self.changes.extend(changes),
            Observation::Removed(removals) => self.removals.extend(removals),
            Observation::End { cursor } => (self.cursor, self.ended) = (cursor, true),
        }
    }

    pub(crate) fn object(&self, name: &str) -> &TargetObject {
        let wanted = Value::Text(name.to_owned());
        self.objects
            .iter()
            .find(|object| object.attributes.get("displayName") == Some(&wanted))
            .unwrap_or_else(|| panic!("no object {name}"))
    }
}

pub(crate) fn anchor(name: &str) -> Anchor {
    let mut bytes = [7; 16];
    for (byte, char) in bytes.iter_mut().zip(name.bytes()) {
        *byte = char;
    }
    Anchor::Uuid(bytes)
}

pub(crate) fn mark(name: &str) -> Mark {
    Mark {
        owner: OWNER.into(),
        anchor: anchor(name),
    }
}

pub(crate) fn values<const N: usize>(pairs: [(&str, &str); N]) -> Values {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::Text(value.to_owned())))
        .collect()
}

pub(crate) fn operation(class: Class, name: &str, change: Change) -> Operation {
    Operation {
        class,
        anchor: anchor(name),
        target: None,
        change,
    }
}

pub(crate) fn create_user(name: &str) -> Operation {
    let upn = format!("{name}@corp.example.com");
    let mut values = values([
        ("userPrincipalName", &upn),
        ("displayName", name),
        ("mailNickname", name),
    ]);
    values.insert("accountEnabled".to_owned(), Value::Flag(true));
    operation(
        Class::User,
        name,
        Change::Create {
            mark: mark(name),
            values,
        },
    )
}

pub(crate) fn create_group(name: &str) -> Operation {
    let values = values([("displayName", name), ("mailNickname", name)]);
    operation(
        Class::Group,
        name,
        Change::Create {
            mark: mark(name),
            values,
        },
    )
}

pub(crate) fn add(group: &str, member: &str) -> Operation {
    let member = anchor(member);
    operation(Class::Group, group, Change::AddMember { member })
}

pub(crate) fn id_of(outcome: &Outcome) -> TargetId {
    match outcome {
        Outcome::Done { id: Some(id) } => id.clone(),
        other => panic!("no id in {other:?}"),
    }
}

pub(crate) fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Done { .. })
}
