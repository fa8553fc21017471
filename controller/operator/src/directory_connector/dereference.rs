//! Fetches what a DirectoryConnector refers to (bind Secret, CA) and gives the directory adapter its settings.

use plumbline_crds::{CaKind, CaRef, DirectoryConnector, ServerType as Claimed};
use plumbline_directory::{Bind, Detect, FULL_READS, FeedKind, PAGE_SIZE, Settings, Timeouts};
use plumbline_engine::{entry::ServerType, reason::Reason};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    fingerprint::Fingerprint,
    host::{Data, Host, Store},
    problem::Problem,
    world::Key,
};

/// The settings of the adapter, with the secrets as they are now, and what tells them from others.
pub async fn dereference(
    host: &dyn Host,
    connector: &DirectoryConnector,
) -> Result<(Settings, Fingerprint), Problem> {
    let key = Key::of(connector);
    let spec = &connector.spec;
    let Some(simple) = &spec.bind.simple else {
        return Err(Problem::new(
            Reason::InvalidSpec,
            "`spec.bind`: exactly one way to bind must be given",
        ));
    };
    let field = "spec.bind.simple.secretRef";
    let name = &simple.secret_ref.name;
    let secret = host
        .data(Store::Secret, &key.namespace, name)
        .await
        .map_err(|error| error.problem(field))?;
    let username = text(&secret, Store::Secret, name, "username", field)?;
    let password = text(&secret, Store::Secret, name, "password", field)?;
    let ca_pem = match spec.tls.as_ref().map(|tls| &tls.ca_ref) {
        Some(reference) => Some(ca(host, &key.namespace, reference, "spec.tls.caRef").await?),
        None => None,
    };
    let fingerprint = Fingerprint::of(&[
        format!("{spec:?}").as_bytes(),
        username.expose_secret().as_bytes(),
        password.expose_secret().as_bytes(),
        ca_pem.as_deref().unwrap_or_default(),
    ]);
    let settings = Settings {
        name: key.name,
        server_type: match spec.r#type {
            Claimed::Auto => None,
            Claimed::ActiveDirectory => Some(ServerType::ActiveDirectory),
            Claimed::OpenLdap => Some(ServerType::OpenLdap),
            Claimed::DirectoryServer389 => Some(ServerType::DirectoryServer389),
            Claimed::FreeIpa => Some(ServerType::FreeIpa),
            Claimed::Generic => Some(ServerType::Generic),
        },
        servers: spec.servers.clone(),
        base_dn: spec.base_dn.clone(),
        anchor: spec.anchor.as_ref().map(|anchor| anchor.attribute.clone()),
        bind: Bind::Simple {
            username: username.expose_secret().to_owned(),
            password,
        },
        ca_pem,
        timeouts: Timeouts::default(),
        page_size: PAGE_SIZE,
        detect: match spec.changes.detect {
            plumbline_crds::Detect::Auto => Detect::Auto,
            plumbline_crds::Detect::DirSync => Detect::Only(FeedKind::DirSync),
            plumbline_crds::Detect::UsnChanged => Detect::Only(FeedKind::UsnChanged),
            plumbline_crds::Detect::ContentSync => Detect::Only(FeedKind::ContentSync),
            plumbline_crds::Detect::ModifyTimestamp => Detect::Only(FeedKind::ModifyTimestamp),
            plumbline_crds::Detect::FullRead => Detect::Only(FeedKind::FullRead),
        },
        full_reads: FULL_READS,
    };
    Ok((settings, fingerprint))
}

/// The PEM certificates that a CA reference names.
pub async fn ca(
    host: &dyn Host,
    namespace: &str,
    reference: &CaRef,
    field: &str,
) -> Result<Vec<u8>, Problem> {
    let store = match reference.kind {
        CaKind::ConfigMap => Store::ConfigMap,
        CaKind::Secret => Store::Secret,
    };
    let data = host
        .data(store, namespace, &reference.name)
        .await
        .map_err(|error| error.problem(field))?;
    let value = data
        .get(&reference.key)
        .ok_or_else(|| missing_key(store, &reference.name, &reference.key, field))?;
    Ok(value.expose_secret().to_vec())
}

/// The text of one key of a Secret, without the line break that editors add at the end.
pub fn text(
    data: &Data,
    store: Store,
    name: &str,
    key: &str,
    field: &str,
) -> Result<SecretString, Problem> {
    let value = data
        .get(key)
        .ok_or_else(|| missing_key(store, name, key, field))?;
    let text = std::str::from_utf8(value.expose_secret()).map_err(|_| {
        Problem::new(
            Reason::InvalidSpec,
            format!(
                "`{field}`: key `{key}` of {} `{name}` is not valid UTF-8",
                store.as_str()
            ),
        )
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).into())
}

fn missing_key(store: Store, name: &str, key: &str, field: &str) -> Problem {
    Problem::new(
        Reason::SecretNotFound,
        format!("`{field}`: {} `{name}` has no key `{key}`", store.as_str()),
    )
}
