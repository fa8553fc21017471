//! LDAP search filters (RFC 4515) that are decided here, not by the server, so that an entry that stops matching is seen to leave.
//!
//! And, or, not, equality, presence, substring, `>=`, `<=`, `~=` (as equality) and the bit rules 803 and 804 of Active
//! Directory, with the three-valued logic of RFC 4511 §4.5.1.7. Everything else is refused with its position: a filter
//! that cannot be decided must not narrow a scope.

use std::fmt;

use thiserror::Error;

use crate::entry::Entry;

mod evaluate;
mod parse;
mod syntax;
pub(crate) mod time;

/// The form under which two values of an attribute are equal: text without regard to case, SIDs and GUIDs by their bytes.
pub(crate) fn comparable(attribute: &str, value: &[u8]) -> Option<Vec<u8>> {
    syntax::Syntax::of(attribute).normal(value)
}

/// A filter that can be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Node);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Item {
        /// In lower case.
        attribute: Box<str>,
        test: Test,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Present,
    Equal(Vec<u8>),
    AtLeast(Vec<u8>),
    AtMost(Vec<u8>),
    Substring {
        initial: Option<Vec<u8>>,
        any: Vec<Vec<u8>>,
        last: Option<Vec<u8>>,
    },
    /// 1.2.840.113556.1.4.803: all bits of the mask are set.
    AllBits(i64),
    /// 1.2.840.113556.1.4.804: at least one is.
    AnyBit(i64),
}

/// Why a filter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot use the LDAP filter, at byte {position}: {problem}")]
pub struct FilterError {
    /// Offset in bytes, from 0.
    pub position: usize,
    pub problem: FilterProblem,
}

/// What is wrong in a filter.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterProblem {
    #[error("`(` is expected; every filter is enclosed in parentheses, as in `(cn=a*)`")]
    Open,
    #[error("`)` is expected")]
    Close,
    #[error("nothing may follow the last `)`")]
    Trailing,
    #[error("an attribute name is expected")]
    Attribute,
    #[error("write the attribute's name in place of its OID")]
    Oid,
    #[error("attribute options such as `;lang-en` cannot be decided; leave them out")]
    AttributeOption,
    #[error("one of `=`, `>=`, `<=`, `~=` or `:=` is expected after the attribute name")]
    Operator,
    #[error("`\\` must be followed by two hexadecimal digits; write `\\5c` for a backslash")]
    Escape,
    #[error("write `*` as `\\2a` here; only `=` takes substrings")]
    Asterisk,
    #[error("the matching rule `{0}` cannot be decided; 803 and 804 of Active Directory can{1}")]
    MatchingRule(String, &'static str),
    #[error("the bit rules take a whole number")]
    Mask,
    #[error("filters may not be nested deeper than {} levels", parse::MAX_DEPTH)]
    Depth,
}

impl Filter {
    /// Reads a filter. White space between its parts is allowed.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parse::filter(text).map(Self)
    }

    /// Whether the entry is selected: the filter is true, neither false nor undefined.
    pub fn matches(&self, entry: &Entry) -> bool {
        evaluate::decide(&self.0, entry) == Some(true)
    }

    /// The attributes it looks at, in lower case, each as often as it is named.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        let mut names = Vec::new();
        self.0.collect(&mut names);
        names.into_iter()
    }
}

impl Node {
    fn collect<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::And(nodes) | Self::Or(nodes) => {
                for node in nodes {
                    node.collect(names);
                }
            }
            Self::Not(node) => node.collect(names),
            Self::Item { attribute, .. } => names.push(attribute),
        }
    }
}

impl std::str::FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

/// The RFC 4515 string; parsing it gives the same filter.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, operator, nodes: &[Self]| {
            write!(f, "({operator}")?;
            nodes.iter().try_for_each(|node| node.fmt(f))?;
            f.write_str(")")
        };
        match self {
            Self::And(nodes) => list(f, '&', nodes),
            Self::Or(nodes) => list(f, '|', nodes),
            Self::Not(node) => write!(f, "(!{node})"),
            Self::Item { attribute, test } => write!(f, "({attribute}{test})"),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("=*"),
            Self::Equal(value) => write!(f, "={}", Escaped(value)),
            Self::AtLeast(value) => write!(f, ">={}", Escaped(value)),
            Self::AtMost(value) => write!(f, "<={}", Escaped(value)),
            Self::Substring { initial, any, last } => {
                write!(f, "={}*", Escaped(initial.as_deref().unwrap_or_default()))?;
                any.iter()
                    .try_for_each(|part| write!(f, "{}*", Escaped(part)))?;
                Escaped(last.as_deref().unwrap_or_default()).fmt(f)
            }
            Self::AllBits(mask) => write!(f, ":{}:={mask}", parse::ALL_BITS),
            Self::AnyBit(mask) => write!(f, ":{}:={mask}", parse::ANY_BIT),
        }
    }
}

struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| !matches!(c, '*' | '(' | ')' | '\\' | '\0');
        match std::str::from_utf8(self.0) {
            Ok(text) if text.chars().all(plain) => f.write_str(text),
            Ok(text) => text.chars().try_for_each(|c| match c {
                _ if plain(c) => write!(f, "{c}"),
                _ => write!(f, "\\{:02x}", u32::from(c)),
            }),
            Err(_) => self.0.iter().try_for_each(|byte| write!(f, "\\{byte:02x}")),
        }
    }
}

#[cfg(test)]
mod tests;
