//! Faults that a test orders: each is spent once it has happened, so that the next attempt succeeds.

use super::store::Store;

/// Something that goes wrong once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is dropped when this many more bytes of answers have been sent, over all connections.
    CutAfterBytes(usize),
    /// So many searches (other than of the root DSE) are answered busy (51).
    Busy(u32),
    /// The next search (other than of the root DSE) is answered by dropping the connection.
    Reset,
}

/// What a test does between two pages; it gets the content and the number of the page that was sent last.
pub(crate) type BetweenPages = Box<dyn FnMut(&mut Store, usize) + Send>;

/// The orders that are open.
#[derive(Default)]
pub(crate) struct Faults {
    cut: Option<usize>,
    busy: u32,
    reset: bool,
    pub(crate) between_pages: Option<BetweenPages>,
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            cut,
            busy,
            reset,
            between_pages,
        } = self;
        let hooked = between_pages.is_some();
        write!(
            formatter,
            "Faults {{ cut: {cut:?}, busy: {busy}, reset: {reset}, between_pages: {hooked} }}"
        )
    }
}

impl Faults {
    pub(crate) fn order(&mut self, fault: Fault) {
        match fault {
            Fault::CutAfterBytes(bytes) => self.cut = Some(bytes),
            Fault::Busy(times) => self.busy = times,
            Fault::Reset => self.reset = true,
        }
    }

    /// How many of the next bytes may be sent; fewer than asked means: then drop the connection.
    pub(crate) fn allow(&mut self, bytes: usize) -> usize {
        match self.cut {
            Some(left) if left < bytes => {
                self.cut = None;
                left
            }
            Some(left) => {
                self.cut = Some(left - bytes);
                bytes
            }
            None => bytes,
        }
    }

    pub(crate) fn take_busy(&mut self) -> bool {
        let busy = self.busy > 0;
        self.busy = self.busy.saturating_sub(1);
        busy
    }

    pub(crate) fn take_reset(&mut self) -> bool {
        std::mem::take(&mut self.reset)
    }
}
