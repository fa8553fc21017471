//! How the values of an attribute are compared. No schema is read: the attributes whose values are not text are named here.

use crate::{
    dn::{Dn, guid_bytes},
    fold::fold,
    sid::sid_bytes,
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
            "objectsid" | "sidhistory" | "tokengroups" | "msexchmasteraccountsid" => Self::Sid,
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
