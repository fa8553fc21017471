//! How the values of an attribute are compared. No schema is read: the attributes whose values are not text are named here.

use crate::{
    dn::{Dn, guid_bytes},
    fold::fold,
};

/// What an attribute's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// Folded text (`caseIgnoreMatch`); numbers and times where both sides are.
    Text,
    /// Distinguished names.
    Name,
    /// `objectCategory` of Active Directory: a DN that filters name by class (`person`).
    Category,
    /// Bytes as they are; a printed GUID in a filter stands for its bytes.
    Guid,
    /// Bytes as they are; a printed SID in a filter stands for its bytes.
    Sid,
    Bytes,
}

const NAMES: &[&str] = &[
    "creatorsname",
    "directreports",
    "distinguishedname",
    "entrydn",
    "manager",
    "managedby",
    "managedobjects",
    "member",
    "memberof",
    "modifiersname",
    "owner",
    "pwdpolicysubentry",
    "roleoccupant",
    "secretary",
    "seealso",
    "subschemasubentry",
    "uniquemember",
];

const BYTES: &[&str] = &[
    "jpegphoto",
    "thumbnailphoto",
    "usercertificate",
    "userpkcs12",
    "usersmimecertificate",
];

impl Syntax {
    /// Of an attribute, by its lower-case name.
    pub(super) fn of(attribute: &str) -> Self {
        match attribute {
            "objectguid" | "ms-ds-consistencyguid" | "msexchmailboxguid" => Self::Guid,
            "objectsid" | "sidhistory" | "tokengroups" => Self::Sid,
            "objectcategory" => Self::Category,
            _ if NAMES.contains(&attribute) => Self::Name,
            _ if BYTES.contains(&attribute) => Self::Bytes,
            _ => Self::Text,
        }
    }

    /// The form under which two values are equal; `None` when the value is none of this syntax.
    pub(super) fn normal(self, value: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(value);
        match self {
            Self::Text => Some(text.map_or_else(|_| value.to_vec(), |t| fold(t).into_bytes())),
            Self::Name | Self::Category => Dn::parse(text.ok()?)
                .ok()
                .map(|dn| dn.as_str().as_bytes().to_vec()),
            Self::Guid | Self::Sid | Self::Bytes => Some(value.to_vec()),
        }
    }

    /// Like [`Self::normal`], for what was written in a filter.
    pub(super) fn normal_of_assertion(self, value: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(value).ok();
        let printed = match self {
            Self::Guid => text
                .filter(|text| text.contains('-'))
                .and_then(guid_bytes)
                .map(|bytes| bytes.to_vec()),
            Self::Sid => text.and_then(sid_bytes),
            _ => None,
        };
        printed.or_else(|| self.normal(value))
    }
}

/// The first RDN's value of the category that a class has by default ([MS-ADSC] `defaultObjectCategory`), folded.
pub(super) fn category_of_class(class: &str) -> String {
    match fold(class).as_str() {
        "user" | "contact" | "organizationalperson" | "inetorgperson" => "person".to_owned(),
        "organizationalunit" => "organizational-unit".to_owned(),
        other => other.to_owned(),
    }
}

/// `S-1-5-…` as bytes ([MS-DTYP] 2.4.2.2).
fn sid_bytes(text: &str) -> Option<Vec<u8>> {
    let mut numbers = text
        .strip_prefix("S-1-")
        .or_else(|| text.strip_prefix("s-1-"))?
        .split('-');
    let authority: u64 = numbers.next()?.parse().ok()?;
    let parts = numbers
        .map(|number| number.parse::<u32>().ok())
        .collect::<Option<Vec<_>>>()?;
    let count = u8::try_from(parts.len())
        .ok()
        .filter(|count| *count <= 15)?;
    let mut bytes = vec![1, count];
    bytes.extend(authority.to_be_bytes().get(2..)?);
    bytes.extend(parts.iter().flat_map(|part| part.to_le_bytes()));
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_sid_is_its_bytes() {
        // BUILTIN\Administrators: S-1-5-32-544.
        assert_eq!(
            sid_bytes("S-1-5-32-544"),
            Some(vec![1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0])
        );
        for wrong in ["S-1-", "S-2-5-32", "S-1-5-x", "", "S-1-5-99999999999"] {
            assert_eq!(sid_bytes(wrong), None, "{wrong}");
        }
    }
}
