//! Stand-ins for tests: an embedded LDAP directory, a believable company to fill it, the lab tenant (Entra ID's token endpoint and
//! Microsoft Graph) and a small test CA.
//!
//! Everything here is written from the vendors' specifications and shares no code with the operator: a shared misreading
//! would hide a bug.

pub mod company;
pub mod directory;
pub mod tenant;
pub mod tls;
