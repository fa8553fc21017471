//! The source anchor of each kind of server: which attributes hold it, how it is read from an entry and how it is searched.
//!
//! Active Directory: `mS-DS-ConsistencyGuid`, else `objectGUID`, for users; `objectGUID` for everything else. Others:
//! `nsUniqueId` of 389-ds, `ipaUniqueID` of FreeIPA, `entryUUID` (RFC 4530) elsewhere. A chosen attribute anchors users in its place; what
//! the server itself names entries by is then their alternate, for that is what change feeds and tombstones speak of.

use std::fmt::Write as _;

use plumbline_engine::{
    anchor::Anchor,
    entry::{Attributes, EntryKind, ServerType},
};

const OBJECT_GUID: &str = "objectguid";
const CONSISTENCY_GUID: &str = "ms-ds-consistencyguid";
const ENTRY_UUID: &str = "entryuuid";
const NS_UNIQUE_ID: &str = "nsuniqueid";
const IPA_UNIQUE_ID: &str = "ipauniqueid";

/// How entries of one connector are anchored.
#[derive(Clone, Debug)]
pub(crate) struct AnchorRule {
    server_type: ServerType,
    /// In lower case.
    chosen: Option<String>,
}

impl AnchorRule {
    pub(crate) fn new(server_type: ServerType, chosen: Option<&str>) -> Self {
        Self {
            server_type,
            chosen: chosen.map(str::to_ascii_lowercase),
        }
    }

    /// The attributes that hold anchors, in lower case.
    pub(crate) fn attributes(&self) -> Vec<&str> {
        let mut names = match self.server_type {
            ServerType::ActiveDirectory => vec![OBJECT_GUID, CONSISTENCY_GUID],
            ServerType::OpenLdap | ServerType::Generic => vec![ENTRY_UUID],
            ServerType::DirectoryServer389 => vec![NS_UNIQUE_ID],
            ServerType::FreeIpa => vec![IPA_UNIQUE_ID, NS_UNIQUE_ID],
        };
        if let Some(chosen) = self.chosen.as_deref().filter(|c| !names.contains(c)) {
            names.push(chosen);
        }
        names
    }

    /// The attribute that every user must have.
    pub(crate) fn attribute_of_users(&self) -> &str {
        match (&self.chosen, self.server_type) {
            (Some(chosen), _) => chosen,
            (None, ServerType::FreeIpa) => IPA_UNIQUE_ID,
            (None, server_type) => server_id(server_type),
        }
    }

    /// Anchor and alternate of an entry.
    pub(crate) fn read(
        &self,
        kind: EntryKind,
        attributes: &Attributes,
    ) -> (Option<Anchor>, Option<Anchor>) {
        if kind == EntryKind::User
            && let Some(chosen) = &self.chosen
        {
            let own = value(server_id(self.server_type), attributes);
            return (value(chosen, attributes), own);
        }
        let guid = value(server_id(self.server_type), attributes);
        // Containers have none.
        if self.server_type == ServerType::FreeIpa && !attributes.get(IPA_UNIQUE_ID).is_empty() {
            return (value(IPA_UNIQUE_ID, attributes), guid);
        }
        if self.server_type == ServerType::FreeIpa && kind != EntryKind::Container {
            return (None, guid);
        }
        if self.server_type != ServerType::ActiveDirectory {
            return (guid, None);
        }
        // A value of any other length is an anchor that nobody can name, not a missing one.
        if kind == EntryKind::User && !attributes.get(CONSISTENCY_GUID).is_empty() {
            return (value(CONSISTENCY_GUID, attributes), guid);
        }
        (guid, None)
    }

    /// Every anchor that an entry answers to, whatever it is.
    pub(crate) fn all(&self, attributes: &Attributes) -> Vec<Anchor> {
        self.attributes()
            .into_iter()
            .filter_map(|name| value(name, attributes))
            .collect()
    }

    /// A filter for the entries with this anchor; `None` when no entry of this server could have it.
    pub(crate) fn filter(&self, anchor: &Anchor) -> Option<String> {
        let terms: Vec<String> = self
            .attributes()
            .into_iter()
            .filter_map(|name| equality(name, anchor))
            .collect();
        match terms.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            several => Some(format!("(|{})", several.concat())),
        }
    }
}

/// A filter for the entry of Active Directory with this `objectGUID`.
pub(crate) fn guid_filter(guid: &Anchor) -> Option<String> {
    equality(OBJECT_GUID, guid)
}

/// The attribute that the server itself names entries by.
pub(crate) fn server_id(server_type: ServerType) -> &'static str {
    match server_type {
        ServerType::ActiveDirectory => OBJECT_GUID,
        ServerType::DirectoryServer389 | ServerType::FreeIpa => NS_UNIQUE_ID,
        ServerType::OpenLdap | ServerType::Generic => ENTRY_UUID,
    }
}

/// The form that the values of an attribute have.
enum Form {
    Bytes,
    PrintedUuid,
    Text,
}

fn form(name: &str) -> Form {
    match name {
        OBJECT_GUID | CONSISTENCY_GUID => Form::Bytes,
        ENTRY_UUID | NS_UNIQUE_ID | IPA_UNIQUE_ID => Form::PrintedUuid,
        _ => Form::Text,
    }
}

/// The anchor in an attribute: exactly one value, of the form that the attribute has.
fn value(name: &str, attributes: &Attributes) -> Option<Anchor> {
    let [value] = attributes.get(name) else {
        return None;
    };
    match form(name) {
        Form::Bytes => <[u8; 16]>::try_from(value.as_slice())
            .ok()
            .map(Anchor::Uuid),
        Form::PrintedUuid => std::str::from_utf8(value)
            .ok()
            .and_then(Anchor::from_printed_uuid),
        Form::Text => std::str::from_utf8(value)
            .ok()
            .filter(|text| !text.is_empty())
            .map(Anchor::from_text),
    }
}

fn equality(name: &str, anchor: &Anchor) -> Option<String> {
    let assertion = match (form(name), anchor) {
        (Form::Bytes, Anchor::Uuid(bytes)) => escape(bytes),
        (Form::PrintedUuid, Anchor::Uuid(bytes)) => printed(name, bytes),
        (Form::Text, anchor) => escape(anchor.to_string().as_bytes()),
        (Form::Bytes | Form::PrintedUuid, Anchor::Text(_)) => return None,
    };
    Some(format!("({name}={assertion})"))
}

/// Every byte escaped (RFC 4515 §3), which holds for any value.
pub(crate) fn escape(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 3), |mut text, byte| {
            let _ = write!(text, "\\{byte:02x}");
            text
        })
}

/// Dashes where the attribute's server puts them: RFC 4122, or four groups of eight on 389-ds.
fn printed(name: &str, bytes: &[u8; 16]) -> String {
    let dashes: &[usize] = if name == NS_UNIQUE_ID {
        &[4, 8, 12]
    } else {
        &[4, 6, 8, 10]
    };
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if dashes.contains(&at) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests;
