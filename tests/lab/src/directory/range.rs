//! Ranged retrieval of values as Active Directory does it (MS-ADTS §3.1.1.3.1.3.3): at most 1,500 values at a time.

use ldap3_proto::proto::LdapPartialAttribute;

use super::entry::Attribute;

/// MaxValRange of Windows AD.
pub const MAX_VALUE_RANGE: usize = 1500;

/// A `range=low-high` option; no high is `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    low: usize,
    high: Option<usize>,
}

impl Range {
    pub(crate) fn parse(option: &str) -> Option<Self> {
        let (name, bounds) = option.split_once('=')?;
        let (low, high) = bounds.split_once('-')?;
        if !name.eq_ignore_ascii_case("range") {
            return None;
        }
        let high = if high == "*" {
            None
        } else {
            Some(high.parse().ok()?)
        };
        Some(Self {
            low: low.parse().ok()?,
            high,
        })
    }
}

/// Appends an attribute: whole when it is small, else empty and its first range; or the range that was asked for.
pub(crate) fn answer(
    attribute: Attribute,
    asked: Option<Range>,
    out: &mut Vec<LdapPartialAttribute>,
) {
    let Attribute { name, values } = attribute;
    let range = match asked {
        None if values.len() <= MAX_VALUE_RANGE => {
            return out.push(LdapPartialAttribute {
                atype: name,
                vals: values,
            });
        }
        None => {
            out.push(LdapPartialAttribute {
                atype: name.clone(),
                vals: Vec::new(),
            });
            Range { low: 0, high: None }
        }
        Some(range) => range,
    };
    let Range { low, high } = range;
    let most = low.saturating_add(MAX_VALUE_RANGE - 1);
    let high = high.map_or(most, |high| high.min(most)).max(low);
    let total = values.len();
    let vals: Vec<Vec<u8>> = values.into_iter().skip(low).take(high - low + 1).collect();
    let end = if high.saturating_add(1) >= total {
        "*".to_owned()
    } else {
        high.to_string()
    };
    out.push(LdapPartialAttribute {
        atype: format!("{name};range={low}-{end}"),
        vals,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(count: usize, option: Option<&str>) -> Vec<(String, usize)> {
        let values: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let mut out = Vec::new();
        answer(
            Attribute::new("member", values),
            option.map(|each| Range::parse(each).unwrap()),
            &mut out,
        );
        out.into_iter()
            .map(|each| (each.atype, each.vals.len()))
            .collect()
    }

    #[test]
    fn ranges_are_answered_with_the_option_that_was_really_used() {
        let whole = |name: &str, count| vec![(name.to_owned(), count)];
        assert_eq!(ask(1500, None), whole("member", 1500));
        assert_eq!(
            ask(1501, None),
            vec![("member".into(), 0), ("member;range=0-1499".into(), 1500)]
        );
        assert_eq!(
            ask(2500, Some("range=1500-*")),
            whole("member;range=1500-*", 1000)
        );
        assert_eq!(
            ask(4000, Some("Range=1500-*")),
            whole("member;range=1500-2999", 1500)
        );
        assert_eq!(
            ask(2500, Some("range=0-499")),
            whole("member;range=0-499", 500)
        );
        assert_eq!(ask(10, Some("range=0-*")), whole("member;range=0-*", 10));
        assert_eq!(
            ask(10, Some("range=5000-*")),
            whole("member;range=5000-*", 0)
        );
    }

    #[test]
    fn nonsense_is_no_range() {
        for bad in [
            "range",
            "range=",
            "range=1",
            "range=a-b",
            "range=-1-*",
            "lang-de",
            "rang=0-1",
        ] {
            assert_eq!(Range::parse(bad), None, "{bad}");
        }
    }
}
