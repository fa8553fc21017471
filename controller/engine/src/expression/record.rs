//! An entry as the variables of an expression.
//!
//! Compiling turns every way of naming an attribute into one variable: `=x` its text, `?x` whether it is there, `*x` all its
//! values, `!x` whether its time has come, with the name in lower case. No name that people can write starts so, hence none can be shadowed.

use cel::{
    common::{
        ast::{Expr, IdedExpr, operators},
        types::{CelBool, CelList, CelString},
        value::{CowVal, Val},
    },
    context::VariableResolver,
};

use jiff::Timestamp;

use super::{EvaluationError, time};
use crate::entry::Entry;

/// How an expression looks at an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Text,
    Presence,
    All,
    Expired,
}

/// The variable for an attribute.
pub(super) fn variable(access: Access, attribute: &str) -> String {
    let sign = match access {
        Access::Text => '=',
        Access::Presence => '?',
        Access::All => '*',
        Access::Expired => '!',
    };
    format!("{sign}{attribute}")
}

/// What a variable stands for; `None` for those of comprehensions.
pub(super) fn attribute(variable: &str) -> Option<(Access, &str)> {
    let mut chars = variable.chars();
    let access = match chars.next()? {
        '=' => Access::Text,
        '?' => Access::Presence,
        '*' => Access::All,
        '!' => Access::Expired,
        _ => return None,
    };
    Some((access, chars.as_str()))
}

/// The attributes when the expression is nothing but `user.x`, or a chain of `has(user.x) ? user.x : …` that ends so.
pub(super) fn first_of(expression: &IdedExpr) -> Option<Vec<Box<str>>> {
    let of = |node: &IdedExpr, wanted: Access| match &node.expr {
        Expr::Ident(name) => match attribute(name)? {
            (access, attribute) if access == wanted => Some(Box::from(attribute)),
            _ => None,
        },
        _ => None,
    };
    let mut attributes: Vec<Box<str>> = Vec::new();
    let mut rest = expression;
    loop {
        match &rest.expr {
            Expr::Call(call) if call.func_name == operators::CONDITIONAL => {
                let [condition, value, otherwise] = call.args.as_slice() else {
                    return None;
                };
                let name = of(condition, Access::Presence)?;
                if of(value, Access::Text)? != name {
                    return None;
                }
                attributes.push(name);
                rest = otherwise;
            }
            _ => {
                attributes.push(of(rest, Access::Text)?);
                return Some(attributes);
            }
        }
    }
}

/// The smallest value by bytes; empty when there is none.
pub(super) fn text<'a>(entry: &'a Entry, attribute: &str) -> Result<&'a str, EvaluationError> {
    let smallest = entry.attributes.get(attribute).iter().min();
    std::str::from_utf8(smallest.map_or(&[], Vec::as_slice)).map_err(|_| {
        EvaluationError::InvalidUtf8 {
            attribute: attribute.to_owned(),
        }
    })
}

/// An entry as of a time.
#[derive(Debug)]
pub(super) struct Record<'a>(pub(super) &'a Entry, pub(super) Timestamp);

impl VariableResolver for Record<'_> {
    /// `None` for a value that is no UTF-8 or no time; the error then names the variable ([`super::assign::failure`]).
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let (access, attribute) = attribute(name)?;
        match access {
            Access::Text => text(self.0, attribute)
                .ok()
                .map(|text| CowVal::owned(CelString::from(text))),
            Access::Presence => {
                let present = !self.0.attributes.get(attribute).is_empty();
                Some(CowVal::owned(CelBool::from(present)))
            }
            Access::Expired => {
                let moment = time::moment(text(self.0, attribute).ok()?).ok()?;
                let come = moment.is_some_and(|moment| moment <= self.1);
                Some(CowVal::owned(CelBool::from(come)))
            }
            Access::All => {
                let mut texts = self
                    .0
                    .attributes
                    .get(attribute)
                    .iter()
                    .map(|value| std::str::from_utf8(value))
                    .collect::<Result<Vec<_>, _>>()
                    .ok()?;
                texts.sort_unstable();
                let values: Vec<Box<dyn Val + 'b>> = texts
                    .into_iter()
                    .map(|text| Box::new(CelString::from(text)) as Box<dyn Val + 'b>)
                    .collect();
                Some(CowVal::owned(CelList::from(values)))
            }
        }
    }
}
