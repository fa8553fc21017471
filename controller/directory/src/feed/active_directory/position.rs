//! Where a feed of Active Directory stands: at which domain controller, in which incarnation of its database, at which number.

use std::time::Duration;

use jiff::Timestamp;
use plumbline_engine::port::Cause;

/// A domain controller at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// `objectGUID` of its NTDS Settings: the domain controller for life.
    pub(crate) server: [u8; 16],
    /// `invocationId`: another one after a restore (MS-ADTS 3.1.1.1.4).
    pub(crate) invocation: [u8; 16],
    /// `highestCommittedUSN`.
    pub(crate) usn: u64,
}

impl Standing {
    /// Why numbers of `self` mean nothing at `now`.
    pub(crate) fn outlived(&self, now: &Self) -> Option<Cause> {
        if self.server != now.server {
            Some(Cause::OtherServer)
        } else if self.invocation != now.invocation || self.usn > now.usn {
            // Numbers that went back without a new incarnation: a snapshot of a virtual machine was put back.
            Some(Cause::WentBack)
        } else {
            None
        }
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) standing: Standing,
    /// By our clock: when everything was last read.
    pub(crate) full: Timestamp,
    /// DirSync: only what the account may read (OBJECT_SECURITY).
    pub(crate) object_security: bool,
    /// DirSync: as the server gave it.
    pub(crate) cookie: Vec<u8>,
}

impl Position {
    pub(crate) fn is_due(&self, every: Duration) -> bool {
        super::is_due(self.full, every)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let Standing {
            server,
            invocation,
            usn,
        } = self.standing;
        let mut bytes = [server, invocation].concat();
        bytes.extend(usn.to_be_bytes());
        bytes.extend(self.full.as_second().to_be_bytes());
        bytes.push(u8::from(self.object_security));
        bytes.extend(&self.cookie);
        bytes
    }

    /// `None` for what this program did not write.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (server, rest) = bytes.split_first_chunk::<16>()?;
        let (invocation, rest) = rest.split_first_chunk::<16>()?;
        let (usn, rest) = rest.split_first_chunk::<8>()?;
        let (full, rest) = rest.split_first_chunk::<8>()?;
        let (flag, cookie) = rest.split_first()?;
        Some(Self {
            standing: Standing {
                server: *server,
                invocation: *invocation,
                usn: u64::from_be_bytes(*usn),
            },
            full: Timestamp::from_second(i64::from_be_bytes(*full)).ok()?,
            object_security: match flag {
                0 => false,
                1 => true,
                _ => return None,
            },
            cookie: cookie.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_hold_at_one_domain_controller_in_one_incarnation_and_never_go_back() {
        let known = Standing {
            server: [1; 16],
            invocation: [2; 16],
            usn: 7,
        };
        for (now, cause) in [
            (known, None),
            (Standing { usn: 8, ..known }, None),
            (Standing { usn: 6, ..known }, Some(Cause::WentBack)),
            (
                Standing {
                    invocation: [3; 16],
                    usn: 9,
                    ..known
                },
                Some(Cause::WentBack),
            ),
            (
                Standing {
                    server: [3; 16],
                    ..known
                },
                Some(Cause::OtherServer),
            ),
        ] {
            assert_eq!(known.outlived(&now), cause, "{now:?}");
        }
    }

    proptest! {
        #[test]
        fn a_position_comes_back_as_it_was(server: [u8; 16], invocation: [u8; 16], usn: u64, object_security: bool, cookie: Vec<u8>, cut in 1usize..60) {
            let standing = Standing { server, invocation, usn };
            let full = Timestamp::from_second(1_800_000_000).unwrap();
            let position = Position { standing, full, object_security, cookie };
            let mut bytes = position.encode();
            prop_assert_eq!(Position::decode(&bytes), Some(position));
            bytes.truncate(49_usize.saturating_sub(cut));
            prop_assert_eq!(Position::decode(&bytes), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Position::decode(&bytes);
        }
    }
}
