//! Every reason that Plumbline gives, in conditions and for objects in quarantine: one word that alerts match on, what it
//! means and what to do. `docs/reference/reasons.md` is made from this table.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a reason appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As the reason of a condition.
    Condition,
    /// As the reason why one object is set aside.
    Quarantine,
}

macro_rules! reasons {
    ($($(#[$unused:meta])* $name:ident $place:ident $meaning:literal $next:literal;)*) => {
        /// A reason. An API: alerts match on it, so words are added, never changed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Reason { $(#[doc = $meaning] $name,)* }

        impl Reason {
            /// All of them, in the order of the reference page.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word itself.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Where it appears.
            pub fn place(self) -> Place {
                match self { $(Self::$name => Place::$place,)* }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// What to do about it.
            pub fn next_step(self) -> &'static str {
                match self { $(Self::$name => $next,)* }
            }
        }
    };
}

reasons! {
    Succeeded Condition "The target is as desired." "Nothing.";
    Planned Condition "Plan mode: the plan is computed and reported, nothing is written." "Look at `status.plan`; set `mode: Apply` to let it be written.";
    Progressing Condition "The first cycle for this generation is under way." "Wait.";
    ProgressingWithRetry Condition "Some operations could not be finished and are tried again in the next cycle." "Wait; look at the message if it lasts.";
    Suspended Condition "`suspend` is set: nothing is read or written." "Remove `suspend` to go on.";
    Held Condition "The guard withholds risky operations; everything else flows." "Look at `status.holds`; approve the digest in `guard.approved`, or mend the source.";
    DependencyNotReady Condition "A resource that this one refers to is missing or not ready." "Look at the resource that the message names.";
    SecretNotFound Condition "A Secret or ConfigMap that a field names, or a key of it, is missing." "Create it, or correct the name.";
    ScopeUnresolved Condition "An organizational unit or group of a SyncScope is gone or was never found." "Correct the DN or restore the entry; until then nothing of the scope leaves.";
    ScopeAmbiguous Condition "A DN of a SyncScope now names another object than before, while the old one still exists." "Write `<GUID=…>` of the one that is meant.";
    ServerUnreachable Condition "None of the connector's servers could be reached." "Check address, port, network policy and firewall.";
    TLSFailed Condition "The server's certificate was refused, or TLS could not be started." "Check `tls.caRef`, the certificate's names and its expiry.";
    BindFailed Condition "The directory refused the bind." "Check the user name and password in the bind Secret.";
    ServerTypeMismatch Condition "The server is not of the type that `spec.type` claims." "Correct `spec.type`, or set it to Auto.";
    BaseNotFound Condition "`baseDN` names nothing that the account can read." "Correct `baseDN`, or give the account the right to read it.";
    ReadIncomplete Condition "A read was cut short; it counts for nothing and nothing was deleted." "Look at the message: a size limit, a lost connection, a malformed answer.";
    TokenRejected Condition "The token endpoint refused the credentials." "Look at the message; check tenant, client and credential.";
    TenantNotFound Condition "The token endpoint does not know the tenant." "Correct `tenantId`, or the cloud.";
    TargetUnreachable Condition "The token endpoint or Microsoft Graph could not be reached, or keeps failing." "Check network, proxy and the service's health.";
    AccessDenied Condition "The directory or the tenant refused a read for lack of rights." "Grant the right that the message names.";
    MarkNotDefined Condition "The directory extension that marks our objects is not defined for the application." "Run `plumbline tenant init`.";
    InvalidCELExpression Condition "An expression does not compile." "Correct it at the position that the message names.";
    InvalidLDAPFilter Condition "A filter cannot be parsed or decided." "Correct it at the position that the message names.";
    InvalidSpec Condition "A field's value cannot be used, in a way that the schema cannot see." "Correct the field that the message names.";
    StateNotKept Condition "All is well, but what was read is not kept: a restart would read everything again." "Make room on the volume (`persistence.size` in the chart), or look at what the message names.";
    AnchorMissing Quarantine "The entry has no usable source anchor." "Give the account the right to read the anchor attribute, or give the entry a value.";
    AnchorNotUnique Quarantine "Two entries have the same source anchor." "Give one of them another value.";
    AnchorChanged Quarantine "The entry's anchor is not the one its object was made with." "Put the old value back.";
    JoinAmbiguous Quarantine "Several entries of one connector are joined to one identity, so that nobody can tell which is meant." "Correct the value by which they are joined in all but one, or join by an attribute that is unique.";
    InvalidDN Quarantine "The entry's DN cannot be parsed." "Rename the entry.";
    InvalidUTF8 Quarantine "An attribute that a mapping reads is not valid UTF-8." "Correct the attribute that the message names.";
    ExpressionFailed Quarantine "A mapping or `when` expression failed on this object." "Correct the expression, or the value it fails on.";
    AttributeMissing Quarantine "An attribute that the target requires has no value." "Fill it in the directory, or map another.";
    AttributeInvalid Quarantine "A value breaks the target's rules (length, characters)." "Correct the value in the directory, or map another.";
    DomainNotVerified Quarantine "The sign-in name's domain is not verified in the tenant." "Verify the domain, or map a sign-in name with a verified one.";
    DuplicateValue Quarantine "Another object has the value that must be unique." "Change one of the two that the message names.";
    WouldAdopt Quarantine "An object exists at the target without our mark and would be taken over." "Check it; set `matching.adopt: Adopt` to take over, or remove it.";
    NotAdoptable Quarantine "An object exists at the target that is never taken over (privileged, guest, or mastered elsewhere)." "Rename one of the two, or handle the object by hand.";
    AmbiguousMatch Quarantine "More than one object at the target matches." "Leave only one that matches.";
    OwnedByOther Quarantine "The matching object bears another owner's mark." "Decide which DirectorySync owns it.";
    RefusedByTarget Quarantine "The target refused the write." "Look at the message.";
    Privileged Quarantine "The target refuses writes to a holder of a directory role." "Manage this account by hand, or give the application the role that the documentation names.";
    PermissionMissing Quarantine "The application lacks a permission that the write takes, whatever the object." "Grant the permission that the message names, with admin consent; a token of the last hour does not have it yet.";
    QuotaExceeded Quarantine "The tenant's object quota is used up." "Remove objects, or ask for a larger quota.";
    AbsenceUnproven Quarantine "The entry is no longer read, but nothing proves that it was deleted; the object is left alone." "If it was deleted, wait for the evidence; if it was hidden, give the account the right to read it.";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
