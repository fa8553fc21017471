//! From what CEL gives to what a mapping or a condition wants. Texts of errors name types and functions, never values.

use cel::{
    ExecutionError,
    common::{
        types::{CelBool, CelList, CelNull, CelString},
        value::Val,
    },
};

use super::{
    Assigned, EvaluationError,
    environment::{KEEP, Keep},
    function,
    record::{Access, attribute},
};
use crate::target::Value;

pub(super) fn truth(value: &dyn Val) -> Result<bool, EvaluationError> {
    match value.downcast_ref::<CelBool>() {
        Some(truth) => Ok(*truth.inner()),
        None => Err(EvaluationError::NotBoolean {
            found: value.get_type().name().to_owned(),
        }),
    }
}

pub(super) fn assigned(value: &dyn Val) -> Result<Assigned, EvaluationError> {
    if let Some(text) = value.downcast_ref::<CelString>() {
        return Ok(match text.inner() {
            "" => Assigned::Clear,
            text => Assigned::Set(Value::Text(text.to_owned())),
        });
    }
    if let Some(flag) = value.downcast_ref::<CelBool>() {
        return Ok(Assigned::Set(Value::Flag(*flag.inner())));
    }
    if value.downcast_ref::<CelNull>().is_some() {
        return Ok(Assigned::Clear);
    }
    if value.downcast_ref::<Keep>().is_some() {
        return Ok(Assigned::Keep);
    }
    match value.downcast_ref::<CelList>() {
        Some(list) => texts(list),
        None => Err(not_assignable(value, "")),
    }
}

/// Empty texts stand for no value, as they do alone.
fn texts(list: &CelList<'_>) -> Result<Assigned, EvaluationError> {
    let mut texts = Vec::new();
    for element in list.inner() {
        match element.downcast_ref::<CelString>() {
            Some(text) if text.inner().is_empty() => {}
            Some(text) => texts.push(text.inner().to_owned()),
            None => return Err(not_assignable(element.as_ref(), "list with a ")),
        }
    }
    texts.sort_unstable();
    texts.dedup();
    Ok(if texts.is_empty() {
        Assigned::Clear
    } else {
        Assigned::Set(Value::List(texts))
    })
}

fn not_assignable(value: &dyn Val, prefix: &str) -> EvaluationError {
    EvaluationError::NotAssignable {
        found: format!("{prefix}{}", value.get_type().name()),
    }
}

/// What functions say of themselves; all else may quote the value that they were given.
const SAFE_MESSAGES: &[&str] = &[
    "index out of range",
    "invalid substring range",
    function::NOT_A_NUMBER,
];

/// What went wrong, without the values that CEL's own texts quote.
pub(super) fn failure(error: &ExecutionError) -> EvaluationError {
    let text = match error {
        ExecutionError::UndeclaredReference(name) => match attribute(name) {
            Some((Access::Expired, attribute)) => {
                return EvaluationError::NotATime {
                    attribute: attribute.to_owned(),
                };
            }
            Some((_, attribute)) => {
                return EvaluationError::InvalidUtf8 {
                    attribute: attribute.to_owned(),
                };
            }
            None => format!("`{name}` is not known"),
        },
        ExecutionError::NoSuchOverload(overload) => {
            let types: Vec<&str> = overload
                .argument_types()
                .iter()
                .map(|name| if name == KEEP { "keep" } else { name })
                .collect();
            format!(
                "`{}` cannot take {}",
                overload.function().trim_matches('_'),
                types.join(" and ")
            )
        }
        ExecutionError::UnexpectedType { got, want } => {
            format!("a {want} is needed where there is a {got}")
        }
        ExecutionError::FunctionError { function, message } => {
            let told = SAFE_MESSAGES
                .iter()
                .find(|safe| message.starts_with(**safe));
            match told {
                Some(message) => format!("`{function}`: {message}"),
                None => format!("`{function}` cannot take this value"),
            }
        }
        ExecutionError::NoSuchKey(_) => "a map has no such key".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "a list has no element at that position".to_owned(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "a division by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number becomes too large".to_owned(),
        ExecutionError::DuplicateKey(_) => "a map has the same key twice".to_owned(),
        ExecutionError::ValuesNotComparable(..) => "values that cannot be compared".to_owned(),
        ExecutionError::UnsupportedBinaryOperator(operator, ..) => {
            let operator = match *operator {
                "add" => "+",
                "sub" => "-",
                "mul" => "*",
                "div" => "/",
                "rem" => "%",
                other => other,
            };
            format!("`{operator}` cannot take these types")
        }
        _ => "a function or operator cannot take these types".to_owned(),
    };
    EvaluationError::Failed(text)
}
