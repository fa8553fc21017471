//! Holds a value against the target's rule for its attribute. What breaks the rule is a fault that names attribute, length
//! and limit; nothing is cut.

use super::MappingFault;
use crate::{
    reason::Reason,
    target::{AttributeRule, Shape, Value},
};

/// The value in the shape of the attribute: a text for a list is a list of one, and the other way round.
pub(super) fn fit(rule: &AttributeRule, value: Value) -> Result<Value, MappingFault> {
    let value = match (rule.shape, value) {
        (Shape::List, Value::Text(text)) => Value::List(vec![text]),
        (Shape::Text, Value::List(mut list)) if list.len() == 1 => {
            Value::Text(list.pop().unwrap_or_default())
        }
        (_, value) => value,
    };
    match (rule.shape, &value) {
        (Shape::Flag, Value::Flag(_)) => {}
        (Shape::Text, Value::Text(text)) => check(rule, text)?,
        (Shape::List, Value::List(list)) => {
            if let Some(limit) = rule.max_values.filter(|limit| list.len() > size(*limit)) {
                return Err(invalid(
                    rule,
                    &format!("has {} values, the limit is {limit}", list.len()),
                ));
            }
            list.iter().try_for_each(|text| check(rule, text))?;
        }
        (shape, value) => {
            let problem = format!(
                "takes {}, the expression gives {}",
                wanted(shape),
                given(value)
            );
            return Err(invalid(rule, &problem));
        }
    }
    Ok(value)
}

fn check(rule: &AttributeRule, text: &str) -> Result<(), MappingFault> {
    let length = text.chars().count();
    if let Some(limit) = rule.max_length.filter(|limit| length > size(*limit)) {
        return Err(invalid(
            rule,
            &format!("has {length} characters, the limit is {limit}"),
        ));
    }
    match rule.format.map_or(Ok(()), |format| format.check(text)) {
        Ok(()) => Ok(()),
        Err(error) => Err(invalid(rule, &error.to_string())),
    }
}

fn invalid(rule: &AttributeRule, problem: &str) -> MappingFault {
    MappingFault {
        reason: Reason::AttributeInvalid,
        attribute: rule.name.to_owned(),
        message: format!("`{}` {problem}", rule.name),
    }
}

fn wanted(shape: Shape) -> &'static str {
    match shape {
        Shape::Flag => "a bool",
        Shape::Text => "one text",
        Shape::List => "a list of texts",
    }
}

fn given(value: &Value) -> String {
    match value {
        Value::Flag(_) => "a bool".to_owned(),
        Value::Text(_) => "a text".to_owned(),
        Value::List(list) => format!("a list of {}", list.len()),
    }
}

fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
