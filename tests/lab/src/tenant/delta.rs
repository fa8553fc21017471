//! Delta query on users and groups (fact sheet §6): rounds of pages from a token to the next, tombstones, links.
//!
//! A round gives every object in which something selected became visible since the token, in its default representation (all selected
//! properties that ever had a value) or, with `Prefer: return=minimal`, with what changed. Members of a large group come in several
//! items; order means nothing; rounds may repeat what the one before gave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::answer::{Answer, Outcome};
use super::config::DeltaReset;
use super::graph::not_served;
use super::page;
use super::state::{Call, State};
use super::store::{Event, Kind, Presence, What};
use super::view;

/// Objects in a page, and links in an item.
const PAGE: usize = 100;

/// A `$deltatoken` or `$skiptoken`.
#[derive(Debug, Clone)]
pub(super) struct Token {
    kind: Kind,
    select: Option<Vec<String>>,
    issued: Instant,
    pub(super) reset: Option<DeltaReset>,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// Between two rounds: what became visible after `at` is new; the round before began at `earlier`.
    Between { at: Instant, earlier: Instant },
    /// Inside of a round.
    Inside {
        items: Arc<Vec<Value>>,
        from: usize,
        next: Box<Place>,
        was_empty: bool,
    },
}

/// What became visible of one object.
#[derive(Default)]
struct Changes<'a> {
    presence: bool,
    properties: BTreeSet<&'a str>,
    manager: bool,
    links: BTreeMap<&'a str, bool>,
}

pub(super) fn answer(state: &mut State, call: &Call, kind: Kind) -> Outcome {
    let now = Instant::now();
    let token = match (call.query.get("$skiptoken"), call.query.get("$deltatoken")) {
        (Some(token), _) | (None, Some(token)) if !token.is_empty() && token != "latest" => token,
        (_, latest) => {
            let select = view::selection(state, &call.query, &call.target, &[kind])?;
            let next = Place::Between {
                at: now,
                earlier: now,
            };
            let items = match latest {
                Some("latest") => Vec::new(),
                _ => everything(state, kind, select.as_deref(), now),
            };
            return Ok(deliver(state, call, kind, select, items.into(), next));
        }
    };
    if call.query.options.len() > 1 {
        let reason = "options beside a delta token, which carries them";
        return Err(not_served(state, "GET", &call.target, reason));
    }
    let known = state.deltas.get(token).filter(|token| token.kind == kind);
    let Some(token) = known.cloned() else {
        return Err(Answer::error(
            400,
            "syncStateNotFound",
            "The sync state generation is not found.",
        ));
    };
    let old = now.duration_since(token.issued) >= state.config.delta_token_life;
    let reset = token.reset.or(old.then_some(DeltaReset::SyncStateNotFound));
    match reset {
        Some(DeltaReset::SyncStateNotFound) => Err(Answer::error(
            400,
            "syncStateNotFound",
            "The sync state generation is not found.",
        )),
        Some(DeltaReset::ResyncRequired) => Err(Answer::error(
            410,
            "resyncRequired",
            "Resynchronization required. Any held state must be discarded.",
        )
        .with_header(
            "Location",
            format!("{}/v1.0{}?$deltatoken=", state.root, call.template),
        )),
        None => Ok(go_on(state, call, token, now)),
    }
}

fn go_on(state: &mut State, call: &Call, token: Token, now: Instant) -> Answer {
    let Token { kind, select, .. } = token;
    match token.place {
        Place::Inside {
            items,
            from,
            next,
            was_empty,
        } => page(state, call, kind, select, (items, from, *next, was_empty)),
        Place::Between { at, earlier } => {
            let replay = state.chance(state.config.faults.delta_replay);
            let minimal = call.prefer.contains("return=minimal");
            let since = if replay { earlier } else { at };
            let items = changes(state, kind, select.as_deref(), minimal, (since, now));
            let next = Place::Between {
                at: now,
                earlier: at,
            };
            deliver(state, call, kind, select, items.into(), next)
        }
    }
}

fn deliver(
    state: &mut State,
    call: &Call,
    kind: Kind,
    select: Option<Vec<String>>,
    items: Arc<Vec<Value>>,
    next: Place,
) -> Answer {
    let mut items = items;
    if let Some(items) = Arc::get_mut(&mut items) {
        for end in (1..items.len()).rev() {
            let other = state.below(end + 1);
            items.swap(end, other);
        }
    }
    page(state, call, kind, select, (items, 0, next, false))
}

fn page(
    state: &mut State,
    call: &Call,
    kind: Kind,
    select: Option<Vec<String>>,
    (items, from, next, was_empty): (Arc<Vec<Value>>, usize, Place, bool),
) -> Answer {
    let size = PAGE.min(state.config.page_size_cap.max(1));
    let empty = from < items.len() && !was_empty && state.chance(state.config.faults.empty_page);
    let to = if empty { from } else { from + size };
    let values: Vec<Value> = items.iter().take(to).skip(from).cloned().collect();
    let more = to < items.len();
    let place = if more {
        Place::Inside {
            items,
            from: to,
            next: Box::new(next),
            was_empty: empty,
        }
    } else {
        next
    };
    let (link, option) = if more {
        ("@odata.nextLink", "$skiptoken")
    } else {
        ("@odata.deltaLink", "$deltatoken")
    };
    let name = state.guid();
    let token = Token {
        kind,
        select,
        issued: Instant::now(),
        reset: None,
        place,
    };
    state.deltas.insert(name.clone(), token);
    let mut body = json!({"@odata.context": page::context(state, call), "value": values});
    body[link] = Value::from(format!(
        "{}/v1.0{}?{option}={name}",
        state.root, call.template
    ));
    Answer::ok(body)
}

/// What a first round gives.
fn everything(state: &State, kind: Kind, select: Option<&[String]>, now: Instant) -> Vec<Value> {
    let objects = state.store.objects.values();
    let live = objects.filter(|object| object.kind == kind && object.is_live(now));
    live.flat_map(|object| {
        let changes = Changes {
            presence: true,
            ..Changes::default()
        };
        items(state, kind, &object.id, &changes, select, false, now)
    })
    .collect()
}

fn changes(
    state: &State,
    kind: Kind,
    select: Option<&[String]>,
    minimal: bool,
    (since, until): (Instant, Instant),
) -> Vec<Value> {
    let selected = |name: &str| select.is_none_or(|names| names.iter().any(|one| one == name));
    let mut changed: BTreeMap<&str, Changes<'_>> = BTreeMap::new();
    for Event { id, what, .. } in state
        .store
        .journal(since, until)
        .filter(|it| it.kind == kind)
    {
        let wanted = match what {
            What::Presence => true,
            What::Property(name) => selected(name),
            What::Manager => select.is_some() && selected("manager"),
            What::Member(..) => select.is_some() && selected("members"),
        };
        if !wanted {
            continue;
        }
        let changes = changed.entry(id).or_default();
        match what {
            What::Presence => changes.presence = true,
            What::Property(name) => drop(changes.properties.insert(name)),
            What::Manager => changes.manager = true,
            What::Member(peer, joined) => drop(changes.links.insert(peer, *joined)),
        }
    }
    changed
        .into_iter()
        .flat_map(|(id, changes)| items(state, kind, id, &changes, select, minimal, until))
        .collect()
}

/// One object as one item, or as several where its links are many.
fn items(
    state: &State,
    kind: Kind,
    id: &str,
    changes: &Changes<'_>,
    select: Option<&[String]>,
    minimal: bool,
    now: Instant,
) -> Vec<Value> {
    let removed = |reason: &str| vec![json!({"id": id, "@removed": {"reason": reason}})];
    let Some(object) = state.store.objects.get(id) else {
        return removed("deleted");
    };
    let version = object.seen(now);
    match version.presence {
        Presence::Absent => return Vec::new(),
        Presence::Deleted => return removed("changed"),
        Presence::Live => {}
    }
    let links = ["manager", "members", "id"];
    let names: Option<Vec<String>> = select.map(|names| {
        let names = names.iter().filter(|name| !links.contains(&name.as_str()));
        names.cloned().collect()
    });
    let mut body: Map<String, Value> = view::render(kind, id, version, names.as_deref());
    body.retain(|name, _| {
        object.ever.contains(name)
            && (!minimal || changes.presence || changes.properties.contains(name.as_str()))
    });
    body.insert("id".to_owned(), Value::from(id));
    let tracks = |name: &str| select.is_some_and(|names| names.iter().any(|one| one == name));
    if tracks("manager") && (changes.manager || (changes.presence && version.manager.is_some())) {
        let manager = match &version.manager {
            Some(manager) => json!({"@odata.type": Kind::User.odata_type(), "id": manager}),
            None => json!({"@odata.type": Kind::User.odata_type(), "id": object.last_manager,
                "@removed": {"reason": "deleted"}}),
        };
        body.insert("manager@delta".to_owned(), json!([manager]));
    }
    let mut peers: Vec<Value> = Vec::new();
    if tracks("members") {
        let whole = version.members.iter().map(|peer| (peer.as_str(), true));
        let some = changes.links.iter().map(|(peer, joined)| (*peer, *joined));
        let listed: Vec<_> = if changes.presence {
            whole.collect()
        } else {
            some.collect()
        };
        peers.extend(listed.into_iter().map(|(peer, joined)| {
            let kind = state
                .store
                .objects
                .get(peer)
                .map_or(Kind::User, |it| it.kind);
            let mut link = json!({"@odata.type": kind.odata_type(), "id": peer});
            if !joined {
                link["@removed"] = json!({"reason": "deleted"});
            }
            link
        }));
    }
    if peers.is_empty() {
        return vec![Value::Object(body)];
    }
    let size = PAGE.min(state.config.page_size_cap.max(1));
    peers
        .chunks(size)
        .map(|chunk| {
            let mut body = body.clone();
            body.insert("members@delta".to_owned(), Value::from(chunk.to_vec()));
            Value::Object(body)
        })
        .collect()
}
