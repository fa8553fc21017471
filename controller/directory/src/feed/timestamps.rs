//! Polling by `modifyTimestamp` (RFC 4512 §3.4.2), for servers that offer nothing better.
//!
//! It brings entries that came or changed. Deletions, entries that left by a right or a move of a parent, and changes whose time
//! lies before the last poll (a clock set back, a replica that lags) it cannot show: for these everything is read every
//! [`Settings::full_reads`](crate::Settings::full_reads). Times are the server's own, never compared with ours.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use ldap3::Scope;
use plumbline_engine::port::{Cause, Extent, Import};

use crate::{
    connection::Search,
    error::DirectoryError,
    feed::{Passed, Step, Visit},
    kind,
    read::Plan,
};

/// In lower case.
pub(crate) const ATTRIBUTE: &str = "modifytimestamp";
/// The attribute counts whole seconds, and a write shows some time after it was stamped.
const OVERLAP: SignedDuration = SignedDuration::from_secs(2);
const DOING: &str = "looking for changed entries";

/// See the module.
#[derive(Debug)]
pub(crate) struct Timestamps;

/// Where polling stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    /// By the server's clock: what changed before it is known.
    floor: Timestamp,
    /// By our clock: when everything was last read.
    full: Timestamp,
}

impl Position {
    fn encode(self) -> Vec<u8> {
        format!("{} {}", self.floor.as_second(), self.full.as_second()).into_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (floor, full) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
        let time = |text: &str| Timestamp::from_second(text.parse().ok()?).ok();
        Some(Self {
            floor: time(floor)?,
            full: time(full)?,
        })
    }
}

impl Timestamps {
    pub(crate) fn settle(passed: Passed) -> Option<Vec<u8>> {
        let position = Position {
            floor: floor(passed)?,
            full: Timestamp::now(),
        };
        Some(position.encode())
    }

    pub(crate) async fn changes(
        visit: &mut Visit<'_>,
        position: &[u8],
        events: &mut (dyn FnMut(Import) + Send),
    ) -> Result<Step, DirectoryError> {
        let Some(position) = Position::decode(position) else {
            return Ok(Step::Complete(Cause::CursorRefused));
        };
        let at = Timestamp::now();
        let due = SignedDuration::try_from(visit.settings.full_reads)
            .ok()
            .and_then(|every| position.full.checked_add(every).ok());
        // Also when our own clock was set back: nothing else bounds how long a deletion stays unseen.
        if due.is_none_or(|due| at >= due) || at < position.full {
            return Ok(Step::Complete(Cause::NoFeed));
        }
        let began = Instant::now();
        let server_type = visit.server.server_type;
        events(Import::Begin {
            at,
            server_type,
            tombstones: false,
            extent: Extent::Changes,
        });
        let plan = Plan::new(server_type, visit.rule, visit.request, visit.settings);
        let since = position.floor.strftime("%Y%m%d%H%M%SZ");
        let filter = format!("(&({ATTRIBUTE}>={since}){})", kind::filter(server_type));
        plan.matching(visit.connection, &filter, events).await?;
        let passed = Passed {
            newest: plan.newest(),
            took: began.elapsed(),
        };
        let floor = floor(passed).map_or(position.floor, |floor| floor.max(position.floor));
        Ok(Step::To(Position { floor, ..position }.encode()))
    }
}

/// What was changed while a read ran may have been read before: it was stamped after the read began, which was so long before the
/// newest time that the read brought.
fn floor(passed: Passed) -> Option<Timestamp> {
    let took = SignedDuration::try_from(passed.took).ok()?;
    passed
        .newest?
        .checked_sub(took)
        .and_then(|begun| begun.checked_sub(OVERLAP))
        .ok()
}

/// Whether the account may search by the attribute.
pub(crate) async fn offer(visit: &mut Visit<'_>) -> Result<Result<String, String>, DirectoryError> {
    let attributes = [ATTRIBUTE.to_owned()];
    let filter = format!(
        "(&({ATTRIBUTE}>=19700101000000Z){})",
        kind::filter(visit.server.server_type)
    );
    let entries = visit
        .connection
        .sample(&Search {
            base: &visit.settings.base_dn,
            scope: Scope::Subtree,
            filter: &filter,
            attributes: &attributes,
            controls: Vec::new(),
            size_limit: 1,
            doing: DOING,
        })
        .await;
    let entries = match entries {
        Ok(entries) => entries,
        Err(DirectoryError::AccessDenied { .. } | DirectoryError::Refused { .. }) => {
            return Ok(Err(
                "the server refuses to search by `modifyTimestamp`".to_owned()
            ));
        }
        Err(error) => return Err(error),
    };
    let shown = entries
        .iter()
        .flat_map(|entry| &entry.attributes)
        .any(|(name, values)| {
            name.eq_ignore_ascii_case(ATTRIBUTE) && values.iter().any(|v| time(v).is_some())
        });
    Ok(if shown {
        Ok("changed entries are found by `modifyTimestamp`".to_owned())
    } else {
        Err("the account may not search on and read `modifyTimestamp`".to_owned())
    })
}

/// A generalized time in UTC (RFC 4517 §3.3.13), down to the second.
pub(crate) fn time(value: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(value).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_at_checked(14)?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole)
        || !fraction
            .strip_prefix(['.', ','])
            .unwrap_or(fraction)
            .bytes()
            .all(|b| b.is_ascii_digit())
    {
        return None;
    }
    DateTime::strptime("%Y%m%d%H%M%S", whole)
        .ok()?
        .to_zoned(TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn generalized_times_are_read_to_the_second() {
        let expected = "2026-11-23T05:37:22Z".parse().ok();
        for text in [
            "20261123053722Z",
            "20261123053722.0Z",
            "20261123053722.777323Z",
        ] {
            assert_eq!(time(text.as_bytes()), expected, "{text}");
        }
        for text in [
            "",
            "Z",
            "20261123053722",
            "20261123053722+0100",
            "2026112305372Z",
            "20261323053722Z",
            "2026112305372xZ",
            "20261123053722.xZ",
        ] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_next_poll_begins_before_the_last_read_did() {
        let newest = time(b"20261123053722Z");
        let passed = Passed {
            newest,
            took: Duration::from_secs(10),
        };
        assert_eq!(floor(passed), time(b"20261123053710Z"));
        assert_eq!(
            floor(Passed {
                newest: None,
                ..passed
            }),
            None
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>(), text in "[0-9.Z ]{0,30}") {
            let _ = (time(&bytes), Position::decode(&bytes));
            let _ = (time(text.as_bytes()), Position::decode(text.as_bytes()));
        }
    }
}
