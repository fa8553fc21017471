//! Reads what changed since a cursor, by delta query on users and groups.
//!
//! A cursor is the two delta links with what they were asked for. Graph gives an object that changed with all selected properties
//! that ever had a value; what is absent is taken as unchanged, which is right in its minimal representation too. Links come as
//! differences; the members of a group that became ours are listed. A refused token leads to a complete read.
//! Source: "Use delta query to track changes in Microsoft Graph data" and the reference of user and group delta.

use std::collections::{BTreeSet, HashMap};

use plumbline_engine::{
    entry::Class,
    port::{Cursor, News, ObjectChange, Observation, Removal, TargetRead},
    target::{Mark, TargetId},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    GraphError, GraphTarget, attribute,
    call::Call,
    connection::Link,
    read::{Privileged, flag, id, text, values},
};

const USERS: &str = "/users/delta";
const GROUPS: &str = "/groups/delta";

/// What a cursor says. Links are relative to the version.
#[derive(Serialize, Deserialize, PartialEq)]
pub(super) struct Place {
    owner: String,
    user_select: String,
    group_select: String,
    users: String,
    groups: String,
    /// Role-assignable groups that were seen until then, of whatever kind.
    #[serde(default)]
    assignable: BTreeSet<Box<str>>,
}

impl Place {
    fn read(cursor: &Cursor) -> Option<Self> {
        serde_json::from_slice(&cursor.0).ok()
    }

    pub(super) fn cursor(mut self, assignable: &BTreeSet<TargetId>) -> Option<Cursor> {
        self.assignable = assignable.iter().map(|id| id.0.clone()).collect();
        serde_json::to_vec(&self).ok().map(Cursor)
    }
}

/// The token was refused: everything must be read again.
pub(super) fn is_reset(error: &GraphError) -> bool {
    matches!(error, GraphError::Refused { status, .. } if (400..500).contains(status) && !matches!(status, 401 | 403 | 429))
}

/// One object of a round.
enum Item {
    Change(ObjectChange),
    Removal(Removal),
    /// Of a kind that we never write.
    Other,
}

impl GraphTarget {
    /// Where the changes stand now, before everything is read.
    pub(super) async fn place(&self, request: &TargetRead) -> Result<Place, GraphError> {
        let (user_select, group_select) = (self.user_select(request), self.group_select(request));
        let users = format!("{USERS}?$deltatoken=latest&$select={user_select},manager");
        let groups = format!("{GROUPS}?$deltatoken=latest&$select={group_select},members");
        Ok(Place {
            owner: request.owner.clone(),
            users: self.round(USERS, users, &mut |_| Ok(())).await?,
            groups: self.round(GROUPS, groups, &mut |_| Ok(())).await?,
            user_select,
            group_select,
            assignable: BTreeSet::new(),
        })
    }

    /// The place that a cursor names, if it is for this request and follows what this target knows.
    pub(super) fn follows(&self, request: &TargetRead, after: Option<&Cursor>) -> Option<Place> {
        let place = Place::read(after?)?;
        let fits = self.view.follows(&request.owner)
            && place.owner == request.owner
            && place.user_select == self.user_select(request)
            && place.group_select == self.group_select(request);
        fits.then_some(place)
    }

    /// Follows the pages of one round and gives the link of the next.
    async fn round(
        &self,
        template: &'static str,
        url: String,
        each: &mut (dyn FnMut(&Value) -> Result<(), GraphError> + Send),
    ) -> Result<String, GraphError> {
        let mut url = url;
        loop {
            let page = self.connection.read(&Call::list(template, url)).await?;
            for object in values(&page, template)? {
                each(object)?;
            }
            if let Some(link) = self.connection.link(&page, Link::Delta)? {
                return Ok(link);
            }
            let field = "@odata.deltaLink";
            url = (self.connection.link(&page, Link::Next)?).ok_or(GraphError::Malformed {
                path: template,
                field,
            })?;
        }
    }

    /// Gives what changed since `place`, without `Begin` and `End`, and where the changes stand then.
    pub(super) async fn changes(
        &mut self,
        request: &TargetRead,
        place: Place,
        events: &mut (dyn FnMut(Observation) + Send),
    ) -> Result<Place, GraphError> {
        self.view.age(Instant::now());
        let assignable = place.assignable.iter().cloned().map(TargetId);
        self.view.assignable.extend(assignable);
        events(Observation::Domains(self.verified_domains().await?));
        let mut group_items = Vec::new();
        let groups = self
            .round(GROUPS, place.groups.clone(), &mut |item| {
                group_items.push(item.clone());
                Ok(())
            })
            .await?;
        let created = group_items
            .iter()
            .filter(|it| flag(it, "isAssignableToRole"));
        for item in created {
            let id = id(item, GROUPS)?;
            self.view.assignable.insert(id);
        }
        let privileged = self.privileged(self.view.assignable.clone()).await?;
        events(Observation::RolesReadable(privileged.is_some()));
        self.tell_privileged(privileged.unwrap_or_default(), events);
        self.tell_groups(request, &group_items, events).await?;
        let mut user_items = Vec::new();
        let users = self
            .round(USERS, place.users.clone(), &mut |item| {
                user_items.push(item.clone());
                Ok(())
            })
            .await?;
        let items = user_items
            .iter()
            .map(|item| self.item(Class::User, item, request))
            .collect::<Result<Vec<_>, _>>()?;
        self.tell(request, items, events);
        Ok(Place {
            users,
            groups,
            ..place
        })
    }

    /// Who became privileged, and who no longer is.
    fn tell_privileged(
        &mut self,
        privileged: Privileged,
        events: &mut (dyn FnMut(Observation) + Send),
    ) {
        let before = std::mem::replace(&mut self.view.privileged, privileged);
        let changes: Vec<ObjectChange> = (before.symmetric_difference(&self.view.privileged))
            .map(|id| ObjectChange {
                privileged: News::Now(self.view.privileged.contains(id)),
                ..ObjectChange::new(Class::User, id.clone())
            })
            .collect();
        if !changes.is_empty() {
            events(Observation::Changed(changes));
        }
    }

    async fn tell_groups(
        &mut self,
        request: &TargetRead,
        items: &[Value],
        events: &mut (dyn FnMut(Observation) + Send),
    ) -> Result<(), GraphError> {
        let items = items
            .iter()
            .map(|item| self.item(Class::Group, item, request))
            .collect::<Result<Vec<_>, _>>()?;
        let mut unlisted = BTreeSet::new();
        for item in &items {
            if let Item::Change(change) = item
                && self.is_ours(request, change)
                && !self.view.listed.contains(&change.id)
            {
                unlisted.insert(change.id.clone());
            }
        }
        let calls = unlisted.into_iter().map(|id| {
            let call = Call::members(&id.0);
            (id, call)
        });
        let lists: HashMap<_, _> = self.links(calls.collect()).await?;
        let listed: Vec<ObjectChange> = lists
            .into_iter()
            .filter_map(|(id, members)| {
                self.view.listed.insert(id.clone());
                Some(ObjectChange {
                    members: News::Now(members?),
                    ..ObjectChange::new(Class::Group, id)
                })
            })
            .collect();
        // A list belongs to an object that is known by then; what changed of its links comes after the list.
        let (mut first, mut links) = (Vec::new(), Vec::new());
        for item in items {
            let Item::Change(mut change) = item else {
                first.push(item);
                continue;
            };
            let joined = std::mem::take(&mut change.joined);
            let left = std::mem::take(&mut change.left);
            if self.is_ours(request, &change) && !(joined.is_empty() && left.is_empty()) {
                links.push(Item::Change(ObjectChange {
                    joined,
                    left,
                    ..ObjectChange::new(Class::Group, change.id.clone())
                }));
            }
            first.push(Item::Change(change));
        }
        self.tell(request, first, events);
        self.tell(
            request,
            listed.into_iter().map(Item::Change).collect(),
            events,
        );
        self.tell(request, links, events);
        Ok(())
    }

    fn is_ours(&self, request: &TargetRead, change: &ObjectChange) -> bool {
        match &change.mark {
            News::Now(mark) => mark
                .as_ref()
                .is_some_and(|mark| *mark.owner == *request.owner),
            News::Nothing => self.view.is_marked(&change.id),
        }
    }

    /// Gives the items as events and remembers which are ours.
    fn tell(
        &mut self,
        request: &TargetRead,
        items: Vec<Item>,
        events: &mut (dyn FnMut(Observation) + Send),
    ) {
        let (mut changes, mut removals) = (Vec::new(), Vec::new());
        for item in items {
            match item {
                Item::Change(change) => {
                    match &change.mark {
                        News::Now(Some(mark)) if *mark.owner == *request.owner => {
                            let (anchor, id) = (mark.anchor.clone(), change.id.clone());
                            self.view.seen(change.class, anchor, id);
                        }
                        News::Now(_) => self.view.unmarked(&change.id),
                        News::Nothing => {}
                    }
                    changes.push(change);
                }
                Item::Removal(removal) => {
                    self.view.unmarked(&removal.id);
                    removals.push(removal);
                }
                Item::Other => {}
            }
        }
        if !changes.is_empty() {
            events(Observation::Changed(changes));
        }
        if !removals.is_empty() {
            events(Observation::Removed(removals));
        }
    }

    fn item(&self, class: Class, item: &Value, request: &TargetRead) -> Result<Item, GraphError> {
        let (path, attributes) = match class {
            Class::Group => (GROUPS, &request.group_attributes),
            _ => (USERS, &request.user_attributes),
        };
        let id = id(item, path)?;
        if let Some(removed) = item.get("@removed") {
            let restorable = text(removed, "reason") == Some("changed");
            return Ok(Item::Removal(Removal { id, restorable }));
        }
        let types = item.get("groupTypes").and_then(Value::as_array);
        let written_elsewhere = flag(item, "mailEnabled")
            || item.get("securityEnabled") == Some(&Value::Bool(false))
            || types.is_some_and(|types| !types.is_empty());
        if class == Class::Group && written_elsewhere {
            return Ok(Item::Other);
        }
        let (joined, left) = links(item, "members@delta", path)?;
        let (managers, lost) = links(item, "manager@delta", path)?;
        let now = |name: &str| {
            item.get(name)
                .map(|value| value.as_str().map(str::to_owned))
        };
        let of = |news: Option<Option<String>>| news.map_or(News::Nothing, News::Now);
        let mark = now(&self.mark).map(|text| text.as_deref().and_then(Mark::parse));
        let guest = text(item, "userType").map(|kind| kind.eq_ignore_ascii_case("guest"));
        let synced = item.get("onPremisesSyncEnabled");
        let privileged = flag(item, "isAssignableToRole") || self.view.privileged.contains(&id);
        Ok(Item::Change(ObjectChange {
            mark: mark.map_or(News::Nothing, News::Now),
            immutable_id: of(now("onPremisesImmutableId")),
            attributes: attribute::changed(item, attributes),
            manager: match (managers.into_iter().next_back(), lost.is_empty()) {
                (None, true) => News::Nothing,
                (manager, _) => News::Now(manager),
            },
            joined,
            left,
            synced: synced.map_or(News::Nothing, |value| {
                News::Now(value.as_bool().unwrap_or(false))
            }),
            guest: guest.map_or(News::Nothing, News::Now),
            privileged: News::Now(privileged),
            ..ObjectChange::new(class, id)
        }))
    }
}

/// Links that came and links that went.
fn links(
    item: &Value,
    name: &str,
    path: &'static str,
) -> Result<(Vec<TargetId>, Vec<TargetId>), GraphError> {
    let (mut joined, mut left) = (Vec::new(), Vec::new());
    for link in item
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let side = match link.get("@removed") {
            Some(_) => &mut left,
            None => &mut joined,
        };
        side.push(id(link, path)?);
    }
    Ok((joined, left))
}
