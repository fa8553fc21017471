//! Who may bind and what they see: the test's stand-in for access control lists and limits.

use super::Profile;
use super::dn::{Dn, fold, is_within};

/// An account that may bind. It need not be an entry of the directory.
#[derive(Debug, Clone)]
pub struct Account {
    pub(crate) names: Vec<String>,
    pub(crate) password: String,
    pub(crate) may_write: bool,
    pub(crate) sees_deleted: bool,
    pub(crate) replicates: bool,
    pub(crate) size_limit: Option<usize>,
    pub(crate) admin_limit: Option<usize>,
    pub(crate) refused: Option<u16>,
    pub(crate) hidden: Vec<String>,
}

impl Account {
    /// An account that reads everything but tombstones. The name is a DN; in the `Ad` profile a UPN or `DOMAIN\name`
    /// as well.
    pub fn reader(name: &str, password: &str) -> Self {
        Self {
            names: vec![name.to_owned()],
            password: password.to_owned(),
            may_write: false,
            sees_deleted: false,
            replicates: false,
            size_limit: None,
            admin_limit: None,
            refused: None,
            hidden: Vec::new(),
        }
    }

    /// One more name for the same account.
    #[must_use]
    pub fn also_named(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    /// May list tombstones: on AD list contents and read property on CN=Deleted Objects.
    #[must_use]
    pub fn seeing_deleted(mut self) -> Self {
        self.sees_deleted = true;
        self
    }

    /// AD: has the right Replicating Directory Changes on the domain head.
    #[must_use]
    pub fn replicating(mut self) -> Self {
        self.replicates = true;
        self
    }

    /// May add, modify, rename and delete.
    #[must_use]
    pub fn writing(mut self) -> Self {
        self.may_write = true;
        self
    }

    /// A bind with the right password fails with this AD sub-code, for example 0x533 for a disabled account.
    #[must_use]
    pub fn refused_with(mut self, data: u16) -> Self {
        self.refused = Some(data);
        self
    }

    pub(crate) fn is_named(&self, profile: Profile, name: &str) -> bool {
        let key = |text: &str| Dn::parse(text).ok().map(|name| name.key());
        self.names.iter().any(|each| match (key(each), key(name)) {
            (Some(one), Some(other)) => one == other,
            _ => profile == Profile::Ad && fold(each) == fold(name),
        })
    }

    pub(crate) fn sees(&self, key: &str) -> bool {
        !self.hidden.iter().any(|hidden| is_within(key, hidden))
    }
}
