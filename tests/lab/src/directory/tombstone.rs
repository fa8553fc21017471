//! Deleted objects of Active Directory: what a delete leaves behind, and where.
//!
//! The object moves to `CN=Name\0ADEL:<guid>,CN=Deleted Objects,…` and keeps what a Samba 4.17 domain controller
//! was seen to keep; references to it are removed from all entries, and the groups are not stamped for that.

use std::collections::HashMap;

use super::active_directory::print_guid;
use super::dn::Rdn;
use super::refusal::Refusal;
use super::store::Store;

const KEPT: [&str; 16] = [
    "objectClass",
    "cn",
    "ou",
    "objectGUID",
    "objectSid",
    "sAMAccountName",
    "userAccountControl",
    "groupType",
    "instanceType",
    "uSNCreated",
    "uSNChanged",
    "whenCreated",
    "whenChanged",
    "isDeleted",
    "isRecycled",
    "lastKnownParent",
];

/// Turns an entry without children into a tombstone.
pub(crate) fn bury(store: &mut Store, id: u64) -> Result<(), Refusal> {
    let (Some(container), Some(stored)) = (
        store.index.get(&store.deleted_objects_key).copied(),
        store.entries.get(&id),
    ) else {
        return Ok(());
    };
    if stored.is_deleted() || store.in_configuration(&stored.key) || stored.parent.is_none() {
        let message = "00002035: SvcErr: DSID-031A1254, problem 5003 (WILL_NOT_PERFORM), data 0";
        return Err(Refusal::new(
            ldap3_proto::proto::LdapResultCode::UnwillingToPerform,
            message,
        ));
    }
    let guid: [u8; 16] = stored
        .values("objectGUID")
        .first()
        .and_then(|raw| raw.as_slice().try_into().ok())
        .unwrap_or_default();
    let Some(old) = stored.dn.0.first().and_then(|rdn| rdn.0.first()).cloned() else {
        return Ok(());
    };
    let mut buried = stored.clone();
    let before = stored.key.clone();
    let last_known_parent = stored
        .parent
        .and_then(|parent| store.entries.get(&parent))
        .map(|parent| store.written(parent));
    let value = format!("{}\nDEL:{}", old.value, print_guid(&guid));
    buried
        .attributes
        .retain(|each| KEPT.contains(&each.name.as_str()));
    buried.set(&store.known(&old.attribute)?, value.as_str());
    buried.set("isDeleted", "TRUE");
    buried.set("isRecycled", "TRUE");
    if let Some(parent) = last_known_parent {
        buried.set("lastKnownParent", parent);
    }
    store.stamp_changed(&mut buried);
    store.note_name(&mut buried);
    // Its links go without a trace, as do those that lead to it.
    buried.metadata.values.clear();
    store.entries.insert(id, buried);
    store.forget_references(id);
    // First the references go, then the object gets its new name: nothing may follow it.
    store.follow(&HashMap::from([(before, None)]));
    let Some(above) = store.entries.get(&container) else {
        return Ok(());
    };
    let name = above.dn.child(Rdn::single(&old.attribute, &value));
    store.relocate(id, container, name);
    Ok(())
}
