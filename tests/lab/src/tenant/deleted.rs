//! The bin: deleted users and groups are listed, read, restored and purged (fact sheet §3.5).
//!
//! A restore keeps id and links, and fails when a unique value was taken meanwhile.

use std::time::Instant;

use serde_json::Value;

use super::answer::{Answer, Outcome};
use super::state::{Call, State};
use super::store::{Kind, Object, Presence};
use super::{page, privilege, user, view};

pub(super) fn list(state: &mut State, call: &Call, kind: Kind) -> Outcome {
    let select = view::selection(state, &call.query, &call.target, &[kind])?;
    let ids = user::matching(state, call, kind, Presence::Deleted)?;
    page::answer(state, call, ids, |state, id| {
        show(state, id, select.as_deref())
    })
}

fn show(state: &State, id: &str, select: Option<&[String]>) -> Value {
    let now = Instant::now();
    let Some(object) = state.store.objects.get(id) else {
        return Value::Null;
    };
    let mut body = view::render(object.kind, id, object.seen(now), select);
    if select.is_none() {
        let deleted = object
            .truth
            .properties
            .get("deletedDateTime")
            .cloned()
            .unwrap_or_default();
        body.insert("deletedDateTime".to_owned(), deleted);
    }
    Value::Object(body)
}

fn item<'a>(state: &'a State, call: &Call) -> Result<&'a Object, Answer> {
    let id = call.parameter(0);
    let seen = |object: &&Object| {
        object.truth.presence == Presence::Deleted
            && object.seen(Instant::now()).presence == Presence::Deleted
    };
    state
        .store
        .objects
        .get(id)
        .filter(seen)
        .ok_or_else(|| Answer::not_found(id))
}

pub(super) fn get(state: &mut State, call: &Call) -> Outcome {
    let (id, kind) = item(state, call).map(|object| (object.id.clone(), object.kind))?;
    let readers = match kind {
        Kind::User => privilege::USER_READERS,
        Kind::Group => privilege::GROUP_READERS,
    };
    if !call.may(&readers) {
        return Err(Answer::denied());
    }
    let select = view::selection(state, &call.query, &call.target, &[kind])?;
    let mut body = show(state, &id, select.as_deref());
    body["@odata.type"] = Value::from(kind.odata_type());
    Ok(Answer::ok(body))
}

pub(super) fn restore(state: &mut State, call: &Call) -> Outcome {
    let (id, kind, mut version) =
        item(state, call).map(|item| (item.id.clone(), item.kind, item.truth.clone()))?;
    privilege::check_delete_or_restore(state, call, &id, kind)?;
    version.presence = Presence::Live;
    version.properties.remove("deletedDateTime");
    if let Some(clash) = state.store.conflict(&id, kind, &version) {
        return Err(Answer::conflict(clash));
    }
    let mut body = view::render(kind, &id, &version, None);
    body.insert("@odata.type".to_owned(), Value::from(kind.odata_type()));
    body.insert(
        "@odata.context".to_owned(),
        Value::from(page::context(state, call) + "Objects/$entity"),
    );
    let delay = state.delay();
    state.store.write(&id, delay, |truth| *truth = version);
    Ok(Answer::ok(Value::Object(body)))
}

/// Purges a user; groups cannot be purged with application permissions.
pub(super) fn purge(state: &mut State, call: &Call) -> Outcome {
    let (id, kind) = item(state, call).map(|object| (object.id.clone(), object.kind))?;
    if kind == Kind::Group || !call.may(&["User.DeleteRestore.All"]) {
        return Err(Answer::denied());
    }
    state.store.purge(&id);
    Ok(Answer::no_content())
}
