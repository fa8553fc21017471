//! Search filters (RFC 4511 §4.5.1.7): reading them from BER and deciding them in three values.
//!
//! ldap3_proto keeps assertion values as UTF-8 text and drops a connection that sends raw bytes, which every search
//! by `objectGUID` does; so filters are read here, with values as bytes. `None` stands for Undefined (RFC 4511
//! §4.5.1): an unknown attribute type or matching rule, which a negation does not turn into true.

use ldap3_lber::common::TagClass;
use ldap3_lber::structure::{PL, StructureTag};

use super::Profile;
use super::dn::{Dn, fold};
use super::schema::{self, Syntax};

/// Microsoft's matching rules: all bits, any bit, and the transitive closure over linked values.
const BIT_AND: &str = "1.2.840.113556.1.4.803";
const BIT_OR: &str = "1.2.840.113556.1.4.804";
const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";
/// RFC 4517 §4.2: the rules that a client may name on slapd, by name or OID.
const CASE_IGNORE: [&str; 2] = ["caseIgnoreMatch", "2.5.13.2"];
const CASE_EXACT: [&str; 2] = ["caseExactMatch", "2.5.13.5"];
const MAX_DEPTH: usize = 64;

/// A search filter with its values as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Present(String),
    Equal(String, Vec<u8>),
    Substrings {
        attribute: String,
        initial: Option<Vec<u8>>,
        any: Vec<Vec<u8>>,
        last: Option<Vec<u8>>,
    },
    AtLeast(String, Vec<u8>),
    AtMost(String, Vec<u8>),
    Extensible {
        attribute: Option<String>,
        rule: Option<String>,
        value: Vec<u8>,
    },
}

/// What a filter is decided on: an entry with computed attributes, and the graph of links behind it.
pub(crate) trait Subject {
    /// The values of an attribute, by its canonical name.
    fn values(&self, attribute: &str) -> Vec<Vec<u8>>;
    /// Whether following `attribute` from this entry, any number of times, reaches the named entry.
    fn reaches(&self, attribute: &str, target: &Dn) -> bool;
}

impl Filter {
    /// Reads a filter; none when the bytes are no filter.
    pub(crate) fn read(tag: &StructureTag) -> Option<Self> {
        read(tag, MAX_DEPTH)
    }

    /// True, false or undefined.
    pub(crate) fn decide(&self, profile: Profile, subject: &impl Subject) -> Option<bool> {
        match self {
            Self::And(parts) => all(parts.iter().map(|part| part.decide(profile, subject))),
            Self::Or(parts) => all(parts
                .iter()
                .map(|part| part.decide(profile, subject).map(|value| !value)))
            .map(|value| !value),
            Self::Not(part) => part.decide(profile, subject).map(|value| !value),
            Self::Present(attribute) => {
                let known = schema::attribute_type(profile, attribute)?;
                Some(!subject.values(&known.name).is_empty())
            }
            // Active Directory takes the class's name for the name of its schema object (MS-ADTS 3.1.1.3.1.3.5).
            Self::Equal(attribute, asserted)
                if profile == Profile::Ad
                    && attribute.eq_ignore_ascii_case("objectCategory")
                    && !asserted.contains(&b'=') =>
            {
                let wanted = [b"cn=", asserted.as_slice(), b",cn=schema,"].concat();
                let names = |value: &Vec<u8>| {
                    value
                        .get(..wanted.len())
                        .is_some_and(|start| start.eq_ignore_ascii_case(&wanted))
                };
                Some(subject.values("objectCategory").iter().any(names))
            }
            Self::Equal(attribute, asserted) => {
                any_value(profile, subject, attribute, |syntax, value| {
                    compare(syntax, value, asserted).map(std::cmp::Ordering::is_eq)
                })
            }
            Self::AtLeast(attribute, asserted) => {
                ordered(profile, attribute)?;
                any_value(profile, subject, attribute, |syntax, value| {
                    compare(syntax, value, asserted).map(std::cmp::Ordering::is_ge)
                })
            }
            Self::AtMost(attribute, asserted) => {
                ordered(profile, attribute)?;
                any_value(profile, subject, attribute, |syntax, value| {
                    compare(syntax, value, asserted).map(std::cmp::Ordering::is_le)
                })
            }
            Self::Substrings {
                attribute,
                initial,
                any,
                last,
            } => any_value(profile, subject, attribute, |syntax, value| {
                substrings(syntax, value, initial.as_deref(), any, last.as_deref())
            }),
            Self::Extensible {
                attribute,
                rule,
                value,
            } => {
                let attribute = attribute.as_deref()?;
                match rule.as_deref() {
                    None => {
                        Self::Equal(attribute.to_owned(), value.clone()).decide(profile, subject)
                    }
                    Some(BIT_AND) => bits(profile, subject, attribute, value, |have, want| {
                        have & want == want
                    }),
                    Some(BIT_OR) => bits(profile, subject, attribute, value, |have, want| {
                        have & want != 0
                    }),
                    Some(IN_CHAIN) if profile == Profile::Ad => {
                        let known = schema::attribute_type(profile, attribute)?;
                        let target = Dn::parse(std::str::from_utf8(value).ok()?).ok()?;
                        (known.syntax == Syntax::Name)
                            .then(|| subject.reaches(&known.name, &target))
                    }
                    Some(rule) if profile == Profile::OpenLdap && CASE_IGNORE.contains(&rule) => {
                        any_value(profile, subject, attribute, |_, found| {
                            compare(Syntax::Text, found, value).map(std::cmp::Ordering::is_eq)
                        })
                    }
                    Some(rule) if profile == Profile::OpenLdap && CASE_EXACT.contains(&rule) => {
                        any_value(profile, subject, attribute, |_, found| {
                            compare(Syntax::ExactText, found, value).map(std::cmp::Ordering::is_eq)
                        })
                    }
                    Some(_) => None,
                }
            }
        }
    }
}

/// The form in which two equal values are the same bytes; none when the value does not fit the syntax.
pub(crate) fn normalize(syntax: Syntax, value: &[u8]) -> Option<Vec<u8>> {
    let text = || std::str::from_utf8(value).ok();
    match syntax {
        Syntax::Octets => Some(value.to_vec()),
        Syntax::Text | Syntax::Identifier => text().map(|text| fold(text).into_bytes()),
        Syntax::ExactText | Syntax::Time | Syntax::ChangeNumber => text().map(|text| {
            let words: Vec<&str> = text.split_whitespace().collect();
            words.join(" ").into_bytes()
        }),
        Syntax::Boolean | Syntax::Uuid => {
            text().map(|text| text.trim().to_ascii_uppercase().into_bytes())
        }
        Syntax::Integer => text()
            .and_then(|text| text.trim().parse::<i64>().ok())
            .map(|number| number.to_string().into_bytes()),
        Syntax::Telephone => text().map(|text| {
            text.chars()
                .filter(|each| !matches!(each, ' ' | '-'))
                .collect::<String>()
                .to_lowercase()
                .into_bytes()
        }),
        Syntax::Name => text()
            .and_then(|text| Dn::parse(text).ok())
            .map(|name| name.key().into_bytes()),
    }
}

/// Whether two values of an attribute are the same value. What does not fit the syntax is compared byte by byte.
pub(crate) fn same(profile: Profile, attribute: &str, one: &[u8], other: &[u8]) -> bool {
    let syntax =
        schema::attribute_type(profile, attribute).map_or(Syntax::Octets, |found| found.syntax);
    match (normalize(syntax, one), normalize(syntax, other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

fn compare(syntax: Syntax, value: &[u8], asserted: &[u8]) -> Option<std::cmp::Ordering> {
    let asserted = normalize(syntax, asserted)?;
    let value = normalize(syntax, value)?;
    if syntax == Syntax::Integer {
        let number = |bytes: &[u8]| {
            std::str::from_utf8(bytes)
                .ok()
                .and_then(|text| text.parse::<i64>().ok())
        };
        return Some(number(&value)?.cmp(&number(&asserted)?));
    }
    Some(value.cmp(&asserted))
}

fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut undefined = false;
    for part in parts {
        match part {
            Some(false) => return Some(false),
            None => undefined = true,
            Some(true) => {}
        }
    }
    (!undefined).then_some(true)
}

fn any_value(
    profile: Profile,
    subject: &impl Subject,
    attribute: &str,
    matches: impl Fn(Syntax, &[u8]) -> Option<bool>,
) -> Option<bool> {
    let known = schema::attribute_type(profile, attribute)?;
    let values = subject.values(&known.name);
    Some(
        values
            .iter()
            .any(|value| matches(known.syntax, value) == Some(true)),
    )
}

/// slapd's schema gives an ordering rule to few attributes; AD orders all of them.
fn ordered(profile: Profile, attribute: &str) -> Option<()> {
    let syntax = schema::attribute_type(profile, attribute)?.syntax;
    let has_rule = matches!(
        syntax,
        Syntax::Time | Syntax::Uuid | Syntax::Integer | Syntax::ChangeNumber
    );
    (has_rule || profile == Profile::Ad).then_some(())
}

fn bits(
    profile: Profile,
    subject: &impl Subject,
    attribute: &str,
    asserted: &[u8],
    decide: fn(u32, u32) -> bool,
) -> Option<bool> {
    let want = bit_set(asserted)?;
    let known = schema::attribute_type(profile, attribute)?;
    if known.syntax != Syntax::Integer {
        return None;
    }
    Some(
        subject
            .values(&known.name)
            .iter()
            .any(|value| bit_set(value).is_some_and(|have| decide(have, want))),
    )
}

/// groupType is signed; both -2147483648 and 2147483648 name its highest bit.
fn bit_set(value: &[u8]) -> Option<u32> {
    let number: i64 = std::str::from_utf8(value).ok()?.trim().parse().ok()?;
    u32::try_from(number)
        .or_else(|_| i32::try_from(number).map(i32::cast_unsigned))
        .ok()
}

fn substrings(
    syntax: Syntax,
    value: &[u8],
    initial: Option<&[u8]>,
    any: &[Vec<u8>],
    last: Option<&[u8]>,
) -> Option<bool> {
    // Pieces keep one outer space: `(cn=John *)` asks for it.
    let piece = |bytes: &[u8]| match syntax {
        Syntax::Text | Syntax::Identifier => {
            let text = std::str::from_utf8(bytes).ok()?;
            let (before, after) = (text.starts_with(' '), text.ends_with(' '));
            let inner = fold(text);
            let space = |wanted: bool| if wanted { " " } else { "" };
            Some(if inner.is_empty() {
                space(before).into()
            } else {
                [space(before), &inner, space(after)].concat().into_bytes()
            })
        }
        Syntax::Name | Syntax::Integer | Syntax::Boolean | Syntax::Uuid => None,
        Syntax::Telephone => normalize(syntax, bytes),
        Syntax::ExactText | Syntax::Time | Syntax::ChangeNumber | Syntax::Octets => {
            Some(bytes.to_vec())
        }
    };
    let value = match syntax {
        Syntax::Text | Syntax::Identifier => normalize(syntax, value)?,
        _ => piece(value)?,
    };
    let mut rest = value.as_slice();
    if let Some(initial) = initial {
        let Some(after) = rest.strip_prefix(piece(initial)?.as_slice()) else {
            return Some(false);
        };
        rest = after;
    }
    for middle in any {
        let middle = piece(middle)?;
        let found = rest
            .windows(middle.len().max(1))
            .position(|window| window == middle.as_slice());
        match found.and_then(|at| rest.get(at + middle.len()..)) {
            Some(after) => rest = after,
            None => return Some(false),
        }
    }
    Some(match last {
        Some(last) => rest.ends_with(&piece(last)?),
        None => true,
    })
}

fn read(tag: &StructureTag, depth: usize) -> Option<Filter> {
    let depth = depth.checked_sub(1)?;
    if tag.class != TagClass::Context {
        return None;
    }
    let list = |inner: &[StructureTag]| {
        inner
            .iter()
            .map(|each| read(each, depth))
            .collect::<Option<Vec<_>>>()
    };
    match (tag.id, &tag.payload) {
        (0, PL::C(inner)) => list(inner).map(Filter::And),
        (1, PL::C(inner)) => list(inner).map(Filter::Or),
        (2, PL::C(inner)) => inner
            .first()
            .and_then(|each| read(each, depth))
            .map(|part| Filter::Not(Box::new(part))),
        // approxMatch (8) is equality, as both servers treat it without a phonetic index.
        (3 | 8, PL::C(inner)) => {
            assertion(inner).map(|(attribute, value)| Filter::Equal(attribute, value))
        }
        (5, PL::C(inner)) => {
            assertion(inner).map(|(attribute, value)| Filter::AtLeast(attribute, value))
        }
        (6, PL::C(inner)) => {
            assertion(inner).map(|(attribute, value)| Filter::AtMost(attribute, value))
        }
        (7, PL::P(name)) => String::from_utf8(name.clone()).ok().map(Filter::Present),
        (4, PL::C(inner)) => read_substrings(inner),
        (9, PL::C(inner)) => {
            let field = |id| inner.iter().find(|each| each.id == id).and_then(bytes);
            let text = |id| field(id).and_then(|value| String::from_utf8(value).ok());
            Some(Filter::Extensible {
                rule: text(1),
                attribute: text(2),
                value: field(3)?,
            })
        }
        _ => None,
    }
}

fn read_substrings(inner: &[StructureTag]) -> Option<Filter> {
    let [attribute, pieces] = inner else {
        return None;
    };
    let PL::C(pieces) = &pieces.payload else {
        return None;
    };
    let (mut initial, mut any, mut last) = (None, Vec::new(), None);
    for piece in pieces {
        match piece.id {
            0 => initial = Some(bytes(piece)?),
            1 => any.push(bytes(piece)?),
            2 => last = Some(bytes(piece)?),
            _ => return None,
        }
    }
    Some(Filter::Substrings {
        attribute: String::from_utf8(bytes(attribute)?).ok()?,
        initial,
        any,
        last,
    })
}

fn assertion(inner: &[StructureTag]) -> Option<(String, Vec<u8>)> {
    let [attribute, value] = inner else {
        return None;
    };
    Some((String::from_utf8(bytes(attribute)?).ok()?, bytes(value)?))
}

fn bytes(tag: &StructureTag) -> Option<Vec<u8>> {
    match &tag.payload {
        PL::P(bytes) => Some(bytes.clone()),
        PL::C(_) => None,
    }
}
