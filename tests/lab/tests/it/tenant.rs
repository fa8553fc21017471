//! The lab tenant over the wire, as any client meets it: one plain HTTP client, no code of the operator.

mod batch;
mod consistency;
mod delta;
mod group;
mod limit;
mod query;
mod right;
mod token;
mod user;

use plumbline_lab::tenant::{Config, LabTenant};
use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};

/// A tenant, a client that trusts it, and a token.
struct Lab {
    tenant: LabTenant,
    http: Client,
    token: String,
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Reply {
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }

    fn id(&self) -> String {
        self.body["id"].as_str().expect("an id").to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Lab {
    async fn new() -> Self {
        Self::with(Config::default()).await
    }

    async fn with(config: Config) -> Self {
        let tenant = LabTenant::start(config).await.expect("the tenant starts");
        let ca = Certificate::from_pem(tenant.ca_pem().as_bytes()).expect("a CA");
        let http = Client::builder()
            .tls_certs_only([ca])
            .build()
            .expect("a client");
        let mut lab = Self {
            tenant,
            http,
            token: String::new(),
        };
        lab.renew().await;
        lab
    }

    /// Gets a new token by client secret.
    async fn renew(&mut self) {
        let scope = format!("{}/.default", self.tenant.graph());
        let (id, secret) = (self.tenant.client_id(), self.tenant.client_secret());
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &id),
            ("client_secret", &secret),
            ("scope", &scope),
        ];
        let url = format!(
            "{}/{}/oauth2/v2.0/token",
            self.tenant.authority(),
            self.tenant.tenant_id()
        );
        let answer = self
            .http
            .post(url)
            .form(&form)
            .send()
            .await
            .expect("an answer");
        let body: Value = answer.json().await.expect("JSON");
        body["access_token"]
            .as_str()
            .expect("a token")
            .clone_into(&mut self.token);
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        prefer: Option<&str>,
    ) -> Result<Reply, reqwest::Error> {
        let url = if path.starts_with("https:") {
            path.to_owned()
        } else {
            format!("{}/v1.0{path}", self.tenant.graph())
        };
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some(prefer) = prefer {
            request = request.header("Prefer", prefer);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = answer.bytes().await?;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).expect("JSON")
        };
        Ok(Reply {
            status,
            headers,
            body,
        })
    }

    async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None, None).await.expect("an answer")
    }

    async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, None, None)
            .await
            .expect("an answer")
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, Some(body), None)
            .await
            .expect("an answer")
    }

    async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send("PATCH", path, Some(body), None)
            .await
            .expect("an answer")
    }

    async fn put(&self, path: &str, body: Value) -> Reply {
        self.send("PUT", path, Some(body), None)
            .await
            .expect("an answer")
    }

    async fn upsert(&self, name: &str, body: Value) -> Reply {
        let path = format!("/groups(uniqueName='{name}')");
        self.send("PATCH", &path, Some(body), Some("create-if-missing"))
            .await
            .expect("an answer")
    }

    /// Creates a user and returns its id.
    async fn user(&self, alias: &str) -> String {
        let reply = self.post("/users", person(alias)).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.id()
    }

    /// Creates a security group and returns its id.
    async fn group(&self, name: &str) -> String {
        let reply = self.post("/groups", security(name)).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.id()
    }

    /// The URL of an object as the target of a link.
    fn link(&self, id: &str) -> Value {
        Value::from(format!(
            "{}/v1.0/directoryObjects/{id}",
            self.tenant.graph()
        ))
    }

    /// Follows next links and gathers all values.
    async fn all(&self, path: &str) -> Vec<Value> {
        let mut values = Vec::new();
        let mut next = path.to_owned();
        loop {
            let reply = self.get(&next).await;
            assert_eq!(reply.status, 200, "{}", reply.body);
            values.extend(
                reply.body["value"]
                    .as_array()
                    .expect("a collection")
                    .clone(),
            );
            match reply.body["@odata.nextLink"].as_str() {
                Some(link) => link.clone_into(&mut next),
                None => return values,
            }
        }
    }

    fn assert_no_violation(&self) {
        let violations = self.tenant.violations();
        assert!(violations.is_empty(), "{violations:?}");
    }
}

fn person(alias: &str) -> Value {
    json!({"accountEnabled": true, "displayName": alias, "mailNickname": alias,
        "userPrincipalName": format!("{alias}@corp.example.com"),
        "passwordProfile": {"password": "Correct-horse-7", "forceChangePasswordNextSignIn": false}})
}

fn security(name: &str) -> Value {
    json!({"displayName": name, "mailEnabled": false, "mailNickname": "nick", "securityEnabled": true})
}

/// `base` with the fields of `changes` laid over it.
fn with(mut base: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().expect("an object") {
        base[name] = value.clone();
    }
    base
}
