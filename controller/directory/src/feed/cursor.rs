//! Cursors: a feed's position bound to what it was made for: feed, product, server, base, anchor, attributes and account.
//!
//! Servers take a cookie that was issued for another search and answer with a wrong difference and success (seen on OpenLDAP 2.5 and
//! 389-ds 2.3), so a position is only ever handed to a feed when everything is as it was. Anything else in place of a cursor is
//! refused without a panic.

use plumbline_engine::port::{Cause, Cursor};

use crate::{
    feed::{FeedKind, Visit},
    kind,
    settings::Bind,
};

const MAGIC: &[u8] = b"plumbline-cursor-1";

/// What a position was made for, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    /// All but the server.
    search: Vec<String>,
    server: String,
}

impl Binding {
    pub(crate) fn new(kind: FeedKind, server: String, visit: &Visit<'_>) -> Self {
        let settings = visit.settings;
        let Bind::Simple { username, .. } = &settings.bind;
        let server_type = visit.server.server_type;
        let names: Vec<&str> = visit
            .request
            .attributes
            .iter()
            .map(String::as_str)
            .collect();
        let search = vec![
            kind.as_str().to_owned(),
            server_type.as_str().to_owned(),
            settings.base_dn.clone(),
            kind::filter(server_type).to_owned(),
            settings.anchor.clone().unwrap_or_default(),
            names.join(" "),
            username.clone(),
        ];
        Self { search, server }
    }

    pub(crate) fn seal(&self, position: &[u8]) -> Cursor {
        let mut bytes = MAGIC.to_vec();
        for field in self.search.iter().chain([&self.server]) {
            put(&mut bytes, field.as_bytes());
        }
        put(&mut bytes, position);
        Cursor(bytes)
    }

    /// The position in a cursor that was made for the same.
    pub(crate) fn open<'a>(&self, cursor: &'a Cursor) -> Result<&'a [u8], Cause> {
        let mut rest = cursor.0.strip_prefix(MAGIC).ok_or(Cause::CursorRefused)?;
        let mut fields = Vec::with_capacity(self.search.len());
        for _ in &self.search {
            fields.push(take(&mut rest).ok_or(Cause::CursorRefused)?);
        }
        let server = take(&mut rest).ok_or(Cause::CursorRefused)?;
        let position = take(&mut rest).ok_or(Cause::CursorRefused)?;
        if !rest.is_empty() {
            return Err(Cause::CursorRefused);
        }
        if !self.search.iter().map(String::as_bytes).eq(fields) {
            return Err(Cause::First);
        }
        if server != self.server.as_bytes() {
            return Err(Cause::OtherServer);
        }
        Ok(position)
    }
}

/// A length of four bytes and the field.
fn put(bytes: &mut Vec<u8>, field: &[u8]) {
    let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
    bytes.extend(length.to_be_bytes());
    bytes.extend(field);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (field, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some(field)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binding(fields: &[&str], server: &str) -> Binding {
        Binding {
            search: fields.iter().map(|&field| field.to_owned()).collect(),
            server: server.to_owned(),
        }
    }

    #[test]
    fn a_position_comes_back_only_where_everything_is_as_it_was() {
        let made = binding(&["ContentSync", "dc=x", "mail sn"], "ldaps://one");
        let cursor = made.seal(b"position");
        assert_eq!(made.open(&cursor), Ok(b"position".as_slice()));
        for (other, cause) in [
            (
                binding(&["ContentSync", "dc=y", "mail sn"], "ldaps://one"),
                Cause::First,
            ),
            (
                binding(&["ContentSync", "dc=x", "mail"], "ldaps://one"),
                Cause::First,
            ),
            (
                binding(&["ContentSync", "dc=x", "mail sn"], "ldaps://two"),
                Cause::OtherServer,
            ),
            (
                binding(&["ContentSync", "dc=x"], "ldaps://one"),
                Cause::CursorRefused,
            ),
        ] {
            assert_eq!(other.open(&cursor), Err(cause), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_no_cursor_is_refused(bytes in any::<Vec<u8>>(), cut in 0usize..60) {
            let made = binding(&["f", "dc=x"], "s");
            prop_assert!(made.open(&Cursor(bytes.clone())).is_err());
            prop_assert!(made.open(&Cursor([MAGIC, &bytes].concat())).is_err());
            let mut whole = made.seal(b"position").0;
            let kept = whole.len().saturating_sub(cut + 1);
            whole.truncate(kept);
            let cursor = Cursor(whole);
            prop_assert_eq!(made.open(&cursor), Err(Cause::CursorRefused));
        }
    }
}
