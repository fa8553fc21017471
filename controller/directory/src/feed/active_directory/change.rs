//! One entry of a DirSync answer: what it says has changed, never what the entry now is.
//!
//! Attributes come only if they changed, without values if they lost them all; of links `member;range=1-1` lists values that came and
//! `member;range=0-0` those that went.

use plumbline_engine::{anchor::Anchor, port::ValueChange};

use crate::decode::{DecodeError, RawEntry};

/// Come with every entry, whatever changed.
const ALWAYS: [&str; 2] = ["objectguid", "instancetype"];

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) guid: [u8; 16],
    pub(crate) deleted: bool,
    /// It came, was renamed or moved.
    pub(crate) placed: bool,
    /// Something beside links changed.
    pub(crate) content: bool,
    pub(crate) links: Vec<ValueChange>,
}

impl Change {
    pub(crate) fn anchor(&self) -> Anchor {
        Anchor::Uuid(self.guid)
    }

    pub(crate) fn read(entry: RawEntry) -> Result<Self, DecodeError> {
        let mut change = Self::default();
        let mut guid = None;
        let mut links: Vec<(String, bool, Vec<Vec<u8>>)> = Vec::new();
        for (description, values) in entry.attributes {
            let lower = description.to_ascii_lowercase();
            let (name, option) = lower.split_once(';').unwrap_or((&lower, ""));
            match (name, option) {
                ("objectguid", _) => {
                    guid = values
                        .first()
                        .and_then(|value| <[u8; 16]>::try_from(value.as_slice()).ok());
                }
                ("isdeleted", _) => {
                    change.deleted = values
                        .iter()
                        .any(|value| value.eq_ignore_ascii_case(b"TRUE"));
                    change.content = true;
                }
                ("name" | "parentguid", _) => (change.placed, change.content) = (true, true),
                (_, "range=1-1") => links.push((name.to_owned(), true, values)),
                (_, "range=0-0") => links.push((name.to_owned(), false, values)),
                (name, _) => change.content |= !ALWAYS.contains(&name),
            }
        }
        change.guid = guid.ok_or(DecodeError {
            message: "DirSync entry",
            part: "objectGUID",
        })?;
        for (attribute, came, values) in links {
            let known = |link: &ValueChange| link.attribute == attribute;
            let at = change
                .links
                .iter()
                .position(known)
                .unwrap_or(change.links.len());
            if at == change.links.len() {
                change.links.push(ValueChange {
                    anchor: Anchor::Uuid(change.guid),
                    attribute,
                    added: Vec::new(),
                    removed: Vec::new(),
                });
            }
            let link = change.links.get_mut(at);
            let list = link.map(|link| {
                if came {
                    &mut link.added
                } else {
                    &mut link.removed
                }
            });
            list.into_iter()
                .for_each(|list| list.extend(values.iter().cloned()));
        }
        Ok(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An attribute and its values.
    type Sent = (&'static str, &'static [&'static [u8]]);

    fn change(attributes: &[Sent]) -> Result<Change, DecodeError> {
        let plain = |(name, values): &Sent| {
            let values = values.iter().map(|value| value.to_vec()).collect();
            ((*name).to_owned(), values)
        };
        Change::read(RawEntry {
            dn: b"CN=x".to_vec(),
            attributes: attributes.iter().map(plain).collect(),
        })
    }

    const GUID: Sent = ("objectGUID", &[&[7; 16]]);
    const TYPE: Sent = ("instanceType", &[b"4"]);

    #[test]
    fn an_entry_says_what_changed() {
        let none = Change {
            guid: [7; 16],
            ..Change::default()
        };
        let content = Change {
            content: true,
            ..none.clone()
        };
        let placed = Change {
            placed: true,
            ..content.clone()
        };
        let deleted = Change {
            deleted: true,
            ..placed.clone()
        };
        let table: [(&[Sent], Change); 6] = [
            (&[GUID, TYPE], none.clone()),
            (&[GUID, TYPE, ("title", &[])], content.clone()),
            (
                &[GUID, ("name", &[b"x"]), ("parentGUID", &[&[1; 16]])],
                placed,
            ),
            (
                &[GUID, ("name", &[b"x"]), ("isDeleted", &[b"TRUE"])],
                deleted,
            ),
            // Brought back.
            (&[GUID, ("isDeleted", &[])], content),
            (
                &[
                    GUID,
                    TYPE,
                    ("member;range=0-0", &[b"CN=a"]),
                    ("member;range=1-1", &[b"CN=b", b"CN=c"]),
                ],
                Change {
                    links: vec![ValueChange {
                        anchor: Anchor::Uuid([7; 16]),
                        attribute: "member".to_owned(),
                        added: vec![b"CN=b".to_vec(), b"CN=c".to_vec()],
                        removed: vec![b"CN=a".to_vec()],
                    }],
                    ..none
                },
            ),
        ];
        for (attributes, expected) in table {
            assert_eq!(change(attributes), Ok(expected), "{attributes:?}");
        }
    }

    #[test]
    fn an_entry_that_cannot_be_named_is_an_error() {
        for attributes in [
            &[TYPE][..],
            &[("objectGUID", &[b"short"])],
            &[("objectGUID", &[])],
        ] {
            assert!(change(attributes).is_err(), "{attributes:?}");
        }
    }
}
