//! Expressions (CEL) over one entry: conditions (`when`) and the values of mappings.
//!
//! `user.x` is the smallest value by bytes, `''` when absent; `has(user.x)` tells; `values('x')` are all of them, sorted.
//! Every attribute is known when compiling, and what an expression may cost is bounded (design §6, Mapping language).
//! An error while evaluating is an [`EvaluationError`]: it sets one object aside and changes nothing.

use std::{collections::BTreeSet, fmt};

use cel::{Context, IdedExpr, Value as CelValue};
use jiff::Timestamp;
use thiserror::Error;

use crate::{
    entry::{Class, Entry},
    target::Value,
};

mod assign;
pub(crate) mod check;
mod cost;
mod environment;
pub(crate) mod function;
mod record;
mod time;

pub use check::{ExpressionError, ExpressionProblem};
use record::{Record, text};

/// Longest source, in bytes.
pub const MAX_SOURCE: usize = 2048;

/// A compiled expression.
pub struct Expression {
    source: Box<str>,
    form: Form,
    /// In lower case.
    attributes: BTreeSet<String>,
    timed: BTreeSet<String>,
}

enum Form {
    /// `user.x`, or `has(user.x) ? user.x : user.y` and so on: the most frequent ones need no interpreter. The text of the
    /// first attribute that is there; never empty.
    FirstOf(Vec<Box<str>>),
    Program(Program),
}

struct Program {
    expression: IdedExpr,
    environment: &'static Context<'static, 'static>,
    /// Whether it may cost more than its length and its attributes (it has loops or the like).
    costly: bool,
}

/// What an expression says of a target attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assigned {
    Set(Value),
    /// `''`, null or `[]`: the attribute is to have no value.
    Clear,
    /// `keep()`: the attribute is left alone.
    Keep,
}

/// Why an expression has no usable result for an entry. The text names no value of the entry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvaluationError {
    #[error("the attribute `{attribute}` is not valid UTF-8")]
    InvalidUtf8 { attribute: String },
    #[error("the attribute `{attribute}` holds no time that `expired` knows")]
    NotATime { attribute: String },
    #[error("the expression gives a {found}, a bool is needed; compare with something")]
    NotBoolean { found: String },
    #[error(
        "the expression gives a {found}; a string, a bool, a list of strings, null or keep() is needed; try string(…)"
    )]
    NotAssignable { found: String },
    #[error(
        "the expression would need too much time or memory for the values of this entry; use fewer loops or replacements"
    )]
    TooCostly,
    #[error("the expression failed: {0}")]
    Failed(String),
}

impl Expression {
    /// Compiles the expression of an object of the class: `user.…`, `group.…` or `contact.…`.
    pub fn compile(source: &str, class: Class) -> Result<Self, ExpressionError> {
        let checked = check::check(source, class)?;
        let form = match record::first_of(&checked.expression) {
            Some(attributes) => Form::FirstOf(attributes),
            None => Form::Program(Program {
                environment: environment::shared().map_err(ExpressionError::environment)?,
                costly: cost::can_grow(&checked.expression),
                expression: checked.expression,
            }),
        };
        Ok(Self {
            source: source.into(),
            form,
            attributes: checked.attributes,
            timed: checked.timed,
        })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The attributes it reads, in lower case.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(String::as_str)
    }

    /// The attribute, in lower case, when the expression is nothing but `user.x`.
    pub fn sole_attribute(&self) -> Option<&str> {
        match &self.form {
            Form::FirstOf(names) => match names.as_slice() {
                [name] => Some(name),
                _ => None,
            },
            Form::Program(_) => None,
        }
    }

    /// When the expression may next give another result for the same entry, because a time in it comes (`expired(…)`).
    pub fn changes_at(&self, entry: &Entry, now: Timestamp) -> Option<Timestamp> {
        let texts = self.timed.iter().map(|name| text(entry, name));
        let moments = texts.filter_map(|text| time::moment(text.ok()?).ok()?);
        moments.filter(|moment| *moment > now).min()
    }

    /// The truth of a condition, as of a time.
    pub fn holds(&self, entry: &Entry, now: Timestamp) -> Result<bool, EvaluationError> {
        match &self.form {
            Form::FirstOf(_) => Err(EvaluationError::NotBoolean {
                found: "string".to_owned(),
            }),
            Form::Program(program) => program.run(entry, now, assign::truth),
        }
    }

    /// The value for a target attribute, as of a time.
    pub fn evaluate(&self, entry: &Entry, now: Timestamp) -> Result<Assigned, EvaluationError> {
        match &self.form {
            Form::FirstOf(names) => {
                let first = names
                    .iter()
                    .find(|name| !entry.attributes.get(name).is_empty());
                Ok(match first {
                    Some(name) => match text(entry, name)? {
                        "" => Assigned::Clear,
                        text => Assigned::Set(Value::Text(text.to_owned())),
                    },
                    None => Assigned::Clear,
                })
            }
            Form::Program(program) => program.run(entry, now, assign::assigned),
        }
    }
}

impl Program {
    fn run<T>(
        &self,
        entry: &Entry,
        now: Timestamp,
        read: fn(&dyn cel::common::value::Val) -> Result<T, EvaluationError>,
    ) -> Result<T, EvaluationError> {
        if self.costly && cost::exceeds(&self.expression, entry) {
            return Err(EvaluationError::TooCostly);
        }
        let record = Record(entry, now);
        let mut scope = self.environment.new_inner_scope();
        scope.set_variable_resolver(&record);
        match CelValue::resolve_val(&self.expression, &scope) {
            Ok(value) => read(value.as_ref()),
            Err(error) => Err(assign::failure(&error)),
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

#[cfg(test)]
mod tests;
