//! The volumes of a Pod, as folders of this machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, KeyToPath, ObjectFieldSelector, PersistentVolume, PersistentVolumeClaim, Pod,
    ProjectedVolumeSource, Secret, ServiceAccount, Volume, VolumeProjection,
};
use kube::api::PostParams;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};
use serde_json::json;

/// Makes the volumes of one Pod.
pub(super) struct Volumes<'a> {
    pub(super) client: &'a Client,
    pub(super) pod: &'a Pod,
    pub(super) namespace: &'a str,
    /// The folder of this Pod.
    pub(super) folder: &'a Path,
    /// The folder of the claims' volumes, which outlive Pods.
    pub(super) claims: &'a Path,
    /// The group that owns what is in the volumes.
    pub(super) group: Option<u32>,
}

/// What one source puts into a volume: paths and contents.
type Files = Vec<(String, Vec<u8>)>;

impl Volumes<'_> {
    /// Gives the folder of a volume, and whether a Pod may ever write to it.
    pub(super) async fn provide(&self, volume: &Volume) -> Result<(PathBuf, bool)> {
        let folder = self.folder.join("volumes").join(&volume.name);
        if let Some(claim) = &volume.persistent_volume_claim {
            return Ok((self.claim(&claim.claim_name).await?, true));
        }
        fs::create_dir_all(&folder)?;
        if volume.empty_dir.is_some() {
            self.own(&folder, 0o2777)?;
            return Ok((folder, true));
        }
        let (files, mode) = if let Some(source) = &volume.projected {
            (self.projected(source).await?, source.default_mode)
        } else if let Some(source) = &volume.config_map {
            (
                self.config_map(&source.name, None).await?,
                source.default_mode,
            )
        } else if let Some(source) = &volume.secret {
            let name = source
                .secret_name
                .as_deref()
                .context("a volume of a Secret without its name")?;
            (self.secret(name).await?, source.default_mode)
        } else {
            bail!("the source of the volume {} is not known here", volume.name);
        };
        let mode = mode
            .and_then(|mode| u32::try_from(mode).ok())
            .unwrap_or(0o644);
        for (path, content) in files {
            let path = folder.join(path);
            fs::write(&path, content)
                .with_context(|| format!("cannot write {}", path.display()))?;
            self.own(&path, mode)?;
        }
        self.own(&folder, 0o2755)?;
        Ok((folder, false))
    }

    fn own(&self, path: &Path, mode: u32) -> Result<()> {
        chown(path, None, self.group)?;
        Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
    }

    /// Makes a volume for a claim and waits until the controller manager has bound the two.
    async fn claim(&self, name: &str) -> Result<PathBuf> {
        let claims = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), self.namespace);
        let claim = claims
            .get(name)
            .await
            .with_context(|| format!("cannot read the claim {name}"))?;
        let uid = claim.uid().context("a claim without a UID")?;
        let folder = self.claims.join(&uid);
        if !folder.exists() {
            fs::create_dir_all(&folder)?;
            self.own(&folder, 0o2775)?;
        }
        let spec = claim.spec.as_ref().context("a claim without a spec")?;
        let volume: PersistentVolume = serde_json::from_value(json!({
            "metadata": {"name": format!("pvc-{uid}")},
            "spec": {
                "accessModes": spec.access_modes,
                "capacity": spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()),
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": self.namespace, "name": name, "uid": uid},
                "hostPath": {"path": folder},
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": spec.storage_class_name.as_deref().unwrap_or_default(),
            },
        }))?;
        match Api::<PersistentVolume>::all(self.client.clone())
            .create(&PostParams::default(), &volume)
            .await
        {
            Err(kube::Error::Api(answer)) if answer.is_already_exists() => {}
            answer => {
                drop(answer.with_context(|| format!("cannot make a volume for the claim {name}"))?);
            }
        }
        let bound = |claim: Option<&PersistentVolumeClaim>| {
            claim.and_then(|claim| claim.status.as_ref()?.phase.as_deref()) == Some("Bound")
        };
        await_condition(claims, name, bound)
            .await
            .with_context(|| format!("cannot watch the claim {name}"))?;
        Ok(folder)
    }

    async fn projected(&self, source: &ProjectedVolumeSource) -> Result<Files> {
        let mut files = Files::new();
        for source in source.sources.iter().flatten() {
            files.extend(self.projection(source).await?);
        }
        Ok(files)
    }

    async fn projection(&self, source: &VolumeProjection) -> Result<Files> {
        if let Some(token) = &source.service_account_token {
            let token_of = self.token(token.expiration_seconds).await?;
            return Ok(vec![(token.path.clone(), token_of.into_bytes())]);
        }
        if let Some(map) = &source.config_map {
            return self.config_map(&map.name, map.items.as_deref()).await;
        }
        let items = source
            .downward_api
            .iter()
            .flat_map(|downward| downward.items.iter().flatten());
        items
            .map(|item| {
                let field = item
                    .field_ref
                    .as_ref()
                    .context("a downward item without its field")?;
                Ok((
                    item.path.clone(),
                    self::field(self.pod, field)?.into_bytes(),
                ))
            })
            .collect()
    }

    /// A token of the Pod's ServiceAccount that ends with the Pod. It is not renewed: scenarios are shorter than an hour.
    async fn token(&self, seconds: Option<i64>) -> Result<String> {
        let account = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.service_account_name.as_deref())
            .unwrap_or("default");
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: seconds,
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: self.pod.metadata.name.clone(),
                    uid: self.pod.metadata.uid.clone(),
                }),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), self.namespace);
        let answer = accounts
            .create_token_request(account, &PostParams::default(), &request)
            .await;
        let answer = answer.with_context(|| format!("no token of the ServiceAccount {account}"))?;
        Ok(answer
            .status
            .context("a token request without an answer")?
            .token)
    }

    async fn config_map(&self, name: &str, items: Option<&[KeyToPath]>) -> Result<Files> {
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), self.namespace);
        let map = maps
            .get(name)
            .await
            .with_context(|| format!("cannot read the ConfigMap {name}"))?;
        let all = map
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, text)| (key, text.into_bytes()));
        let Some(items) = items else {
            return Ok(all.collect());
        };
        let all: Files = all.collect();
        items
            .iter()
            .map(|item| {
                let content = all.iter().find(|(key, _)| *key == item.key);
                let (_, content) = content
                    .with_context(|| format!("the ConfigMap {name} has no key {}", item.key))?;
                Ok((item.path.clone(), content.clone()))
            })
            .collect()
    }

    async fn secret(&self, name: &str) -> Result<Files> {
        let secrets = Api::<Secret>::namespaced(self.client.clone(), self.namespace);
        let secret = secrets
            .get(name)
            .await
            .with_context(|| format!("cannot read the Secret {name}"))?;
        Ok(secret
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, bytes)| (key, bytes.0))
            .collect())
    }
}

/// A field of the Pod by the downward API.
pub(super) fn field(pod: &Pod, field: &ObjectFieldSelector) -> Result<String> {
    let spec = pod.spec.as_ref();
    let value = match field.field_path.as_str() {
        "metadata.name" => pod.metadata.name.clone(),
        "metadata.namespace" => pod.metadata.namespace.clone(),
        "metadata.uid" => pod.metadata.uid.clone(),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()),
        other => bail!("the field {other} is not known here"),
    };
    value.with_context(|| format!("the Pod has no {}", field.field_path))
}
