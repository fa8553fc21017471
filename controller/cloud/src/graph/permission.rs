//! The application permissions that the Graph target needs, least first, and what each is for. The documentation's table
//! and the probe of `tenant init` are made from this.

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
