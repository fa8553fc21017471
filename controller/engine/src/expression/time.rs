//! When what an attribute says ends: the times of `expired(user.x)`.

use jiff::{SignedDuration, Timestamp};

use crate::filter::time::instant;

/// The text is no time of a known form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoTime;

/// From 1601 (MS-DTYP 2.3.3, FILETIME) to 1970, in seconds.
const WINDOWS_TO_UNIX: i64 = 11_644_473_600;
/// Numbers below are days since 1970 (`shadowExpire`, RFC 2307 §3), others are intervals of 100 ns since 1601 (`accountExpires`).
const DAYS_BELOW: i64 = 10_000_000;

/// The moment that a text names: a GeneralizedTime (`krbPrincipalExpiration`), an interval of Active Directory or a number of days.
/// `None` is never: no value, 0, what Active Directory writes for an account that does not expire, less than nothing, and what lies
/// beyond all calendars.
pub(super) fn moment(text: &str) -> Result<Option<Timestamp>, NoTime> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = text.parse::<i64>() {
        let since_1970 = match number {
            ..=0 => return Ok(None),
            1..DAYS_BELOW => SignedDuration::from_hours(24 * number),
            _ => {
                let (seconds, rest) = (number / 10_000_000, number % 10_000_000);
                SignedDuration::from_secs(seconds - WINDOWS_TO_UNIX)
                    + SignedDuration::from_nanos(rest * 100)
            }
        };
        return Ok(Timestamp::UNIX_EPOCH.checked_add(since_1970).ok());
    }
    let instant = instant(text).ok_or(NoTime)?;
    Ok(Timestamp::from_nanosecond(instant).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_names_its_moment() {
        let at = |text: &str| Ok(Some(text.parse::<Timestamp>().unwrap()));
        let cases = [
            ("133444736000000000", at("2023-11-14T22:13:20Z")),
            ("133444736000000001", at("2023-11-14T22:13:20.0000001Z")),
            ("20231114221320Z", at("2023-11-14T22:13:20Z")),
            ("202311142213+0000", at("2023-11-14T22:13:00Z")),
            (" 19675 ", at("2023-11-14T00:00:00Z")),
            ("", Ok(None)),
            ("0", Ok(None)),
            ("-1", Ok(None)),
            ("9223372036854775807", Ok(None)),
            ("tomorrow", Err(NoTime)),
            ("99999999999999999999", Err(NoTime)),
            ("2023-11-14", Err(NoTime)),
        ];
        for (text, expected) in cases {
            assert_eq!(moment(text), expected, "{text:?}");
        }
    }
}
