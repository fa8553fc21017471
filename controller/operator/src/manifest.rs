//! A folder of manifests, as checked out from git, read into a [`World`]. Files are taken in the order of their names; documents
//! of other kinds are passed over, except ConfigMaps, which CA references may name.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    host::Data,
    world::{Key, Kind, World},
    yaml,
};

/// What a folder holds.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    pub world: World,
    pub config_maps: BTreeMap<Key, Data>,
    /// Where each resource was read from, for messages.
    pub files: BTreeMap<(Kind, Key), PathBuf>,
}

/// One thing wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: PathBuf,
    /// Kind and name, where they could be read.
    pub resource: Option<String>,
    /// The field, as a path from the root of the document.
    pub field: Option<String>,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(resource) = &self.resource {
            write!(f, ": {resource}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": `{field}`")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Reads every `*.yaml` and `*.yml` below `folder`. Resources without a namespace get `namespace`. The world holds what is
/// valid; the faults say what is not.
pub fn load(folder: &Path, namespace: &str) -> (Manifests, Vec<Fault>) {
    let (mut manifests, mut faults) = (Manifests::default(), Vec::new());
    let mut files = Vec::new();
    if let Err(error) = list(folder, &mut files) {
        faults.push(Fault {
            file: folder.into(),
            resource: None,
            field: None,
            message: format!("cannot be read: {error}"),
        });
    }
    for file in files {
        match std::fs::read_to_string(&file)
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|text| yaml::documents(&text).map_err(|error| crate::problem::chain(&error)))
        {
            Ok(documents) => {
                for document in documents {
                    take(document, &file, namespace, &mut manifests, &mut faults);
                }
            }
            Err(message) => faults.push(Fault {
                file,
                resource: None,
                field: None,
                message,
            }),
        }
    }
    (manifests, faults)
}

/// The manifests below a folder, sorted.
pub fn list(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if path.is_dir() && !hidden {
            list(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
            && !hidden
        {
            files.push(path);
        }
    }
    Ok(())
}

fn take(
    mut document: Value,
    file: &Path,
    namespace: &str,
    manifests: &mut Manifests,
    faults: &mut Vec<Fault>,
) {
    let text = |pointer: &str| {
        document
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (api, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let resource = Some(format!("{kind} {name}"));
    if !api.starts_with("plumbline.dev/") {
        if api == "v1" && kind == "ConfigMap" {
            let key = Key {
                namespace: or(text("/metadata/namespace"), namespace),
                name,
            };
            let data = document
                .pointer("/data")
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            let data = data
                .filter_map(|(key, value)| {
                    Some((key.clone(), value.as_str()?.as_bytes().to_vec().into()))
                })
                .collect();
            manifests.config_maps.insert(key, data);
        }
        return;
    }
    let violations = plumbline_crds::validate(&document);
    if !violations.is_empty() {
        faults.extend(violations.into_iter().map(|violation| Fault {
            file: file.into(),
            resource: resource.clone(),
            field: Some(violation.path),
            message: violation.message,
        }));
        return;
    }
    if let Some(metadata) = document
        .pointer_mut("/metadata")
        .and_then(Value::as_object_mut)
    {
        metadata
            .entry("namespace")
            .or_insert_with(|| namespace.into());
        metadata.entry("generation").or_insert_with(|| 1.into());
    }
    let world = &mut manifests.world;
    let taken = match kind.as_str() {
        "DirectoryConnector" => {
            insert(document, &mut world.connectors).map(|key| (Kind::DirectoryConnector, key))
        }
        "CloudTenant" => insert(document, &mut world.tenants).map(|key| (Kind::CloudTenant, key)),
        "SyncScope" => insert(document, &mut world.scopes).map(|key| (Kind::SyncScope, key)),
        "DirectorySync" => insert(document, &mut world.syncs).map(|key| (Kind::DirectorySync, key)),
        _ => Err(format!(
            "`kind` must be one of {}",
            Kind::ALL.map(Kind::as_str).join(", ")
        )),
    };
    match taken {
        Ok(named) => match manifests.files.insert(named, file.into()) {
            None => {}
            Some(other) => faults.push(Fault {
                file: file.into(),
                resource,
                field: Some("metadata.name".into()),
                message: format!("is declared in `{}` as well", other.display()),
            }),
        },
        Err(message) => faults.push(Fault {
            file: file.into(),
            resource,
            field: None,
            message,
        }),
    }
}

fn or(text: String, default: &str) -> String {
    if text.is_empty() {
        default.into()
    } else {
        text
    }
}

fn insert<K: Resource + DeserializeOwned>(
    document: Value,
    objects: &mut BTreeMap<Key, Arc<K>>,
) -> Result<Key, String> {
    let object: K = serde_json::from_value(plumbline_crds::without_nulls(document))
        .map_err(|error| error.to_string())?;
    let key = Key::of(&object);
    objects.insert(key.clone(), Arc::new(object));
    Ok(key)
}
