//! One operation (or the member adds of one group) as a sequence of calls: which call is next, and what its answer means for
//! the operation.
//!
//! Pure: the export sends what a task asks for and tells it the answer. Calls that may be repeated without looking are those
//! whose repetition changes nothing; a create is looked up by its key first. Source: fact sheet of Microsoft Graph, eventual
//! consistency and error catalogue.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use plumbline_engine::{
    anchor::Anchor,
    entry::Class,
    operation::{Change, Lane, Operation, Outcome},
    reason::Reason,
    target::{Changes, Mark, TargetId, Values},
};
use serde_json::{Map, Value as Json, json};
use tokio::time::Instant;

use super::{
    answer::{ErrorBody, Verdict},
    attribute,
    call::Call,
    connection::Answer,
    create::{Found, Stage, create_call, first_id, found},
    step::{peer_is_young, step_call},
    view::View,
};

/// Most links that one write may change.
const LINKS: usize = 20;

#[derive(Debug)]
enum Work {
    Create {
        mark: Mark,
        values: Values,
        stage: Stage,
        conflict: Option<String>,
        /// An upsert was refused: the group may exist, for what a create sets cannot all be sent again.
        refused: Option<Outcome>,
    },
    /// Calls one after the other; `step` is the next.
    Steps { change: Change, step: u8 },
    Members {
        left: VecDeque<(usize, Anchor)>,
        sent: Vec<(usize, Anchor, TargetId)>,
        limit: usize,
        /// Members as far as they were re-read, and the page to read next.
        reading: Option<(HashSet<TargetId>, Call)>,
    },
}

/// A task and its history.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) lane: Lane,
    pub(super) class: Class,
    pub(super) anchor: Anchor,
    /// As the operation named it.
    target: Option<TargetId>,
    position: usize,
    work: Work,
    /// A write was sent whose answer was lost.
    pub(super) doubt: bool,
    /// A call of it is under way.
    pub(super) sent: bool,
    pub(super) attempts: u32,
    pub(super) lags: u32,
    pub(super) lagging_since: Option<Instant>,
}

/// What a task wants.
#[derive(Debug)]
pub(super) enum Next {
    Send(Call),
    /// An object that is being created must be there first.
    Wait,
    Settled,
}

/// What an answer leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Ask for the next call, now.
    Go,
    Settled,
    /// The same after the service's or our own wait.
    Again(Option<Duration>),
    /// The same once replicas have caught up.
    Lag,
}

/// What tasks share while an export runs.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) view: &'a mut View,
    pub(super) mark: &'a str,
    pub(super) root: &'a str,
    /// Objects whose create is not settled.
    pub(super) creating: HashSet<(Class, Anchor)>,
    /// What became known, to be reported.
    pub(super) outcomes: Vec<(usize, Outcome)>,
    pub(super) now: Instant,
    /// The permission that the call being answered takes and the application does not have.
    pub(super) lacking: Option<&'static str>,
}

impl World<'_> {
    fn tell(&mut self, position: usize, outcome: Outcome) {
        self.outcomes.push((position, outcome));
    }

    pub(super) fn is_creating(&self, anchor: &Anchor) -> bool {
        [Class::User, Class::Group]
            .iter()
            .any(|class| self.creating.contains(&(*class, anchor.clone())))
    }

    pub(super) fn mark_body(
        &self,
        mark: &Mark,
        class: Class,
        changes: &Changes,
    ) -> Map<String, Json> {
        let mut body = attribute::write(class, changes);
        body.insert(self.mark.to_owned(), json!(mark.to_string()));
        if class == Class::User {
            body.insert(
                "onPremisesImmutableId".to_owned(),
                json!(mark.anchor.immutable_id()),
            );
        }
        body
    }
}

fn done() -> Outcome {
    Outcome::Done { id: None }
}

pub(super) fn not_yet() -> Outcome {
    Outcome::NotYet { retry_after: None }
}

impl Task {
    pub(super) fn new(position: usize, operation: Operation) -> Self {
        let lane = operation.change.lane();
        let work = match operation.change {
            Change::Create { mark, values } => Work::Create {
                mark,
                values,
                stage: Stage::Send,
                conflict: None,
                refused: None,
            },
            Change::AddMember { member } => Work::Members {
                left: [(position, member)].into(),
                sent: Vec::new(),
                limit: LINKS,
                reading: None,
            },
            change => Work::Steps { change, step: 0 },
        };
        Self {
            lane,
            class: operation.class,
            anchor: operation.anchor,
            target: operation.target,
            position,
            work,
            doubt: false,
            sent: false,
            attempts: 0,
            lags: 0,
            lagging_since: None,
        }
    }

    /// Takes another add to the same group in; `false` when this task does something else.
    pub(super) fn take_member(&mut self, position: usize, member: &Anchor) -> bool {
        match &mut self.work {
            Work::Members { left, .. } => {
                left.push_back((position, member.clone()));
                true
            }
            _ => false,
        }
    }

    pub(super) fn is_create(&self) -> bool {
        matches!(self.work, Work::Create { .. })
    }

    /// The positions that have no outcome yet.
    pub(super) fn open(&self) -> Vec<usize> {
        match &self.work {
            Work::Members { left, sent, .. } => {
                let sent = sent.iter().map(|(position, ..)| *position);
                sent.chain(left.iter().map(|(position, _)| *position))
                    .collect()
            }
            _ => vec![self.position],
        }
    }

    fn id(&self, world: &World<'_>) -> Option<TargetId> {
        self.target
            .clone()
            .or_else(|| world.view.id(self.class, &self.anchor).cloned())
    }

    /// The call that is next. Outcomes that need no call are told.
    pub(super) fn next(&mut self, world: &mut World<'_>) -> Next {
        if let Work::Create {
            mark,
            values,
            stage,
            ..
        } = &self.work
        {
            return Next::Send(create_call(self.class, mark, values, *stage, world));
        }
        let Some(id) = self.id(world) else {
            for position in self.open() {
                world.tell(position, not_yet());
            }
            return Next::Settled;
        };
        match &mut self.work {
            Work::Members {
                left,
                sent,
                limit,
                reading,
            } => {
                if let Some((_, page)) = reading {
                    return Next::Send(page.clone());
                }
                next_members(&id, left, sent, *limit, world)
            }
            Work::Steps { change, step } => {
                match step_call(self.class, &id, change, *step, world) {
                    Ok(next) => next,
                    Err(outcome) => {
                        world.tell(self.position, outcome);
                        Next::Settled
                    }
                }
            }
            Work::Create { .. } => Next::Wait,
        }
    }

    /// The call that [`Self::next`] gave was not sent after all.
    pub(super) fn put_back(&mut self) {
        if let Work::Members { left, sent, .. } = &mut self.work {
            for (position, anchor, _) in sent.drain(..).rev() {
                left.push_front((position, anchor));
            }
        }
    }

    /// A call was sent and its answer lost.
    pub(super) fn unanswered(&mut self, call: &Call) {
        if call.is_write() {
            self.lost();
        } else {
            self.put_back();
        }
    }

    fn lost(&mut self) {
        self.doubt = true;
        self.put_back();
        if let Work::Create { stage, .. } = &mut self.work
            && *stage == Stage::Send
        {
            *stage = Stage::Look;
        }
    }

    /// Patience has ended: what is left gets its outcome.
    pub(super) fn give_up(&mut self, world: &mut World<'_>) {
        self.put_back();
        let (conflict, refused) = match &self.work {
            Work::Create {
                conflict, refused, ..
            } => (conflict.clone(), refused.clone()),
            _ => (None, None),
        };
        for position in self.open() {
            let outcome = match (&refused, &conflict) {
                (Some(outcome), _) => outcome.clone(),
                (None, Some(attribute)) => Outcome::Conflict {
                    attribute: Some(attribute.clone()).filter(|name| !name.is_empty()),
                    holder: None,
                },
                (None, None) if self.doubt => Outcome::Unknown,
                (None, None) => Outcome::NotYet {
                    retry_after: Some(Duration::from_secs(30)),
                },
            };
            world.tell(position, outcome);
        }
    }

    /// What an answer means.
    pub(super) fn answered(&mut self, answer: &Answer, world: &mut World<'_>) -> Then {
        let (verdict, error) = answer.judge();
        match verdict {
            Verdict::Throttled | Verdict::Unauthorized | Verdict::Again => {
                self.put_back();
                return Then::Again(answer.retry_after);
            }
            Verdict::Doubtful => {
                self.lost();
                return Then::Again(answer.retry_after);
            }
            _ => {}
        }
        match self.work {
            Work::Create { .. } => self.create_answered(verdict, &error, answer, world),
            Work::Steps { .. } => self.step_answered(verdict, &error, world),
            Work::Members { .. } => self.members_answered(verdict, &error, answer, world),
        }
    }

    fn settle(&self, outcome: Outcome, world: &mut World<'_>) -> Then {
        world.tell(self.position, outcome);
        Then::Settled
    }

    fn create_answered(
        &mut self,
        verdict: Verdict,
        error: &ErrorBody,
        answer: &Answer,
        world: &mut World<'_>,
    ) -> Then {
        let (class, doubt) = (self.class, self.doubt);
        let Work::Create {
            mark,
            stage,
            conflict,
            refused,
            ..
        } = &mut self.work
        else {
            return Then::Settled;
        };
        let outcome = match (*stage, verdict) {
            (Stage::Send, Verdict::Success) => {
                let Some(id) = answer.body.get("id").and_then(Json::as_str) else {
                    // An upsert that found the group answers without a body.
                    *stage = Stage::Look;
                    return Then::Go;
                };
                let id = TargetId(id.into());
                world
                    .view
                    .made(class, mark.anchor.clone(), id.clone(), world.now);
                Outcome::Done { id: Some(id) }
            }
            (Stage::Send, Verdict::Conflict) => {
                *conflict = Some(error.target.clone().unwrap_or_default());
                *stage = Stage::LookHolder;
                return Then::Go;
            }
            (Stage::Send, Verdict::NotReplicated | Verdict::Absent) => return Then::Lag,
            (Stage::Send, verdict) if class == Class::Group && refused.is_none() => {
                *refused = Some(refusal(verdict, error, world));
                *stage = Stage::Look;
                return Then::Go;
            }
            (Stage::Send, verdict) => refusal(verdict, error, world),
            (Stage::Look | Stage::LookHolder, Verdict::Success) => {
                match found(&answer.body, mark, world) {
                    Some(Found::Ours(id)) => {
                        world
                            .view
                            .born(class, mark.anchor.clone(), id.clone(), world.now);
                        Outcome::Done { id: Some(id) }
                    }
                    Some(Found::Other(holder)) if conflict.is_some() => Outcome::Conflict {
                        attribute: conflict.take().filter(|name| !name.is_empty()),
                        holder: Some(holder),
                    },
                    _ if *stage == Stage::LookHolder && class == Class::User => {
                        *stage = Stage::LookDeleted;
                        return Then::Go;
                    }
                    _ => {
                        let Some(outcome) = refused.take() else {
                            *stage = Stage::Send;
                            return Then::Go;
                        };
                        outcome
                    }
                }
            }
            // A group's key finds nothing: it was not made, or is not visible yet; the upsert is safe either way.
            (Stage::Look | Stage::LookHolder, Verdict::Absent) if refused.is_none() => {
                *stage = Stage::Send;
                return Then::Lag;
            }
            // The upsert was refused for what only a create may set, so an earlier one, whose answer was lost, made the group.
            (Stage::Look, Verdict::Absent) if doubt => return Then::Lag,
            (Stage::LookDeleted, Verdict::Success) => {
                let Some(id) = first_id(&answer.body) else {
                    // Nobody holds it as far as this replica knows: it may be our own create, not visible yet.
                    *stage = Stage::LookHolder;
                    return Then::Lag;
                };
                Outcome::Conflict {
                    attribute: conflict.take().filter(|name| !name.is_empty()),
                    holder: Some(format!("deleted item {id}")),
                }
            }
            (_, verdict) => refused
                .take()
                .unwrap_or_else(|| refusal(verdict, error, world)),
        };
        self.settle(outcome, world)
    }

    fn step_answered(
        &mut self,
        verdict: Verdict,
        error: &ErrorBody,
        world: &mut World<'_>,
    ) -> Then {
        let Some(id) = self.id(world) else {
            return self.settle(not_yet(), world);
        };
        let doubt = self.doubt;
        let (class, anchor) = (self.class, self.anchor.clone());
        let Work::Steps { change, step } = &mut self.work else {
            return Then::Settled;
        };
        let young = world.view.is_young(&id, world.now) || peer_is_young(change, world);
        let outcome = match (&*change, *step, verdict) {
            (Change::Restore { .. }, 0 | 2, Verdict::Success) => {
                world.view.born(class, anchor, id, world.now);
                *step = 1;
                return Then::Go;
            }
            // Not among the deleted: perhaps restored already, by a call whose answer was lost.
            (Change::Restore { .. }, 0, Verdict::Absent) => {
                *step = 2;
                return Then::Go;
            }
            (Change::Restore { .. }, 2, Verdict::Absent) => Outcome::Gone,
            (Change::Disable, 0, Verdict::Success) => {
                *step = 1;
                return Then::Go;
            }
            (Change::Adopt { .. }, _, Verdict::Success) => {
                world.view.born(class, anchor, id.clone(), world.now);
                Outcome::Done { id: Some(id) }
            }
            (Change::Restore { .. }, _, Verdict::Success) => Outcome::Done { id: Some(id) },
            (Change::Delete, _, Verdict::Success) => {
                world.view.forget(class, &anchor, &id);
                done()
            }
            (_, _, Verdict::Success) => done(),
            (_, _, Verdict::NotReplicated) => return Then::Lag,
            (_, _, Verdict::Absent) if young && !doubt => return Then::Lag,
            (Change::Delete, _, Verdict::Absent) => {
                world.view.forget(class, &anchor, &id);
                if doubt { done() } else { Outcome::Gone }
            }
            (
                Change::RemoveMember { .. } | Change::SetManager { manager: None },
                _,
                Verdict::Absent,
            ) => {
                if doubt {
                    done()
                } else {
                    Outcome::AlreadySo
                }
            }
            (_, _, Verdict::Absent) if young => return Then::Lag,
            (Change::SetManager { .. }, _, Verdict::Absent) => not_yet(),
            (_, _, Verdict::Absent) => Outcome::Gone,
            (_, _, Verdict::Conflict) => Outcome::Conflict {
                attribute: error.target.clone(),
                holder: None,
            },
            (_, _, verdict) => refusal(verdict, error, world),
        };
        self.settle(outcome, world)
    }

    fn members_answered(
        &mut self,
        verdict: Verdict,
        error: &ErrorBody,
        answer: &Answer,
        world: &mut World<'_>,
    ) -> Then {
        let Some(group) = self.id(world) else {
            self.give_up(world);
            return Then::Settled;
        };
        let doubt = self.doubt;
        let Work::Members {
            left,
            sent,
            limit,
            reading,
        } = &mut self.work
        else {
            return Then::Settled;
        };
        if let Some((present, page)) = reading {
            match verdict {
                Verdict::Success => {
                    let listed = answer.body.get("value").and_then(Json::as_array);
                    let ids = listed
                        .into_iter()
                        .flatten()
                        .filter_map(|member| member.get("id")?.as_str());
                    present.extend(ids.map(|id| TargetId(id.into())));
                    if let Some(rest) = next_page(&answer.body, world.root) {
                        *page = Call::list("/groups/{id}/members", rest);
                        return Then::Go;
                    }
                }
                Verdict::Absent => return Then::Lag,
                _ => {}
            }
            let present = std::mem::take(present);
            *reading = None;
            let before = left.len();
            left.retain(|(position, anchor)| {
                let is_there = world
                    .view
                    .member(anchor)
                    .is_some_and(|id| present.contains(id));
                if is_there {
                    // Where an answer was lost, it was our own write that made it so.
                    world
                        .outcomes
                        .push((*position, if doubt { done() } else { Outcome::AlreadySo }));
                }
                !is_there
            });
            if left.len() == before {
                // The replica that was read does not show it: narrow down by halves.
                *limit = (*limit / 2).max(1);
            }
            return if left.is_empty() {
                Then::Settled
            } else {
                Then::Go
            };
        }
        let young = world.view.is_young(&group, world.now)
            || sent
                .iter()
                .any(|(_, _, id)| world.view.is_young(id, world.now));
        match verdict {
            Verdict::Success => {
                *limit = (*limit * 2).min(LINKS);
                for (position, ..) in sent.drain(..) {
                    world.tell(position, done());
                }
            }
            Verdict::AlreadyLinked if sent.len() == 1 => {
                for (position, ..) in sent.drain(..) {
                    world.tell(position, if doubt { done() } else { Outcome::AlreadySo });
                }
            }
            Verdict::AlreadyLinked => {
                self.put_back();
                let Work::Members { reading, .. } = &mut self.work else {
                    return Then::Settled;
                };
                *reading = Some((HashSet::new(), Call::members(&group.0)));
                return Then::Go;
            }
            Verdict::NotReplicated => {
                self.put_back();
                return Then::Lag;
            }
            Verdict::Absent if young => {
                self.put_back();
                return Then::Lag;
            }
            verdict if sent.len() == 1 => {
                let outcome = match verdict {
                    Verdict::Absent => not_yet(),
                    verdict => refusal(verdict, error, world),
                };
                for (position, ..) in sent.drain(..) {
                    world.tell(position, outcome.clone());
                }
            }
            // One of them is at fault: narrow down by halves.
            _ => {
                *limit = (sent.len() / 2).max(1);
                self.put_back();
                return Then::Go;
            }
        }
        if left.is_empty() {
            Then::Settled
        } else {
            Then::Go
        }
    }
}

/// The outcome of an answer that nothing is to be done about.
fn refusal(verdict: Verdict, error: &ErrorBody, world: &World<'_>) -> Outcome {
    let reason = match verdict {
        Verdict::Refused(Reason::Privileged) => {
            if let Some(permission) = world.lacking {
                return Outcome::Refused {
                    reason: Reason::PermissionMissing,
                    message: format!("the application lacks {permission}"),
                };
            }
            Reason::Privileged
        }
        Verdict::Refused(reason) => reason,
        _ => Reason::RefusedByTarget,
    };
    Outcome::Refused {
        reason,
        message: format!("{}: {}", error.code, error.message),
    }
}

fn next_page(body: &Json, root: &str) -> Option<String> {
    let rest = body.get("@odata.nextLink")?.as_str()?.strip_prefix(root)?;
    rest.starts_with('/').then(|| rest.to_owned())
}

fn next_members(
    group: &TargetId,
    left: &mut VecDeque<(usize, Anchor)>,
    sent: &mut Vec<(usize, Anchor, TargetId)>,
    limit: usize,
    world: &mut World<'_>,
) -> Next {
    let mut waiting = VecDeque::new();
    while sent.len() < limit {
        let Some((position, anchor)) = left.pop_front() else {
            break;
        };
        match world.view.member(&anchor).cloned() {
            Some(id) => sent.push((position, anchor, id)),
            None if world.is_creating(&anchor) => waiting.push_back((position, anchor)),
            None => world.tell(position, not_yet()),
        }
    }
    // Whoever is waited for goes last; a short write is only sent when nobody is.
    let wait = !waiting.is_empty() && sent.len() < limit;
    left.append(&mut waiting);
    if wait {
        for (position, anchor, _) in sent.drain(..).rev() {
            left.push_front((position, anchor));
        }
        return Next::Wait;
    }
    if sent.is_empty() {
        return Next::Settled;
    }
    let urls: Vec<String> = sent
        .iter()
        .map(|(_, _, id)| format!("{}/directoryObjects/{id}", world.root))
        .collect();
    Next::Send(Call::add_members(&group.0, &urls))
}
