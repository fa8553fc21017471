//! Stand-ins for tests: the lab tenant (Entra ID's token endpoint and Microsoft Graph) and a small test CA.
//!
//! Everything here is written from the vendors' specifications and shares no code with the operator: a shared misreading
//! would hide a bug.

pub mod tenant;
pub mod tls;
