//! The calls of a create: the create itself, and the looks by key that tell whether it happened or who is in its way.

use plumbline_engine::{
    entry::Class,
    target::{Mark, TargetId, Value, Values},
};
use serde_json::{Value as Json, json};

use super::{attribute, call::Call, password, task::World};

/// Where a create is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Send,
    /// Look for what a lost answer may have made.
    Look,
    /// Look for who holds the value that is taken; then among the deleted.
    LookHolder,
    LookDeleted,
}

fn unique_name(mark: &Mark) -> String {
    format!("plumbline-{}-{}", mark.owner, mark.anchor.hex())
}

fn text<'a>(values: &'a Values, name: &str) -> Option<&'a str> {
    match values.get(name) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

pub(super) fn create_call(
    class: Class,
    mark: &Mark,
    values: &Values,
    stage: Stage,
    world: &World<'_>,
) -> Call {
    if class == Class::Group {
        let name = unique_name(mark);
        if stage != Stage::Send {
            return Call::find_group(&name, world.mark);
        }
        let mut body = attribute::write_new(class, values);
        body.insert("mailEnabled".to_owned(), json!(false));
        body.insert("securityEnabled".to_owned(), json!(true));
        body.insert(world.mark.to_owned(), json!(mark.to_string()));
        return Call::upsert_group(&name, Json::Object(body));
    }
    let immutable_id = mark.anchor.immutable_id();
    match stage {
        Stage::Send => {
            let mut body = attribute::write_new(class, values);
            body.insert(world.mark.to_owned(), json!(mark.to_string()));
            body.insert("onPremisesImmutableId".to_owned(), json!(immutable_id));
            body.insert(
                "passwordProfile".to_owned(),
                json!({"password": password::random(), "forceChangePasswordNextSignIn": false}),
            );
            Call::create_user(Json::Object(body))
        }
        Stage::Look => Call::find_users(&immutable_id, None, None, world.mark),
        Stage::LookHolder => Call::find_users(
            &immutable_id,
            text(values, "userPrincipalName"),
            text(values, "mail"),
            world.mark,
        ),
        Stage::LookDeleted => Call::find_deleted_users(&immutable_id),
    }
}

pub(super) enum Found {
    Ours(TargetId),
    /// Who holds the key or the value, by name.
    Other(String),
}

/// What a look by key found: one object, or a list of them.
pub(super) fn found(body: &Json, mark: &Mark, world: &World<'_>) -> Option<Found> {
    let listed = body.get("value").and_then(Json::as_array);
    let single = body.get("id").is_some().then_some(body);
    let objects: Vec<&Json> = listed.into_iter().flatten().chain(single).collect();
    let ours = mark.to_string();
    let field =
        |object: &Json, name: &str| object.get(name).and_then(Json::as_str).map(str::to_owned);
    let is_ours = |object: &&&Json| field(object, world.mark).as_ref() == Some(&ours);
    if let Some(object) = objects.iter().find(is_ours) {
        return field(object, "id").map(|id| Found::Ours(TargetId(id.into())));
    }
    let other = objects.first()?;
    ["userPrincipalName", "displayName", "id"]
        .iter()
        .find_map(|name| field(other, name))
        .map(Found::Other)
}

pub(super) fn first_id(body: &Json) -> Option<&str> {
    body.get("value")?.as_array()?.first()?.get("id")?.as_str()
}
