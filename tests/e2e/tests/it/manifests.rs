//! What the API server itself makes of invalid manifests: each is refused with its sentence, each valid twin is taken. The pairs
//! are those that `plumbline-crds` runs offline.

use kube::api::{ApiResource, DeleteParams, DynamicObject, PostParams, Request};
use kube::{Api, Client, Resource as _};
use plumbline_e2e::ControlPlane;
use serde_json::{Value, json};

use crate::pairs::{Pair, pairs};

const NAMESPACE: &str = "manifests";

#[tokio::test]
async fn the_api_server_refuses_each_invalid_manifest_with_its_sentence_and_takes_its_twin() {
    let control_plane = ControlPlane::shared().unwrap();
    control_plane.create_namespace(NAMESPACE).unwrap();
    let client = control_plane.client().await.unwrap();
    let pairs = pairs();
    assert!(pairs.len() >= 40, "only {} pairs", pairs.len());
    let mut wrong = Vec::new();
    for pair in &pairs {
        if let Err(what) = check(&client, pair).await {
            wrong.push(format!("{}: {what}", pair.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Creates, or with something stored replaces, as `kubectl --dry-run=server` does: everything but the writing.
async fn check(client: &Client, pair: &Pair) -> Result<(), String> {
    let kind = pair.valid["kind"].as_str().unwrap_or_default();
    let resource = ApiResource {
        group: "plumbline.dev".into(),
        version: "v1alpha1".into(),
        api_version: "plumbline.dev/v1alpha1".into(),
        kind: kind.into(),
        plural: format!("{}s", kind.to_lowercase()),
    };
    let requests = Request::new(DynamicObject::url_path(&resource, Some(NAMESPACE)));
    let send = async |manifest: &Value, dry_run: bool, version: Option<&str>| {
        let parameters = PostParams {
            dry_run,
            ..PostParams::default()
        };
        let mut manifest = manifest.clone();
        let name = manifest["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let mut request = match version {
            None => requests.create(&parameters, manifest.to_string().into_bytes()),
            Some(version) => {
                manifest["metadata"]["resourceVersion"] = json!(version);
                requests.replace(&name, &parameters, manifest.to_string().into_bytes())
            }
        }
        .unwrap();
        // kubectl's default; without it a field that does not exist is dropped in silence.
        *request.uri_mut() = format!("{}&fieldValidation=Strict", request.uri())
            .parse()
            .unwrap();
        let answer = client.request::<DynamicObject>(request).await;
        answer.map_err(|error| error.to_string())
    };
    let stored = match &pair.stored {
        None => None,
        Some(stored) => Some(send(stored, false, None).await?),
    };
    let version = stored
        .as_ref()
        .and_then(|stored| stored.metadata.resource_version.as_deref());
    let result = match send(&pair.invalid, true, version).await {
        Ok(_) => Err("the invalid one was taken".to_owned()),
        Err(refusal) if refusal.contains(&pair.sentence) => {
            match send(&pair.valid, true, version).await {
                Ok(_) => Ok(()),
                Err(refusal) => Err(format!("the valid one was refused: {refusal}")),
            }
        }
        Err(refusal) => Err(format!(
            "not refused with `{}` but: {refusal}",
            pair.sentence
        )),
    };
    if let Some(name) = stored.and_then(|stored| stored.metadata.name) {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
        let gone = api.delete(&name, &DeleteParams::default()).await;
        gone.map_err(|error| error.to_string())?;
    }
    result
}
