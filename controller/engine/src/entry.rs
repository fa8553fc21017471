//! What a directory holds: entries as imported, with raw values. Servers' spelling of attribute names does not matter.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::anchor::Anchor;

/// The classes that take part in synchronisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Class {
    User,
    Group,
    Contact,
}

impl Class {
    /// `user`, `group` or `contact`: the name in expressions, digests and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Contact => "contact",
        }
    }
}

/// What an entry of a directory is, decided by its object classes and, in Active Directory, its `groupType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EntryKind {
    User,
    /// A security group, or any group of a server that knows no distribution groups.
    SecurityGroup,
    /// An Active Directory group without the security bit: mail only.
    DistributionGroup,
    Contact,
    /// Something that holds others (`organizationalUnit`, `container`, `domain` …); read so that scopes can be followed.
    Container,
}

/// The software at the other end of a connector, as its root DSE shows it. Default mappings depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ServerType {
    ActiveDirectory,
    OpenLdap,
    /// 389 Directory Server.
    DirectoryServer389,
    /// A 389 Directory Server with FreeIPA's own schema and plug-ins.
    FreeIpa,
    /// Any other LDAP server; anchored by `entryUUID` (RFC 4530) unless an anchor attribute is chosen.
    Generic,
}

impl ServerType {
    /// The word that `DirectoryConnector.spec.type` uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ActiveDirectory => "ActiveDirectory",
            Self::OpenLdap => "OpenLDAP",
            Self::DirectoryServer389 => "DirectoryServer389",
            Self::FreeIpa => "FreeIPA",
            Self::Generic => "Generic",
        }
    }
}

/// Attributes with their raw values. Names are compared without regard to ASCII case and kept in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(Arc<str>, Vec<Vec<u8>>)>);

impl Attributes {
    /// Adds values; those of a name that is there already are appended. Options (`;binary`, `;range=…`) are the caller's.
    pub fn add(&mut self, name: &str, values: Vec<Vec<u8>>) {
        let name = lower(name);
        match self.0.binary_search_by(|(n, _)| (**n).cmp(&name)) {
            Ok(at) => self.0[at].1.extend(values),
            Err(at) => self.0.insert(at, (name.as_ref().into(), values)),
        }
    }

    /// None, with room for so many.
    pub fn with_capacity(attributes: usize) -> Self {
        Self(Vec::with_capacity(attributes))
    }

    /// From names in lower case, sorted and each once.
    pub(crate) fn sorted(attributes: Vec<(Arc<str>, Vec<Vec<u8>>)>) -> Self {
        Self(attributes)
    }

    /// Replaces the values of a name; none removes it.
    pub(crate) fn set(&mut self, name: &str, values: Vec<Vec<u8>>) {
        let name = name.to_ascii_lowercase();
        self.retain(|other| *other != *name);
        if !values.is_empty() {
            self.add(&name, values);
        }
    }

    /// Name and values of each attribute, sorted by name.
    pub(crate) fn into_values(self) -> impl Iterator<Item = (Arc<str>, Vec<Vec<u8>>)> {
        self.0.into_iter()
    }

    /// Keeps those whose name, in lower case, is wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| wanted(name));
    }

    /// All values, in the order of the server; empty when the attribute is absent.
    pub fn get(&self, name: &str) -> &[Vec<u8>] {
        let name = lower(name);
        match self.0.binary_search_by(|(n, _)| (**n).cmp(&name)) {
            Ok(at) => &self.0[at].1,
            Err(_) => &[],
        }
    }

    /// Name and values of each attribute, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Vec<u8>])> {
        self.0.iter().map(|(name, values)| (&**name, &**values))
    }
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

impl<'a> FromIterator<(&'a str, Vec<Vec<u8>>)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (&'a str, Vec<Vec<u8>>)>>(items: I) -> Self {
        let mut attributes = Self::default();
        for (name, values) in items {
            attributes.add(name, values);
        }
        attributes
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(name, list)| (name, values::Texts(list))))
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, values::Owned>::deserialize(deserializer)?;
        Ok((map.iter())
            .map(|(name, list)| (name.as_str(), list.0.clone()))
            .collect())
    }
}

/// Raw values in a readable form: text where they are UTF-8, else `{"base64": …}`.
pub(crate) mod values {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form<T> {
        Text(T),
        Bytes { base64: String },
    }

    pub(super) struct Texts<'a>(pub(super) &'a [Vec<u8>]);

    impl Serialize for Texts<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let form = |value: &Vec<u8>| match str::from_utf8(value) {
                Ok(text) => Form::Text(text.to_owned()),
                Err(_) => Form::Bytes {
                    base64: STANDARD.encode(value),
                },
            };
            serializer.collect_seq(self.0.iter().map(form))
        }
    }

    pub(super) struct Owned(pub(super) Vec<Vec<u8>>);

    impl<'de> Deserialize<'de> for Owned {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserialize(deserializer).map(Self)
        }
    }

    pub(crate) fn serialize<S: Serializer>(
        values: &[Vec<u8>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Texts(values).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        let forms = Vec::<Form<String>>::deserialize(deserializer)?.into_iter();
        let value = |form: Form<String>| match form {
            Form::Text(text) => Ok(text.into_bytes()),
            Form::Bytes { base64 } => STANDARD.decode(base64).map_err(D::Error::custom),
        };
        forms.map(value).collect()
    }
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// As the server writes it. Only ever compared after [`crate::dn::Dn::parse`].
    pub dn: String,
    pub kind: EntryKind,
    /// `None` when the entry has no usable anchor: it is set aside, never guessed.
    pub anchor: Option<Anchor>,
    /// A second name of the same object (`objectGUID` beside `mS-DS-ConsistencyGuid`); a match by either is the same person.
    pub alternate: Option<Anchor>,
    pub attributes: Attributes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ignore_case_and_values_keep_their_order() {
        let mut attributes = Attributes::default();
        attributes.add("Mail", vec![b"b".to_vec()]);
        attributes.add("mail", vec![b"a".to_vec()]);
        attributes.add("cn", vec![b"x".to_vec()]);
        assert_eq!(attributes.get("MAIL"), [b"b".to_vec(), b"a".to_vec()]);
        assert!(attributes.get("sn").is_empty());
        assert_eq!(
            attributes.iter().map(|(n, _)| n).collect::<Vec<_>>(),
            ["cn", "mail"]
        );
    }
}
