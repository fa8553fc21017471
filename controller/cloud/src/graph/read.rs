//! Reads the tenant: domains, who is privileged, groups with the members of ours, users with their managers, deleted items.
//!
//! Managers come with the listing (`$expand=manager($select=id)`), which costs one resource unit a page instead of one
//! request a user. Members are read only of groups with our mark, 20 groups to a batch. `End` comes only after the last
//! page of everything; an object that paging lists twice is given twice. Source: Microsoft Graph v1.0 reference, "Paging".

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use plumbline_engine::{
    entry::Class,
    port::{Cursor, Observation, TargetRead},
    target::{Mark, Standing, TargetId, TargetObject},
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    GraphError, GraphTarget,
    answer::Verdict,
    attribute,
    call::Call,
    connection::{PARTS, SendError, backoff},
    delta::is_reset,
    view::View,
};

const USERS: &str = "/users";
const GROUPS: &str = "/groups";
const DOMAINS: &str = "/domains";
const DELETED_USERS: &str = "/directory/deletedItems/microsoft.graph.user";
const DELETED_GROUPS: &str = "/directory/deletedItems/microsoft.graph.group";
const ROLE_ASSIGNMENTS: &str = "/roleManagement/directory/roleAssignments";
/// How often one batch part may fail before the read does.
const FAILURES: u32 = 8;

pub(super) fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

pub(super) fn flag(object: &Value, name: &str) -> bool {
    object.get(name).and_then(Value::as_bool).unwrap_or(false)
}

pub(super) fn id(object: &Value, path: &'static str) -> Result<TargetId, GraphError> {
    let id = text(object, "id").ok_or(GraphError::Malformed { path, field: "id" })?;
    Ok(TargetId(id.into()))
}

pub(super) fn values<'a>(
    page: &'a Value,
    path: &'static str,
) -> Result<&'a Vec<Value>, GraphError> {
    let field = "value";
    let values = page.get(field).and_then(Value::as_array);
    values.ok_or(GraphError::Malformed { path, field })
}

/// A plain security group: the only kind that Graph lets us write and that we take over.
fn is_plain(group: &Value) -> bool {
    let types = group.get("groupTypes").and_then(Value::as_array);
    !flag(group, "mailEnabled") && flag(group, "securityEnabled") && types.is_none_or(Vec::is_empty)
}

/// Ids of holders of roles and of members and owners of role-assignable groups.
pub(super) type Privileged = HashSet<TargetId>;

/// Reads what changed since the cursor, or everything where that is not possible.
pub(super) async fn read(
    target: &mut GraphTarget,
    request: &TargetRead,
    after: Option<&Cursor>,
    events: &mut (dyn FnMut(Observation) + Send),
) -> Result<(), GraphError> {
    let Some(place) = target.follows(request, after) else {
        return complete(target, request, events).await;
    };
    events(Observation::Begin { complete: false });
    match target.changes(request, place, events).await {
        Ok(place) => {
            events(Observation::End {
                cursor: place.cursor(&target.view.assignable),
            });
            Ok(())
        }
        Err(error) if is_reset(&error) => complete(target, request, events).await,
        Err(error) => Err(error),
    }
}

async fn complete(
    target: &mut GraphTarget,
    request: &TargetRead,
    events: &mut (dyn FnMut(Observation) + Send),
) -> Result<(), GraphError> {
    if !target.mark_is_usable().await? {
        return Err(GraphError::MarkNotDefined {
            name: target.mark.clone(),
        });
    }
    events(Observation::Begin { complete: true });
    // Before anything is listed: what changes meanwhile is told twice rather than never.
    let place = target.place(request).await?;
    events(Observation::Domains(target.verified_domains().await?));
    let mut view = View::new(&request.owner);
    let groups = target.groups(request).await?;
    let assignable = groups.iter().filter(|it| flag(it, "isAssignableToRole"));
    view.assignable = assignable
        .map(|it| id(it, GROUPS))
        .collect::<Result<_, _>>()?;
    let privileged = target.privileged(view.assignable.clone()).await?;
    events(Observation::RolesReadable(privileged.is_some()));
    let privileged = privileged.unwrap_or_default();
    target
        .emit_groups(request, groups, &privileged, &mut view, events)
        .await?;
    target
        .emit_users(request, &privileged, &mut view, events)
        .await?;
    for class in [Class::User, Class::Group] {
        target.emit_deleted(request, class, events).await?;
    }
    view.lay_over(&target.view, Instant::now());
    view.privileged = privileged;
    target.view = view;
    events(Observation::End {
        cursor: place.cursor(&target.view.assignable),
    });
    Ok(())
}

impl GraphTarget {
    /// Whether objects can be asked for by the mark. A filter tells it with the rights that reading users takes anyway.
    pub(super) async fn mark_is_usable(&self) -> Result<bool, GraphError> {
        let url = format!(
            "{USERS}?$filter={}%20eq%20%27-%27&$select=id&$top=1",
            self.mark
        );
        match self.connection.read(&Call::list(USERS, url)).await {
            Ok(_) => Ok(true),
            Err(GraphError::Refused { status: 400, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn verified_domains(&self) -> Result<BTreeSet<String>, GraphError> {
        let mut domains = BTreeSet::new();
        let url = format!("{DOMAINS}?$select=id,isVerified");
        self.pages(DOMAINS, url, &mut |domain| {
            if flag(domain, "isVerified") {
                domains.extend(text(domain, "id").map(str::to_lowercase));
            }
            Ok(())
        })
        .await?;
        Ok(domains)
    }

    /// Gives every object of every page.
    async fn pages(
        &self,
        template: &'static str,
        url: String,
        each: &mut (dyn FnMut(&Value) -> Result<(), GraphError> + Send),
    ) -> Result<(), GraphError> {
        let mut next = Some(url);
        while let Some(url) = next {
            let page = self.connection.read(&Call::list(template, url)).await?;
            for object in values(&page, template)? {
                each(object)?;
            }
            next = self.connection.next(&page)?;
        }
        Ok(())
    }

    pub(super) fn group_select(&self, request: &TargetRead) -> String {
        let mut select = attribute::properties(&request.group_attributes);
        select.extend(["id", "groupTypes", "mailEnabled", "securityEnabled"]);
        select.extend([
            "isAssignableToRole",
            "onPremisesSyncEnabled",
            self.mark.as_str(),
        ]);
        select.into_iter().collect::<Vec<_>>().join(",")
    }

    pub(super) fn user_select(&self, request: &TargetRead) -> String {
        let mut select = attribute::properties(&request.user_attributes);
        select.extend(["id", "accountEnabled", "userType", "userPrincipalName"]);
        select.extend([
            "onPremisesImmutableId",
            "onPremisesSyncEnabled",
            self.mark.as_str(),
        ]);
        select.into_iter().collect::<Vec<_>>().join(",")
    }

    async fn groups(&self, request: &TargetRead) -> Result<Vec<Value>, GraphError> {
        let mut groups = Vec::new();
        let url = format!("{GROUPS}?$select={}&$top=999", self.group_select(request));
        self.pages(GROUPS, url, &mut |group| {
            if is_plain(group) {
                groups.push(group.clone());
            }
            Ok(())
        })
        .await?;
        Ok(groups)
    }

    /// Who is privileged; `None` when the application may not read it.
    pub(super) async fn privileged(
        &self,
        assignable: BTreeSet<TargetId>,
    ) -> Result<Option<Privileged>, GraphError> {
        let mut privileged = Privileged::new();
        let url = format!("{ROLE_ASSIGNMENTS}?$select=principalId");
        let read = self
            .pages(ROLE_ASSIGNMENTS, url, &mut |assignment| {
                privileged.extend(text(assignment, "principalId").map(|id| TargetId(id.into())));
                Ok(())
            })
            .await;
        match read {
            Ok(()) => {}
            Err(GraphError::Refused { status: 403, .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut calls = Vec::new();
        for id in assignable {
            calls.push((id.clone(), Call::members(&id.0)));
            calls.push((id.clone(), Call::owners(&id.0)));
            privileged.insert(id);
        }
        for ids in self.links(calls).await?.into_values().flatten() {
            privileged.extend(ids);
        }
        Ok(Some(privileged))
    }

    /// Reads lists of links, 20 to a batch, page after page. `None` for a group that is gone since it was listed.
    pub(super) async fn links(
        &self,
        calls: Vec<(TargetId, Call)>,
    ) -> Result<HashMap<TargetId, Option<Vec<TargetId>>>, GraphError> {
        let mut links: HashMap<TargetId, Option<Vec<TargetId>>> = HashMap::new();
        let mut queue: VecDeque<(TargetId, Call, u32)> =
            calls.into_iter().map(|(id, call)| (id, call, 0)).collect();
        while !queue.is_empty() {
            let sent: Vec<_> = queue.drain(..queue.len().min(PARTS)).collect();
            let parts: Vec<Call> = sent.iter().map(|(_, call, _)| call.clone()).collect();
            let mut answers = match self.connection.batch(&parts, None).await {
                Ok(answers) => answers,
                Err(SendError::Http(_)) => sent.iter().map(|_| None).collect(),
                Err(error) => return Err(GraphError::unsent(&parts[0], error)),
            };
            let mut wait = None;
            for ((group, call, failures), answer) in sent.into_iter().zip(answers.drain(..)) {
                let verdict = answer.as_ref().map(|answer| (answer, answer.judge()));
                match verdict {
                    Some((answer, (Verdict::Success, _))) => {
                        let ids = values(&answer.body, call.template())?
                            .iter()
                            .map(|link| id(link, call.template()))
                            .collect::<Result<Vec<_>, _>>()?;
                        links
                            .entry(group.clone())
                            .or_insert_with(|| Some(Vec::new()))
                            .get_or_insert_default()
                            .extend(ids);
                        if let Some(url) = self.connection.next(&answer.body)? {
                            queue.push_back((group, Call::list(call.template(), url), 0));
                        }
                    }
                    Some((_, (Verdict::Absent, _))) if failures >= 3 => {
                        links.insert(group, None);
                    }
                    Some((answer, (verdict, error)))
                        if failures >= FAILURES || matches!(verdict, Verdict::Refused(_)) =>
                    {
                        return Err(GraphError::refused(&call, answer.status, &error));
                    }
                    None if failures >= FAILURES => {
                        let field = "responses";
                        return Err(GraphError::Malformed {
                            path: call.template(),
                            field,
                        });
                    }
                    other => {
                        let asked = other.and_then(|(answer, _)| answer.retry_after);
                        wait = wait.max(Some(asked.unwrap_or_else(|| backoff(failures + 1))));
                        queue.push_back((group, call, failures + 1));
                    }
                }
            }
            if let Some(wait) = wait {
                sleep(wait).await;
            }
        }
        Ok(links)
    }

    async fn emit_groups(
        &self,
        request: &TargetRead,
        groups: Vec<Value>,
        privileged: &Privileged,
        view: &mut View,
        events: &mut (dyn FnMut(Observation) + Send),
    ) -> Result<(), GraphError> {
        let mut groups = groups
            .iter()
            .map(|group| self.object(Class::Group, group, request, privileged))
            .collect::<Result<Vec<_>, _>>()?;
        let is_ours = |object: &TargetObject| {
            object
                .mark
                .as_ref()
                .is_some_and(|mark| *mark.owner == *request.owner)
        };
        let ours: BTreeSet<&TargetId> = groups
            .iter()
            .filter(|group| is_ours(group))
            .map(|group| &group.id)
            .collect();
        let calls = ours
            .into_iter()
            .map(|id| (id.clone(), Call::members(&id.0)))
            .collect();
        let members = self.links(calls).await?;
        for group in &mut groups {
            group.members = members.get(&group.id).cloned().flatten();
            if group.members.is_some() {
                view.listed.insert(group.id.clone());
            }
            remember(view, group);
        }
        if !groups.is_empty() {
            events(Observation::Batch(groups));
        }
        Ok(())
    }

    async fn emit_users(
        &self,
        request: &TargetRead,
        privileged: &Privileged,
        view: &mut View,
        events: &mut (dyn FnMut(Observation) + Send),
    ) -> Result<(), GraphError> {
        let mut next = Some(format!(
            "{USERS}?$select={}&$expand=manager($select=id)&$top=999",
            self.user_select(request)
        ));
        while let Some(url) = next {
            let page = self.connection.read(&Call::list(USERS, url)).await?;
            let users = values(&page, USERS)?
                .iter()
                .map(|user| self.object(Class::User, user, request, privileged))
                .collect::<Result<Vec<_>, _>>()?;
            next = self.connection.next(&page)?;
            for user in &users {
                remember(view, user);
            }
            if !users.is_empty() {
                events(Observation::Batch(users));
            }
        }
        Ok(())
    }

    async fn emit_deleted(
        &self,
        request: &TargetRead,
        class: Class,
        events: &mut (dyn FnMut(Observation) + Send),
    ) -> Result<(), GraphError> {
        let (path, select) = match class {
            Class::Group => (DELETED_GROUPS, self.group_select(request)),
            _ => (DELETED_USERS, self.user_select(request)),
        };
        let mut deleted = Vec::new();
        let nobody = Privileged::new();
        self.pages(
            path,
            format!("{path}?$select={select}&$top=999"),
            &mut |item| {
                let object = self.object(class, item, request, &nobody)?;
                if object
                    .mark
                    .as_ref()
                    .is_some_and(|mark| *mark.owner == *request.owner)
                {
                    deleted.push(object);
                }
                Ok(())
            },
        )
        .await?;
        if !deleted.is_empty() {
            events(Observation::Deleted(deleted));
        }
        Ok(())
    }

    fn object(
        &self,
        class: Class,
        object: &Value,
        request: &TargetRead,
        privileged: &Privileged,
    ) -> Result<TargetObject, GraphError> {
        let (path, attributes) = match class {
            Class::Group => (GROUPS, &request.group_attributes),
            _ => (USERS, &request.user_attributes),
        };
        let id = id(object, path)?;
        let guest = text(object, "userType").is_some_and(|kind| kind.eq_ignore_ascii_case("guest"));
        let manager = object
            .get("manager")
            .and_then(|manager| text(manager, "id"));
        Ok(TargetObject {
            class,
            mark: text(object, &self.mark).and_then(Mark::parse),
            immutable_id: text(object, "onPremisesImmutableId").map(str::to_owned),
            attributes: attribute::read(object, attributes),
            manager: manager.map(|id| TargetId(id.into())),
            members: None,
            standing: Standing {
                synced: flag(object, "onPremisesSyncEnabled"),
                guest,
                privileged: flag(object, "isAssignableToRole") || privileged.contains(&id),
            },
            id,
        })
    }
}

fn remember(view: &mut View, object: &TargetObject) {
    if let Some(mark) = &object.mark
        && *mark.owner == *view.owner
    {
        view.seen(object.class, mark.anchor.clone(), object.id.clone());
    }
}
