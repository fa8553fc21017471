//! Compiling: parses a source, checks all names in it, and turns every mention of an attribute into one variable
//! ([`super::record`]).
//!
//! After this step no name can be unknown when evaluating, the attributes are known, and the size of the expression and the
//! nesting of its loops are bounded. Every error has its line and column.

use std::collections::BTreeSet;

use cel::{
    DeclarationError, IdedExpr,
    common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SelectExpr, SourceInfo, operators},
};
use thiserror::Error;

use super::{
    MAX_SOURCE,
    environment::KEEP,
    function::FUNCTIONS,
    record::{Access, variable},
};
use crate::entry::Class;

/// Most nodes of the parsed expression.
pub(crate) const MAX_NODES: usize = 500;
/// Deepest nesting of anything; `+` between many parts nests too. Evaluating a level takes up to 40 KiB of stack in an
/// unoptimised build, and threads have 2 MiB.
pub(crate) const MAX_DEPTH: usize = 24;
/// The stack on which sources are parsed: the parser takes up to 200 KiB a level and stops itself at 96 levels.
const PARSER_STACK: usize = 64 * 1024 * 1024;
/// Deepest nesting of `all`, `exists`, `exists_one`, `map` and `filter`.
pub(crate) const MAX_LOOPS: usize = 3;

const OPERATORS: &[&str] = &[
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::IN,
    operators::NOT_STRICTLY_FALSE,
];

/// Why an expression does not compile.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {problem}{}", .hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct ExpressionError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub problem: ExpressionProblem,
    /// What to write instead.
    pub hint: Option<String>,
}

/// What is wrong in an expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExpressionProblem {
    #[error("the expression cannot be read: {0}")]
    Syntax(String),
    #[error("the expression is empty")]
    Empty,
    #[error("the expression has {0} bytes, the limit is {MAX_SOURCE}")]
    Length(usize),
    #[error("the expression has more than {MAX_NODES} parts")]
    Size,
    #[error("the expression is nested deeper than {MAX_DEPTH} levels")]
    Depth,
    #[error("loops (all, exists, exists_one, map, filter) are nested deeper than {MAX_LOOPS}")]
    Loops,
    #[error("`{0}` is not known")]
    UnknownName(String),
    #[error("there is no function `{0}`")]
    UnknownFunction(String),
    #[error("`{0}` is not called so")]
    Call(String),
    #[error("the attribute must be named outright")]
    Computed,
    #[error("attributes have no parts")]
    Part,
    #[error("`{0}` cannot be the name of an attribute")]
    AttributeName(String),
    #[error("the variable of a loop may not be called `{0}`")]
    Shadowed(String),
    #[error("messages of the form `Name{{…}}` are not part of this language")]
    Message,
    #[error("the functions of the language could not be set up: {0}")]
    Environment(String),
    #[error("the parser could not be run{0}")]
    Parser(String),
}

impl ExpressionError {
    pub(super) fn environment(error: &DeclarationError) -> Self {
        Self::whole(ExpressionProblem::Environment(error.to_string()))
    }

    fn whole(problem: ExpressionProblem) -> Self {
        Self {
            line: 1,
            column: 1,
            problem,
            hint: None,
        }
    }
}

pub(super) struct Checked {
    pub(super) expression: IdedExpr,
    pub(super) attributes: BTreeSet<String>,
    /// Those of them whose time is compared with now.
    pub(super) timed: BTreeSet<String>,
}

pub(super) fn check(source: &str, class: Class) -> Result<Checked> {
    if source.trim().is_empty() {
        return Err(ExpressionError::whole(ExpressionProblem::Empty));
    }
    if source.len() > MAX_SOURCE {
        let problem = ExpressionProblem::Length(source.len());
        return Err(ExpressionError::whole(problem));
    }
    // A thread of its own, for its stack; whatever the parser does to it comes back as an error.
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(PARSER_STACK)
            .spawn_scoped(scope, || parse_and_check(source, class))
            .map_err(|error| parser(&format!(": {error}")))?
            .join()
            .unwrap_or_else(|_| Err(parser("")))
    })
}

fn parser(why: &str) -> ExpressionError {
    ExpressionError::whole(ExpressionProblem::Parser(why.to_owned()))
}

fn parse_and_check(source: &str, class: Class) -> Result<Checked> {
    // The standard macros; back-quotes for names with dashes: has(user.`msDS-x`).
    let parser = cel::parser::Parser::new()
        .enable_optional_syntax(false)
        .enable_ident_escape_syntax(true);
    let (mut expression, info) = parser
        .parse_with_source_info(source)
        .map_err(|errors| syntax(&errors))?;
    let mut checker = Checker {
        class,
        info: &info,
        source,
        attributes: BTreeSet::new(),
        timed: BTreeSet::new(),
        variables: Vec::new(),
        nodes: 0,
        depth: 0,
        loops: 0,
    };
    checker.node(&mut expression)?;
    Ok(Checked {
        attributes: checker.attributes,
        timed: checker.timed,
        expression,
    })
}

fn syntax(errors: &cel::ParseErrors) -> ExpressionError {
    let Some(first) = errors.errors.first() else {
        return ExpressionError::whole(ExpressionProblem::Syntax("cannot be read".to_owned()));
    };
    let problem = if first.msg.contains("recursion limit") {
        ExpressionProblem::Depth
    } else {
        // ANTLR goes on to list every token that it would have taken.
        let told = first.msg.split(" expecting {").next().unwrap_or_default();
        let told = told.strip_prefix("Syntax error: ").unwrap_or(told);
        ExpressionProblem::Syntax(told.replace("'<EOF>'", "the end"))
    };
    ExpressionError {
        line: usize::try_from(first.pos.0).unwrap_or(1).max(1),
        column: usize::try_from(first.pos.1).unwrap_or(1).max(1),
        problem,
        hint: None,
    }
}

struct Checker<'a> {
    class: Class,
    info: &'a SourceInfo,
    source: &'a str,
    attributes: BTreeSet<String>,
    timed: BTreeSet<String>,
    /// Variables of the loops around.
    variables: Vec<String>,
    nodes: usize,
    depth: usize,
    loops: usize,
}

type Result<T, E = ExpressionError> = std::result::Result<T, E>;

impl Checker<'_> {
    fn fail<T>(&self, id: u64, problem: ExpressionProblem, hint: Option<String>) -> Result<T> {
        let start = self.info.offset_for(id).map_or(0, |(start, _)| start);
        let before = usize::try_from(start)
            .ok()
            .and_then(|start| self.source.get(..start))
            .unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        Err(ExpressionError {
            line: 1 + before.matches('\n').count(),
            column: 1 + line.chars().count(),
            problem,
            hint,
        })
    }

    fn node(&mut self, node: &mut IdedExpr) -> Result<()> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return self.fail(node.id, ExpressionProblem::Size, None);
        }
        if self.depth >= MAX_DEPTH {
            return self.fail(node.id, ExpressionProblem::Depth, None);
        }
        self.depth += 1;
        self.kind(node)?;
        self.depth -= 1;
        Ok(())
    }

    fn kind(&mut self, node: &mut IdedExpr) -> Result<()> {
        let id = node.id;
        match &mut node.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.name(id, name)?,
            Expr::Select(select) => {
                if let Some(expr) = self.select(id, select)? {
                    node.expr = expr;
                }
            }
            Expr::Call(call) => {
                if let Some(expr) = self.call(id, call)? {
                    node.expr = expr;
                }
            }
            Expr::List(list) => {
                for element in &mut list.elements {
                    self.node(element)?;
                }
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        self.node(&mut entry.key)?;
                        self.node(&mut entry.value)?;
                    }
                }
            }
            Expr::Struct(_) => return self.fail(id, ExpressionProblem::Message, None),
            Expr::Comprehension(comprehension) => {
                if comprehension.iter_var == self.class.as_str() {
                    let name = comprehension.iter_var.clone();
                    return self.fail(id, ExpressionProblem::Shadowed(name), None);
                }
                if self.loops >= MAX_LOOPS {
                    return self.fail(id, ExpressionProblem::Loops, None);
                }
                self.node(&mut comprehension.iter_range)?;
                self.loops += 1;
                let outside = self.variables.len();
                self.variables.push(comprehension.iter_var.clone());
                self.node(&mut comprehension.accu_init)?;
                self.node(&mut comprehension.loop_cond)?;
                self.node(&mut comprehension.loop_step)?;
                self.node(&mut comprehension.result)?;
                self.variables.truncate(outside);
                self.loops -= 1;
            }
        }
        Ok(())
    }

    /// A name that is no attribute: only the variable of a loop around.
    fn name(&self, id: u64, name: &str) -> Result<()> {
        // Names made by macros, such as `@result`.
        if name.starts_with('@') || self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        let class = self.class.as_str();
        if name == class {
            let hint = format!("write `{class}.name`, `{class}['name']` or `values('name')`");
            return self.fail(id, ExpressionProblem::Computed, Some(hint));
        }
        let hint = if [Class::User, Class::Group, Class::Contact]
            .iter()
            .any(|other| other.as_str() == name)
        {
            format!("this is the expression of a {class}: write `{class}` in place of `{name}`")
        } else {
            format!("an attribute is written `{class}.{name}`, a text in quotation marks")
        };
        self.fail(
            id,
            ExpressionProblem::UnknownName(name.to_owned()),
            Some(hint),
        )
    }

    fn is_entry(&self, node: &IdedExpr) -> bool {
        matches!(&node.expr, Expr::Ident(name) if name == self.class.as_str())
    }

    fn attribute(&mut self, id: u64, access: Access, name: &str) -> Result<Expr> {
        let valid = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b';' | b'.'));
        if !valid {
            return self.fail(id, ExpressionProblem::AttributeName(name.to_owned()), None);
        }
        let name = name.to_ascii_lowercase();
        let variable = variable(access, &name);
        if access == Access::Expired {
            self.timed.insert(name.clone());
        }
        self.attributes.insert(name);
        Ok(Expr::Ident(variable))
    }

    /// `user.x`, `has(user.x)`, or a key of a map.
    fn select(&mut self, id: u64, select: &mut SelectExpr) -> Result<Option<Expr>> {
        if self.is_entry(&select.operand) {
            let access = if select.test {
                Access::Presence
            } else {
                Access::Text
            };
            return self.attribute(id, access, &select.field).map(Some);
        }
        if let Expr::Select(inner) = &select.operand.expr
            && self.is_entry(&inner.operand)
        {
            let class = self.class.as_str();
            let hint = format!(
                "write `{class}['{}.{}']` if that is its name",
                inner.field, select.field
            );
            return self.fail(id, ExpressionProblem::Part, Some(hint));
        }
        self.node(&mut select.operand)?;
        Ok(None)
    }

    fn call(&mut self, id: u64, call: &mut CallExpr) -> Result<Option<Expr>> {
        let name = call.func_name.as_str();
        if OPERATORS.contains(&name) {
            if name == operators::INDEX
                && let [operand, index] = call.args.as_slice()
                && self.is_entry(operand)
            {
                return self.named(id, Access::Text, index).map(Some);
            }
        } else {
            self.signature(id, call)?;
            match (call.func_name.as_str(), call.args.as_slice()) {
                ("values", [index]) => return self.named(id, Access::All, index).map(Some),
                ("keep", []) => return Ok(Some(Expr::Ident(KEEP.to_owned()))),
                ("expired", [time]) => return self.expired(time).map(Some),
                _ => {}
            }
        }
        if let Some(target) = &mut call.target {
            self.node(target)?;
        }
        for argument in &mut call.args {
            self.node(argument)?;
        }
        Ok(None)
    }

    /// An attribute by a name in quotation marks.
    fn named(&mut self, id: u64, access: Access, name: &IdedExpr) -> Result<Expr> {
        if let Expr::Literal(LiteralValue::String(name)) = &name.expr {
            return self.attribute(id, access, name.inner());
        }
        let hint = "a name in quotation marks is needed, so that it is known what to read";
        self.fail(name.id, ExpressionProblem::Computed, Some(hint.to_owned()))
    }

    /// An attribute whose time is compared with now: named outright, so that it is known when to look again.
    fn expired(&mut self, time: &IdedExpr) -> Result<Expr> {
        match &time.expr {
            Expr::Select(select) if !select.test && self.is_entry(&select.operand) => {
                return self.attribute(time.id, Access::Expired, &select.field);
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                if let [operand, index] = call.args.as_slice()
                    && self.is_entry(operand)
                {
                    return self.named(time.id, Access::Expired, index);
                }
            }
            _ => {}
        }
        let hint = format!(
            "write it as in `expired({}.accountExpires)`",
            self.class.as_str()
        );
        self.fail(time.id, ExpressionProblem::Computed, Some(hint))
    }

    fn signature(&self, id: u64, call: &CallExpr) -> Result<()> {
        let named = || FUNCTIONS.iter().filter(|f| f.name == call.func_name);
        let fits = named().any(|function| {
            let (fewest, most) = function.arguments;
            function.method == call.target.is_some() && (fewest..=most).contains(&call.args.len())
        });
        if fits {
            return Ok(());
        }
        let name = call.func_name.clone();
        if let Some(function) = named().next() {
            let hint = format!("write it as in `{}`", function.usage);
            return self.fail(id, ExpressionProblem::Call(name), Some(hint));
        }
        let near = crate::near::nearest(&name, FUNCTIONS.iter().map(|f| f.name));
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        self.fail(id, ExpressionProblem::UnknownFunction(name), hint)
    }
}
