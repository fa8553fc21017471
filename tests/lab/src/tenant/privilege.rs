//! Who may do what: application permissions per operation, and directory roles for sensitive actions (fact sheet §3.4).
//!
//! The description's permission lists are the base; the narrow permissions of the reference pages and the rules that
//! depend on the body or on the target are here.

use serde_json::{Map, Value};

use super::answer::Answer;
use super::openapi::Operation;
use super::state::{Call, State};
use super::store::Kind;

const SENSITIVE: [&str; 7] = [
    "accountEnabled",
    "businessPhones",
    "mobilePhone",
    "onPremisesImmutableId",
    "otherMails",
    "passwordProfile",
    "userPrincipalName",
];

/// Who may read users in the bin.
pub(super) const USER_READERS: [&str; 4] = [
    "User.Read.All",
    "User.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];

/// Who may read groups in the bin.
pub(super) const GROUP_READERS: [&str; 4] = [
    "Group.Read.All",
    "Group.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];

/// What `User.ReadBasic.All` shows.
const BASIC: [&str; 8] = [
    "displayName",
    "givenName",
    "id",
    "mail",
    "photo",
    "securityIdentifier",
    "surname",
    "userPrincipalName",
];

/// Roles whose holders any caller with the plain permission may act on.
const ORDINARY: [&str; 6] = [
    "Directory Readers",
    "Guest Inviter",
    "Message Center Reader",
    "Password Administrator",
    "Reports Reader",
    "Usage Summary Reports Reader",
];

/// Refuses a call for which the token has no permission at all.
pub(super) fn check_operation(
    state: &State,
    call: &Call,
    operation: &Operation,
) -> Result<(), Answer> {
    let listed = |role: &String| operation.permissions.contains(role);
    let granted = match (call.method.as_str(), operation.template.as_str()) {
        ("POST", "/$batch") => true,
        ("GET", "/users" | "/users/{user-id}") => {
            let basic = || {
                call.query
                    .select()
                    .is_some_and(|names| names.iter().all(|name| BASIC.contains(&name.as_str())))
            };
            call.roles
                .iter()
                .any(|role| listed(role) && (role != "User.ReadBasic.All" || basic()))
        }
        ("POST", "/users") => call.roles.iter().any(listed) || call.may(&["User.Create"]),
        // Judged property by property.
        ("PATCH", "/users/{user-id}") => {
            call.roles.iter().any(listed) || call.may(&["User.ReadUpdate.All"])
        }
        ("PATCH", "/groups/{group-id}") => {
            let links_only = call
                .fields()
                .keys()
                .all(|name| name == "members@odata.bind");
            call.roles.iter().any(listed)
                || (links_only && call.may(&["GroupMember.ReadWrite.All"]))
        }
        ("PATCH", "/groups(uniqueName='{uniqueName}')") => {
            let creates = || state.store.by_unique_name(call.parameter(0)).is_none();
            call.roles.iter().any(listed) || (call.may(&["Group.Create"]) && creates())
        }
        // The description lists the least permission only.
        ("GET", "/directory/deletedItems/microsoft.graph.user") => call.may(&USER_READERS),
        ("GET", "/directory/deletedItems/microsoft.graph.group") => call.may(&GROUP_READERS),
        // Judged by the item's kind.
        (_, template) if template.starts_with("/directory/deletedItems/{directoryObject-id}") => {
            true
        }
        (_, template) if template.starts_with("/applications") => call.roles.iter().any(|role| {
            listed(role) && (role != "Application.ReadWrite.OwnedBy" || state.config.owns_itself)
        }),
        _ => call.roles.iter().any(listed),
    };
    if granted {
        Ok(())
    } else {
        Err(Answer::denied())
    }
}

/// Refuses the properties of a user that need a permission of their own, or the right over a privileged target.
pub(super) fn check_user_update(
    state: &State,
    call: &Call,
    id: &str,
    fields: &Map<String, Value>,
) -> Result<(), Answer> {
    let broad = call.may(&["User.ReadWrite.All", "Directory.ReadWrite.All"]);
    for property in fields.keys() {
        let granted = match property.as_str() {
            "passwordProfile" => {
                call.may(&["User-PasswordProfile.ReadWrite.All"]) && holds_user_administrator(state)
            }
            "identities" => call.may(&["User.ManageIdentities.All"]),
            "employeeLeaveDateTime" => call.may(&["User-LifeCycleInfo.ReadWrite.All"]),
            "customSecurityAttributes" => call.may(&["CustomSecAttributeAssignment.ReadWrite.All"]),
            "employeeHireDate" => false,
            "accountEnabled" => {
                broad
                    || call.may(&["User.EnableDisableAccount.All"]) && call.may(&["User.Read.All"])
            }
            "businessPhones" | "mobilePhone" => broad || call.may(&["User-Phone.ReadWrite.All"]),
            "otherMails" => broad || call.may(&["User-Mail.ReadWrite.All"]),
            _ => broad || call.may(&["User.ReadUpdate.All"]),
        };
        if !granted {
            return Err(Answer::denied());
        }
    }
    if fields
        .keys()
        .any(|property| SENSITIVE.contains(&property.as_str()))
    {
        check_target(state, id)?;
    }
    Ok(())
}

/// Refuses the properties that need a permission of their own when a user is created.
pub(super) fn check_user_create(call: &Call, fields: &Map<String, Value>) -> Result<(), Answer> {
    for (property, permission) in [
        ("identities", "User.ManageIdentities.All"),
        ("employeeLeaveDateTime", "User-LifeCycleInfo.ReadWrite.All"),
        (
            "customSecurityAttributes",
            "CustomSecAttributeAssignment.ReadWrite.All",
        ),
    ] {
        if fields.contains_key(property) && !call.may(&[permission]) {
            return Err(Answer::denied());
        }
    }
    if fields.contains_key("employeeHireDate") {
        Err(Answer::denied())
    } else {
        Ok(())
    }
}

/// Deleting and restoring: the narrow permission, or the broad one together with a role.
pub(super) fn check_delete_or_restore(
    state: &State,
    call: &Call,
    id: &str,
    kind: Kind,
) -> Result<(), Answer> {
    match kind {
        Kind::Group if call.may(&["Group.ReadWrite.All"]) => check_role_assignable(state, call, id),
        Kind::Group => Err(Answer::denied()),
        Kind::User => {
            let narrow = call.may(&["User.DeleteRestore.All"]);
            let broad = call.may(&["User.ReadWrite.All"]) && holds_user_administrator(state);
            if narrow || broad {
                check_target(state, id)
            } else {
                Err(Answer::denied())
            }
        }
    }
}

/// Changing a role-assignable group takes the right over role management.
pub(super) fn check_role_assignable(state: &State, call: &Call, group: &str) -> Result<(), Answer> {
    let object = state.store.objects.get(group);
    let assignable = object.is_some_and(|object| object.truth.flag("isAssignableToRole"));
    if assignable && !call.may(&["RoleManagement.ReadWrite.Directory"]) {
        Err(Answer::denied())
    } else {
        Ok(())
    }
}

fn holds_user_administrator(state: &State) -> bool {
    holds(
        state,
        &[
            "User Administrator",
            "Privileged Authentication Administrator",
            "Global Administrator",
        ],
    )
}

fn holds(state: &State, roles: &[&str]) -> bool {
    state
        .config
        .application_roles
        .iter()
        .any(|role| roles.contains(&role.as_str()))
}

/// Whether the application may perform a sensitive action on this user.
fn check_target(state: &State, id: &str) -> Result<(), Answer> {
    let (roles, in_group) = state.roles_of(id);
    let over = |role: &str| match role {
        role if ORDINARY.contains(&role) => true,
        "Authentication Administrator" => holds(
            state,
            &[
                "Authentication Administrator",
                "Privileged Authentication Administrator",
                "Global Administrator",
            ],
        ),
        "Groups Administrator" | "Helpdesk Administrator" | "User Administrator" => {
            holds_user_administrator(state)
        }
        _ => holds(
            state,
            &[
                "Privileged Authentication Administrator",
                "Global Administrator",
            ],
        ),
    };
    let top = [
        "Privileged Authentication Administrator",
        "Global Administrator",
    ];
    if roles.into_iter().all(over) && (!in_group || holds(state, &top)) {
        Ok(())
    } else {
        Err(Answer::denied())
    }
}
