//! Three-valued decision of a filter on an entry (RFC 4511 §4.5.1.7): `None` is Undefined.
//!
//! An attribute that the entry lacks makes an item false, so `(!(department=x))` selects who has none. An item is undefined
//! when a value cannot be compared as the filter asks: an ordering of names, a DN that is none, bits of what is no number.

use std::cmp::Ordering;

use super::{
    Node, Test,
    syntax::{Syntax, category_of_class},
    time::instant,
};
use crate::{
    dn::Dn,
    entry::Entry,
    fold::{fold, fold_part},
};

pub(super) fn decide(node: &Node, entry: &Entry) -> Option<bool> {
    match node {
        Node::And(nodes) => all(nodes.iter().map(|node| decide(node, entry))),
        Node::Or(nodes) => any(nodes.iter().map(|node| decide(node, entry))),
        Node::Not(node) => decide(node, entry).map(|truth| !truth),
        Node::Item { attribute, test } => item(attribute, test, entry.attributes.get(attribute)),
    }
}

/// False if one is false, else undefined if one is undefined, else true.
fn all(truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    any(truths.map(|truth| truth.map(|t| !t))).map(|truth| !truth)
}

/// True if one is true, else undefined if one is undefined, else false.
fn any(truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut result = Some(false);
    for truth in truths {
        match truth {
            Some(true) => return Some(true),
            Some(false) => {}
            None => result = None,
        }
    }
    result
}

fn item(attribute: &str, test: &Test, values: &[Vec<u8>]) -> Option<bool> {
    let syntax = Syntax::of(attribute);
    match test {
        Test::Present => Some(!values.is_empty()),
        Test::Equal(wanted) if syntax == Syntax::Category => category(wanted, values),
        Test::Equal(wanted) => {
            let wanted_normal = syntax.normal_of_assertion(wanted)?;
            any(values.iter().map(|value| {
                let equal = syntax.normal(value)? == wanted_normal;
                Some(equal || syntax == Syntax::Text && same_instant(value, wanted))
            }))
        }
        Test::AtLeast(bound) => ordered(syntax, values, bound, Ordering::is_ge),
        Test::AtMost(bound) => ordered(syntax, values, bound, Ordering::is_le),
        Test::Substring { initial, any, last } => {
            let pattern = Pattern::new(syntax, initial.as_deref(), any, last.as_deref())?;
            Some(values.iter().any(|value| pattern.matches(value)))
        }
        Test::AllBits(mask) => bits(values, |number| number & mask == *mask),
        Test::AnyBit(mask) => bits(values, |number| number & mask != 0),
    }
}

/// Active Directory takes a class name in place of the DN of its category.
fn category(wanted: &[u8], values: &[Vec<u8>]) -> Option<bool> {
    let wanted = std::str::from_utf8(wanted).ok()?;
    let parse = |value: &Vec<u8>| Dn::parse(std::str::from_utf8(value).ok()?).ok();
    if let Ok(dn) = Dn::parse(wanted) {
        return any(values.iter().map(|value| Some(parse(value)? == dn)));
    }
    let name = category_of_class(wanted);
    any(values
        .iter()
        .map(|value| Some(parse(value)?.first_value() == name)))
}

fn same_instant(value: &[u8], wanted: &[u8]) -> bool {
    let parse = |bytes| std::str::from_utf8(bytes).ok().and_then(instant);
    parse(wanted).is_some_and(|wanted| parse(value) == Some(wanted))
}

fn ordered(
    syntax: Syntax,
    values: &[Vec<u8>],
    bound: &[u8],
    accept: fn(Ordering) -> bool,
) -> Option<bool> {
    if syntax != Syntax::Text {
        return None;
    }
    any(values.iter().map(|value| compare(value, bound).map(accept)))
}

/// As numbers or instants where both are, else as folded text.
fn compare(value: &[u8], bound: &[u8]) -> Option<Ordering> {
    let value = std::str::from_utf8(value).ok()?;
    let bound = std::str::from_utf8(bound).ok()?;
    if let (Some(value), Some(bound)) = (number(value), number(bound)) {
        return Some(value.cmp(&bound));
    }
    if let (Some(value), Some(bound)) = (instant(value), instant(bound)) {
        return Some(value.cmp(&bound));
    }
    Some(fold(value).cmp(&fold(bound)))
}

fn number(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

fn bits(values: &[Vec<u8>], accept: impl Fn(i64) -> bool) -> Option<bool> {
    any(values
        .iter()
        .map(|value| number(std::str::from_utf8(value).ok()?).map(&accept)))
}

/// The parts of a substring filter in the form in which they are compared.
struct Pattern {
    text: bool,
    initial: Vec<u8>,
    any: Vec<Vec<u8>>,
    last: Vec<u8>,
}

impl Pattern {
    /// `None` for syntaxes that know no substrings.
    fn new(
        syntax: Syntax,
        initial: Option<&[u8]>,
        any: &[Vec<u8>],
        last: Option<&[u8]>,
    ) -> Option<Self> {
        let text = match syntax {
            Syntax::Text => true,
            Syntax::Guid | Syntax::Sid | Syntax::Bytes => false,
            Syntax::Name | Syntax::Category => return None,
        };
        let part = |bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(bytes) if text => fold_part(bytes).into_bytes(),
            _ => bytes.to_vec(),
        };
        let mut initial = part(initial.unwrap_or_default());
        let mut last = part(last.unwrap_or_default());
        if text {
            // Spaces at the ends of a value do not count, so neither do those at the ends of the pattern.
            if initial.first() == Some(&b' ') {
                initial.remove(0);
            }
            if last.last() == Some(&b' ') {
                last.pop();
            }
        }
        Some(Self {
            text,
            initial,
            any: any.iter().map(|bytes| part(bytes)).collect(),
            last,
        })
    }

    fn matches(&self, value: &[u8]) -> bool {
        let folded = match std::str::from_utf8(value) {
            Ok(value) if self.text => fold(value).into_bytes(),
            _ => value.to_vec(),
        };
        let Some(mut rest) = folded.strip_prefix(self.initial.as_slice()) else {
            return false;
        };
        for part in &self.any {
            let found = rest
                .windows(part.len().max(1))
                .position(|window| window == part.as_slice());
            match found.and_then(|at| rest.get(at + part.len()..)) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(&self.last)
    }
}
