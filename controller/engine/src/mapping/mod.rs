//! Mappings: from an entry's source attributes to the attributes of its object at the target.
//!
//! The defaults for the server, then the overrides of the sync, then those of the scope; the later one wins. Every value is
//! held against the target's rule for its attribute; one that breaks it sets the object aside, and nothing is cut or changed.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use jiff::Timestamp;

use crate::{
    entry::{Class, Entry, ServerType},
    expression::{Assigned, EvaluationError, Expression, ExpressionError},
    near::nearest,
    reason::Reason,
    target::{AttributeRule, Capabilities, Changes, Value},
};

mod default;
mod reference;
mod together;
mod value;

pub use reference::reference;
pub(crate) use together::{Contribution, together, trace};

/// The name under which a person's manager is overridden or omitted.
const MANAGER: &str = "manager";
/// The name under which a group's members are omitted.
const MEMBERS: &str = "members";

/// What a DirectorySync or one of its scopes changes about the mappings of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// Target attribute → expression.
    pub set: BTreeMap<String, String>,
    /// Target attributes that are never sent.
    pub omit: BTreeSet<String>,
}

/// Where the mapping of an attribute comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    Default,
    /// `DirectorySync.spec.mapping`
    Sync,
    /// `DirectorySync.spec.scopes[].mapping`
    Scope,
    /// Never sent.
    Omitted,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Sync => "sync",
            Self::Scope => "scope",
            Self::Omitted => "omitted",
        }
    }
}

/// One line of the effective mappings, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    pub target: &'a str,
    /// Empty when omitted.
    pub expression: String,
    pub origin: Origin,
}

/// The compiled mappings of one class.
#[derive(Debug)]
pub struct Mapping {
    /// The sign-in name first, so that its absence is what is reported; then by name.
    rules: Vec<Rule>,
    omitted: BTreeSet<String>,
    manager: Option<Expression>,
    manager_origin: Origin,
    members: &'static [&'static str],
}

#[derive(Debug)]
struct Rule {
    target: &'static AttributeRule,
    expression: Expression,
    origin: Origin,
}

/// What a mapping makes of one attribute of an entry's object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapped {
    Value(Value),
    /// It is to have no value.
    Nothing,
    /// `keep()`: it is left alone.
    Kept,
    /// There is no value, and the target cannot clear it: it is left alone.
    NotClearable,
}

impl Mapped {
    /// What the attribute should be, unless it is left alone.
    fn change(self, target: &str, changes: &mut Changes) {
        let value = match self {
            Self::Value(value) => Some(value),
            Self::Nothing => None,
            Self::Kept | Self::NotClearable => return,
        };
        changes.insert(target.to_owned(), value);
    }
}

/// Why mappings do not compile.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot map `{target}` ({} mapping): {problem}", origin.as_str())]
pub struct MappingError {
    /// The target attribute, as it was written.
    pub target: String,
    /// Which mapping it is in.
    pub origin: Origin,
    #[source]
    pub problem: MappingProblem,
}

/// What is wrong with one mapping.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MappingProblem {
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    #[error("the target has no such attribute to write{}", .near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownTarget { near: Option<&'static str> },
    #[error("it is both set and omitted; remove one of the two")]
    SetAndOmitted,
    #[error("the target needs it to make an object, it may not be omitted")]
    Required,
    #[error(
        "the manager is a reference: only one attribute that holds a DN can be mapped, as in `user.manager`"
    )]
    Manager,
    #[error("members are references and can only be omitted")]
    Members,
}

/// Why an entry has no desired object: it goes into quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}: {message}")]
pub struct MappingFault {
    pub reason: Reason,
    /// The attribute at fault: of the source for invalid UTF-8, else of the target.
    pub attribute: String,
    /// Names the attribute; never a value.
    pub message: String,
}

impl Mapping {
    /// Compiles the defaults and the overrides, of which the first is the sync's and the others the scope's; later ones win.
    pub fn compile(
        server: ServerType,
        class: Class,
        capabilities: &'static Capabilities,
        overrides: &[&Override],
    ) -> Result<Self, MappingError> {
        let names: BTreeSet<&'static str> = capabilities
            .attributes
            .iter()
            .filter(|rule| rule.class == class)
            .map(|rule| rule.name)
            .chain(default::manager(class).map(|_| MANAGER))
            .chain((class == Class::Group).then_some(MEMBERS))
            .collect();
        let mut sources: BTreeMap<String, (String, Origin)> = default::defaults(server, class)
            .iter()
            .filter(|(target, _)| names.contains(target))
            .map(|(target, source)| {
                (
                    (*target).to_owned(),
                    ((*source).to_owned(), Origin::Default),
                )
            })
            .collect();
        if let Some(manager) = default::manager(class) {
            let source = format!("{}.{manager}", class.as_str());
            sources.insert(MANAGER.to_owned(), (source, Origin::Default));
        }
        let mut omitted = BTreeSet::new();
        for (at, layer) in overrides.iter().enumerate() {
            let origin = if at == 0 { Origin::Sync } else { Origin::Scope };
            check_names(layer, origin, &names, capabilities, class)?;
            for (target, source) in &layer.set {
                omitted.remove(target);
                sources.insert(target.clone(), (source.clone(), origin));
            }
            for target in &layer.omit {
                sources.remove(target);
                omitted.insert(target.clone());
            }
        }
        let mut mapping = Self {
            rules: Vec::with_capacity(sources.len()),
            manager: None,
            manager_origin: Origin::Default,
            members: if omitted.contains(MEMBERS) {
                &[]
            } else {
                default::members(server, class)
            },
            omitted,
        };
        for (target, (source, origin)) in sources {
            mapping.add(target, &source, origin, class, capabilities)?;
        }
        let sign_in_name = capabilities.sign_in_name;
        mapping
            .rules
            .sort_by_key(|rule| (rule.target.name != sign_in_name, rule.target.name));
        Ok(mapping)
    }

    fn add(
        &mut self,
        target: String,
        source: &str,
        origin: Origin,
        class: Class,
        capabilities: &'static Capabilities,
    ) -> Result<(), MappingError> {
        let expression = match Expression::compile(source, class) {
            Ok(expression) => expression,
            Err(error) => {
                let problem = MappingProblem::Expression(error);
                return Err(MappingError {
                    target,
                    origin,
                    problem,
                });
            }
        };
        if target == MANAGER && class == Class::User {
            if expression.sole_attribute().is_none() {
                let problem = MappingProblem::Manager;
                return Err(MappingError {
                    target,
                    origin,
                    problem,
                });
            }
            self.manager = Some(expression);
            self.manager_origin = origin;
        } else if let Some(rule) = capabilities.rule(class, &target) {
            self.rules.push(Rule {
                target: rule,
                expression,
                origin,
            });
        }
        Ok(())
    }

    /// The source attributes to read, in lower case, those of references included.
    pub fn attributes(&self) -> BTreeSet<String> {
        self.rules
            .iter()
            .map(|rule| &rule.expression)
            .chain(&self.manager)
            .flat_map(Expression::attributes)
            .chain(self.members.iter().copied())
            .map(str::to_owned)
            .collect()
    }

    /// The source attributes whose values are mapped, those of references left out.
    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        let rules = self.rules.iter();
        rules.flat_map(|rule| rule.expression.attributes())
    }

    /// When the mapping may next give other values for the same entry.
    pub(crate) fn changes_at(&self, entry: &Entry, now: Timestamp) -> Option<Timestamp> {
        let rules = self.rules.iter();
        rules
            .filter_map(|rule| rule.expression.changes_at(entry, now))
            .min()
    }

    /// The values that the entry's object should have, as of a time; `None` is to have no value. What is to be left alone is absent.
    pub fn apply(&self, entry: &Entry, now: Timestamp) -> Result<Changes, MappingFault> {
        let mut changes = Changes::new();
        for rule in &self.rules {
            let mapped = rule.give(entry, now)?;
            let mapped = mapped.map_or_else(|| rule.without(), Ok)?;
            mapped.change(rule.target.name, &mut changes);
        }
        Ok(changes)
    }

    /// Target attributes that are never sent.
    pub(crate) fn omitted(&self) -> impl Iterator<Item = &str> {
        self.omitted.iter().map(String::as_str)
    }

    /// The source attribute (in lower case) with the DN of the manager; `None` when omitted.
    pub fn manager(&self) -> Option<&str> {
        self.manager.as_ref().and_then(Expression::sole_attribute)
    }

    /// The source attributes (in lower case) with the DNs of members; empty when omitted.
    pub fn members(&self) -> &[&'static str] {
        self.members
    }

    /// The effective mappings, by target attribute.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let rules = self.rules.iter().map(|rule| Row {
            target: rule.target.name,
            expression: rule.expression.source().to_owned(),
            origin: rule.origin,
        });
        let manager = self.manager.iter().map(|manager| Row {
            target: MANAGER,
            expression: manager.source().to_owned(),
            origin: self.manager_origin,
        });
        let members = (!self.members.is_empty()).then(|| Row {
            target: MEMBERS,
            expression: self
                .members
                .iter()
                .map(|name| format!("values('{name}')"))
                .collect::<Vec<_>>()
                .join(" + "),
            origin: Origin::Default,
        });
        let omitted = self.omitted.iter().map(|target| Row {
            target,
            expression: String::new(),
            origin: Origin::Omitted,
        });
        let mut rows: Vec<Row<'_>> = rules.chain(manager).chain(members).chain(omitted).collect();
        rows.sort_by_key(|row| row.target);
        rows
    }
}

impl Rule {
    /// What the rule gives of one entry: a value or `keep()`; `None` asks whoever comes next.
    fn give(&self, entry: &Entry, now: Timestamp) -> Result<Option<Mapped>, MappingFault> {
        let assigned = self.expression.evaluate(entry, now);
        Ok(match assigned.map_err(|error| fault(self.target, error))? {
            Assigned::Set(value) => Some(Mapped::Value(value::fit(self.target, value)?)),
            Assigned::Clear => None,
            Assigned::Keep => Some(Mapped::Kept),
        })
    }

    /// What becomes of the attribute if nobody gives a value.
    fn without(&self) -> Result<Mapped, MappingFault> {
        if !self.target.required {
            return Ok(if self.target.clearable {
                Mapped::Nothing
            } else {
                Mapped::NotClearable
            });
        }
        Err(MappingFault {
            reason: Reason::AttributeMissing,
            attribute: self.target.name.to_owned(),
            message: format!(
                "`{}` has no value; it is mapped from `{}`",
                self.target.name,
                self.expression.source()
            ),
        })
    }
}

fn check_names(
    layer: &Override,
    origin: Origin,
    names: &BTreeSet<&'static str>,
    capabilities: &'static Capabilities,
    class: Class,
) -> Result<(), MappingError> {
    let fail = |target: &str, problem| {
        Err(MappingError {
            target: target.to_owned(),
            origin,
            problem,
        })
    };
    for target in layer.set.keys().chain(&layer.omit) {
        if !names.contains(target.as_str()) {
            let near = nearest(target, names.iter().copied());
            return fail(target, MappingProblem::UnknownTarget { near });
        }
    }
    for target in &layer.omit {
        if layer.set.contains_key(target) {
            return fail(target, MappingProblem::SetAndOmitted);
        }
        if capabilities
            .rule(class, target)
            .is_some_and(|rule| rule.required)
        {
            return fail(target, MappingProblem::Required);
        }
    }
    if class == Class::Group && layer.set.contains_key(MEMBERS) {
        return fail(MEMBERS, MappingProblem::Members);
    }
    Ok(())
}

fn fault(target: &AttributeRule, error: EvaluationError) -> MappingFault {
    match error {
        EvaluationError::InvalidUtf8 { attribute } => MappingFault {
            reason: Reason::InvalidUTF8,
            message: format!(
                "the attribute `{attribute}`, from which `{}` is mapped, is not valid UTF-8",
                target.name
            ),
            attribute,
        },
        error => MappingFault {
            reason: Reason::ExpressionFailed,
            attribute: target.name.to_owned(),
            message: format!("cannot map `{}`: {error}", target.name),
        },
    }
}

#[cfg(test)]
mod tests;
