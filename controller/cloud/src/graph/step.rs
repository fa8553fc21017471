//! The calls of an operation on one object that exists, one after the other. Only objects with our mark are disabled, deleted or
//! emptied: what did not bear it when it was last read is refused here, before anything is sent.

use plumbline_engine::{
    entry::Class,
    operation::{Change, Member, Outcome},
    reason::Reason,
    target::TargetId,
};
use serde_json::{Map, Value as Json, json};

use super::{
    attribute,
    call::Call,
    task::{Next, World, not_yet},
};

pub(super) fn peer_is_young(change: &Change, world: &World<'_>) -> bool {
    let id = match change {
        Change::SetManager {
            manager: Some(manager),
        } => world.view.id(Class::User, manager),
        Change::RemoveMember {
            member: Member::Ours(member),
        } => world.view.member(member),
        _ => None,
    };
    id.is_some_and(|id| world.view.is_young(id, world.now))
}

pub(super) fn step_call(
    class: Class,
    id: &TargetId,
    change: &Change,
    step: u8,
    world: &World<'_>,
) -> Result<Next, Outcome> {
    let patch = |body: Map<String, Json>| match class {
        Class::Group => Call::patch_group(&id.0, Json::Object(body)),
        _ => Call::patch_user(&id.0, Json::Object(body)),
    };
    let needs_mark = matches!(
        change,
        Change::Disable | Change::Delete | Change::RemoveMember { .. }
    );
    if needs_mark && !world.view.is_marked(id) {
        return Err(Outcome::Refused {
            reason: Reason::RefusedByTarget,
            message: format!("{id} did not bear our mark when it was last read; it is left alone"),
        });
    }
    Ok(Next::Send(match (change, step) {
        (Change::Restore { .. }, 0) => Call::restore(&id.0),
        (Change::Restore { .. }, 2) if class == Class::Group => Call::get_group(&id.0),
        (Change::Restore { .. }, 2) => Call::get_user(&id.0),
        (Change::Restore { mark, changes } | Change::Adopt { mark, changes }, _) => {
            patch(world.mark_body(mark, class, changes))
        }
        (Change::Update { changes }, _) => patch(attribute::write(class, changes)),
        (Change::SetManager { manager: None }, _) => Call::clear_manager(&id.0),
        (
            Change::SetManager {
                manager: Some(manager),
            },
            _,
        ) => match world.view.id(Class::User, manager) {
            Some(peer) => Call::set_manager(&id.0, &format!("{}/users/{peer}", world.root)),
            None if world.is_creating(manager) => return Ok(Next::Wait),
            None => return Err(not_yet()),
        },
        (Change::Disable, 0) => patch(
            [("accountEnabled".to_owned(), json!(false))]
                .into_iter()
                .collect(),
        ),
        (Change::Disable, _) => Call::revoke_sessions(&id.0),
        (Change::Delete, _) if class == Class::Group => Call::delete_group(&id.0),
        (Change::Delete, _) => Call::delete_user(&id.0),
        (Change::RemoveMember { member }, _) => {
            let peer = match member {
                Member::Foreign(id) => id,
                Member::Ours(anchor) => world.view.member(anchor).ok_or_else(not_yet)?,
            };
            Call::remove_member(&id.0, &peer.0)
        }
        // These two are work of another kind; see `Task::new`.
        (Change::Create { .. } | Change::AddMember { .. }, _) => return Ok(Next::Settled),
    }))
}
