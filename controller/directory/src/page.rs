//! Paged search (RFC 2696): page after page until the server says that there is no more, or an error.
//!
//! The client library has no back-pressure, so a page is also what bounds the memory of a read: of one page that is worked on and the
//! next one, which the server sends meanwhile. The control is critical: a server that cannot page must say so.

use ldap3::controls::{MakeCritical as _, PagedResults};

use crate::{
    connection::{Answer, Connection, Search, Sent},
    decode,
    error::DirectoryError,
};

/// A paged search under way. Other searches may run on the connection meanwhile.
#[derive(Debug)]
pub(crate) struct Pages<'a> {
    search: Search<'a>,
    size: u16,
    cookie: Vec<u8>,
    first_dn: Option<Vec<u8>>,
    /// Pages without entries in a row.
    empty: usize,
    /// The next page, which is on its way.
    coming: Option<Sent<'a>>,
    done: bool,
}

/// So many pages in a row may be without entries. Samba 4.17 fixes at the first page which entries come and leaves out those that
/// were deleted or hidden since, so that whole pages of them are empty.
const EMPTY_PAGES: usize = 2000;

impl<'a> Pages<'a> {
    pub(crate) fn new(search: Search<'a>, size: u16) -> Self {
        Self {
            search,
            size,
            cookie: Vec::new(),
            first_dn: None,
            empty: 0,
            coming: None,
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
        let coming = match self.coming.take() {
            Some(coming) => coming,
            None => self.ask(connection).await?,
        };
        let answer = connection.answer(&self.search, coming).await?;
        let server = || connection.server().to_owned();
        let doing = self.search.doing;
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
        // Samba's cookie is the same on every page, so only a repeated page with it shows a standstill.
        let first_dn = answer.entries.first().map(|entry| entry.dn.clone());
        self.empty = if first_dn.is_none() {
            self.empty + 1
        } else {
            0
        };
        let repeated = cookie == self.cookie && first_dn.is_some() && first_dn == self.first_dn;
        if !cookie.is_empty() && (repeated || self.empty > EMPTY_PAGES) {
            return Err(DirectoryError::PageRepeated {
                server: server(),
                doing,
            });
        }
        self.done = cookie.is_empty();
        self.cookie = cookie;
        self.first_dn = first_dn.or(self.first_dn.take());
        if !self.done {
            self.coming = Some(self.ask(connection).await?);
        }
        Ok(Some(answer))
    }

    /// Asks for the page that the cookie leads to.
    async fn ask(&self, connection: &mut Connection) -> Result<Sent<'a>, DirectoryError> {
        let mut search = self.search.clone();
        let control = PagedResults {
            size: i32::from(self.size),
            cookie: self.cookie.clone(),
        };
        search.controls.push(control.critical().into());
        connection.send(&search).await
    }
}
