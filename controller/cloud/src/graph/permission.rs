//! The application permissions that the Graph target needs, least first, and what each is for. The documentation's table
//! and the probe of `tenant init` are made from this.

use super::call::Call;

/// One application permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    pub name: &'static str,
    /// What Plumbline does with it.
    pub why: &'static str,
    /// Nothing works without it; otherwise only what `why` says is missing.
    pub required: bool,
}

const fn permission(name: &'static str, required: bool, why: &'static str) -> Permission {
    Permission {
        name,
        why,
        required,
    }
}

const PERMISSIONS: &[Permission] = &[
    permission(
        "User.Read.All",
        true,
        "Reads users, their managers and deleted users.",
    ),
    permission(
        "User.ReadWrite.All",
        true,
        "Creates and changes users, blocks sign-in, sets managers.",
    ),
    permission(
        "User.RevokeSessions.All",
        true,
        "Ends the sessions of leavers.",
    ),
    permission(
        "User.DeleteRestore.All",
        true,
        "Restores returners; deletes leavers where `deprovision` says so.",
    ),
    permission(
        "Group.ReadWrite.All",
        true,
        "Reads, creates, changes and deletes security groups and their members.",
    ),
    permission(
        "Domain.Read.All",
        true,
        "Knows which domains are verified before a sign-in name is sent.",
    ),
    permission(
        "Application.ReadWrite.OwnedBy",
        false,
        "Defines the mark, once, by `plumbline tenant init`; may be taken away afterwards. The application must be its own owner.",
    ),
    permission(
        "RoleManagement.Read.Directory",
        false,
        "Knows who is privileged; without it nothing is adopted.",
    ),
];

/// All of them.
pub fn permissions() -> &'static [Permission] {
    PERMISSIONS
}

/// The permissions of which one is enough for a write, the documented least one that we ask for first.
///
/// Graph refuses a caller without any of them with the same code as one that may not touch a privileged object; the token's `roles`
/// tell them apart. Source: permission tables of the v1.0 reference pages.
pub(crate) fn sufficient(call: &Call) -> &'static [&'static str] {
    match (call.method(), call.template()) {
        ("POST", "/users") => &[
            "User.ReadWrite.All",
            "User.Create",
            "Directory.ReadWrite.All",
        ],
        (_, "/users/{id}/revokeSignInSessions") => &[
            "User.RevokeSessions.All",
            "User.ReadWrite.All",
            "Directory.ReadWrite.All",
        ],
        ("DELETE", "/users/{id}") | (_, "/directory/deletedItems/{id}/restore") => &[
            "User.DeleteRestore.All",
            "User.ReadWrite.All",
            "Group.ReadWrite.All",
            "Directory.ReadWrite.All",
        ],
        (_, "/users/{id}/manager/$ref") => &["User.ReadWrite.All", "Directory.ReadWrite.All"],
        (_, path) if path.starts_with("/users") => &[
            "User.ReadWrite.All",
            "User.ReadUpdate.All",
            "User.EnableDisableAccount.All",
            "Directory.ReadWrite.All",
        ],
        _ => &[
            "Group.ReadWrite.All",
            "Group.Create",
            "GroupMember.ReadWrite.All",
            "Directory.ReadWrite.All",
        ],
    }
}
