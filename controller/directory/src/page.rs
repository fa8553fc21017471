//! Paged search (RFC 2696): page after page until the server says that there is no more, or an error.
//!
//! The client library has no back-pressure, so a page is also what bounds the memory of a read. The control is critical:
//! a server that cannot page must say so.

use ldap3::controls::{MakeCritical as _, PagedResults};

use crate::{
    connection::{Answer, Connection, Search},
    decode,
    error::DirectoryError,
};

/// A paged search under way. Other searches may run on the connection between its pages.
#[derive(Debug)]
pub(crate) struct Pages<'a> {
    search: Search<'a>,
    size: u16,
    cookie: Vec<u8>,
    first_dn: Option<Vec<u8>>,
    done: bool,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(search: Search<'a>, size: u16) -> Self {
        Self {
            search,
            size,
            cookie: Vec::new(),
            first_dn: None,
            done: false,
        }
    }

    /// The next page; `None` once the server has said that the last one was sent.
    pub(crate) async fn next(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Option<Answer>, DirectoryError> {
        if self.done {
            return Ok(None);
        }
        let mut search = self.search.clone();
        let control = PagedResults {
            size: i32::from(self.size),
            cookie: self.cookie.clone(),
        };
        search.controls.push(control.critical().into());
        let answer = connection.search(&search).await?;
        let server = || connection.server().to_owned();
        let doing = search.doing;
        let cookie = decode::page_cookie(&answer.controls)
            .map_err(|source| DirectoryError::Undecodable {
                server: server(),
                doing,
                source,
            })?
            .ok_or_else(|| DirectoryError::PageWithoutControl {
                server: server(),
                doing,
            })?;
        // Samba's cookie is the same on every page, so only a repeated or empty page with it shows a standstill.
        let first_dn = answer.entries.first().map(|entry| entry.dn.clone());
        if !cookie.is_empty()
            && cookie == self.cookie
            && (first_dn.is_none() || first_dn == self.first_dn)
        {
            return Err(DirectoryError::PageRepeated {
                server: server(),
                doing,
            });
        }
        self.done = cookie.is_empty();
        self.cookie = cookie;
        self.first_dn = first_dn;
        Ok(Some(answer))
    }
}
