//! An upper bound of the time and memory that an expression needs for one entry, computed before it runs: CEL itself has no limit.
//!
//! Only loops, `replace` and regular expressions can cost more than the length of the source times that of the attributes.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators},
};

use super::record::{Access, attribute};
use crate::entry::Entry;

/// Bytes touched, with [`STEP`] for each step of the interpreter: some tenths of a second on a slow core.
const LIMIT: f64 = 32_000_000.0;
const STEP: f64 = 32.0;
/// A regular expression is compiled each time.
const REGEX: f64 = 20_000.0;

/// Whether the cost has to be looked at for every entry.
pub(super) fn can_grow(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Comprehension(_) => true,
        Expr::Call(call) => {
            matches!(call.func_name.as_str(), "replace" | "matches")
                || call.target.iter().any(|target| can_grow(target))
                || call.args.iter().any(can_grow)
        }
        Expr::Select(select) => can_grow(&select.operand),
        Expr::List(list) => list.elements.iter().any(can_grow),
        Expr::Map(map) => map.entries.iter().any(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => can_grow(&entry.key) || can_grow(&entry.value),
            EntryExpr::StructField(field) => can_grow(&field.value),
        }),
        _ => false,
    }
}

/// Whether evaluating it for this entry could go beyond the limit.
pub(super) fn exceeds(expression: &IdedExpr, entry: &Entry) -> bool {
    work(expression, entry) > LIMIT
}

/// The bound itself; no less than the bytes of the result.
pub(super) fn work(expression: &IdedExpr, entry: &Entry) -> f64 {
    let mut meter = Meter {
        entry,
        work: 0.0,
        scopes: Vec::new(),
    };
    meter.bound(expression);
    meter.work
}

/// The most that a value can be.
#[derive(Clone, Debug)]
enum Bound {
    /// Bytes.
    Text(f64),
    /// Elements, and the largest of them.
    List(f64, Box<Bound>),
    /// Bytes of anything else, or of what is not known.
    Other(f64),
}

impl Bound {
    fn total(&self) -> f64 {
        match self {
            Self::Text(bytes) | Self::Other(bytes) => bytes + 16.0,
            Self::List(count, element) => 16.0 + count * element.total(),
        }
    }

    /// Either of the two.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Self::Text(a.max(b)),
            (Self::List(m, a), Self::List(n, b)) => Self::List(m.max(n), Box::new(a.or(*b))),
            (a, b) => Self::Other(a.total().max(b.total())),
        }
    }

    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Self::Text(a + b),
            (Self::List(m, a), Self::List(n, b)) => {
                let element = if m == 0.0 { *b } else { a.or(*b) };
                Self::List(m + n, Box::new(element))
            }
            (a, b) => Self::Other(a.total() + b.total()),
        }
    }

    /// How many elements, and what each is, when it is walked over.
    fn elements(self) -> (f64, Self) {
        match self {
            Self::List(count, element) => (count, *element),
            other => (other.total(), other),
        }
    }
}

struct Meter<'a> {
    entry: &'a Entry,
    work: f64,
    /// Variables of the comprehensions around, innermost last.
    scopes: Vec<(&'a str, Bound)>,
}

impl<'a> Meter<'a> {
    fn bound(&mut self, expression: &'a IdedExpr) -> Bound {
        let bound = match &expression.expr {
            Expr::Literal(LiteralValue::String(text)) => Bound::Text(float(text.inner().len())),
            Expr::Ident(name) => self.variable(name),
            Expr::Call(call) => self.call(call),
            Expr::Select(select) => self.bound(&select.operand).elements().1,
            Expr::List(list) => {
                let mut largest = Bound::Text(0.0);
                for element in &list.elements {
                    let next = self.bound(element);
                    largest = if largest.total() <= 16.0 {
                        next
                    } else {
                        largest.or(next)
                    };
                }
                Bound::List(float(list.elements.len()), Box::new(largest))
            }
            Expr::Map(map) => {
                let mut total = 0.0;
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        total += self.bound(&entry.key).total() + self.bound(&entry.value).total();
                    }
                }
                Bound::Other(total)
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            _ => Bound::Other(8.0),
        };
        self.work += STEP + bound.total();
        bound
    }

    fn variable(&self, name: &str) -> Bound {
        let Some((access, attribute)) = attribute(name) else {
            let known = self.scopes.iter().rev().find(|(known, _)| *known == name);
            return known.map_or(Bound::Other(8.0), |(_, bound)| bound.clone());
        };
        let values = self.entry.attributes.get(attribute);
        let longest = float(values.iter().map(Vec::len).max().unwrap_or_default());
        match access {
            Access::Presence | Access::Expired => Bound::Other(1.0),
            Access::Text => Bound::Text(longest),
            Access::All => Bound::List(float(values.len()), Box::new(Bound::Text(longest))),
        }
    }

    fn call(&mut self, call: &'a CallExpr) -> Bound {
        let operands = call.target.iter().map(|target| &**target).chain(&call.args);
        let mut bounds: Vec<Bound> = operands.map(|operand| self.bound(operand)).collect();
        bounds.reverse();
        let mut next = || bounds.pop().unwrap_or(Bound::Other(0.0));
        match call.func_name.as_str() {
            operators::CONDITIONAL => {
                next();
                next().or(next())
            }
            operators::ADD => next().plus(next()),
            operators::INDEX => next().elements().1,
            "replace" => {
                let text = next().total();
                let from = match call.args.first().map(|from| &from.expr) {
                    Some(Expr::Literal(LiteralValue::String(from))) => float(from.inner().len()),
                    _ => 0.0,
                };
                next();
                let to = next().total();
                Bound::Text(text + (text + 1.0) / from.max(1.0) * to)
            }
            "join" => {
                let (count, element) = next().elements();
                Bound::Text(count * (element.total() + next().total()))
            }
            "split" => {
                let text = next().total();
                Bound::List(text, Box::new(Bound::Text(text)))
            }
            "matches" => {
                next();
                self.work += REGEX + 100.0 * next().total();
                Bound::Other(1.0)
            }
            "string" => Bound::Text(next().total().max(32.0)),
            "lowerAscii" | "upperAscii" | "trim" | "substring" | "charAt" => next(),
            "mailNickname" => Bound::Text(64.0),
            _ => Bound::Other(8.0),
        }
    }

    /// One of CEL's macros: the result is a list that grows by what one step adds, or a scalar.
    fn comprehension(&mut self, comprehension: &'a ComprehensionExpr) -> Bound {
        let (count, element) = self.bound(&comprehension.iter_range).elements();
        let start = self.bound(&comprehension.accu_init);
        let before = self.work;
        self.scopes.push((&comprehension.iter_var, element));
        self.scopes.push((&comprehension.accu_var, start));
        self.bound(&comprehension.loop_cond);
        let step = self.bound(&comprehension.loop_step);
        let result = match step {
            Bound::List(added, element) => Bound::List(added * count, element),
            scalar => scalar,
        };
        self.scopes.pop();
        self.scopes.push((&comprehension.accu_var, result.clone()));
        self.bound(&comprehension.result);
        self.scopes.truncate(self.scopes.len().saturating_sub(2));
        self.work = before + (self.work - before) * count.max(1.0);
        result
    }
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
