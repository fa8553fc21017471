//! GeneralizedTime (RFC 4517 §3.3.13) as an instant, so that `20260101000000Z` and `20260101000000.0Z` are one.

use jiff::civil::DateTime;

/// Nanoseconds since 1970; `None` when the text is no GeneralizedTime with a zone.
pub(crate) fn instant(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (date, rest) = text.split_at_checked(digits)?;
    let number = |range: std::ops::Range<usize>| date.get(range)?.parse::<i8>().ok();
    let year = date.get(..4)?.parse::<i16>().ok()?;
    let (minute, second, unit) = match digits {
        10 => (0, 0, 3_600),
        12 => (number(10..12)?, 0, 60),
        14 => (number(10..12)?, number(12..14)?, 1),
        _ => return None,
    };
    let civil = DateTime::new(
        year,
        number(4..6)?,
        number(6..8)?,
        number(8..10)?,
        minute,
        // A leap second counts as the second before it.
        if second == 60 { 59 } else { second },
        0,
    )
    .ok()?;
    let (fraction, zone) = fraction(rest)?;
    let seconds = civil
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()?
        .timestamp()
        .as_nanosecond();
    Some(seconds + fraction * unit - offset_seconds(zone)? * 1_000_000_000)
}

/// The fraction in billionths, and what follows it.
fn fraction(rest: &str) -> Option<(i128, &str)> {
    let Some(after) = rest.strip_prefix(['.', ',']) else {
        return Some((0, rest));
    };
    let count = after.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, zone) = after.split_at_checked(count)?;
    let padded: String = digits.chars().chain("000000000".chars()).take(9).collect();
    (count > 0).then_some((padded.parse().ok()?, zone))
}

fn offset_seconds(zone: &str) -> Option<i128> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = zone.get(1..)?;
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hours: i128 = digits.get(..2)?.parse().ok()?;
    let minutes: i128 = match digits.get(2..)? {
        "" => 0,
        minutes => minutes.parse().ok()?,
    };
    Some(sign * (hours * 3_600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_instant_are_equal() {
        let expected = instant("20260102030405Z");
        assert_eq!(expected, Some(1_767_323_045_000_000_000));
        for text in [
            "20260102030405.0Z",
            "20260102030405,000Z",
            "20260102050405+0200",
            "20260102050405+02",
            "20260101220405-0500",
        ] {
            assert_eq!(instant(text), expected, "{text}");
        }
        assert_eq!(instant("2026010203.5Z"), instant("202601020330Z"));
        assert_eq!(instant("20261231235960Z"), instant("20261231235959Z"));
    }

    #[test]
    fn other_texts_are_no_time() {
        for text in [
            "",
            "20260102030405",
            "20261302030405Z",
            "2026Z",
            "20260102030405.Z",
            "20260102030405+1",
            "abc",
            "20260230000000Z",
            "٢٠٢٦",
            "133500000000000000",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }
}
